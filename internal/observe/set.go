package observe

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// A Set is the system calls of one or several programs, each once, with the
// evidence.
type Set struct {
	ABI     abi.ABI
	Sources []string // what was looked at: files, runs
	// Programs are the programs whose calls these are, by their names for people;
	// nil where nobody told them apart.
	Programs []string
	Calls    []Call // ascending by number
	// Sound reports that every run of the sources stays within Calls, under
	// Assumptions.
	Sound       bool
	Assumptions []string
}

// A Call is one system call that a program makes or can make.
type Call struct {
	NR       uint32
	Name     string // canonical; empty for a number that no table has
	Class    Class
	Evidence string // one line: the shortest path, the implicit reason, the flag that named it
	// By are those of the set's Programs that make it; nil: all of them; empty:
	// none, as of what a container runtime calls to start them.
	By []string
	// Args are the arguments that are known, and Open those that were looked at and
	// are not; nil where nobody looked.
	Args []Arg
	Open []OpenArg
	// Sites are the places where it is made, one line each; nil where nobody asked.
	Sites []string
}

// A Class says how a call came into a set.
type Class uint8

// The classes.
const (
	Certain  Class = iota + 1 // a system-call instruction with this number
	Implicit                  // made by the kernel, the vDSO or the loader
	Assumed                   // settled by --assume or --allow
	// Only code for which evidence says that it is not used makes it; the evidence
	// is no proof.
	Conditional
)

// String returns the class in lower case.
func (c Class) String() string {
	switch c {
	case Certain:
		return "certain"
	case Implicit:
		return "implicit"
	case Assumed:
		return "assumed"
	case Conditional:
		return "conditional"
	}
	return "unknown"
}

// ParseClass is the inverse of String.
func ParseClass(name string) (Class, bool) {
	for c := Certain; c.String() != "unknown"; c++ {
		if c.String() == name {
			return c, true
		}
	}
	return 0, false
}

// Makers returns those of the set's programs that make c, one of its calls.
func (s *Set) Makers(c Call) []string {
	if c.By == nil {
		return s.Programs
	}
	return c.By
}

// Has reports whether a call of this name is in the set.
func (s *Set) Has(name string) bool {
	return slices.ContainsFunc(s.Calls, func(c Call) bool { return c.Name == name && name != "" })
}
