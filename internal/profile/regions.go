package profile

import (
	"cmp"
	"slices"
	"sort"

	"github.com/sysgate/sysgate/internal/image"
)

// Compilers align objects from this size on to a multiple of it (GCC,
// ix86_data_alignment; clang the same): an address that is none is inside an
// object, or starts a small one.
const largeObject = 32

// A dataMap says where the objects in a program's data end. A stripped program
// does not list them: one ends at the latest where the next address lies that
// code takes or data points at, unless that may lie inside it.
type dataMap struct {
	bounds []uint64 // ascending
	// objects are those that symbols describe, ascending.
	objects []image.Range
	// edges are where sections and segments start and end, ascending.
	edges []uint64
	// tables are what the linker made for code alone, ascending: the addresses in it
	// are read word by word.
	tables []image.Range
	// sets are sections through which code goes, ascending.
	sets []image.Set
	// lists are those of the functions called at the start and the end.
	lists []image.Range
	// labels are addresses that have names without being those of objects, ascending.
	labels []uint64
}

// starts reports that a symbol says that an object starts at addr.
func (m *dataMap) starts(addr uint64) bool {
	if start, end := m.object(addr); end != 0 {
		return start == addr
	}
	_, ok := slices.BinarySearch(m.labels, addr)
	return ok && !m.listed(addr)
}

// listed reports that addr lies in one of the lists.
func (m *dataMap) listed(addr uint64) bool {
	return slices.ContainsFunc(m.lists, func(r image.Range) bool { return r.Holds(addr) })
}

// shared reports that where an object ends, at addr, another one or a section starts,
// or a section ends.
func (m *dataMap) shared(addr uint64) bool {
	k := sort.Search(len(m.objects), func(k int) bool { return m.objects[k].Start >= addr })
	_, edge := slices.BinarySearch(m.edges, addr)
	return edge || k < len(m.objects) && m.objects[k].Start == addr
}

// inTable reports that addr lies in one of the linker's tables.
func (m *dataMap) inTable(addr uint64) bool {
	k := sort.Search(len(m.tables), func(k int) bool { return m.tables[k].End > addr })
	return k < len(m.tables) && m.tables[k].Start <= addr
}

// mapData collects the bounds.
func (a *analysis) mapData() *dataMap {
	at := make([]uint64, 0, len(a.pointers)+len(a.takenAddrs))
	for _, p := range a.pointers {
		at = append(at, p.Value)
	}
	var edges, sized []uint64
	var objects, tables []image.Range
	var sets []image.Set
	var labels []uint64
	var lists []image.Range
	for _, m := range a.prog.Modules {
		for r := range m.Objects {
			sized = append(sized, r.Start, r.End)
			objects = append(objects, r)
		}
		sections := m.Sections()
		for _, r := range sections.All {
			edges = append(edges, r.Start, r.End)
		}
		tables = append(tables, sections.Tables...)
		sets = append(sets, sections.Sets...)
		lists = append(append(lists, sections.Constructors...), sections.Destructors...)
		for addr := range m.Labels {
			if s := a.prog.Segment(addr); s != nil && !s.Exec {
				labels = append(labels, addr)
			}
		}
		if t := m.Threads(); t.End > t.Start {
			edges = append(edges, t.Start, t.End)
		}
	}
	for _, s := range a.prog.Segments {
		edges = append(edges, s.Addr, s.Addr+s.MemSize)
	}
	slices.Sort(at)
	at = merge(slices.Compact(at), a.takenAddrs)
	slices.SortFunc(objects, func(a, b image.Range) int { return cmp.Compare(a.Start, b.Start) })
	slices.SortFunc(tables, func(a, b image.Range) int { return cmp.Compare(a.Start, b.Start) })
	slices.Sort(edges)
	slices.Sort(sized)
	m := &dataMap{objects: objects, tables: tables, sets: sets, lists: lists, edges: slices.Compact(edges)}
	slices.SortFunc(sets, func(a, b image.Set) int { return cmp.Compare(a.Start, b.Start) })
	for i, x := range at {
		if x%largeObject == 0 || i+1 == len(at) || at[i+1]-x < largeObject {
			m.bounds = append(m.bounds, x)
		}
	}
	m.bounds = merge(m.bounds, merge(m.edges, slices.Compact(sized)))
	slices.Sort(labels)
	m.labels = slices.Compact(labels)
	m.addLabelled()
	return m
}

// merge returns what is in either of two lists, each ascending, once.
func merge(a, b []uint64) []uint64 {
	out := make([]uint64, 0, len(a)+len(b))
	for len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			a = a[1:]
		}
	}
	return out
}

// end returns where the object that addr lies in ends at the latest.
func (m *dataMap) end(addr uint64) uint64 {
	_, end := m.between(addr)
	return end
}

// start returns a bound at or below addr, the same for all addresses between two
// bounds.
func (m *dataMap) start(addr uint64) uint64 {
	start, _ := m.between(addr)
	return start
}

// between returns the bounds that addr lies between; 0 and addr where there is none.
func (m *dataMap) between(addr uint64) (start, end uint64) {
	k, _ := slices.BinarySearch(m.bounds, addr+1)
	end = addr
	if k < len(m.bounds) {
		end = m.bounds[k]
	}
	if k > 0 {
		start = m.bounds[k-1]
	}
	return start, end
}

// extent returns the object that addr lies in, as far as is known: its symbol's
// range, or that between two bounds.
func (m *dataMap) extent(addr uint64) (start, end uint64) {
	if start, end = m.object(addr); end != 0 {
		return start, end
	}
	return m.between(addr)
}
