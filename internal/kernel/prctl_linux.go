package kernel

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// Mode returns the seccomp mode of the calling thread: 0 if it has no filter, 2
// if it has some (prctl(2), PR_GET_SECCOMP). An error can come from a filter that
// denies the question.
func Mode() (int, error) {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("prctl PR_GET_SECCOMP: %w", err)
	}
	return mode, nil
}

// PrctlFilterAvailable reports whether prctl(2) takes filters (Linux 3.5). It
// installs nothing.
func PrctlFilterAvailable() (bool, error) {
	switch err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0); err {
	case unix.EFAULT: // no program at address 0
		return true, nil
	case unix.EINVAL:
		return false, nil
	case nil:
		return false, ErrAnswered
	default:
		return false, fmt.Errorf("prctl PR_SET_SECCOMP: %w", err)
	}
}

// SetFilterPrctl is [SetFilter] for where seccomp(2) is missing: it installs p by
// prctl(2), which knows no flags, on the calling thread or, one by one, on every
// thread. The Go runtime does the latter ([syscall.AllThreadsSyscall]): it sends
// each thread a signal, under the filter as soon as the first thread has it (see
// [EveryThreadCalls]), and ends the process if a thread's answer differs from that
// of the first. In a program that uses cgo, every thread is ENOTSUP.
func SetFilterPrctl(p bpf.Program, everyThread bool) error {
	prog, err := sockFprog(p)
	if err != nil {
		return err
	}
	var errno syscall.Errno
	if everyThread {
		_, _, errno = syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(prog)))
	} else {
		_, _, errno = unix.Syscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(prog)))
	}
	runtime.KeepAlive(prog)
	if errno != 0 {
		return &FilterError{Errno: errno, Prctl: true, Instructions: len(p)}
	}
	return nil
}

// NoNewPrivsEveryThread is [NoNewPrivs] on every thread, without a filter that
// carries it there ([TSync]). In a program that uses cgo it is ENOTSUP.
func NoNewPrivsEveryThread() error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP:
		return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS on every thread: %w: %s", errno, noEveryThread)
	}
	return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS on every thread: %w", errno)
}

// EveryThreadCalls are the calls that the Go runtime makes between the first and
// the last thread of [SetFilterPrctl] (doAllThreadsSyscall in runtime/os_linux.go,
// lock_futex.go), by their names on ABI a and release k. Where the filter stops
// one, the runtime waits for ever or the program dies.
func EveryThreadCalls(a abi.ABI, k abi.Kernel) []string {
	futex := "futex"
	if a.Bits() == 32 && !k.Before(abi.Kernel{Major: 5, Minor: 1}) {
		futex = "futex_time64" // runtime/os_linux32.go
	}
	return []string{"getpid", "tgkill", "sched_yield", "nanosleep", "rt_sigreturn", futex}
}
