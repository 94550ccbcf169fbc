package image

import (
	"bytes"
	"debug/elf"
)

// A scope is the symbols that the modules of a program define for each other, by
// name, in the order in which the dynamic loader looks them up.
type scope struct {
	modules []*Module
	heads   []int32 // by hash: the first entry of a chain, or -1
	entries []scopeEntry
	steps   int // of all references
}

// maxLookups bounds the definitions that are looked at to bind a program: those
// of one name are in a chain.
const maxLookups = 1 << 27

type scopeEntry struct {
	hash   uint32
	module uint32
	symbol uint32
	next   int32
}

// hashName is FNV-1a.
func hashName(name []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range name {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

func newScope(modules []*Module) *scope {
	s := &scope{modules: modules}
	n := 0
	for _, m := range modules {
		n += m.dynsym.len()
	}
	s.entries = make([]scopeEntry, 0, n)
	for k, m := range modules {
		for i := range m.dynsym.len() {
			sym := m.dynsym.at(i)
			if sym.bind() == elf.STB_LOCAL || sym.value == 0 || sym.section == elf.SHN_UNDEF && !m.canonical(sym) {
				continue
			}
			s.entries = append(s.entries, scopeEntry{hashName(m.dynsym.name(sym)), uint32(k), uint32(i), -1})
		}
	}
	size := 1
	for size < len(s.entries) {
		size *= 2
	}
	s.heads = make([]int32, size)
	for i := range s.heads {
		s.heads[i] = -1
	}
	for i := len(s.entries) - 1; i >= 0; i-- {
		e := &s.entries[i]
		head := &s.heads[e.hash&uint32(size-1)]
		e.next, *head = *head, int32(i)
	}
	return s
}

// named yields the definitions of name in load order. It counts the steps.
func (s *scope) named(name []byte, steps *int, yield func(m *Module, index int, sym rawSymbol) bool) {
	h := hashName(name)
	for i := s.heads[h&uint32(len(s.heads)-1)]; i >= 0; i = s.entries[i].next {
		e := &s.entries[i]
		if *steps++; *steps > maxLookups {
			return
		}
		if e.hash != h {
			continue
		}
		m := s.modules[e.module]
		sym := m.dynsym.at(int(e.symbol))
		if bytes.Equal(m.dynsym.name(sym), name) && !yield(m, int(e.symbol), sym) {
			return
		}
	}
}

// A definition is a symbol in the module that defines it.
type definition struct {
	module *Module
	rawSymbol
}

// A request says which definition a reference may have.
type request struct {
	name    []byte
	version string  // "": the default one, or the oldest
	call    bool    // the executable's own stub for the symbol does not do
	first   *Module // looked at before all others
	not     *Module // not looked at
}

// oldest is the greatest index of a version that a reference without one takes:
// the object's own, or the first that it defined.
const oldest = 2

// find returns the definition that the dynamic loader takes for a reference
// (glibc, elf/dl-lookup.c): the first module in load order that has one of the
// name and version. A module without versions has all of them; a reference
// without a version takes a module's oldest, or else its only default one.
func (s *scope) find(r request) (definition, bool) {
	var found, only definition
	var here *Module // whose definitions are looked at
	count := 0       // of the default ones of other versions there
	settle := func() bool {
		if found.module == nil && count == 1 {
			found = only
		}
		count = 0
		return found.module != nil
	}
	visit := func(m *Module, i int, sym rawSymbol) bool {
		if m != here {
			if settle() {
				return false
			}
			here = m
		}
		if m == r.not || r.call && sym.section == elf.SHN_UNDEF || !bindable(sym) {
			return true
		}
		index, version, hidden := m.dynsym.versionOf(i)
		switch {
		case m.dynsym.versym == nil,
			r.version == "" && index <= oldest,
			r.version != "" && (version == r.version || version == "" && !hidden):
			found = definition{m, sym}
			return false
		case r.version == "" && !hidden:
			only = definition{m, sym}
			count++
		}
		return true
	}
	if r.first != nil {
		s.named(r.name, &s.steps, func(m *Module, i int, sym rawSymbol) bool { return m != r.first || visit(m, i, sym) })
		if settle() {
			return found, true
		}
		here = nil
	}
	s.named(r.name, &s.steps, visit)
	settle()
	return found, found.module != nil
}

// bindable reports that a reference may take symbols of this type.
func bindable(s rawSymbol) bool {
	switch s.typ() {
	case elf.STT_NOTYPE, elf.STT_OBJECT, elf.STT_FUNC, elf.STT_COMMON, elf.STT_GNU_IFUNC:
		return true
	}
	return false
}
