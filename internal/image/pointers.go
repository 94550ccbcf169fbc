package image

import (
	"cmp"
	"debug/elf"
	"slices"
)

// A Pointer is a word of data that holds an address of the program when the
// program starts, or may.
type Pointer struct{ Addr, Value uint64 }

// Pointers returns the words of data that hold addresses, ascending. In what is
// loaded anywhere they are those that the dynamic loader writes; in an executable
// with an address of its own, also all aligned words that can be one of its own.
func (p *Program) Pointers() []Pointer {
	var out []Pointer
	for _, m := range p.Modules {
		if m.object.typ == elf.ET_EXEC {
			out = p.appendWords(out, m)
		}
		out = p.appendRelocated(out, m)
	}
	slices.SortFunc(out, func(a, b Pointer) int { return cmp.Compare(a.Addr, b.Addr) })
	out = slices.CompactFunc(out, func(a, b Pointer) bool { return a.Addr == b.Addr })
	return slices.DeleteFunc(out, func(w Pointer) bool {
		return slices.ContainsFunc(p.Inert, func(r Range) bool { return r.Holds(w.Addr) })
	})
}

// Fixed reports that the module lies where it was linked to be, and that its
// code may hold addresses as constants.
func (m *Module) Fixed() bool { return m.object.typ == elf.ET_EXEC }

// Threads returns where the content lies that the variables of every thread start
// with.
func (m *Module) Threads() Range {
	return Range{m.Base + m.object.threads.Start, m.Base + m.object.threads.End}
}

// appendRelocated appends the words that relocations of m write.
func (p *Program) appendRelocated(out []Pointer, m *Module) []Pointer {
	add := func(addr uint64) {
		if v, ok := p.Word(addr); ok && v != 0 {
			out = append(out, Pointer{addr, v})
		}
	}
	n := 0
	m.object.relocations(func(relocation) bool { n++; return true })
	out = slices.Grow(out, n)
	m.object.relocations(func(r relocation) bool {
		addr := m.Base + r.addr
		switch r.kind {
		case relRelative, relSymbol, relGlobal, relSlot, relResolved:
			add(addr)
		case relCopy: // the library's pointers come along
			if int(r.symbol) < m.dynsym.len() {
				size := min(m.dynsym.at(int(r.symbol)).size, maxCopied)
				for at := addr; at+p.word <= addr+size; at += p.word {
					if v, ok := p.Word(at); ok && p.Segment(v) != nil {
						out = append(out, Pointer{at, v})
					}
				}
			}
		}
		return true
	})
	return out
}

// appendWords appends the words of m, which is no library, that are addresses in it:
// only the dynamic loader knows others.
func (p *Program) appendWords(out []Pointer, m *Module) []Pointer {
	skips := m.tables()
	resolved := uint64(0) // the type of the relocations of a program without a loader
	for t, k := range relocationKinds[m.object.machine] {
		if k == relResolved && m.object.dynamic == nil {
			resolved = uint64(t)
		}
	}
	for _, s := range m.constants() {
		k := 0
		for off := -s.Addr & (p.word - 1); off+p.word <= uint64(len(s.Data)); off += p.word {
			addr := s.Addr + off
			for k < len(skips) && skips[k].End <= addr {
				k++
			}
			if k < len(skips) && addr >= skips[k].Start {
				continue
			}
			w := p.ReadWord(s.Data[off:])
			v := p.Even(w)
			if v == 0 || !m.Range.Holds(v) || p.Segment(v) == nil {
				continue
			}
			if p.Thumb(v) && v == w && !m.arm.pointers[addr] || !p.Foreign() && m.amongCode(addr) && (p.Table.Holds(addr) || p.Types.Holds(addr) || !p.nativeEntry(v)) {
				continue // a number
			}
			if next := off + p.word; resolved != 0 && next+p.word <= uint64(len(s.Data)) && p.ReadWord(s.Data[next:]) == resolved {
				continue // the place of a relocation, not a reference to it
			}
			out = append(out, Pointer{addr, v})
		}
	}
	return out
}

// amongCode reports that addr is in a segment of code.
func (m *Module) amongCode(addr uint64) bool {
	s := segmentAt(m.segments(), addr)
	return s != nil && s.Exec
}

// nativeEntry reports that addr is the entry of a function that is not Go's: much of
// what Go keeps among the code looks like other addresses. A stub is one for data only
// where the program stands for the library's function.
func (p *Program) nativeEntry(addr uint64) bool {
	i, ok := p.Find(addr)
	if !ok || p.IsGo(i) || p.Text+uint64(p.Funcs[i].Entry) != addr {
		return false
	}
	if _, stub := p.Stub(i); stub {
		return p.Modules[0].standsFor(addr)
	}
	return true
}

// standsFor reports that the module has the address addr for a function of a library.
func (m *Module) standsFor(addr uint64) bool {
	for i := range m.dynsym.len() {
		if s := m.dynsym.at(i); m.address(s) == addr && m.canonical(s) {
			return true
		}
	}
	return false
}

// constants returns the parts of the module's segments that may hold addresses: all
// but code. Linkers of some machines put constants into the segment of the code; where
// no section headers say which they are, all of it is one.
func (m *Module) constants() (out []Segment) {
	sections := m.Sections().All
	for _, s := range m.segments() {
		if !s.Exec || len(sections) == 0 {
			out = append(out, s)
			continue
		}
		for _, r := range sections {
			if r.Start >= s.Addr && r.End <= s.Addr+uint64(len(s.Data)) {
				out = append(out, Segment{Addr: r.Start, Data: s.Data[r.Start-s.Addr : r.End-s.Addr]})
			}
		}
	}
	return out
}

// tables returns where the module's headers and the loader's tables lie, which
// hold addresses for the loader alone; ascending.
func (m *Module) tables() []Range {
	var out []Range
	for _, h := range m.object.headers {
		out = append(out, Range{m.Base + h.Start, m.Base + h.End})
	}
	if d := m.object.dynamic; d != nil {
		for _, t := range [...][2]uint64{
			{d.strings, d.stringsSize},
			{d.symbols, uint64(m.dynsym.len() * m.object.symSize)},
			{d.rel, d.relSize},
			{d.rela, d.relaSize},
			{d.plt, d.pltSize},
			{d.relr, d.relrSize},
		} {
			if t[0] != 0 && t[1] != 0 {
				out = append(out, Range{m.Base + t[0], m.Base + t[0] + t[1]})
			}
		}
	}
	slices.SortFunc(out, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	return out
}
