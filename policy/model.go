package policy

import "github.com/sysgate/sysgate/abi"

// A Policy says what happens to every system call, as its author wrote it:
// names, constants and sets stay symbolic until [Policy.Resolve]. Treat one that
// you did not make yourself as read-only.
type Policy struct {
	Version int        // of the language and of the named sets; 0 means 1
	ABIs    []abi.ABI  // none: the ABI that [Options.Native] names
	Kernel  abi.Kernel // whose calls are known; zero: the one fixed for Version
	Default Action     // for known calls that no rule matches
	Unknown *Action    // for unknown numbers; nil: Default
	BadArch *Action    // for other architectures; nil: kill_process
	X32     *Action    // for x32 calls where only amd64 is listed; nil: errno(ENOSYS)
	Rules   []Rule     // the first that matches decides

	// Documented marks the form that libbeat documents: a file without a key or
	// a set that is sysgate's own. There a name that the ABI lacks is an error,
	// in other files a warning.
	Documented bool
	// Incomplete (complete: false) marks a policy that is known to lack calls of
	// its program, such as one of a profile with unresolved sites. It can be read,
	// compared and tried with logging, but not enforced: see
	// [Policy.CheckComplete].
	Incomplete bool
	Load       Load

	Comment string // lines that stand above the document, without "#"

	src *source // for the lines of errors; nil unless parsed
}

// Load is what a file says of installing the filter. The policy means the same
// whatever it is.
type Load struct {
	Disabled   bool     // enabled: false: install no filter
	NoNewPrivs *bool    // no_new_privs; nil: not said
	Flags      []string // flag: "tsync", "log"; in that order
}

// An Action is what a rule does. Errno data stays a name where the author wrote
// one, because its number depends on the ABI.
type Action struct {
	Kind  abi.Action // without data
	Data  uint16     // errno, trap, trace; ignored where Errno is set
	Errno string     // "ENOSYS"
}

// A Rule is one entry of `syscalls`: its action on every call that one of Calls
// matches and none of Except does.
type Rule struct {
	Action   Action
	Calls    []Pattern
	Except   []Pattern
	When     When
	Optional bool   // names that no listed ABI has, and exceptions without effect, are no warning
	Only     bool   // the author knows that it decides part of a service group
	Reason   string // why, for people

	Comment string // lines that stand above the rule, without "#"
	Pos     Pos
}

// When restricts a rule to programs with all of the capabilities and to kernels
// from MinKernel on. The zero value always holds.
type When struct {
	Caps      []string   // "CAP_SYS_ADMIN"; all of them
	NotCaps   []string   // none of them
	MinKernel abi.Kernel // zero: any
}

// A Pattern matches system calls: one name, one set or a range of numbers, on
// one ABI or all, whose arguments satisfy all conditions.
type Pattern struct {
	ABI        abi.ABI      // None: every listed ABI that has the name
	Name       string       // "openat", or a set: "@systemd/network-io"; "" where Numbers is set
	Numbers    *NumberRange // as the kernel reports them
	Conditions []Condition  // AND
	// Documented marks conditions in the form of go-seccomp-bpf
	// (names_with_args): unsigned comparisons, pointers accepted.
	Documented bool
	// Set is the set with conditions that the pattern is a member of, "" for none.
	// An ABI that has not its name is no warning then.
	Set string

	Comment string // at the end of its line, or above it where it has several lines; without "#"
	Pos     Pos
}

// A Condition compares one argument with constants.
type Condition struct {
	Arg    string // the argument's name, or "" where Index says which
	Index  int    // 0 to 5; IPWord is the instruction pointer; -1 where Arg says which
	Wide   bool   // argN:64: the whole word, not only the bits that the kernel reads
	Mask   string // expression, for MaskedEqual, MaskedNotEqual, AnyBits, NoBits
	Op     Op
	Values []string // expressions: one, or the members of a set; none for AnyBits, NoBits
	Pos    Pos
}

// An Op compares.
type Op uint8

// The operators.
const (
	Equal          Op = iota + 1 // a == v
	NotEqual                     // a != v
	Less                         // a < v
	LessOrEqual                  // a <= v
	Greater                      // a > v
	GreaterOrEqual               // a >= v
	In                           // a in {v, …}
	NotIn                        // a not in {v, …}
	MaskedEqual                  // a & m == v
	MaskedNotEqual               // a & m != v
	AnyBits                      // a & m != 0, written as the documented BitsSet
	NoBits                       // a & m == 0, written as the documented BitsNotSet
)

// A Pos is a place in a file; the zero value is none.
type Pos struct {
	File string
	Line int // from 1
	Col  int // from 1, in bytes; 0 is the whole line
}
