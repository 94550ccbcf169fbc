package proof

import (
	"errors"
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// A Space holds policies, filters and sets of calls as diagrams that share their
// nodes, for questions about several of them. It is for one goroutine.
//
// Once its budget is spent, every result is meaningless and [Space.Err] says so:
// look at it before trusting any.
type Space struct{ d *diagram }

// NewSpace returns an empty space.
func NewSpace(b Budget) *Space { return &Space{newDiagram(b.limits())} }

// A Function gives every call a return word. It belongs to one Space; two of one
// Space are the same function exactly if they are equal. The zero value is none.
type Function struct{ root ref }

// A Set is calls. It belongs to one Space; two of one Space have the same
// members exactly if they are equal. The zero value is the empty set.
type Set struct{ root ref }

// Empty reports whether s has no members.
func (s Set) Empty() bool { return s.root == no }

// ErrUnknown is wrapped by the error of a question that could not be answered
// within its budget.
var ErrUnknown = errors.New("unknown")

// Err returns nil while all results hold, then an error that wraps ErrUnknown
// and says which part of the budget is spent.
func (s *Space) Err() error {
	if s.d.stopped == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnknown, s.d.stopped)
}

// Nodes returns the size of all diagrams.
func (s *Space) Nodes() int { return len(s.d.nodes) }

// Policy returns the function that r's Eval computes.
func (s *Space) Policy(r *policy.Resolved) (Function, error) {
	if err := checkPolicy(r); err != nil {
		return Function{}, err
	}
	f := Function{s.d.policy(r)}
	return f, s.Err()
}

// Program returns the function that p.Run computes on a machine of the given
// byte order. Every word that p can return counts; a program that returns a whole
// word of its input has too many of them for any budget, which is found out soon.
func (s *Space) Program(p bpf.Program, bigEndian bool) (Function, error) {
	if err := p.Validate(); err != nil {
		return Function{}, fmt.Errorf("program: %w", err)
	}
	f := Function{s.d.program(p, bigEndian, nil)}
	return f, s.Err()
}

// Through returns all calls through a.
func (s *Space) Through(a abi.ABI) Set {
	x32 := s.d.x32()
	if a != abi.X32 {
		x32 = s.d.not(x32)
	}
	return Set{s.d.and(s.d.arch(a), x32)}
}

// Union returns the calls of a, of b or of both.
func (s *Space) Union(a, b Set) Set { return Set{s.d.or(a.root, b.root)} }

// Intersection returns the calls that a and b have in common.
func (s *Space) Intersection(a, b Set) Set { return Set{s.d.and(a.root, b.root)} }

// Without returns the calls of a that b does not have.
func (s *Space) Without(a, b Set) Set { return Set{s.d.ite(b.root, no, a.root)} }

// Where returns the calls to which f gives a word that ok accepts.
func (s *Space) Where(f Function, ok func(abi.Action) bool) Set {
	words := s.d.actions()
	return Set{s.d.mapWords(f.root, func(r ref) ref {
		if ok(words[r]) {
			return yes
		}
		return no
	})}
}

// stepsPerVisit is about how many calls of ite take as long as visiting one node
// with a map of what has been visited.
const stepsPerVisit = 8

// mapWords returns f with to's result in the place of each terminal.
func (d *diagram) mapWords(f ref, to func(ref) ref) ref {
	done := map[ref]ref{}
	var walk func(ref) ref
	walk = func(r ref) ref {
		if out, ok := done[r]; ok {
			return out
		}
		var out ref
		switch n := d.nodes[r]; {
		case n.level == inputBits:
			out = to(r)
		case !d.spend(stepsPerVisit):
			return no
		default:
			out = d.branch(n.level, walk(n.low), walk(n.high))
		}
		done[r] = out
		return out
	}
	return walk(f)
}
