package kernel

import (
	"fmt"
	"syscall"
)

// A DumpError says that the filters of a task could not be read.
type DumpError struct {
	TID   int
	Step  string // the ptrace request: "seize"
	Errno syscall.Errno
}

func (e *DumpError) Error() string {
	s := fmt.Sprintf("filters of %d: ptrace %s: %v", e.TID, e.Step, e.Errno)
	if why := e.explain(); why != "" {
		s += ": " + why
	}
	return s
}

// Unwrap returns the errno, for [errors.Is].
func (e *DumpError) Unwrap() error { return e.Errno }
