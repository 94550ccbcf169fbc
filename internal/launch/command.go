package launch

import (
	"syscall"

	"github.com/sysgate/sysgate/internal/kernel"
)

// A Command is what to start and how. Path and Args are needed; the zero value
// of every other field is the safe choice.
type Command struct {
	Path string   // of the executable, as [LookPath] returns it
	Args []string // the program's arguments, its name first
	Env  []string // "KEY=value"; nil: this process's

	// KeepPrivileges leaves no_new_privs alone, so that set-user-ID programs
	// keep their effect. The kernel then demands CAP_SYS_ADMIN of whoever
	// installs a filter.
	KeepPrivileges bool
	// NoLog leaves out SECCOMP_FILTER_FLAG_LOG: errors that the filter returns
	// are not logged.
	NoLog bool
	// Flags are further ones for the installation of the filter. With
	// [kernel.NewListener] this process gets the listener ([Program.Listener]).
	Flags kernel.Flags
	// Traced makes the thread that calls [Prepared.Start] the program's tracer
	// (ptrace(2), PTRACE_TRACEME).
	Traced bool
}

// A Status is how a program ended.
type Status struct {
	PID    int            // that it had
	Code   int            // of exit(2), 0 to 255; meaningless where Signal is set
	Signal syscall.Signal // that killed it; 0: none
}

// ExitCode returns the code that a launcher ends with: the program's own, or
// 128 + n where signal n killed it.
func (s Status) ExitCode() int {
	if s.Signal != 0 {
		return 128 + int(s.Signal)
	}
	return s.Code
}
