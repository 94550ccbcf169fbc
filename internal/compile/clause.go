package compile

import (
	"cmp"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A clause is alternatives with one action. Their order does not matter.
type clause struct {
	any    []policy.Alternative
	action abi.Action
}

// clauses returns what the rules say, the first that matches, with rules that
// follow each other and do the same in one clause. In it, the values that
// alternatives compare one word with, and nothing else, are one set.
func clauses(rules []*policy.ResolvedRule) []clause {
	type variable struct {
		word uint8
		mask uint64
	}
	var out []clause
	sets := make(map[variable]int) // where in the last clause
	for _, r := range rules {
		if n := len(out); n == 0 || out[n-1].action != r.Action {
			out = append(out, clause{action: r.Action})
			clear(sets)
		}
		last := &out[len(out)-1]
		for _, all := range r.Any {
			if len(all) == 1 {
				t := all[0]
				on := variable{t.Word, t.Mask}
				if at, ok := sets[on]; ok {
					t.In = union(last.any[at][0].In, t.In)
					last.any[at] = policy.Alternative{t}
					continue
				}
				sets[on] = len(last.any)
			}
			last.any = append(last.any, all)
		}
	}
	return out
}

// union returns the values that are in a or b, both sorted.
func union(a, b []policy.Interval) []policy.Interval {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y policy.Interval) int { return cmp.Compare(x.Lo, y.Lo) })
	out := all[:0]
	for _, in := range all {
		if n := len(out); n > 0 && (in.Lo <= out[n-1].Hi || in.Lo == out[n-1].Hi+1) {
			out[n-1].Hi = max(out[n-1].Hi, in.Hi)
			continue
		}
		out = append(out, in)
	}
	return out
}
