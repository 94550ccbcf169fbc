package seccomp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Supported returns true if the seccomp syscall is supported. It makes that one
// call, which changes nothing. Where it is missing, kernels from 3.5 on still
// take filters by prctl(2): LoadFilter does then.
func Supported() bool {
	// Without a program a kernel that takes filters fails with EFAULT
	// (seccomp_set_mode_filter in kernel/seccomp.c).
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, 0)
	return errno == unix.EFAULT
}

// SetNoNewPrivs sets the calling thread's no_new_privs bit to 1 (true). Once set,
// this bit cannot be unset. Threads that the calling one starts have it too, the
// others of the process do not; LoadFilter sets it itself. Off Linux the error is
// errors.ErrUnsupported.
func SetNoNewPrivs() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	return nil
}
