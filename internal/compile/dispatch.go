package compile

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// fold replaces the end of amd64's runs, where numbers without bit 30 go one way,
// x32 numbers another, and -1 may go a third, by one run.
func fold(u *unit) error {
	for i := range u.axes {
		if a := &u.axes[i]; a.arch == abi.AMD64.AuditArch() {
			u.foldX32(a)
		}
	}
	return nil
}

func (u *unit) foldX32(a *axis) {
	runs := a.runs
	// The runs of the four quarters: native numbers, and then those that look at
	// nothing but bit 30.
	var at [4]int
	for q := range at {
		at[q] = find(runs, uint32(q)<<30)
	}
	last := len(runs) - 1
	native, x32, other := runs[at[0]:at[1]], runs[at[1]], runs[at[2]]
	minusOne := x32.to
	if runs[last].lo == fullMask {
		minusOne = runs[last].to
		last--
	}
	if len(native) == 0 || x32.lo != abi.X32Bit || other.lo != 2*abi.X32Bit || runs[at[3]].lo != 3*abi.X32Bit ||
		at[2] != at[1]+1 || at[3] != at[2]+1 || at[3] != last || runs[at[3]].to != x32.to {
		return
	}
	folded := run{lo: abi.X32Bit, list: other.list}
	for _, r := range runs[at[1]:] {
		folded.weight += r.weight
	}
	folded.to = u.graph.test(opAnyBits, wordNR, fullMask, abi.X32Bit,
		u.graph.test(opEqual, wordNR, fullMask, fullMask, minusOne, x32.to), other.to)
	a.folded, a.native = folded.to, other.to
	if n := len(native); native[n-1].to == other.to {
		native[n-1].to, native[n-1].weight = folded.to, native[n-1].weight+folded.weight
		a.runs = native
		return
	}
	a.runs = append(native, folded)
}

// dispatch builds the part of the graph that looks at the architecture and the
// number. An architecture that the policy does not list falls through all
// comparisons.
func dispatch(u *unit) error {
	trees := treeBuilder{g: u.graph, price: u.price}
	u.root = u.graph.ret(u.policy.BadArch)
	for _, a := range slices.Backward(u.axes) {
		cells := make([]cell, len(a.runs))
		for i, r := range a.runs {
			cells[i] = cell{r.lo, r.to, r.weight}
		}
		trees.looser, trees.stricter = a.folded, a.native
		tree := trees.tree(wordNR, fullMask, cells)
		u.root = u.graph.test(opEqual, wordArch, fullMask, a.arch, tree, u.root)
	}
	return nil
}
