package refine

import (
	"slices"

	"github.com/sysgate/sysgate/internal/observe"
)

// runtimeCalls are what runc calls between the installation of the filter and
// the program's first instruction, each with what for: all that runc 1.1.5 was
// seen to call, with no_new_privs and without (then it installs the filter
// before it changes user and drops capabilities), as root and as another user.
var runtimeCalls = [...]struct{ name, reason string }{
	{"capget", "drops capabilities"},
	{"capset", "drops capabilities"},
	{"chdir", "enters the working directory"},
	{"close", "closes inherited descriptors"},
	{"epoll_ctl", "has a Go runtime of its own"},
	{"execve", "starts the program"},
	{"faccessat2", "looks for the program"},
	{"fchown", "gives standard streams to the user"},
	{"fcntl", "marks inherited descriptors close-on-exec"},
	{"fstat", "looks at standard streams"},
	{"fstatfs", "verifies that /proc is procfs"},
	{"futex", "has a Go runtime of its own"},
	{"getcwd", "verifies the working directory"},
	{"getdents64", "lists inherited descriptors"},
	{"getpid", "has a Go runtime of its own"},
	{"getppid", "notices the death of its parent"},
	{"newfstatat", "looks for the program"},
	{"openat", "opens /proc and the fifo that starts the program"},
	{"prctl", "sets capabilities and the parent-death signal"},
	{"read", "has a Go runtime of its own"},
	{"rt_sigreturn", "has a Go runtime of its own"},
	{"setgid", "becomes the user"},
	{"setgroups", "becomes the user"},
	{"setuid", "becomes the user"},
	{"stat", "looks for the program, on older releases"},
	{"write", "waits at the fifo that starts the program"},
}

// withRuntime returns the calls of s and those of the container runtime.
func withRuntime(s *observe.Set) []observe.Call {
	calls := slices.Clone(s.Calls)
	for _, c := range runtimeCalls {
		nr, ok := s.ABI.Lookup(c.name)
		if !ok || slices.ContainsFunc(calls, func(have observe.Call) bool { return have.NR == nr }) {
			continue
		}
		calls = append(calls, observe.Call{NR: nr, Name: c.name, Class: observe.Implicit, Evidence: "the container runtime " + c.reason})
	}
	return calls
}
