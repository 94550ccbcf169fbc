package launch

// A step is one thing that the child does before the program runs.
type step uint32

const (
	stepNone step = iota
	stepParent
	stepPrivileges
	stepTrace
	stepFilter
	stepExecve
)

// String returns the system call behind the step.
func (s step) String() string {
	switch s {
	case stepParent:
		return "prctl(PR_SET_PDEATHSIG)"
	case stepPrivileges:
		return "prctl(PR_SET_NO_NEW_PRIVS)"
	case stepTrace:
		return "ptrace(PTRACE_TRACEME)"
	case stepFilter:
		return "seccomp"
	case stepExecve:
		return "execve"
	}
	return "fork"
}
