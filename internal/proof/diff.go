package proof

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A Region is calls to which two functions give two different actions, the same
// pair to all.
type Region struct {
	ABI     abi.ABI              // None: outside the ABIs that were asked about
	Numbers []policy.NumberRange // of the calls; none outside
	Name    string               // of the one call that it is, "" if it is several or unknown
	// Patterns together match exactly the calls of the region: those of one call,
	// or of numbers that no call has. There are none outside, and where the
	// language cannot say it.
	Patterns []policy.Pattern
	Through  []Entry // where outside: the ways in, all of them

	A, B    abi.Action
	Witness abi.Call // a call of the region
}

// An Entry is an ABI, or with None every architecture that has none, through
// which calls of a region can be made.
type Entry struct {
	ABI  abi.ABI
	Part bool // only a part of its calls belongs to the region
}

// String names e.
func (e Entry) String() string {
	name := e.ABI.String()
	if e.ABI == abi.None {
		name = "other architectures"
	}
	if e.Part {
		return name + " (in part)"
	}
	return name
}

// Diff returns where f and g give different actions, of those pairs that counts
// (nil: all): for each of the listed ABIs the regions by ascending number, of one
// call the shortest description first, then those outside. It establishes that
// every call with different actions is in exactly one region. The error wraps
// ErrUnknown.
func (s *Space) Diff(f, g Function, listed []abi.ABI, counts func(a, b abi.Action) bool) ([]Region, error) {
	d := s.d
	type pair struct{ a, b ref }
	labels := map[pair]ref{}
	pairs := map[ref]pair{}
	words := d.actions()
	h := d.apply(f.root, g.root, func(a, b ref) ref {
		if a == b || counts != nil && !counts(words[a], words[b]) {
			return no
		}
		p := pair{a, b}
		if labels[p] == no {
			labels[p] = d.insert(node{level: inputBits})
			pairs[labels[p]] = p
		}
		return labels[p]
	})
	var all []Region
	rest := h
	for _, a := range listed {
		rest = d.ite(s.Through(a).root, no, rest)
		if s.Err() != nil {
			break
		}
		for _, p := range d.parts(h, a) {
			of := pairs[p.label]
			all = append(all, Region{
				ABI: a, Numbers: p.numbers, Name: p.name(), Patterns: p.patterns,
				A: words[of.a], B: words[of.b], Witness: p.witness,
			})
		}
	}
	slices.SortStableFunc(all, func(x, y Region) int {
		return cmp.Or(
			cmp.Compare(slices.Index(listed, x.ABI), slices.Index(listed, y.ABI)),
			cmp.Compare(x.Witness.NR, y.Witness.NR),
			cmp.Compare(x.cost(), y.cost()),
		)
	})
	for _, one := range d.split(rest) {
		if one.label == no || s.Err() != nil {
			continue
		}
		of := pairs[one.label]
		all = append(all, s.outside(Set{one.set}, words[of.a], words[of.b]))
	}
	return all, s.Err()
}

// cost orders regions by how much there is to read.
func (r *Region) cost() int {
	if len(r.Patterns) == 0 {
		return 1 << 30
	}
	return patternsCost(r.Patterns)
}

// name returns the name of the one call that p is of.
func (p *part) name() string {
	if len(p.numbers) != 1 || p.numbers[0].Lo != p.numbers[0].Hi {
		return ""
	}
	return p.abi.SyscallName(p.numbers[0].Lo)
}

// outside describes calls through ABIs that were not asked about.
func (s *Space) outside(set Set, a, b abi.Action) Region {
	r := Region{A: a, B: b}
	other := Set{yes}
	enter := func(x abi.ABI, all Set) {
		if in := s.Intersection(set, all); !in.Empty() {
			if len(r.Through) == 0 {
				r.Witness = call(s.d.first(in.root, [words]uint32{}))
			}
			r.Through = append(r.Through, Entry{x, in != all})
		}
	}
	for _, x := range abi.All() {
		all := s.Through(x)
		other = s.Without(other, all)
		enter(x, all)
	}
	enter(abi.None, other)
	return r
}

// Decided returns the ABIs whose calls f does not all give one action, in the
// order of [abi.All].
func (s *Space) Decided(f Function) []abi.ABI {
	var all []abi.ABI
	for _, a := range abi.All() {
		if len(s.Outcomes(f, s.Through(a))) > 1 {
			all = append(all, a)
		}
	}
	return all
}

// Difference returns a call to which f and g give different actions. ok is false
// if they are the same function.
func (s *Space) Difference(f, g Function) (c abi.Call, ok bool) {
	if f == g {
		return abi.Call{}, false
	}
	return s.d.witness(f.root, g.root), true
}

// Confirm returns an error unless a and b give r's witness r's actions.
func (r *Region) Confirm(a, b func(abi.Call) abi.Action) error {
	if gotA, gotB := a(r.Witness), b(r.Witness); gotA != r.A || gotB != r.B {
		return fmt.Errorf("internal error: witness %s gets %v and %v, not %v and %v",
			policy.FormatCall(r.Witness), gotA, gotB, r.A, r.B)
	}
	return nil
}
