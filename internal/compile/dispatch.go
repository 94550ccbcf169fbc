package compile

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// fold replaces the end of amd64's runs, where numbers without bit 30 and -1 go
// one way and x32 numbers another, by one run.
func fold(u *unit) error {
	for i := range u.axes {
		a := &u.axes[i]
		n := len(a.runs) - 4
		if a.arch != abi.AMD64.AuditArch() || n < 0 {
			continue
		}
		tail := a.runs[n:]
		x32, other := tail[0], tail[1]
		if x32.lo < abi.X32Bit || other.lo != 2*abi.X32Bit ||
			tail[2].lo != 3*abi.X32Bit || tail[2].to != x32.to ||
			tail[3].lo != fullMask || tail[3].to != other.to {
			continue
		}
		minusOne := u.graph.test(opEqual, wordNR, fullMask, fullMask, other.to, x32.to)
		split := u.graph.test(opAnyBits, wordNR, fullMask, abi.X32Bit, minusOne, other.to)
		a.runs = a.runs[:n+1]
		a.runs[n].to = split
		for _, r := range tail[1:] {
			a.runs[n].weight += r.weight
		}
		if n > 0 && a.runs[n].lo == abi.X32Bit && a.runs[n-1].to == other.to {
			a.runs[n-1].weight += a.runs[n].weight
			a.runs = a.runs[:n]
			a.runs[n-1].to = split
		}
	}
	return nil
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
		tree := trees.tree(wordNR, fullMask, cells)
		u.root = u.graph.test(opEqual, wordArch, fullMask, a.arch, tree, u.root)
	}
	return nil
}
