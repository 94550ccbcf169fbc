package image

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sysgate/sysgate/abi"
)

// A Module is one ELF file in the address space of a program: the executable, a
// library or the dynamic loader.
type Module struct {
	// Path is where the dynamic loader finds the file, inside [LoadOptions.Root]
	// if there is one; of the executable the path that was given.
	Path string
	// Soname is the name that others need it by, DT_SONAME or the file's name.
	Soname  string
	BuildID string // hexadecimal; "" if it has none
	// Base is what was added to the addresses that it was linked for; Range is
	// where it lies now.
	Base  uint64
	Range Range
	Entry uint64 // 0: none
	// Init are the functions that the loader calls before the program's own entry,
	// or when the library is loaded, in order; Fini those it calls at exit.
	Init, Fini []uint64
	Needed     []string // as the file names them
	// Loader says that it is the dynamic loader, Extra that only
	// [LoadOptions.Libraries] brought it.
	Loader, Extra bool
	// Undefined are the functions and objects that it needs and nothing defines,
	// weak ones not among them. A call of one ends the program.
	Undefined []string

	object       *object
	space        *File
	firstSegment int     // of the object's, in the space
	origin       string  // what $ORIGIN is
	parent       *Module // that first needed it
	dynsym       *symbolTable
	debug        func() *symbolTable
	names        func() *nameIndex
	frames       func() []frame
	bindings     [32]byte // see Bindings
	functions    []Extent // see Extents
	arm          *armCode // nil: no code for arm but Go's
	seeds        []uint64 // of arm: where functions start, the lowest bit says Thumb
	copies       bool     // objects of others are copied into it
}

func newModule(o *object, base uint64, space *File) *Module {
	start, end := o.span()
	m := &Module{
		Path: o.path, Soname: fileName(o.path), BuildID: o.buildID, Base: base, Range: Range{base + start, base + end},
		object: o, space: space, dynsym: o.dynamicSymbols(), debug: sync.OnceValue(o.debugSymbols),
	}
	if o.entry != 0 {
		m.Entry = base + o.entry
	}
	if d := o.dynamic; d != nil {
		if name := o.str(d.soname); d.soname != 0 && readable(name) {
			m.Soname = name
		}
		for _, n := range d.needed {
			m.Needed = append(m.Needed, o.str(n))
		}
	}
	m.names = sync.OnceValue(m.buildNames)
	m.frames = sync.OnceValue(m.readFrames)
	return m
}

// setPath says where the loader found the module.
func (m *Module) setPath(p string) {
	m.Path, m.origin = p, path.Dir(p)
	if d := m.object.dynamic; d == nil || d.soname == 0 || !readable(m.object.str(d.soname)) {
		m.Soname = fileName(p)
	}
}

// fileName returns the last element of a path, without blanks.
func fileName(p string) string {
	return strings.Join(strings.Fields(path.Base(filepath.ToSlash(p))), "_")
}

// move puts the module at base.
func (m *Module) move(base uint64) {
	m.Base = base
	if m.Entry != 0 {
		m.Entry += base
	}
}

// segments are the module's parts of the program's address space.
func (m *Module) segments() []Segment {
	return m.space.Segments[m.firstSegment:][:len(m.object.segments)]
}

// bytes returns what the module holds from addr, in the program's address space,
// to the end of the segment there.
func (m *Module) bytes(addr uint64) []byte { return bytesAt(m.segments(), addr) }

// Machine returns the ABI that the module's code is for.
func (m *Module) Machine() abi.ABI { return m.object.machine }

// Size returns the length of the file in bytes.
func (m *Module) Size() int64 { return int64(len(m.object.data)) }

// Contents returns the whole file, as it is on disk.
func (m *Module) Contents() []byte { return m.object.data }

// digested is how much of a file is read at once for its digest: a multiple of the
// size of a page.
const digested = 1 << 20

// Digest returns the SHA-256 of the whole file, as it is on disk. What is read for it
// does not stay in the process's memory.
func (m *Module) Digest() (digest [32]byte) {
	h := sha256.New()
	for data := range slices.Chunk(m.object.data, digested) {
		if h.Write(data); m.object.file != nil { // memory of our own would be lost
			forget(data)
		}
	}
	h.Sum(digest[:0])
	return digest
}

// A SymbolKind says what a symbol stands for.
type SymbolKind uint8

// The kinds of symbols. A resolver is a function that returns the address of
// the function that the symbol's users get (STT_GNU_IFUNC).
const (
	SymbolOther SymbolKind = iota
	SymbolFunc
	SymbolObject
	SymbolResolver
)

// A Symbol is a definition in a module.
type Symbol struct {
	Module   *Module
	Name     string
	Version  string // "" without one
	Addr     uint64 // in the program's address space
	Size     uint64 // 0: not stated
	Kind     SymbolKind
	Exported bool // others can refer to it
}

// Symbols yields the symbols that the module defines: those that it exports
// with each of their versions, then those that were left for debuggers. Many
// are in both.
func (m *Module) Symbols(yield func(Symbol) bool) {
	for i := range m.dynsym.len() {
		if s := m.dynsym.at(i); m.defines(s) && !yield(m.symbol(m.dynsym, i, s, true)) {
			return
		}
	}
	debug := m.debug()
	for i := range debug.len() {
		if s := debug.at(i); m.defines(s) && !yield(m.symbol(debug, i, s, false)) {
			return
		}
	}
}

// SymbolsFrom is Symbols for the names that start with prefix.
func (m *Module) SymbolsFrom(prefix string) iter.Seq[Symbol] {
	return func(yield func(Symbol) bool) {
		for _, t := range [...]*symbolTable{m.dynsym, m.debug()} {
			for i := range t.len() {
				s := t.at(i)
				if bytes.HasPrefix(t.name(s), []byte(prefix)) && m.defines(s) && !yield(m.symbol(t, i, s, t == m.dynsym)) {
					return
				}
			}
		}
	}
}

// Names returns the names of the symbols and libraries that the module refers to or
// defines for others, each with a zero behind it.
func (m *Module) Names() []byte { return m.dynsym.strings }

// Exports yields where the functions lie that the module exports, for each of their names.
func (m *Module) Exports(yield func(addr uint64) bool) {
	for i := range m.dynsym.len() {
		s := m.dynsym.at(i)
		if s.kind() == SymbolFunc && s.bind() != elf.STB_LOCAL && m.defines(s) && !yield(m.address(s)) {
			return
		}
	}
}

// Objects yields where the objects lie that symbols describe.
func (m *Module) Objects(yield func(Range) bool) {
	for _, t := range [...]*symbolTable{m.dynsym, m.debug()} {
		for i := range t.len() {
			s := t.at(i)
			if at := m.address(s); s.size > 0 && s.kind() == SymbolObject && m.defines(s) && !yield(Range{at, at + s.size}) {
				return
			}
		}
	}
}

func (m *Module) symbol(t *symbolTable, i int, s rawSymbol, exported bool) Symbol {
	out := Symbol{Module: m, Name: string(t.name(s)), Addr: m.address(s), Size: s.size, Kind: s.kind()}
	if exported {
		_, out.Version, _ = t.versionOf(i)
		out.Exported = s.bind() != elf.STB_LOCAL
	}
	return out
}

func (s rawSymbol) kind() SymbolKind {
	switch s.typ() {
	case elf.STT_FUNC:
		return SymbolFunc
	case elf.STT_OBJECT, elf.STT_COMMON:
		return SymbolObject
	case elf.STT_GNU_IFUNC:
		return SymbolResolver
	}
	return SymbolOther
}

// defines reports that s is an address in the module.
func (m *Module) defines(s rawSymbol) bool {
	return s.section != elf.SHN_UNDEF && s.section != elf.SHN_ABS && s.value != 0 &&
		s.typ() != elf.STT_TLS && s.typ() != elf.STT_FILE && s.typ() != elf.STT_SECTION
}

// address returns where the symbol lies in the program's address space. Absolute
// symbols stay where they are.
func (m *Module) address(s rawSymbol) uint64 {
	if s.section == elf.SHN_ABS {
		return s.value
	}
	return m.Base + s.value&^m.thumb(s)
}

// thumb returns the bit by which the value of a symbol, and pointers to the function, say
// that it is Thumb code of arm.
func (m *Module) thumb(s rawSymbol) uint64 {
	if k := s.kind(); m.object.machine == abi.ARM && (k == SymbolFunc || k == SymbolResolver) {
		return s.value & 1
	}
	return 0
}

// canonical reports that s stands for the function of a library, at the
// executable's own stub for it: where its address was taken before anyone knew
// where the function would be.
func (m *Module) canonical(s rawSymbol) bool {
	return m.object.typ == elf.ET_EXEC && s.section == elf.SHN_UNDEF && s.typ() == elf.STT_FUNC
}
