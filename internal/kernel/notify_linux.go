package kernel

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
)

// seccompNotif is struct seccomp_notif of include/uapi/linux/seccomp.h.
type seccompNotif struct {
	id         uint64
	pid, flags uint32
	nr, arch   uint32
	ip         uint64
	args       [6]uint64
}

// seccompNotifResp is struct seccomp_notif_resp.
type seccompNotifResp struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

// seccompNotifAddFD is struct seccomp_notif_addfd.
type seccompNotifAddFD struct {
	id         uint64
	flags      uint32
	srcfd      uint32
	newfd      uint32
	newfdFlags uint32
}

// Notifications returns the sizes that the running kernel has for them
// (SECCOMP_GET_NOTIF_SIZES, Linux 5.0). It is an error if they are smaller than
// those that this package was written for; larger ones only add to the end.
func Notifications() (NotifySizes, error) {
	var s NotifySizes
	_, errno := seccomp(unix.SECCOMP_GET_NOTIF_SIZES, 0, unsafe.Pointer(&s))
	if errno == unix.EINVAL { // the operation is unknown
		errno = unix.ENOSYS
	}
	if errno != 0 {
		return NotifySizes{}, fmt.Errorf("seccomp user notification: %w", errno)
	}
	const data = unsafe.Sizeof(seccompNotif{}) - unsafe.Offsetof(seccompNotif{}.nr)
	if uintptr(s.Notification) < unsafe.Sizeof(seccompNotif{}) || uintptr(s.Reply) < unsafe.Sizeof(seccompNotifResp{}) || uintptr(s.Data) != data {
		return NotifySizes{}, fmt.Errorf("seccomp user notification: the kernel's structures have sizes %+v, which are not known here: %w", s, errors.ErrUnsupported)
	}
	return s, nil
}

// A Listener receives notifications and sends the answers. Its methods may be
// called by several goroutines, Receive by one at a time.
//
// Go's poller waits for it, so that Close, Interrupt and the end of the last user
// of the filter end a Receive on every kernel, and no signal does. Of several
// processes that hold the descriptor only one may receive: the kernel lets the
// others sleep where nothing can interrupt them.
type Listener struct {
	fd     int
	sizes  NotifySizes
	serves bool // Go's poller does not know it

	mu     sync.Mutex
	file   *os.File // of fd; nil before its first use
	closed bool
}

// ListenOn returns the listener on fd, which it owns from now on. It makes no
// system call, so that it can follow the installation of any filter.
func ListenOn(fd int, sizes NotifySizes) *Listener { return &Listener{fd: fd, sizes: sizes} }

// FD returns the descriptor, for as long as the listener is not closed.
func (l *Listener) FD() int { return l.fd }

// conn gives the descriptor to Go's poller when it is first used, and then
// protects it from being closed while a call is on it.
func (l *Listener) conn() (syscall.RawConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, os.ErrClosed
	}
	if l.file == nil {
		if err := probe(l.fd); err != nil {
			return nil, err
		}
		unix.CloseOnExec(l.fd)
		// The kernel does not look at this flag, but os.NewFile does.
		if err := unix.SetNonblock(l.fd, !l.serves); err != nil {
			return nil, fmt.Errorf("seccomp listener: %w", err)
		}
		file := os.NewFile(uintptr(l.fd), "seccomp listener")
		if !l.serves {
			if err := file.SetReadDeadline(time.Time{}); err != nil {
				_ = file.Close()
				l.closed = true
				return nil, fmt.Errorf("seccomp listener: descriptor %d cannot be polled: %w", l.fd, err)
			}
		}
		l.file = file
	}
	return l.file.SyscallConn()
}

// probe fails if fd is no listener: on one, no call has ID 0 but by a chance of 1
// in 2^64, and all other files do not know the operation.
func probe(fd int) error {
	var id uint64
	_, errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id))
	if errno == 0 || errno == unix.ENOENT {
		return nil
	}
	return fmt.Errorf("descriptor %d is no seccomp listener: %w", fd, errno)
}

// Open makes the descriptor ready for use, as every other method does when it is
// the first; it fails if it is no listener.
func (l *Listener) Open() error {
	_, err := l.conn()
	return err
}

// Close closes the descriptor; a Receive then fails with [os.ErrClosed]. If it was
// the last one, calls that wait fail with ENOSYS, as do those that follow.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.closed = true
	if l.file != nil {
		return l.file.Close()
	}
	return unix.Close(l.fd)
}

// Interrupt makes Receive fail with [ErrInterrupted], now and until Resume.
func (l *Listener) Interrupt() { l.deadline(time.Unix(1, 0)) }

// Resume ends the effect of Interrupt.
func (l *Listener) Resume() { l.deadline(time.Time{}) }

func (l *Listener) deadline(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && !l.closed {
		_ = l.file.SetReadDeadline(t) // cannot fail on an open file that can be polled
	}
}

// Receive waits for the next call and returns it. When the last user of the filter
// is gone, so that no call can come any more, it returns [io.EOF].
func (l *Listener) Receive() (Notification, error) {
	conn, err := l.conn()
	if err != nil {
		return Notification{}, err
	}
	for {
		var n Notification
		var failure error
		err := conn.Read(func(fd uintptr) (done bool) {
			n, done, failure = receive(int(fd), l.sizes, 0)
			return done
		})
		switch {
		case err == nil:
			return n, failure
		case errors.Is(err, os.ErrDeadlineExceeded):
			return n, ErrInterrupted
		}
		// The descriptor is closed; or a signal kept the kernel from looking what
		// waits (EPOLLERR of seccomp_notify_poll in kernel/seccomp.c). Go's poller
		// takes that for the state of the file, until the next event.
		var done bool
		if err := conn.Control(func(fd uintptr) { n, done, failure = receive(int(fd), l.sizes, 10*time.Millisecond) }); err != nil {
			return n, os.ErrClosed
		}
		if done {
			return n, failure
		}
	}
}

// receive receives a call if one waits or comes within a time; done is false if
// there is none. To ask the kernel for one where none waits is to sleep, before Linux
// 6.11 even if the last user of the filter is gone.
func receive(fd int, sizes NotifySizes, wait time.Duration) (n Notification, done bool, err error) {
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		switch _, err := unix.Poll(p, int(wait.Milliseconds())); {
		case err == unix.EINTR || p[0].Revents == unix.POLLERR: // a signal
			continue
		case err != nil:
			return n, true, fmt.Errorf("seccomp listener: poll: %w", err)
		case p[0].Revents&unix.POLLNVAL != 0:
			return n, true, fmt.Errorf("seccomp listener: poll: %w", unix.EBADF)
		case p[0].Revents&unix.POLLIN != 0:
		case p[0].Revents&unix.POLLHUP != 0:
			return n, true, io.EOF
		default:
			return n, false, nil
		}
		buf := make([]byte, max(uintptr(sizes.Notification), unsafe.Sizeof(seccompNotif{}))) // has to be zero
		raw := (*seccompNotif)(unsafe.Pointer(&buf[0]))
		switch _, errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(raw)); errno {
		case 0:
			call := abi.Call{NR: raw.nr, Arch: raw.arch, IP: raw.ip, Args: raw.args}
			return Notification{raw.id, int(raw.pid), call}, true, nil
		case unix.EINTR, unix.ENOENT: // a signal, here or there
		default:
			return n, true, fmt.Errorf("seccomp listener: receive: %w", errno)
		}
	}
}

// Valid fails with [ErrNotifyGone] if the call does not wait for an answer any
// more. What was found out about its thread before a nil return, by its ID, was
// that of the call's thread: it had not ended then.
func (l *Listener) Valid(id uint64) error {
	return l.control("id", func(fd int) syscall.Errno {
		_, errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id))
		return errno
	})
}

// Send answers a call.
func (l *Listener) Send(id uint64, r Reply) error {
	if r.Errno > abi.MaxErrno || r.Errno != 0 && r.Continue || r.Value != 0 && (r.Errno != 0 || r.Continue) {
		return fmt.Errorf("reply %+v is none that the kernel takes", r)
	}
	buf := make([]byte, max(uintptr(l.sizes.Reply), unsafe.Sizeof(seccompNotifResp{})))
	raw := (*seccompNotifResp)(unsafe.Pointer(&buf[0]))
	*raw = seccompNotifResp{id: id, val: r.Value, error: -int32(r.Errno)}
	if r.Continue {
		raw.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	err := l.control("send", func(fd int) syscall.Errno {
		_, errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(raw))
		return errno
	})
	if r.Continue {
		return unknownBefore(err, "5.5")
	}
	return err
}

// AddFD gives the process of a call a descriptor and returns its number there
// (Linux 5.9). It waits for the thread of the call to take it.
//
// An [AddFD.Send] that a signal interrupts leaves the call answered with 0 and
// without a descriptor (seccomp_notify_addfd of kernel/seccomp.c), so that signals
// are blocked.
func (l *Listener) AddFD(id uint64, a AddFD) (int, error) {
	if a.FD < 0 || a.FD > math.MaxInt32 || a.Number < 0 || a.Number > math.MaxInt32 || !a.Exact && a.Number != 0 {
		return -1, fmt.Errorf("descriptor %+v is none that the kernel takes", a)
	}
	raw := seccompNotifAddFD{id: id, srcfd: uint32(a.FD), newfd: uint32(a.Number)}
	if a.CloseExec {
		raw.newfdFlags = unix.O_CLOEXEC
	}
	if a.Exact {
		raw.flags |= unix.SECCOMP_ADDFD_FLAG_SETFD
	}
	if a.Send {
		raw.flags |= unix.SECCOMP_ADDFD_FLAG_SEND
	}
	number := -1
	err := withoutSignals(func() error {
		return l.control("addfd", func(fd int) syscall.Errno {
			r, errno := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&raw))
			number = int(r)
			if errno == unix.ESRCH { // the call was withdrawn meanwhile
				errno = unix.ENOENT
			}
			return errno
		})
	})
	if err != nil {
		since := "5.9"
		if a.Send {
			since = "5.14"
		}
		return -1, unknownBefore(err, since)
	}
	return number, nil
}

// withoutSignals calls f on a thread that signals do not interrupt.
func withoutSignals(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return fmt.Errorf("rt_sigprocmask: %w", err)
	}
	err := f()
	if restoreErr := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); restoreErr != nil {
		return fmt.Errorf("rt_sigprocmask: %w", restoreErr)
	}
	return err
}

// SetSyncWakeUp has the kernel run the receiver, when it wakes it, on the CPU of
// the thread that made the call, and the other way round (Linux 6.6): good where
// the answer is quick, bad where the thread has other work to do meanwhile.
func (l *Listener) SetSyncWakeUp(on bool) error {
	var flags uintptr
	if on {
		flags = unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
	}
	err := l.control("set flags", func(fd int) syscall.Errno {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags)
		return errno
	})
	return unknownBefore(err, "6.6")
}

// unknownBefore makes EINVAL, with which kernels answer what they do not know,
// [errors.ErrUnsupported].
func unknownBefore(err error, release string) error {
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w: needs Linux %s", errors.ErrUnsupported, err, release)
	}
	return err
}

// control calls f, which makes one ioctl on the descriptor that it is given, until
// no signal interrupts it.
func (l *Listener) control(what string, f func(fd int) syscall.Errno) error {
	conn, err := l.conn()
	if err != nil {
		return err
	}
	errno := unix.EINTR
	err = conn.Control(func(fd uintptr) {
		for errno == unix.EINTR {
			errno = f(int(fd))
		}
	})
	switch {
	case err != nil:
		return os.ErrClosed
	case errno == unix.ENOENT:
		return ErrNotifyGone
	case errno == unix.EINPROGRESS:
		return ErrNotifyAnswered
	case errno != 0:
		return fmt.Errorf("seccomp listener: %s: %w", what, errno)
	}
	return nil
}

func ioctl(fd int, request uint, arg unsafe.Pointer) (uintptr, syscall.Errno) {
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
	return r, errno
}
