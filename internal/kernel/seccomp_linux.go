package kernel

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// SetFilter installs p on the calling thread, or with [TSync] on every thread of
// the process, on top of the filters that are there. It cannot be undone. When
// it returns nil, the filter decides on every further system call.
//
// Errors: p is not valid ([bpf.Program.Validate]), *[ThreadError], *[FilterError].
// [NewListener] needs [SetFilterListener].
func SetFilter(p bpf.Program, flags Flags) error {
	if flags&NewListener != 0 {
		return errors.New("flag new_listener returns a descriptor, for which SetFilter has no place")
	}
	tid, err := setModeFilter(p, flags)
	if err == nil && tid != 0 {
		return &ThreadError{tid}
	}
	return err
}

// SetFilterListener is [SetFilter] with [NewListener]: it also returns the
// descriptor, closed on exec, that receives the calls for which p returns
// user_notify (seccomp_unotify(2)).
func SetFilterListener(p bpf.Program, flags Flags) (fd int, err error) {
	if flags&(TSync|TSyncESRCH) == TSync {
		return -1, errors.New("flag new_listener with tsync needs tsync_esrch")
	}
	return setModeFilter(p, flags|NewListener)
}

func setModeFilter(p bpf.Program, flags Flags) (int, error) {
	prog, err := sockFprog(p)
	if err != nil {
		return -1, err
	}
	r, errno := seccomp(unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), unsafe.Pointer(prog))
	if errno != 0 {
		return -1, &FilterError{Errno: errno, Flags: flags, Instructions: len(p)}
	}
	return int(r), nil
}

// sockFprog returns p as the kernel takes it.
func sockFprog(p bpf.Program) (*unix.SockFprog, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	code := make([]unix.SockFilter, len(p))
	for n, i := range p {
		code[n] = unix.SockFilter{Code: i.Code, Jt: i.JT, Jf: i.JF, K: i.K}
	}
	return &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}, nil
}

// FlagsAvailable reports whether the kernel knows all of the flags and takes
// them together. It installs nothing.
func FlagsAvailable(flags Flags) (bool, error) {
	// Without a program the kernel fails with EFAULT, but looks at the flags
	// first (seccomp_set_mode_filter in kernel/seccomp.c).
	_, errno := seccomp(unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), nil)
	switch errno {
	case unix.EFAULT:
		return true, nil
	case unix.EINVAL:
		return false, nil
	case 0:
		return false, ErrAnswered
	}
	return false, fmt.Errorf("seccomp flags %v: %w", flags, errno)
}

// ActionAvailable reports whether the kernel knows a's kind
// (SECCOMP_GET_ACTION_AVAIL, Linux 4.14).
func ActionAvailable(a abi.Action) (bool, error) {
	word := uint32(a.Kind())
	_, errno := seccomp(unix.SECCOMP_GET_ACTION_AVAIL, 0, unsafe.Pointer(&word))
	switch errno {
	case 0:
		return true, nil
	case unix.EOPNOTSUPP:
		return false, nil
	}
	return false, fmt.Errorf("seccomp action %v: %w", a, errno)
}

func seccomp(op, flags uintptr, args unsafe.Pointer) (uintptr, syscall.Errno) {
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, op, flags, uintptr(args))
	return r, errno
}
