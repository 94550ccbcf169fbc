package proof

import (
	"errors"
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// An Outcome is an action and the smallest call, in the order of the diagrams'
// bits, that gets it.
type Outcome struct {
	Action  abi.Action
	Witness abi.Call
}

// ErrNoCalls is wrapped by the error of a question about calls that an ABI does
// not have.
var ErrNoCalls = errors.New("no such call")

// Outcomes returns every action that f gives to a call of set, each with the
// smallest such call, by ascending call.
func (s *Space) Outcomes(f Function, set Set) []Outcome {
	const outside = otherWord // no Function of a Space has it
	root := s.d.ite(set.root, f.root, outside)
	if s.d.stopped != "" {
		return nil
	}
	w := outcomeWalk{d: s.d, actions: s.d.actions(), seen: make([]bool, len(s.d.nodes))}
	w.seen[outside] = true
	w.visit(root, [words]uint32{})
	return w.found
}

// actions returns the word of each terminal.
func (d *diagram) actions() map[ref]abi.Action {
	all := make(map[ref]abi.Action, len(d.words))
	for word, r := range d.words {
		all[r] = abi.Action(word)
	}
	return all
}

// An outcomeWalk looks for terminals, zeros first. What has been seen was seen
// on a smaller path, so each terminal is found on its smallest one.
type outcomeWalk struct {
	d       *diagram
	actions map[ref]abi.Action
	seen    []bool
	found   []Outcome
}

func (w *outcomeWalk) visit(r ref, path [words]uint32) {
	if w.seen[r] {
		return
	}
	w.seen[r] = true
	n := w.d.nodes[r]
	if n.level == inputBits {
		w.found = append(w.found, Outcome{w.actions[r], call(path)})
		return
	}
	w.visit(n.low, path)
	path[n.level/wordBits] |= bitOf(n.level)
	w.visit(n.high, path)
}

// bitOf returns the bit that a level tests, in its word.
func bitOf(level int32) uint32 { return 1 << (wordBits - 1 - level%wordBits) }

// Calls returns the calls through a that p matches, as a rule of a policy for a
// would: a name without conditions includes the sub-call of a multiplexer. The
// error wraps ErrNoCalls where there is none, or it is a [*policy.Error] about
// p, with positions in p's own text.
func (s *Space) Calls(a abi.ABI, p policy.Pattern) (Set, error) {
	if p.ABI != abi.None && p.ABI != a {
		return Set{}, fmt.Errorf("%w on %s: %s", ErrNoCalls, a, p)
	}
	set, err := s.match(a, p)
	if err == nil && set.Empty() && s.Err() == nil {
		err = fmt.Errorf("%w on %s: %s", ErrNoCalls, a, p)
	}
	return set, err
}

// match is Calls, with an empty set where a has no such call.
func (s *Space) match(a abi.ABI, p policy.Pattern) (Set, error) {
	if len(p.Conditions) == 0 && p.Numbers == nil {
		return s.named(a, p.Name)
	}
	asked := policy.Policy{
		ABIs:    []abi.ABI{a},
		Default: policy.Action{Kind: abi.Allow},
		Rules: []policy.Rule{{
			Action:   policy.Action{Kind: abi.Allow},
			Calls:    []policy.Pattern{p},
			Optional: true, // that a has no such call is for the caller to judge
			Only:     true,
		}},
	}
	r, _, err := asked.Resolve(policy.Options{})
	if err != nil {
		return Set{}, err
	}
	out := no
	for _, rule := range r.ABIs[0].Rules {
		out = s.d.or(out, s.d.and(s.d.numbers(rule.Numbers), s.d.any(rule.Any)))
	}
	set := s.Intersection(Set{out}, s.Through(a))
	return set, s.Err()
}

// named returns the calls through a that a name without conditions means: what
// match's resolution would give, without its cost.
func (s *Space) named(a abi.ABI, name string) (Set, error) {
	names, isSet := policy.Set(name)
	if !isSet {
		names = []string{name}
	}
	var numbers []policy.NumberRange
	for _, name := range names {
		for _, nr := range a.Numbers(name) {
			numbers = append(numbers, policy.NumberRange{Lo: nr, Hi: nr})
		}
	}
	carriers, err := s.Carriers(a, policy.Pattern{Name: name})
	if err != nil {
		return Set{}, err
	}
	set := s.Union(s.Intersection(Set{s.d.numbers(numbers)}, s.Through(a)), carriers)
	return set, s.Err()
}

// Carriers returns the calls through a that can carry the call that p names to
// the kernel as a multiplexer's sub-call, whatever their arguments are: what p
// asks of the arguments lies behind a pointer there. It is empty where a has no
// multiplexer for it.
func (s *Space) Carriers(a abi.ABI, p policy.Pattern) (Set, error) {
	if p.Name == "" || p.ABI != abi.None && p.ABI != a {
		return Set{}, nil
	}
	names, isSet := policy.Set(p.Name)
	if !isSet {
		names = []string{p.Name}
	}
	out := no
	for _, name := range names {
		mux, sub, ok := a.Multiplexed(name)
		if !ok {
			continue
		}
		is := s.d.test(policy.Test{Mask: a.ReadMask(mux, 0), In: []policy.Interval{{Lo: sub, Hi: sub}}})
		out = s.d.or(out, s.d.and(s.d.numbers([]policy.NumberRange{{Lo: mux, Hi: mux}}), is))
	}
	set := s.Intersection(Set{out}, s.Through(a))
	return set, s.Err()
}
