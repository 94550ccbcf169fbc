package launch

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrNotFound reports that there is no such command, or that the interpreter it
// names does not exist; by convention exit code 127.
var ErrNotFound = errors.New("command not found")

// ErrNotExecutable reports that the command exists and cannot be executed; by
// convention exit code 126.
var ErrNotExecutable = errors.New("cannot execute")

// A StepError is a system call of the launcher that failed in the child, before
// the program ran.
type StepError struct {
	Step  string // the call: "execve"
	Path  string // of the executable, for execve
	Errno syscall.Errno
}

// Error returns the step, the path and the kernel's reason.
func (e *StepError) Error() string {
	if e.Path != "" {
		return fmt.Sprintf("%s: %s: %v", e.Step, e.Path, e.Errno)
	}
	return fmt.Sprintf("%s: %v", e.Step, e.Errno)
}

// Unwrap returns the errno, and for execve [ErrNotFound] or [ErrNotExecutable].
func (e *StepError) Unwrap() []error {
	switch {
	case e.Step != stepExecve.String():
		return []error{e.Errno}
	case e.Errno == syscall.ENOENT || e.Errno == syscall.ENOTDIR:
		return []error{e.Errno, ErrNotFound}
	}
	return []error{e.Errno, ErrNotExecutable}
}
