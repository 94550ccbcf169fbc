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

// An argRecord is an argument as the tables hold it.
type argRecord struct {
	name, also uint16 // in argNames; also is a second name, or the empty one
	kind       ArgKind
	signed     bool
	bits       uint8 // that the kernel reads
}

func (r *argRecord) mask() uint64 { return ^uint64(0) >> (64 - r.bits) }

// argList returns the arguments of number nr, positions in argRecords.
func (a ABI) argList(nr uint32) (list []uint16, ok bool) {
	t := a.table()
	i, ok := t.position(nr)
	if !ok || t.args[i] == 0 {
		return nil, false
	}
	start := t.args[i]
	return argLists[argListStarts[start]:argListStarts[start+1]], true
}

// Args returns the arguments of number nr on a, at most the six that a filter
// sees. Where a 64-bit argument takes two registers, these are two arguments
// (pos_lo and pos_hi of pread64 on 386). ok is false if the tables do not know
// the arguments; that there are none is known for an empty list.
func (a ABI) Args(nr uint32) (args []Arg, ok bool) {
	list, ok := a.argList(nr)
	for _, i := range list {
		r := &argRecords[i]
		args = append(args, Arg{argNames.at(int(r.name)), r.kind, r.signed, r.mask()})
	}
	return args, ok
}

// ArgIndex returns the position of the argument called name of number nr: by
// the name that [ABI.Args] gives, or by a second one: socket's domain is also
// family, ioctl's cmd also request.
func (a ABI) ArgIndex(nr uint32, name string) (index int, ok bool) {
	id, ok := argNames.find(name)
	if !ok || name == "" {
		return 0, false
	}
	list, _ := a.argList(nr)
	for i, arg := range list {
		if r := &argRecords[arg]; int(r.name) == id || int(r.also) == id {
			return i, true
		}
	}
	return 0, false
}

// ReadMask returns the bits of argument arg (0 to 5) of number nr that the
// kernel uses on a: those that its declared type keeps, or fewer where it is
// known to look at fewer. Bits outside never change what a call does, so a
// comparison must not see them. Where the tables do not know the argument, it is
// the whole word of the ABI.
func (a ABI) ReadMask(nr uint32, arg int) uint64 {
	list, _ := a.argList(nr)
	if arg < 0 || arg >= len(list) {
		return a.WordMask()
	}
	return argRecords[list[arg]].mask()
}
