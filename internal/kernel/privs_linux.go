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

// Capabilities returns the effective capabilities of the calling thread, a bit
// each (capabilities(7), capget(2)).
func Capabilities() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("capget: %w", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}
