package observe

import "github.com/sysgate/sysgate/abi"

// A Set is the system calls of one or several programs, each once, with the
// evidence.
type Set struct {
	ABI     abi.ABI
	Sources []string // what was looked at: files, runs
	Calls   []Call   // ascending by number
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
}

// A Class says how a call came into a set.
type Class uint8

// The classes.
const (
	Certain  Class = iota + 1 // a system-call instruction with this number
	Implicit                  // made by the kernel, the vDSO or the loader
	Assumed                   // settled by --assume or --allow
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
