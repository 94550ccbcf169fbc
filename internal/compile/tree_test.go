package compile

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestTree builds trees over random cells, short and long, and asks for values
// around all edges.
func TestTree(t *testing.T) {
	testkit.Check(t, 2000, func(t *rapid.T) {
		mask := rapid.SampledFrom([]uint32{fullMask, fullMask, 0xff, 0xf0f0, 0x80000000, 0x80000001}).Draw(t, "mask")
		n := rapid.OneOf(rapid.IntRange(1, 8), rapid.IntRange(1, 400)).Draw(t, "cells")
		g := newGraph()
		var edges []edge
		for lo := uint32(0); len(edges) < n; {
			edges = append(edges, edge{lo, id(rapid.IntRange(1, 3).Draw(t, "outcome"))})
			gap := rapid.SampledFrom([]uint32{1, 1, 1, 2, 15, 1 << 20}).Draw(t, "gap")
			if lo > fullMask-gap {
				break
			}
			lo += gap
		}
		var cells []cell
		for _, e := range normalize(edges, mask) {
			cells = append(cells, cell{e.lo, g.ret(abi.Errno.WithData(uint16(e.to))), rapid.Int64Range(0, 3).Draw(t, "weight")})
		}
		b := treeBuilder{g: g, price: rapid.SampledFrom([]int64{0, 1, 10, 1000}).Draw(t, "price")}
		u := &unit{graph: g, root: b.tree(wordNR, mask, cells)}
		for i, c := range cells {
			if i+1 < len(cells) && len(cells) > 1 {
				ask(t, u, cells, mask, cells[i+1].lo-1)
			}
			ask(t, u, cells, mask, c.lo)
			ask(t, u, cells, mask, c.lo|^mask)
		}
		ask(t, u, cells, mask, fullMask)
		if tests := len(g.reach(u.root)); tests > len(cells)+3 {
			t.Fatalf("%d cells take %d nodes", len(cells), tests)
		}
	})
}

func ask(t *rapid.T, u *unit, cells []cell, mask, v uint32) {
	at := 0
	for at+1 < len(cells) && cells[at+1].lo <= v&mask {
		at++
	}
	want := abi.Action(u.graph.nodes[cells[at].to].k)
	if got := u.walk(u.root, abi.Call{NR: v}); got != want {
		t.Fatalf("%v under %#x: %#x gives %v, want %v", cells, mask, v, got, want)
	}
}

// TestTreeCost compares with the best tree of all, found by trying every tree.
func TestTreeCost(t *testing.T) {
	testkit.Check(t, 2000, func(t *rapid.T) {
		n := rapid.IntRange(2, window).Draw(t, "cells")
		g := newGraph()
		var cells []cell
		for i := range n {
			to := g.ret(abi.Errno.WithData(uint16(rapid.IntRange(1, 3).Draw(t, "outcome"))))
			if i > 0 && cells[len(cells)-1].to == to {
				continue
			}
			lo := uint32(0)
			if i > 0 {
				lo = cells[len(cells)-1].lo + rapid.Uint32Range(1, 2).Draw(t, "gap")
			}
			cells = append(cells, cell{lo, to, rapid.Int64Range(0, 100).Draw(t, "weight")})
		}
		if len(cells) == 1 {
			return
		}
		b := treeBuilder{g: g, price: rapid.SampledFrom([]int64{0, 1, 10, 1000}).Draw(t, "price")}
		b.tree(wordNR, fullMask, cells)
		all := uint32(1)<<len(cells) - 1
		if got, want := b.planCost(0, all), cheapest(&b, all, map[uint32]int64{}); got != want {
			t.Fatalf("%v: cost %d, the best is %d", cells, got, want)
		}
	})
}

// cheapest tries all tests on some cells: == for every cell of one value, >= at
// every edge, & with every mask, by looking at every value.
func cheapest(b *treeBuilder, set uint32, known map[uint32]int64) int64 {
	if cost, ok := known[set]; ok {
		return cost
	}
	weight, first, same := int64(0), -1, true
	has := func(k int) bool { return set>>k&1 != 0 }
	for k := range b.cells {
		if !has(k) {
			continue
		}
		if first < 0 {
			first = k
		}
		weight += b.weight(k)
		same = same && b.cells[k].to == b.cells[first].to
	}
	if same {
		return 0
	}
	const values = 64 // the last cell goes on, with every pattern of low bits
	best := int64(1) << 62
	try := func(holds func(uint32) bool) {
		t, f := uint32(0), uint32(0)
		for k, c := range b.cells {
			last := uint32(values)
			if k+1 < len(b.cells) {
				last = b.cells[k+1].lo
			}
			for v := c.lo; v < last && has(k); v++ {
				if holds(v) {
					t |= 1 << k
				} else {
					f |= 1 << k
				}
			}
		}
		if t != set && f != set {
			best = min(best, cheapest(b, t, known)+cheapest(b, f, known))
		}
	}
	for v := range b.cells[len(b.cells)-1].lo + 2 {
		try(func(x uint32) bool { return x == v })
		try(func(x uint32) bool { return x >= v })
	}
	for bits := range uint32(16) { // all cells but the last lie below 16
		try(func(x uint32) bool { return x&bits != 0 })
		try(func(x uint32) bool { return x&(bits|^uint32(15)) != 0 })
	}
	known[set] = best + weight + b.price
	return known[set]
}
