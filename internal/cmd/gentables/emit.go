package main

import (
	"slices"
	"strings"
)

// emit writes the tables of numbers and names.
func (s *syscalls) emit(path string) error {
	names := s.names()
	id := func(name string) uint16 {
		i, ok := slices.BinarySearch(names, name)
		if !ok {
			panic("no name " + name) // the readers have checked them all
		}
		return uint16(i)
	}
	out := newSource()
	out.printf("// Latest is the release that the tables are current to.\n")
	out.printf("var Latest = Kernel{%d, %d}\n\n", s.latest>>8, s.latest&0xff)
	out.stringTable("syscallNames", names)
	s.emitGroups(out, names, id)
	s.emitMuxes(out, id)
	out.printf("var tables = [numABIs]*table{\n")
	for _, a := range abis {
		out.printf("%s: &%s,\n", a.ident, tableVar(a.table))
	}
	out.printf("}\n\n")
	for _, t := range tableNames() {
		s.tables[t].emit(out, tableVar(t), len(names), id)
	}
	return out.write(path)
}

func tableVar(name string) string { return "table" + strings.ToUpper(name) }

func (t *table) emit(out *source, name string, count int, id func(string) uint16) {
	var numbers []uint32
	var names, since []uint16
	index := make([]uint16, count)
	for i, c := range t.calls {
		numbers = append(numbers, c.nr)
		names = append(names, id(c.name))
		since = append(since, c.since)
		index[id(c.name)] = uint16(i + 1)
	}
	for alias, real := range t.aliases {
		index[id(alias)] = index[id(real)]
	}
	out.printf("var %s = table{\nnumbers: ", name)
	uints(out, "uint32", numbers)
	out.printf(",\nnames: ")
	uints(out, "uint16", names)
	out.printf(",\nsince: ")
	uints(out, "uint16", since)
	out.printf(",\nindex: ")
	uints(out, "uint16", index)
	out.printf(",\nargs: %sArgs", name)
	out.printf(",\n}\n\n")
}

// emitGroups writes the groups end to end, each ended by a 0, and where in
// there the group of a name starts.
func (s *syscalls) emitGroups(out *source, names []string, id func(string) uint16) {
	flat := []uint16{0}
	start := make([]uint16, len(names))
	for _, g := range s.groups {
		at := uint16(len(flat))
		for _, n := range g {
			start[id(n)] = at
			flat = append(flat, id(n)+1)
		}
		flat = append(flat, 0)
	}
	out.printf("var groups = ")
	uints(out, "uint16", flat)
	out.printf("\n\nvar groupOf = ")
	uints(out, "uint16", start)
	out.printf("\n\n")
}

func (s *syscalls) emitMuxes(out *source, id func(string) uint16) {
	out.printf("var subcalls = []subcall{\n")
	for _, m := range s.muxes {
		var has []string
		for _, a := range abis {
			if slices.Contains(m.tables, a.table) {
				has = append(has, "1<<"+a.ident)
			}
		}
		for _, sub := range m.subs {
			out.printf("{%d, %d, %d, %s},\n", id(m.name), id(sub.name), sub.nr, strings.Join(has, "|"))
		}
	}
	out.printf("}\n\n")
}
