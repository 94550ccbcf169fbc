package proof

import "github.com/sysgate/sysgate/policy"

// maxRuns bounds how many ranges of numbers a description goes through: more
// than any table of calls has, and far more than a person reads.
const maxRuns = 1 << 14

// A run is numbers for which a function of nothing above them is to.
type run struct {
	policy.NumberRange
	to ref
}

// given returns f where the word that is next to be tested has the value v.
func (d *diagram) given(f ref, word int, v uint32) ref {
	for {
		n := d.nodes[f]
		if n.level >= int32(word+1)*wordBits {
			return f
		}
		if v&bitOf(n.level) != 0 {
			f = n.high
		} else {
			f = n.low
		}
	}
}

// runs returns f, a function of word and of what is tested after it, as one
// function for each run of word's values, ascending. ok is false if there are
// more than maxRuns.
func (d *diagram) runs(f ref, word int) (all []run, ok bool) {
	end := int32(word+1) * wordBits
	var walk func(f ref, level int32, prefix uint32) bool
	walk = func(f ref, level int32, prefix uint32) bool {
		n := d.nodes[f]
		if n.level >= end {
			hi := prefix | uint32(1<<(end-level)-1)
			if last := len(all) - 1; last >= 0 && all[last].to == f {
				all[last].Hi = hi
				return true
			}
			all = append(all, run{policy.NumberRange{Lo: prefix, Hi: hi}, f})
			return len(all) <= maxRuns && d.spend(1)
		}
		low, high := n.split(level, f)
		return walk(low, level+1, prefix) && walk(high, level+1, prefix|bitOf(level))
	}
	ok = walk(f, int32(word)*wordBits, 0)
	return all, ok
}

// terminals returns the terminals of f, in the order of their smallest calls.
func (d *diagram) terminals(f ref) []ref {
	var all []ref
	for _, part := range d.split(f) {
		all = append(all, part.label)
	}
	return all
}

// A labelled set is the calls for which a function has one terminal.
type labelled struct{ label, set ref }

// maxLabels bounds how many actions the calls of one place can get before
// nobody reads a description of them.
const maxLabels = 1 << 12

// split returns where f has which terminal, in the order of their smallest calls.
// There are at most maxLabels; more exhaust the budget.
func (d *diagram) split(f ref) []labelled {
	if all, ok := d.splits[f]; ok {
		return all
	}
	var all []labelled
	seen := map[ref]bool{}
	var walk func(ref)
	walk = func(r ref) {
		if seen[r] || !d.spend(stepsPerVisit) {
			return
		}
		seen[r] = true
		n := d.nodes[r]
		if n.level == inputBits {
			if all = append(all, labelled{label: r}); len(all) > maxLabels {
				d.exhaust("different actions in one place", maxLabels)
			}
			return
		}
		walk(n.low)
		walk(n.high)
	}
	walk(f)
	for i := range all {
		all[i].set = d.is(f, all[i].label)
	}
	if d.splits == nil {
		d.splits = map[ref][]labelled{}
	}
	d.splits[f] = all
	return all
}

// is returns the condition that f is the terminal.
func (d *diagram) is(f, terminal ref) ref {
	return d.mapWords(f, func(r ref) ref {
		if r == terminal {
			return yes
		}
		return no
	})
}

// first returns the smallest call of a condition that is not empty, from the
// values of the words that are given.
func (d *diagram) first(condition ref, w [words]uint32) [words]uint32 {
	for {
		n := d.nodes[condition]
		switch {
		case n.level == inputBits:
			return w
		case n.low != no:
			condition = n.low
		default:
			w[n.level/wordBits] |= bitOf(n.level)
			condition = n.high
		}
	}
}
