package seccomp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

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
