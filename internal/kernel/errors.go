package kernel

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrAnswered: a call that the kernel always refuses succeeded, so that what the
// kernel answers is not to be believed.
var ErrAnswered = errors.New("an earlier filter answers for the kernel: it reports success and installs nothing")

// A ThreadError says that [TSync] failed, and no thread got the filter, because
// of a thread of the process whose filters are not a part of the caller's.
type ThreadError struct {
	TID int // the thread, one of /proc/self/task
}

func (e *ThreadError) Error() string {
	return fmt.Sprintf("thread %d has a seccomp filter of its own, so that the threads cannot share one", e.TID)
}

// A FilterError is the kernel's refusal of a filter that is valid.
type FilterError struct {
	Errno        syscall.Errno
	Flags        Flags
	Prctl        bool // by prctl(2), which has no flags; else by seccomp(2)
	Instructions int  // length of the filter
}

func (e *FilterError) Error() string {
	how := fmt.Sprintf("flags %v", e.Flags)
	if e.Prctl {
		how = "by prctl(2)"
	}
	s := fmt.Sprintf("seccomp filter of %d instructions, %s: %v", e.Instructions, how, e.Errno)
	if why := e.explain(); why != "" {
		s += ": " + why
	}
	return s
}

// Unwrap returns the errno, for [errors.Is].
func (e *FilterError) Unwrap() error { return e.Errno }

// noEveryThread explains ENOTSUP of syscall.AllThreadsSyscall.
const noEveryThread = "the program uses cgo, so that Go cannot reach every thread; build it with CGO_ENABLED=0"

// explain says what the errno means here; see seccomp(2) and
// seccomp_set_mode_filter in kernel/seccomp.c.
func (e *FilterError) explain() string {
	switch e.Errno {
	case syscall.EACCES:
		return "needs no_new_privs, or CAP_SYS_ADMIN in the user namespace of the thread"
	case syscall.EINVAL:
		if e.Prctl {
			return "the kernel has no seccomp filters, or the thread is in strict mode"
		}
		return "the kernel does not know these flags or their combination, or the thread is in strict mode"
	case syscall.ENOMEM:
		return "the filters of the thread together would exceed the kernel's budget of 32768 translated instructions, or memory is short"
	case syscall.ENOSYS:
		return "the kernel has no seccomp filters, or an earlier filter denies the call"
	case syscall.ESRCH:
		return "another thread has a seccomp filter of its own, so that the threads cannot share one"
	case syscall.EBUSY:
		return "the thread's filters have a listener already"
	case syscall.EPERM:
		return "an earlier filter denies the call"
	case syscall.ENOTSUP:
		return noEveryThread
	}
	return ""
}
