package kernel

// ServePolling is Serve as on kernels that do not tell a receiver of the end.
func (l *Listener) ServePolling(answer func(Notification) Reply) error {
	conn, err := l.conn()
	if err != nil {
		return err
	}
	var failure error
	err = conn.Control(func(fd uintptr) { failure = l.serve(int(fd), true, nil, answer) })
	if err != nil {
		return err
	}
	return failure
}
