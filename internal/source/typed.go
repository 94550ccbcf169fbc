package source

import (
	"slices"

	"github.com/sysgate/sysgate/policy"
)

// typed returns r with every comparison of an argument limited to the bits that
// the kernel reads: equality and masks leave the other bits out of their value,
// an order compares what the kernel reads with the value as it is.
func typed(r *policy.Resolved) *policy.Resolved {
	out := &policy.Resolved{BadArch: r.BadArch, X32: r.X32, ABIs: slices.Clone(r.ABIs)}
	for i := range out.ABIs {
		s := &out.ABIs[i]
		var rules []policy.ResolvedRule
		for _, rule := range s.Rules {
			if len(rule.Any) == 0 {
				rules = append(rules, rule)
				continue
			}
			for _, part := range splitKnown(s, rule.Numbers) {
				narrowed := rule
				narrowed.Numbers = []policy.NumberRange{part}
				narrowed.Any = nil
				for _, all := range rule.Any {
					tests := slices.Clone(all)
					for j := range tests {
						if tests[j].Word != policy.IPWord {
							tests[j] = narrow(tests[j], s.ABI.WordMask(), s.ABI.ReadMask(part.Lo, int(tests[j].Word)))
						}
					}
					narrowed.Any = append(narrowed.Any, tests)
				}
				rules = append(rules, narrowed)
			}
		}
		s.Rules = rules
	}
	return out
}

// splitKnown cuts ranges so that each part has one read mask for each argument:
// every known number is its own.
func splitKnown(s *policy.ResolvedABI, ranges []policy.NumberRange) []policy.NumberRange {
	var all []policy.NumberRange
	for _, r := range ranges {
		next := uint64(r.Lo)
		for nr := range s.ABI.Syscalls() {
			if nr < r.Lo || nr > r.Hi {
				continue
			}
			if uint64(nr) > next {
				all = append(all, policy.NumberRange{Lo: uint32(next), Hi: nr - 1})
			}
			all = append(all, policy.NumberRange{Lo: nr, Hi: nr})
			next = uint64(nr) + 1
		}
		if next <= uint64(r.Hi) {
			all = append(all, policy.NumberRange{Lo: uint32(next), Hi: r.Hi})
		}
	}
	return all
}

// narrow limits t to the bits of read. Single values, in the set or missing from
// it, lose the other bits; ranges keep their ends.
func narrow(t policy.Test, word, read uint64) policy.Test {
	top := t.Mask & read
	single := func(in policy.Interval) bool { return in.Lo == in.Hi }
	out := policy.Test{Word: t.Word, Mask: top}
	gaps := complement(t.In, word&t.Mask)
	switch {
	case len(t.In) > 0 && !slices.ContainsFunc(t.In, func(in policy.Interval) bool { return !single(in) }):
		out.In = masked(t.In, top)
	case len(gaps) > 0 && !slices.ContainsFunc(gaps, func(in policy.Interval) bool { return !single(in) }):
		out.In = complement(masked(gaps, top), top)
	default:
		for _, in := range t.In {
			if in.Lo <= top {
				out.In = append(out.In, policy.Interval{Lo: in.Lo, Hi: min(in.Hi, top)})
			}
		}
	}
	return out
}

// masked returns the single values of all within mask, sorted and joined.
func masked(all []policy.Interval, mask uint64) []policy.Interval {
	var values []uint64
	for _, in := range all {
		values = append(values, in.Lo&mask)
	}
	slices.Sort(values)
	var out []policy.Interval
	for _, v := range slices.Compact(values) {
		if last := len(out) - 1; last >= 0 && out[last].Hi+1 == v {
			out[last].Hi = v
			continue
		}
		out = append(out, policy.Interval{Lo: v, Hi: v})
	}
	return out
}

// complement returns the values from 0 to top that no interval of all, sorted and
// disjoint, holds.
func complement(all []policy.Interval, top uint64) []policy.Interval {
	var rest []policy.Interval
	next := uint64(0)
	for _, in := range all {
		if in.Lo > next {
			rest = append(rest, policy.Interval{Lo: next, Hi: in.Lo - 1})
		}
		if in.Hi >= top {
			return rest
		}
		next = in.Hi + 1
	}
	return append(rest, policy.Interval{Lo: next, Hi: top})
}
