package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
)

// receiveEnds is the release from which on a receiver that waits is told that the last
// user of the filter is gone (Linux 6.11); on older ones it sleeps for ever.
var receiveEnds = abi.Kernel{Major: 6, Minor: 11}

// ServeOn is [ListenOn] for who calls Serve, and none of Receive, Interrupt and Resume:
// Go's poller, which the kernel would have to tell of each call and each answer, does
// not wait for the descriptor.
func ServeOn(fd int, sizes NotifySizes) *Listener {
	return &Listener{fd: fd, sizes: sizes, serves: true}
}

// Serve answers each call with what answer says, one after the other, until the last
// user of the filter is gone. It is [Listener.Receive] and [Listener.Send] at a third
// of their cost: a thread of its own waits in the kernel, where Close and Interrupt do
// not reach it. A call that does not wait any more when its answer is there is passed
// over.
//
// buffer is where the kernel writes each call, struct seccomp_notif, which stays there
// until it has its answer; then it is zero. Who shares the memory with another process,
// that holds the descriptor too, leaves it no call without an answer: see
// [Listener.Pending]. nil: memory of its own.
func (l *Listener) Serve(buffer []byte, answer func(Notification) Reply) error {
	conn, err := l.conn()
	if err != nil {
		return err
	}
	release, err := Release()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var failure error
	err = conn.Control(func(fd uintptr) {
		failure = l.serve(int(fd), release.Before(receiveEnds), buffer, answer)
	})
	if err != nil {
		return os.ErrClosed
	}
	return failure
}

// bufferSize is how many bytes the kernel may write for a call.
func (l *Listener) bufferSize() int {
	return int(max(uintptr(l.sizes.Notification), unsafe.Sizeof(seccompNotif{})))
}

// Pending returns the call in a buffer that [Listener.Serve] of another process was
// given: one that it received and may not have answered; ok is false if there is none.
func (l *Listener) Pending(buffer []byte) (n Notification, ok bool) {
	if len(buffer) < l.bufferSize() {
		return n, false
	}
	raw := (*seccompNotif)(unsafe.Pointer(&buffer[0]))
	if raw.arch == 0 {
		return n, false
	}
	return raw.notification(), true
}

func (n *seccompNotif) notification() Notification {
	return Notification{n.id, int(n.pid), abi.Call{NR: n.nr, Arch: n.arch, IP: n.ip, Args: n.args}}
}

func (l *Listener) serve(fd int, poll bool, in []byte, answer func(Notification) Reply) error {
	if in == nil {
		in = make([]byte, l.bufferSize())
	}
	if len(in) < l.bufferSize() {
		return fmt.Errorf("seccomp listener: a buffer of %d bytes, not %d", len(in), l.bufferSize())
	}
	out := make([]byte, max(uintptr(l.sizes.Reply), unsafe.Sizeof(seccompNotifResp{})))
	n := (*seccompNotif)(unsafe.Pointer(&in[0]))
	reply := (*seccompNotifResp)(unsafe.Pointer(&out[0]))
	for {
		if poll {
			ready, err := pollNotify(fd, -1)
			switch {
			case err != nil:
				return err
			case ready == 0:
				return nil
			}
		}
		clear(in) // the kernel demands it
		switch _, errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n)); errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.ENOENT: // a signal took the call back, or there will be none any more
			ready, err := pollNotify(fd, 0)
			switch {
			case err != nil:
				return err
			case ready == 0:
				return nil
			}
			continue
		default:
			return fmt.Errorf("seccomp listener: receive: %w", errno)
		}
		r := answer(n.notification())
		*reply = seccompNotifResp{id: n.id, val: r.Value, error: -int32(r.Errno)}
		if r.Continue {
			reply.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		}
		errno := unix.EINTR
		for errno == unix.EINTR {
			// It does not wait, so that Go's scheduler need not know.
			_, _, errno = unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(reply)))
		}
		switch errno {
		case 0, unix.ENOENT, unix.EINPROGRESS: // answered; gone; answered by another holder
		default:
			return unknownBefore(fmt.Errorf("seccomp listener: send: %w", errno), "5.5")
		}
	}
}

// pollNotify waits for a call; 0 means that there will be none any more.
func pollNotify(fd, timeout int) (events int16, err error) {
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := unix.Poll(p, timeout)
		switch {
		case errors.Is(err, unix.EINTR) || p[0].Revents == unix.POLLERR: // a signal
			continue
		case err != nil:
			return 0, fmt.Errorf("seccomp listener: poll: %w", err)
		case p[0].Revents&unix.POLLIN == 0 && p[0].Revents&unix.POLLHUP != 0:
			return 0, nil
		}
		return unix.POLLIN, nil
	}
}
