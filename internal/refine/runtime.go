package refine

import (
	"slices"

	"github.com/sysgate/sysgate/internal/observe"
)

// RuntimeCalls are the calls that runc makes between the installation of the
// filter and the program's first instruction, each with what for.
var runtimeCalls = [...]struct{ name, reason string }{
	{"execve", "starts the program"},
	{"futex", "the runtime's Go scheduler"},
}

// withRuntime returns the calls of s and those of the container runtime.
func withRuntime(s *observe.Set) []observe.Call {
	calls := slices.Clone(s.Calls)
	for _, c := range runtimeCalls {
		nr, ok := s.ABI.Lookup(c.name)
		if !ok || slices.ContainsFunc(calls, func(have observe.Call) bool { return have.NR == nr }) {
			continue
		}
		calls = append(calls, observe.Call{NR: nr, Name: c.name, Class: observe.Implicit, Evidence: "container runtime: " + c.reason})
	}
	return calls
}
