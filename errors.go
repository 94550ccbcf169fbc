package sysgate

import (
	"errors"
	"fmt"

	"github.com/sysgate/sysgate/internal/build"
)

// What [errors.Is] tells apart. What the running system lacks is
// [errors.ErrUnsupported]: another operating system, a kernel without seccomp, an
// action or a flag that it does not know. What is wrong with a policy is a
// [*policy.Error], or [policy.Errors].
var (
	// ErrThread: a thread could not be given the filter; see [ThreadError].
	ErrThread = errors.New("a thread could not be given the seccomp filter")
	// ErrPrivileges: a filter needs no_new_privs or CAP_SYS_ADMIN.
	ErrPrivileges = errors.New("no right to install a seccomp filter")
	// ErrTooLarge: the kernel does not take a program of that size, or not on top
	// of the filters that are there.
	ErrTooLarge = build.ErrTooLarge
	// ErrUnproved: the program is not proved equal to its policy.
	ErrUnproved = errors.New("filter is not proved")
	// ErrNotInPlace: the kernel took the filter, and yet it is not in place.
	ErrNotInPlace = errors.New("seccomp filter is not in place")
	// ErrDisabled: the policy's file says enabled: false, so that there is nothing
	// to install.
	ErrDisabled = errors.New("policy is disabled (enabled: false)")
)

// A ThreadError names the thread that could not be given the filter, because it
// has a filter of its own. No thread has the new one then. It is [ErrThread].
type ThreadError struct {
	TID int // one of /proc/self/task; 0: not known
}

func (e *ThreadError) Error() string {
	if e.TID == 0 {
		return "a thread has a seccomp filter of its own, so that the threads cannot share one"
	}
	return fmt.Sprintf("thread %d has a seccomp filter of its own, so that the threads cannot share one", e.TID)
}

// Unwrap returns [ErrThread].
func (e *ThreadError) Unwrap() error { return ErrThread }

// problem makes an error of the compiler or the proof one of this package.
func problem(err error) error {
	var unproved *build.UnprovedError
	if errors.As(err, &unproved) {
		return fmt.Errorf("%w: %w", ErrUnproved, err)
	}
	return err
}
