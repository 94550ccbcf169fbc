package profile

import (
	"cmp"
	"slices"
	"sort"

	"github.com/sysgate/sysgate/internal/image"
)

// addLabelled adds the sets between labels: those of linker scripts, among other data.
func (m *dataMap) addLabelled() {
	var sets []image.Set
	for k, start := range m.labels[:max(len(m.labels)-1, 0)] {
		end := m.labels[k+1]
		// Objects that have names of their own lie there.
		if first, last := m.object(start); first == start && last <= end && len(m.setsAt(start)) == 0 {
			sets = append(sets, image.Set{Range: image.Range{Start: start, End: end}})
		}
	}
	m.sets = append(m.sets, sets...)
	slices.SortFunc(m.sets, func(a, b image.Set) int { return cmp.Compare(a.Start, b.Start) })
}

// setsAt returns the sets that addr lies in, or starts or ends.
func (m *dataMap) setsAt(addr uint64) []image.Set {
	from := sort.Search(len(m.sets), func(k int) bool { return m.sets[k].End >= addr })
	to := from
	for to < len(m.sets) && m.sets[to].Start <= addr {
		to++
	}
	return m.sets[from:to]
}

// bordersSet reports that a set starts or ends at addr.
func (m *dataMap) bordersSet(addr uint64) bool {
	return slices.ContainsFunc(m.setsAt(addr), func(s image.Set) bool { return s.Start == addr || s.End == addr })
}

// setsNamed relaxes from a node the sets that code of function fn goes through by the address addr. Where
// one ends and another starts it is that of which the function names the other bound,
// if it has to take that too, to compare with it.
func (g *graph) setsNamed(node int32, dist uint32, fn int, addr uint64, refs []uint32) {
	sets := g.native.data.setsAt(addr)
	if _, fixed := fixedRange(g.a.prog, fn); len(sets) > 1 && !fixed {
		below, above := g.a.names(refs, sets[0].Start, addr-1), g.a.names(refs, addr+1, sets[1].End)
		switch {
		case below && !above:
			sets = sets[:1]
		case above && !below:
			sets = sets[1:]
		}
	}
	g.sets(sets, node, dist)
}

// names reports that one of refs is an address from low to high.
func (a *analysis) names(refs []uint32, low, high uint64) bool {
	for _, r := range refs {
		if addr, _ := a.survey.ref(r); addr >= low && addr <= high {
			return true
		}
	}
	return false
}

// sets relaxes all objects in sets.
func (g *graph) sets(sets []image.Set, from int32, dist uint32) {
	for _, s := range sets {
		if !s.Compared {
			g.within(s.Range, from, dist)
		}
	}
}

// within relaxes all objects in r that hold addresses.
func (g *graph) within(r image.Range, from int32, dist uint32) {
	if before, ok := g.walked[r]; ok && before <= dist {
		return
	}
	g.walked[r] = dist
	pointers := g.a.pointers
	k := sort.Search(len(pointers), func(k int) bool { return pointers[k].Addr >= r.Start })
	for ; k < len(pointers) && pointers[k].Addr < r.End; k++ {
		g.relax(g.node(pointers[k].Addr), from, dist)
	}
}
