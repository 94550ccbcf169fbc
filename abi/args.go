package abi

// An ArgKind says what an argument is, and so what a policy can sensibly ask of
// it.
type ArgKind uint8

// The kinds of arguments.
const (
	Unknown ArgKind = iota // nothing is known but where it is
	Integer                // a plain number
	Flags                  // a set of bits, or one of a family of constants
	FD                     // a file descriptor, or AT_FDCWD
	PID                    // a process, thread or process group
	UserID                 // a user or group
	Mode                   // permissions of a file
	Size                   // a number of bytes or elements
	Signal                 // a signal's number
	Offset                 // a position in a file, or one half of one
	Pointer                // an address: what lies there cannot be filtered
)

// String returns the kind in lower case, as messages use it.
func (k ArgKind) String() string {
	names := [...]string{"unknown", "integer", "flags", "fd", "pid", "userid", "mode", "size", "signal", "offset", "pointer"}
	if int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// An Arg is one argument of a system call.
type Arg struct {
	Name   string
	Kind   ArgKind
	Signed bool   // the kernel compares it as a signed number of the mask's width
	Mask   uint64 // read mask: the bits of the register that the kernel uses
}

// Args returns the arguments of number nr on a. ok is false if the tables do
// not know them.
func (a ABI) Args(nr uint32) (args []Arg, ok bool) { return nil, false }

// ReadMask returns the bits of argument arg (0 to 5) of number nr that the kernel
// uses on a. Where the tables do not know, it is the whole word.
func (a ABI) ReadMask(nr uint32, arg int) uint64 { return a.WordMask() }
