package policy

import (
	"fmt"
	"slices"
)

// maxAlternatives bounds what exceptions make of the conditions on one number:
// each with several conditions can multiply them.
const maxAlternatives = 4096

// except returns the calls of parts that no exception matches. What it takes away
// may depend on arguments: the rest is then the call with the opposite conditions.
func (r *resolver) except(rule *Rule, parts, exceptional []part) []part {
	for _, e := range exceptional {
		if !r.taken[e.from] && slices.ContainsFunc(parts, func(p part) bool { return p.numbers.meets(e.numbers) }) {
			r.taken[e.from] = true
		}
	}
	exceptions := group(exceptional)
	var rest []part
	for _, p := range parts {
		for _, n := range cut(p.numbers, exceptions) {
			left := []Alternative{p.all}
			for _, e := range exceptions {
				if !within(n, e.Numbers) {
					continue
				}
				if len(e.Any) == 0 {
					left = nil
				}
				for _, all := range e.Any {
					left = without(left, all)
				}
				if len(left) > maxAlternatives {
					r.add(rule.Pos, 1, "write out the calls that are meant", "the exceptions make more than %d alternatives of one call", maxAlternatives)
					return nil
				}
			}
			for _, all := range left {
				rest = append(rest, part{n, all, p.from})
			}
		}
	}
	return rest
}

// cut cuts n so that each exception has all of a piece or nothing of it.
func cut(n NumberRange, exceptions []ResolvedRule) []NumberRange {
	starts := []uint64{uint64(n.Lo)} // of the pieces
	for _, e := range exceptions {
		for _, o := range e.Numbers {
			for _, at := range []uint64{uint64(o.Lo), uint64(o.Hi) + 1} {
				if uint64(n.Lo) < at && at <= uint64(n.Hi) {
					starts = append(starts, at)
				}
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var pieces []NumberRange
	for i, lo := range starts {
		hi := n.Hi
		if i+1 < len(starts) {
			hi = uint32(starts[i+1] - 1)
		}
		pieces = append(pieces, NumberRange{uint32(lo), hi})
	}
	return pieces
}

// without returns alternatives that hold where one of from does and exception does
// not.
func without(from []Alternative, exception Alternative) []Alternative {
	var rest []Alternative
next:
	for _, all := range from {
		var narrowed []Alternative
		for _, t := range exception {
			t.In = complement(t.In, t.Mask)
			less, ok := and(all, t)
			switch {
			case !ok: // the test always holds here
			case sameTests(less, all):
				rest = append(rest, all) // the test never holds here
				continue next
			default:
				narrowed = append(narrowed, less)
			}
		}
		rest = append(rest, narrowed...)
	}
	return rest
}

// and returns all and t together; ok is false if they can be told never to hold
// together.
func and(all Alternative, t Test) (both Alternative, ok bool) {
	for i, o := range all {
		if t, same := o.And(t); same {
			both = slices.Clone(all)
			both[i] = t
			return both, len(t.In) > 0
		}
	}
	if len(complement(t.In, t.Mask)) == 0 {
		return all, true
	}
	return append(slices.Clone(all), t), len(t.In) > 0
}

func sameTests(a, b Alternative) bool {
	return slices.EqualFunc(a, b, func(a, b Test) bool {
		return a.Word == b.Word && a.Mask == b.Mask && slices.Equal(a.In, b.In)
	})
}

// checkExceptions warns of exceptions that take nothing away, and of rules that
// have nothing left.
func (r *resolver) checkExceptions() {
	for i := range r.policy.Rules {
		rule := &r.policy.Rules[i]
		if len(rule.Except) == 0 || rule.Optional {
			continue
		}
		if left, ok := r.left[rule]; ok && !left {
			r.warn(CodeException, rule.Pos, 1, "take the rule out", "the exceptions take away every call of the rule")
		}
		for first := 0; first < len(rule.Except); {
			c := &rule.Except[first]
			entry := 1 // a set with conditions is several patterns
			for c.Set != "" && first+entry < len(rule.Except) && rule.Except[first+entry].Set == c.Set {
				entry++
			}
			found, taken := false, false
			for j := first; j < first+entry; j++ {
				found = found || r.found[&rule.Except[j]]
				taken = taken || r.taken[&rule.Except[j]]
			}
			what := c.Set
			if what == "" {
				what = c.String()
			}
			if found && !taken {
				r.warn(CodeException, c.Pos, len(what), "take it out, or write optional: true if it is meant",
					fmt.Sprintf("the rule has no call of the exception %s: it takes nothing away", what))
			}
			first += entry
		}
	}
}
