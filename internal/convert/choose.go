package convert

import (
	"maps"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A chooser finds out whether a directive with fixed conditions says what a policy
// does.
type chooser struct {
	d           *Decisions
	native      abi.ABI
	conditional func(name string) bool // whether the policy decides a call by conditions
}

// choose returns the names that no list has to deny if a runtime has the directive
// that makes the filters s and alone is the policy p: those that the policy decides
// by the same conditions, and those that it denies alike. ok is false if the two do
// not fit, or the directive is of no use.
func (c *chooser) choose(s stack, p *policy.Policy) (names []string, ok bool, err error) {
	resolved, _, err := p.Resolve(policy.Options{Native: c.native})
	if err != nil {
		return nil, false, err
	}
	f, err := c.d.space.Policy(resolved)
	if err != nil {
		return nil, false, err
	}
	conditional, ok := c.fits(s, c.d.space.Where(f, lets), c.d.space.Where(c.d.function, lets))
	if !ok {
		return nil, false, c.d.space.Err()
	}
	return append(conditional, c.given(s, f)...), true, c.d.space.Err()
}

// fits reports whether a directive decides the calls that s has rules for as the
// policy does, where the bits that the kernel ignores are clear, and lets no other
// through. conditional are those that the policy decides by conditions.
func (c *chooser) fits(s stack, theirs, ours proof.Set) (conditional []string, ok bool) {
	for _, f := range s {
		if !slices.Contains(c.d.ABIs, f.abi) {
			continue
		}
		for nr, call := range f.calls {
			all, err := c.d.space.Calls(f.abi, policy.Pattern{ABI: f.abi, Numbers: &policy.NumberRange{Lo: nr, Hi: nr}})
			if err != nil {
				return nil, false
			}
			let := c.d.space.Intersection(all, ours)
			if let.Empty() {
				continue // the list denies it
			}
			clean, err := c.d.space.Calls(f.abi, c.clean(f.abi, nr))
			if err != nil {
				return nil, false
			}
			mine := c.d.space.Intersection(all, theirs)
			if c.d.space.Intersection(let, clean) != c.d.space.Intersection(mine, clean) || !c.d.space.Without(mine, let).Empty() {
				return nil, false
			}
			if c.conditional(call.name) {
				conditional = append(conditional, call.name)
			}
		}
	}
	return conditional, len(conditional) > 0
}

// given returns the names on which a directive alone, f, does what the policy does:
// no list need deny them.
func (c *chooser) given(s stack, f proof.Function) []string {
	same := c.d.space.Where(c.d.space.Combine(f, c.d.function, func(a, b abi.Action) abi.Action {
		if a == b {
			return abi.Allow
		}
		return abi.KillProcess
	}), lets)
	touched := make(map[string]bool)
	for _, filter := range s {
		for _, call := range filter.calls {
			touched[call.name] = true
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(touched)) {
		equal := true
		for _, a := range c.d.ABIs {
			all, err := c.d.space.Calls(a, policy.Pattern{ABI: a, Name: name})
			if err == nil { // else a has no such call
				equal = equal && c.d.space.Without(all, same).Empty()
			}
		}
		if equal {
			names = append(names, name)
		}
	}
	return names
}

// clean returns the pattern of the calls with a number whose arguments have no bit
// that the kernel does not read.
func (c *chooser) clean(a abi.ABI, nr uint32) policy.Pattern {
	p := policy.Pattern{ABI: a, Numbers: &policy.NumberRange{Lo: nr, Hi: nr}}
	for i := range 6 {
		if ignored := a.WordMask() &^ a.ReadMask(nr, i); ignored != 0 {
			p.Conditions = append(p.Conditions, policy.Condition{Index: i, Wide: true, Op: policy.NoBits, Mask: number(ignored)})
		}
	}
	return p
}

// letsThrough reports whether the policy lets through all calls of a pattern.
func (c *chooser) letsThrough(text string) bool {
	p, err := policy.ParsePattern(text)
	if err != nil {
		return false
	}
	set, err := c.d.space.Calls(c.native, p)
	if err != nil {
		return false
	}
	return c.d.space.Without(set, c.d.space.Where(c.d.function, lets)).Empty()
}
