package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// groupReadLog is AUDIT_NLGRP_READLOG: what the audit system logs, to any number of
// listeners beside an audit daemon, without switching anything on
// (include/uapi/linux/audit.h; Linux 3.16).
const groupReadLog = 1

// wantBuffer is the receive buffer that is asked for, in bytes. A record takes some
// 800 of them, so that the kernel's default holds 256.
const wantBuffer = 32 << 20

// A Listener receives audit records from the kernel. It is for one goroutine.
type Listener struct {
	fd      int
	buffer  int
	forced  bool
	gaps    gaps
	spool   *spool
	told    time.Time // when gaps were last asked for
	ended   time.Time // when Next first saw that its context had ended
	closing chan struct{}
	closed  chan struct{} // when nobody receives any more
}

// Listen joins the kernel's multicast group of audit records. In a network
// namespace other than the initial one it succeeds and nothing ever arrives: see
// [SelfTest]. The error wraps [ErrNotAllowed] where a capability is missing.
func Listen() (*Listener, error) { return listen(wantBuffer, maxSpool) }

func listen(buffer, spool int) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_AUDIT)
	if err != nil {
		return nil, fmt.Errorf("audit socket: %w", err)
	}
	l := &Listener{fd: fd, spool: newSpool(spool), closing: make(chan struct{}), closed: make(chan struct{})}
	if err := l.setBuffer(buffer); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	switch err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (groupReadLog - 1)}); {
	case errors.Is(err, unix.EPERM):
		return nil, errors.Join(fmt.Errorf("audit multicast: %w (%w)", ErrNotAllowed, err), unix.Close(fd))
	case err != nil:
		return nil, errors.Join(fmt.Errorf("audit multicast: %w", err), unix.Close(fd))
	}
	go l.receive()
	return l, nil
}

// setBuffer asks for a receive buffer beyond the administrator's limit, which takes
// CAP_NET_ADMIN, and where that is refused for as much as the limit allows.
func (l *Listener) setBuffer(size int) error {
	l.forced = unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) == nil
	if !l.forced {
		if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size); err != nil {
			return fmt.Errorf("audit socket: receive buffer: %w", err)
		}
	}
	got, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return fmt.Errorf("audit socket: receive buffer: %w", err)
	}
	l.buffer = got
	return nil
}

// Buffer returns the size of the receive buffer in bytes, as the kernel counts
// them, and whether it could be made larger than the administrator's limit
// (net.core.rmem_max).
func (l *Listener) Buffer() (size int, forced bool) { return l.buffer, l.forced }

// Close ends the listener.
func (l *Listener) Close() error {
	close(l.closing)
	<-l.closed
	return unix.Close(l.fd)
}

// receive takes datagrams from the socket into the spool as fast as they come: the
// socket's buffer has room for a second or two of a flood, less than who reads the
// events may be held up. With a spool that is full it waits, and the kernel drops what
// its buffer has no room for, and says so.
func (l *Listener) receive() {
	defer close(l.closed)
	buf := make([]byte, 64<<10)
	for {
		select {
		case <-l.closing:
			return
		default:
		}
		if !l.spool.room(len(buf)) {
			time.Sleep(idle / 20)
			continue
		}
		n, from, err := unix.Recvfrom(l.fd, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, int(idle.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
				l.spool.fail(fmt.Errorf("audit socket: poll: %w", err))
				return
			}
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOBUFS):
			l.spool.put(nil)
		case err != nil:
			l.spool.fail(fmt.Errorf("audit socket: %w", err))
			return
		default:
			if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 { // from the kernel
				l.spool.put(buf[:n])
			}
		}
	}
}

// Next returns the next event: a violation, the end of a process, records that
// were lost. It returns [ErrIdle] after a tenth of a second without any. When the
// context ends it returns what has come until then, for a second at most, and then the
// context's error.
func (l *Listener) Next(ctx context.Context) (Event, error) {
	var timer *time.Timer // from when there is something to wait for
	for {
		now := time.Now()
		if err := ctx.Err(); err != nil {
			return l.rest(err, now)
		}
		l.ended = time.Time{}
		if now.Sub(l.told) >= idle {
			l.told = now
			if n := l.gaps.take(now); n > 0 {
				return Event{Loss: &Loss{Records: n, Reason: "the kernel's numbers have gaps (its rate limit or its backlog, or this socket's buffer)"}}, nil
			}
		}
		switch datagram, ok, err := l.spool.take(); {
		case err != nil:
			return Event{}, err
		case !ok:
			if timer == nil {
				timer = time.NewTimer(idle)
				defer timer.Stop()
			}
			select {
			case <-ctx.Done():
			case <-l.spool.filled:
			case <-timer.C:
				return Event{}, ErrIdle
			}
		case datagram == nil:
			return l.full(), nil
		default:
			if e := l.message(datagram, now); e != (Event{}) {
				return e, nil
			}
		}
	}
}

// restTime is how long after the end of its context Next returns what had come.
const restTime = time.Second

// rest returns what had come before the end, and then the reason for it.
func (l *Listener) rest(reason error, now time.Time) (Event, error) {
	if l.ended.IsZero() {
		l.ended = now
	}
	for now.Sub(l.ended) < restTime {
		datagram, ok, err := l.spool.take()
		switch {
		case err != nil:
			return Event{}, err
		case !ok:
			return Event{}, reason
		case datagram == nil:
			return l.full(), nil
		}
		if e := l.message(datagram, now); e != (Event{}) {
			return e, nil
		}
	}
	if n := l.spool.drop(); n > 0 {
		return Event{Loss: &Loss{Records: uint64(n), Reason: "they had come, and were not read before the end"}}, nil
	}
	return Event{}, reason
}

// full is the loss that the kernel told.
func (l *Listener) full() Event {
	return Event{Loss: &Loss{Reason: fmt.Sprintf("the receive buffer of %d bytes was full (ENOBUFS)", l.buffer)}}
}

// message reads one datagram, which holds one record. Its length field does not
// count the header in older kernels, so that it is not relied on.
func (l *Listener) message(datagram []byte, now time.Time) Event {
	if len(datagram) < unix.NLMSG_HDRLEN {
		return Event{Problem: fmt.Errorf("audit socket: a message of %d bytes", len(datagram))}
	}
	kind := int(binary.NativeEndian.Uint16(datagram[4:]))
	text := string(bytes.TrimRight(datagram[unix.NLMSG_HDRLEN:], "\x00\n"))
	h := head{kind: kind, raw: text}
	stamp, body, ok := strings.Cut(strings.TrimPrefix(text, "audit("), "):")
	if !ok {
		return Event{}
	}
	if err := h.stamp(stamp, Options{}); err != nil {
		return Event{}
	}
	l.gaps.saw(h.serial, now)
	if kind != typeSeccomp && kind != typeAbend {
		return Event{}
	}
	e, err := parseBody(h, body, Options{})
	if err != nil {
		return Event{Problem: fmt.Errorf("%w in %q", err, shorten(text))}
	}
	return e
}
