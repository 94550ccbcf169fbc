package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// A kmsg reads /dev/kmsg, a record a read (Documentation/ABI/testing/dev-kmsg).
type kmsg struct {
	ctx    context.Context
	fd     int
	follow bool
	rest   []byte
	buf    []byte
}

// OpenKmsg opens the kernel's log. The reader ends at the newest record, or with
// follow when ctx ends. Records that were overwritten before they were read are
// a line of their own that [Reader] makes a loss of.
func OpenKmsg(ctx context.Context, follow bool) (io.ReadCloser, error) {
	fd, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/kmsg: %w", err)
	}
	return &kmsg{ctx: ctx, fd: fd, follow: follow, buf: make([]byte, 16<<10)}, nil
}

func (k *kmsg) Close() error { return syscall.Close(k.fd) }

func (k *kmsg) Read(p []byte) (int, error) {
	for len(k.rest) == 0 {
		if k.ctx.Err() != nil {
			return 0, io.EOF
		}
		n, err := syscall.Read(k.fd, k.buf)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EPIPE):
			k.rest = []byte(overwritten + "\n")
		case errors.Is(err, syscall.EAGAIN) && !k.follow:
			return 0, io.EOF
		case errors.Is(err, syscall.EAGAIN):
			select {
			case <-k.ctx.Done():
			case <-time.After(idle):
			}
		case err != nil:
			return 0, fmt.Errorf("/dev/kmsg: %w", err)
		default:
			k.rest = k.buf[:n]
		}
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}
