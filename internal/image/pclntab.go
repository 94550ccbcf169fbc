package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// A Program is what is known about the code of a program: all functions of all
// its modules, those of Go by the table that the linker leaves, the others by
// their unwind data and symbols.
type Program struct {
	*File
	// Build is what the executable says about itself if it is Go's; its Version is
	// "" for all others.
	Build BuildInfo
	// Library says that the executable is a shared library, which others load and
	// whose exported functions they call.
	Library bool
	// Modules are the files in the order in which the dynamic loader looks up
	// symbols: the executable first.
	Modules []*Module
	// Assumptions say what may be otherwise where the program runs.
	Assumptions []string
	// Missing are the libraries of [LoadOptions.Optional], and what they need, that
	// are not there.
	Missing []string
	// GoLibraries are those of them that are Go's: each has a runtime of its own, and is
	// a program to be looked at alone.
	GoLibraries []string
	// Text and Etext bound the code of all modules, and what lies between.
	// Function offsets count from Text.
	Text, Etext uint64
	// GoText bounds the code of Go; method offsets count from its start. It is
	// empty where there is none.
	GoText Range
	// Types bounds the type descriptors of Go.
	Types Range
	// PointerFree bounds the variables of Go that its garbage collector does not look
	// into: they hold addresses only if assembly puts them there.
	PointerFree Range
	// Table bounds Go's function table itself.
	Table Range
	// Inert are the parts of data that hold no address of a function, however much a
	// word of them looks like one: the function table, lists of types and, where nothing
	// else is among them, the types.
	Inert []Range
	// Funcs are all functions, ascending. Of Go's each ends where the next starts;
	// between others there may be padding. All other executable bytes are in one.
	Funcs []Func

	stubs   map[uint32]uint64 // slots of stubs, by their offsets
	unknown map[uint32]bool   // functions that are not known to be any

	legacy  bool   // the 1.16 form: entries are addresses
	quantum uint64 // the unit in which tables count instructions
	names   []byte
	gofunc  uint64 // what offsets of function data count from; 0: they are addresses
	cus     []byte
	files   []byte
	pctab   []byte
	pcln    []byte
	idAt    int // offset of funcID in _func
	// module is the address of runtime.moduledata; its word modTypes bounds Types.
	module   uint64
	modTypes int
	named    map[string]*Module // by the names that others need or open them by
	root     rootFS             // that the program sees
	// first[k] is the function that holds the byte at offset k<<bucketBits.
	first []uint32
}

const bucketBits = 12

// A Func is one entry of the function table.
type Func struct {
	Entry, End uint32 // offsets from Program.Text
	record     uint32 // offset of its _func in pcln; foreign: none
}

// The three forms of the table since Go 1.16: 1.18 turned addresses into
// offsets from the text, 1.20 added the start line. Then two zero bytes; the
// instruction quantum and the size of a pointer follow.
var pclntabMagics = [][]byte{
	[]byte("\xf1\xff\xff\xff\x00\x00"),
	[]byte("\xf0\xff\xff\xff\x00\x00"),
	[]byte("\xfa\xff\xff\xff\x00\x00"),
}

// quanta are the units in which tables count instructions, by machine: their
// alignment, which for riscv64 became 2 when Go took to compressed ones.
var quanta = map[abi.ABI][]byte{
	abi.AMD64: {1}, abi.I386: {1}, abi.ARM64: {4}, abi.ARM: {4}, abi.RISCV64: {4, 2},
}

const (
	maxFuncs = 1 << 24
	maxTypes = 1 << 24
)

// findGo finds the tables of a Go program. It establishes that the functions are
// in order and inside one executable segment, and that their records lie inside
// the table.
func (f *File) findGo() (*Program, error) {
	build, err := f.buildInfo()
	if err != nil {
		return nil, err
	}
	p := &Program{File: f, Build: *build}
	found := f.eachTable(func(addr uint64, tab []byte, form int) bool { return p.load(addr, tab, form) })
	if !found && build.Minor > maxMinor {
		return nil, &RefusedError{
			Path: f.Path, Reason: fmt.Sprintf("built with %s, whose tables are not those of Go 1.%d to 1.%d", build.Version, minMinor, maxMinor),
			Hint: "build it with one of these, or record what runs call: sysgate record -- COMMAND",
		}
	}
	if !found {
		return nil, &RefusedError{
			Path: f.Path, Reason: fmt.Sprintf("no function table (pclntab) of %s found: obfuscated or damaged", build.Version),
			Hint: "record what runs call: sysgate record -- COMMAND",
		}
	}
	p.GoText = Range{p.Text, p.Etext}
	return p, nil
}

// eachTable calls ok with what starts like a function table, until it returns
// true.
func (f *File) eachTable(ok func(addr uint64, tab []byte, form int) bool) bool {
	for form, magic := range pclntabMagics {
		for _, s := range f.Segments {
			for at := 0; at < len(s.Data); {
				i := bytes.Index(s.Data[at:], magic)
				if i < 0 {
					break
				}
				at += i
				if (s.Addr+uint64(at))%f.word == 0 && ok(s.Addr+uint64(at), s.Data[at:], form) {
					return true
				}
				at += len(magic)
			}
		}
	}
	return false
}

// load takes the table at addr if the program's moduledata points at it.
func (p *Program) load(addr uint64, tab []byte, form int) bool {
	p.legacy = form == 2
	words := 8 // nfunc, nfiles, textStart, then the offsets of five tables
	if p.legacy {
		words = 7
	}
	size := int(p.word)
	if len(tab) < 8+size*words || !slices.Contains(quanta[p.ABI], tab[6]) || uint64(tab[7]) != p.word {
		return false
	}
	p.quantum = uint64(tab[6])
	header := make([]uint64, words)
	for i := range header {
		header[i] = p.ReadWord(tab[8+size*i:])
	}
	nfunc, offsets := header[0], header[words-5:]
	if nfunc == 0 || nfunc > maxFuncs {
		return false
	}
	for i, o := range offsets {
		if o > uint64(len(tab)) || i > 0 && o < offsets[i-1] {
			return false
		}
	}
	p.names = tab[offsets[0]:offsets[1]]
	p.cus = tab[offsets[1]:offsets[2]]
	p.files = tab[offsets[2]:offsets[3]]
	p.pctab = tab[offsets[3]:offsets[4]]
	p.pcln = tab[offsets[4]:]
	p.Table = Range{addr, addr + uint64(len(tab))}
	module, ok := p.findModule(addr, offsets, nfunc)
	return ok && p.loadModule(module) && p.loadFuncs(int(nfunc), form)
}

// Words of runtime.moduledata, the same from Go 1.16 to 1.27.
const (
	modHeader = 0
	modNames  = 1
	modFtab   = 16
	modFtabN  = 17
	modText   = 22
	modEtext  = 23
	modNoptr  = 24 // and where it ends
)

// findModule finds runtime.moduledata by the pointers that it starts with.
func (p *Program) findModule(addr uint64, offsets []uint64, nfunc uint64) (module uint64, ok bool) {
	size := p.word
	key := make([]byte, 2*size)
	for i, w := range []uint64{addr, addr + offsets[0]} {
		for k := range size {
			key[uint64(i)*size+k] = byte(w >> (8 * k))
		}
	}
	for _, s := range p.Segments {
		for at := 0; s.Write && at < len(s.Data); at += int(size) {
			i := bytes.Index(s.Data[at:], key)
			if i < 0 {
				break
			}
			at += i
			m := s.Addr + uint64(at)
			ftab, _ := p.Word(m + size*modFtab)
			n, _ := p.Word(m + size*modFtabN)
			if m%size == 0 && ftab == addr+offsets[4] && n == nfunc+1 {
				return m, true
			}
			at -= at % int(size)
		}
	}
	return 0, false
}

func (p *Program) loadModule(module uint64) bool {
	word := func(i int) uint64 { w, _ := p.Word(module + p.word*uint64(i)); return w }
	p.Text, p.Etext = word(modText), word(modEtext)
	at, ok := p.moduleWords(word)
	if !ok {
		return false
	}
	p.module, p.modTypes = module, at.types
	p.Types = Range{word(at.types), word(at.etypes)}
	p.PointerFree = Range{word(modNoptr), word(modNoptr + 1)}
	p.Inert = nil
	if at.itabs > 0 { // which follow the types, and are none
		p.Types.End = min(p.Types.End, p.Types.Start+word(at.itabs))
		p.Inert = append(p.Inert, p.Types)
	} else if links, n := word(at.sections+3), word(at.sections+4); p.Segment(links) != nil && n < maxTypes {
		p.Inert = append(p.Inert, Range{links, links + 4*n}) // offsets of types: typelinks []int32
	}
	if at.gofunc > 0 {
		p.gofunc = word(at.gofunc)
	}
	// What the linker puts behind the table holds function values since Go 1.27.
	if end := word(at.epclntab); at.epclntab > 0 && end > p.Table.Start {
		p.Table.End = min(p.Table.End, end)
	}
	p.Inert = append(p.Inert, p.Table)
	if s := p.Segment(p.Types.Start); s == nil || p.Types.End < p.Types.Start || p.Types.End > s.Addr+s.MemSize {
		return false
	}
	seg := p.Segment(p.Text)
	return seg != nil && seg.Exec && p.Text < p.Etext && p.Etext-seg.Addr <= uint64(len(seg.Data)) &&
		word(at.sections+1) <= 1
}

// moduleWords are the words of runtime.moduledata that releases have moved.
type moduleWords struct {
	types, etypes int // the bounds of the type descriptors
	itabs         int // the offset of interface tables from types; 0: they are elsewhere
	gofunc        int // the base of what functions carry; 0: there is none
	epclntab      int // the end of the function table; 0: nothing behind it has addresses
	sections      int // the table of text sections
}

// modules are the layouts, each with the first release that has it.
var modules = []struct {
	minor int
	moduleWords
}{
	{16, moduleWords{types: 35, etypes: 36, sections: 37}},
	{18, moduleWords{types: 35, etypes: 36, gofunc: 38, sections: 39}},
	{20, moduleWords{types: 37, etypes: 38, gofunc: 40, sections: 41}}, // coverage counters
	{26, moduleWords{types: 37, etypes: 38, gofunc: 40, sections: 42}}, // epclntab
	{27, moduleWords{types: 37, etypes: 39, itabs: 40, gofunc: 43, epclntab: 44, sections: 45}},
}

// moduleWords returns the layout of moduledata, of which word returns a word. A
// release after those that are known has one of theirs, by what the words say, or
// none.
func (p *Program) moduleWords(word func(int) uint64) (at moduleWords, ok bool) {
	for _, m := range slices.Backward(modules) {
		switch at = m.moduleWords; {
		case p.Build.Newer() && m.minor >= sureMinor && p.laidOut(&at, word):
			return at, true
		case !p.Build.Newer() && m.minor <= p.Build.Minor:
			return at, true
		}
	}
	return moduleWords{}, false
}

// sureMinor is the first release of which laidOut tells the layout by the words.
const sureMinor = 26

// sectionSlack is by how much the table of text sections may exceed the text: the
// linker counts what it aligns.
const sectionSlack = 64

// laidOut reports whether the words are those of a layout: the bounds of the types
// in data that is not written, and a table of text sections, of which there is one
// and it starts at the text. The table may be some words further on, which it sets.
func (p *Program) laidOut(at *moduleWords, word func(int) uint64) bool {
	types, etypes := word(at.types), word(at.etypes)
	seg := p.Segment(types)
	if seg == nil || seg.Exec || p.Writable(types) || etypes <= types || etypes > seg.Addr+seg.MemSize {
		return false
	}
	const furthest = 64
	for ; at.sections < furthest; at.sections++ {
		table := word(at.sections)
		of := func(i uint64) uint64 { w, _ := p.Word(table + p.word*i); return w }
		if word(at.sections+1) == 1 && word(at.sections+2) == 1 && of(0) == 0 && of(2) == p.Text && of(1) > 0 && of(1) <= p.Etext-p.Text+sectionSlack {
			return true
		}
	}
	return false
}

func (p *Program) loadFuncs(nfunc, form int) bool {
	p.idAt = 40
	if form == 1 || p.legacy && p.word == 4 {
		p.idAt = 36
	}
	size := 8
	if p.legacy {
		size = 2 * int(p.word)
	}
	if len(p.pcln) < nfunc*size+size/2 {
		return false
	}
	entry := func(i int) uint64 {
		if p.legacy {
			return p.ReadWord(p.pcln[i*size:]) - p.Text
		}
		return uint64(binary.LittleEndian.Uint32(p.pcln[i*size:]))
	}
	p.Funcs = make([]Func, 0, nfunc)
	for i := range nfunc {
		start, end := entry(i), entry(i+1)
		record := uint64(binary.LittleEndian.Uint32(p.pcln[i*size+size/2:]))
		if start > end || end > p.Etext-p.Text || record+uint64(p.idAt)+4 > uint64(len(p.pcln)) {
			return false
		}
		if start < end { // labels of the race detector's assembly are functions, too
			p.Funcs = append(p.Funcs, Func{Entry: uint32(start), End: uint32(end), record: uint32(record)})
		}
	}
	p.index()
	return true
}

// index makes Find ready.
func (p *Program) index() {
	p.first = nil
	for i, f := range p.Funcs {
		for uint64(f.End) > uint64(len(p.first))<<bucketBits {
			p.first = append(p.first, uint32(i))
		}
	}
}

// Find returns the index of the function that holds addr.
func (p *Program) Find(addr uint64) (int, bool) {
	off := addr - p.Text
	if off>>bucketBits >= uint64(len(p.first)) {
		return 0, false
	}
	for i := int(p.first[off>>bucketBits]); i < len(p.Funcs) && uint64(p.Funcs[i].Entry) <= off; i++ {
		if off < uint64(p.Funcs[i].End) {
			return i, true
		}
	}
	return 0, false
}

// Code returns the address and the bytes of function i.
func (p *Program) Code(i int) (addr uint64, code []byte) {
	f := p.Funcs[i]
	addr = p.Text + uint64(f.Entry)
	return addr, p.Bytes(addr)[:f.End-f.Entry]
}
