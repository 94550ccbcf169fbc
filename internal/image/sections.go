package image

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"strings"
)

// Sections are where the sections of a module's data lie, as its section headers say.
type Sections struct {
	All []Range
	// Tables hold addresses for the module's code alone: the linker's tables, whose
	// words the code reads each by its own address.
	Tables []Range
	Sets   []Set
	// Constructors and Destructors are the lists of the functions that are called
	// before main and at the end.
	Constructors, Destructors []Range
}

// A Set is a section that the program has made of its own. The linker gives code the
// addresses where it starts and ends (__start_NAME and __stop_NAME, or what a linker
// script says), to go through the objects that any file has put there.
type Set struct {
	Range
	// Compared says that code does not go through it, but only asks whether something
	// is in it.
	Compared bool
}

// comparedSet is the section in which glibc has the functions of streams. A stream is
// asked whether it has those (libio/libioP.h, IO_validate_vtable).
const comparedSet = "__libc_IO_vtables"

// Sections returns the sections of the module's data; none where the section headers
// are gone.
func (m *Module) Sections() (out Sections) {
	o := m.object
	if o.sections.End == 0 {
		return out
	}
	n := int(o.sections.End-o.sections.Start) / o.shdr
	names, _ := o.sectionAt(int(binary.LittleEndian.Uint16(o.data[o.ehdr-2:])), n)
	for i := range n {
		s, ok := o.sectionAt(i, n)
		if !ok || s.flags&elf.SHF_ALLOC == 0 || s.flags&(elf.SHF_EXECINSTR|elf.SHF_TLS) != 0 || len(s.data) == 0 {
			continue
		}
		r := Range{m.Base + s.addr, m.Base + s.addr + uint64(len(s.data))}
		out.All = append(out.All, r)
		switch name := cstring(names.data, uint64(s.name)); {
		case name == ".got", name == ".got.plt", name == ".dynamic":
			out.Tables = append(out.Tables, r)
		case s.typ == elf.SHT_INIT_ARRAY, s.typ == elf.SHT_PREINIT_ARRAY:
			out.Constructors = append(out.Constructors, r)
		case s.typ == elf.SHT_FINI_ARRAY:
			out.Destructors = append(out.Destructors, r)
		case s.typ == elf.SHT_PROGBITS && !ordinary(name):
			out.Sets = append(out.Sets, Set{r, name == comparedSet})
		}
	}
	return out
}

// ordinary reports that name is that of a section which compilers and linkers make, in
// which objects have nothing to do with their neighbours.
func ordinary(name string) bool {
	for _, prefix := range [...]string{
		".data", ".rodata", ".sdata", ".srodata", ".ldata", ".lrodata", ".got", ".plt", ".eh_frame", ".gcc_except_table",
		".interp", ".tm_clone_table", ".ARM.", ".go.", ".gopclntab", ".gosymtab", ".itablink", ".typelink", ".noptrdata",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// linkerLabels are the symbols that linkers put where sections start and end.
var linkerLabels = [...]string{"data_start", "__data_start", "edata", "_edata", "__bss_start", "__bss_start__", "_bss_end__", "__bss_end__", "end", "_end", "__end__", "etext", "_etext", "__etext"}

// Labels yields the addresses that have a name without being that of an object with a
// size, other than those that linkers give one in every file.
func (m *Module) Labels(yield func(addr uint64) bool) {
	t := m.debug()
	for i := range t.len() {
		s := t.at(i)
		if s.size != 0 || s.typ() != elf.STT_NOTYPE && s.typ() != elf.STT_OBJECT || !m.defines(s) {
			continue
		}
		// Assemblers mark with $d and $x what is data and what is code.
		if name := string(t.name(s)); !strings.HasPrefix(name, "$") && !slices.Contains(linkerLabels[:], name) && !yield(m.address(s)) {
			return
		}
	}
}
