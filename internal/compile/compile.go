package compile

import (
	"errors"

	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// ErrTooLarge is wrapped by the error, which tells the size, for a policy whose
// program is longer than the kernel takes (bpf.MaxLen).
var ErrTooLarge = errors.New("policy too large for one filter")

// Compile returns a program that gives r's verdict on every call. It is valid
// (bpf.Program.Validate), and the same for the same r on every machine. An error
// wraps [ErrTooLarge], or says in which way r is not what policy.Resolved
// promises.
func Compile(r *policy.Resolved) (bpf.Program, error) {
	program, err := compile(r, false)
	if errors.Is(err, bpf.ErrTooLong) {
		return compile(r, true)
	}
	return program, err
}

func compile(r *policy.Resolved, smallest bool) (bpf.Program, error) {
	u := newUnit(r, smallest)
	for _, p := range passes {
		if err := p.run(u); err != nil {
			return nil, err
		}
	}
	return u.program, nil
}

// A unit is one policy on its way to a program. Every pass adds what the next
// one reads.
type unit struct {
	policy   *policy.Resolved
	smallest bool // fewer instructions matter more than fewer executed ones

	lists     []list // by listID
	listIndex map[list]listID
	work      int // steps of split
	axes      []axis

	graph *graph
	root  ref

	program bpf.Program
}

func newUnit(r *policy.Resolved, smallest bool) *unit {
	return &unit{policy: r, smallest: smallest, listIndex: make(map[list]listID), graph: newGraph()}
}

// A pass is one step of the compilation.
type pass struct {
	name string
	run  func(*unit) error
	why  string
}

// passes are all passes, in order; each needs what the ones before it made.
var passes = []pass{
	{"check", check, "every later pass relies on sorted ranges and one byte order"},
	{"split", split, "numbers that the same rules can decide are one run, so nothing later works name by name"},
	{"decide", decide, "each list of rules becomes a graph that reads a word once; runs that turn out equal join"},
	{"fold", fold, "the x32 numbers cut the last run of amd64 in four; one bit test and -1 tell them more cheaply"},
	{"dispatch", dispatch, "the graph of an architecture starts with a search tree over its runs"},
	{"layout", layout, "loads and jump distances depend on where everything is, so they come last"},
}
