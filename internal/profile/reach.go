package profile

import (
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// maxTakers bounds the places that are kept of those that have the address of a
// function: all of them count where there are fewer.
const maxTakers = 64

// A nativeReach is what a graph needs to know of a program that is not all Go.
// There what can run is not what is in the file: libraries hold much that no
// program calls. A function can run if one that can run calls it or takes its
// address, or an object of data does that a function that can run refers to.
type nativeReach struct {
	data *dataMap
	// taken are the functions that can be called through a pointer, with the nodes
	// that have the address.
	taken map[int][]int32
	// leads are, by function, the addresses inside others that it jumps or calls
	// to.
	leads map[int][]uint64
	// scanned is, by start of an object, whether it was looked through.
	scanned map[uint64]bool
	// back are the functions that were asked whether they read below a pointer, tables
	// those that were asked where the tables lie that they take addresses from, as they
	// name them.
	back       map[int]backward
	tables     map[int][]uint64
	services   *services
	attributes *attributes
	// kept are the functions of Go that no path leads to.
	kept map[int]bool
	// inside are the functions of which an address in the middle is taken, held those
	// that start-up code has left behind.
	inside, held map[int]bool
	// computed are the functions with computed calls or jumps, ascending, computes what was
	// found of those that were asked how they compute; relative are the modules in which one
	// that can run calls by distances.
	computed []int
	computes map[int]*computing
	relative map[*image.Module]bool
	// late are instructions behind the calls that had not come back when main started,
	// in functions that need not run as a whole.
	late map[uint64]bool
}

// reached reports that function fn can run.
func (a *analysis) reached(fn int) bool {
	return a.reach == nil || a.reach.dist[fn] != unreached
}

// isTaken reports that function fn may be called through a pointer.
func (a *analysis) isTaken(fn int) bool {
	if a.reach == nil {
		return true
	}
	_, taken := a.reach.native.taken[fn]
	return taken
}

func (a *analysis) newNativeReach() *nativeReach {
	r := &nativeReach{data: a.data, services: a.services, attributes: a.findAttributes(), taken: map[int][]int32{}, leads: map[int][]uint64{}, scanned: map[uint64]bool{}, back: map[int]backward{}, tables: map[int][]uint64{}, kept: map[int]bool{}, inside: map[int]bool{}, computes: map[int]*computing{}, relative: map[*image.Module]bool{}}
	r.computed = slices.Clone(a.survey.computed)
	slices.Sort(r.computed)
	for _, c := range a.survey.strays {
		r.leads[c.fn] = append(r.leads[c.fn], c.target)
	}
	return r
}

// take relaxes function fn, whose address node has.
func (g *graph) take(fn int, node int32, dist uint32) {
	if by := g.native.taken[fn]; !slices.Contains(by, node) && len(by) < maxTakers {
		g.native.taken[fn] = append(by, node)
	}
	g.relax(int32(fn), node, dist)
}

// nativeFunction relaxes what function fn leads to.
func (g *graph) nativeFunction(fn int32, dist uint32) {
	a := g.a
	s, p := a.survey, a.prog
	g.setBy(fn)
	r := a.ragged[int(fn)]
	if r == nil || r.open {
		g.nativeEdges(fn, dist, int(fn), s.calls[s.callAt[fn]:s.callAt[fn+1]], s.refs[s.refAt[fn]:s.refAt[fn+1]])
	}
	if r != nil {
		g.nativeEdges(fn, dist, int(fn), r.found.calls, r.found.refs)
	}
	g.computed(fn, dist)
	for _, t := range g.native.leads[int(fn)] {
		if to, ok := p.Find(t); ok {
			g.relax(int32(to), fn, dist+costCall)
		}
	}
	if next := int(fn) + 1; next < len(p.Funcs) && p.Funcs[next].Entry == p.Funcs[fn].End && a.fallsThrough(int(fn)) {
		g.relax(int32(next), fn, dist+costCall)
	}
}

// nativeEdges relaxes from a node the functions that code of function fn calls, and
// what it refers to.
func (g *graph) nativeEdges(node int32, dist uint32, fn int, calls, refs []uint32) {
	a := g.a
	p := a.prog
	for _, c := range calls {
		g.relax(int32(c), node, dist+costCall)
	}
	for _, r := range refs {
		addr, kind := a.survey.ref(r)
		if kind == refWritten {
			continue
		}
		g.beyond(node, dist, fn, addr, kind)
		if to, ok := p.Find(addr); ok {
			switch {
			case kind == refRead: // a constant among the code
			case a.entry(to) == addr:
				if !g.holdBack(to, node, dist+costValue) {
					g.take(to, node, dist+costValue)
				}
			default:
				g.native.inside[to] = true
				g.relax(int32(to), node, dist+costValue)
			}
			continue
		}
		if kind == refRead {
			g.relax(g.word(addr), node, dist)
			g.beyondValue(node, dist, fn, addr)
		} else if p.Segment(addr) != nil {
			g.want(addr)
			g.relax(g.node(addr), node, dist)
			g.setsNamed(node, dist, fn, addr, refs)
		}
	}
}

// word returns the node of the word at addr alone, not of the object around it.
func (g *graph) word(addr uint64) int32 { return g.node(addr | wordMark) }

// wordMark tells nodes of words: no address has this bit.
const wordMark = 1 << 62

// nativeObject relaxes what the data at addr holds addresses of.
func (g *graph) nativeObject(node int32, dist uint32, addr uint64) {
	if addr&wordMark != 0 {
		addr &^= wordMark
		pointers := g.a.pointers
		for k := g.a.firstPointer(addr - g.size + 1); k < len(pointers) && pointers[k].Addr < addr+g.size; k++ {
			g.pointsAt(node, dist, pointers[k])
		}
		return
	}
	g.relativeTable(node, dist, addr)
	n := g.native
	start, end := n.data.extent(addr)
	if n.scanned[start] || start >= end {
		return
	}
	n.scanned[start] = true
	pointers := g.a.pointers
	for k := g.a.firstPointer(start); k < len(pointers) && pointers[k].Addr < end; k++ {
		// What the dynamic loader alone writes is read by its own address.
		if _, _, slot := g.a.prog.SlotTarget(pointers[k].Addr); !slot && !n.data.inTable(pointers[k].Addr) {
			g.pointsAt(node, dist, pointers[k])
		}
	}
}

// pointsAt relaxes what the word of data at node names, if it holds an address.
func (g *graph) pointsAt(node int32, dist uint32, word image.Pointer) {
	w := word.Value
	if g.a.prog.Segment(w) == nil {
		if w != 0 { // of a table that is the first thing in its segment
			g.within(image.Range{Start: w, End: w + nearBias}, node, dist)
		}
		return
	}
	fn, ok := g.a.prog.Find(w)
	switch {
	case !ok:
		g.relax(g.node(w), node, dist+costData)
		g.sets(g.native.data.setsAt(w), node, dist+costData)
		// What is at the start of an object is meant, and the handle of a module for
		// itself (__dso_handle), of which the size is not said.
		if start, end := g.native.data.object(w); (end == 0 || start != w) && word.Addr != w {
			g.ahead(node, dist+costData, w)
		}
	case g.a.entry(fn) == w:
		if !g.holdBack(fn, node, dist+costData) {
			g.take(fn, node, dist+costData)
		}
	default:
		g.native.inside[fn] = true
		g.relax(int32(fn), node, dist+costData)
	}
}
