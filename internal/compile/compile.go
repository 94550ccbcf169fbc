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
// (bpf.Program.Validate), and the same for the same r and options on every
// machine. A policy whose program would be too long is compiled for size. An
// error wraps [ErrTooLarge], or says in which way r is not what policy.Resolved
// promises.
func Compile(r *policy.Resolved, o Options) (bpf.Program, error) {
	u, err := compile(r, o, func(pass, *unit) {})
	if err != nil {
		return nil, err
	}
	return u.program, nil
}

// compile runs the passes, and calls seen after each. Where it starts again, so do
// the calls.
func compile(r *policy.Resolved, o Options, seen func(pass, *unit)) (*unit, error) {
	u := newUnit(r, o)
	for _, p := range passes {
		err := p.run(u)
		if errors.Is(err, bpf.ErrTooLong) && o.Mode != Size {
			o.Mode = Size
			return compile(r, o, seen)
		}
		if err != nil {
			return nil, err
		}
		seen(p, u)
	}
	return u, nil
}

// A unit is one policy on its way to a program. Every pass adds what the next
// one reads.
type unit struct {
	policy  *policy.Resolved
	options Options

	lists     []list // by listID
	listIndex map[list]listID
	work      int // steps of split
	axes      []axis
	weights   []int64 // of each list
	price     int64   // of an instruction

	graph *graph
	root  ref

	program bpf.Program
}

func newUnit(r *policy.Resolved, o Options) *unit {
	return &unit{policy: r, options: o, listIndex: make(map[list]listID), graph: newGraph()}
}

// A pass is one step of the compilation.
type pass struct {
	name  string
	run   func(*unit) error
	after []string // passes whose results it reads
	why   string   // it exists, and where it stands
}

// passes are all passes, in order.
var passes = []pass{
	{"check", check, nil, "every later pass relies on sorted ranges and one byte order"},
	{"split", split, []string{"check"}, "numbers that the same rules can decide are one run, so nothing later works name by name"},
	{"weigh", weigh, []string{"split"}, "what is tested first, and what is worth an instruction, depends on how often a call runs the filter; only before decide are lists known by their rules"},
	{"decide", decide, []string{"split", "weigh"}, "each list of rules becomes a graph that reads a word once; runs that turn out equal join"},
	{"fold", fold, []string{"decide"}, "the x32 numbers cut the last run of amd64 in four; one bit test and -1 tell them more cheaply, once it is known which runs are equal"},
	{"dispatch", dispatch, []string{"weigh", "fold"}, "the graph of an architecture starts with a search tree over its runs, which have to be final"},
	{"layout", layout, []string{"dispatch"}, "loads and jump distances depend on where everything is, so they come last"},
}
