package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NoNewPrivs sets no_new_privs on the calling thread, for good: execve(2) then
// grants nothing, neither by set-user-ID bits nor by file capabilities. A thread
// without CAP_SYS_ADMIN needs it to install a filter.
func NoNewPrivs() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_NO_NEW_PRIVS: %w", err)
	}
	return nil
}

// HasNoNewPrivs reports whether no_new_privs is set on the calling thread.
func HasNoNewPrivs() (bool, error) {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return false, fmt.Errorf("prctl PR_GET_NO_NEW_PRIVS: %w", err)
	}
	return set == 1, nil
}
