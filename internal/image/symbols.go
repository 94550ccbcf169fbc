package image

import (
	"debug/elf"
	"encoding/binary"
)

// A symbolTable is the symbols of an object as its file has them: the dynamic
// ones, or those that the linker left for debuggers.
type symbolTable struct {
	*layout
	records []byte
	strings []byte
	versym  []byte   // 2 bytes a symbol; nil: the object has no versions
	version []string // names of the versions, by index
}

// A rawSymbol is one entry of a symbolTable.
type rawSymbol struct {
	name        uint32
	value, size uint64
	info, other byte
	section     elf.SectionIndex
}

// A versym has its top bit set where the version is not the default one.
const versionHidden = 0x8000

func (t *symbolTable) len() int { return len(t.records) / t.symSize }

func (t *symbolTable) at(i int) rawSymbol {
	b := t.records[i*t.symSize:][:t.symSize]
	le := binary.LittleEndian
	if t.size == 4 {
		return rawSymbol{le.Uint32(b), uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[8:])), b[12], b[13], elf.SectionIndex(le.Uint16(b[14:]))}
	}
	return rawSymbol{le.Uint32(b), le.Uint64(b[8:]), le.Uint64(b[16:]), b[4], b[5], elf.SectionIndex(le.Uint16(b[6:]))}
}

func (t *symbolTable) name(s rawSymbol) []byte { return cbytes(t.strings, uint64(s.name)) }

func (s rawSymbol) typ() elf.SymType       { return elf.SymType(s.info & 15) }
func (s rawSymbol) bind() elf.SymBind      { return elf.SymBind(s.info >> 4) }
func (s rawSymbol) visibility() elf.SymVis { return elf.SymVis(s.other & 3) }

// versionOf returns the version of symbol i: its index, its name, "" for the
// base, and whether only those who ask for it by name get it.
func (t *symbolTable) versionOf(i int) (index int, name string, hidden bool) {
	if 2*i+2 > len(t.versym) {
		return 0, "", false
	}
	v := binary.LittleEndian.Uint16(t.versym[2*i:])
	if index = int(v &^ versionHidden); index < len(t.version) {
		name = t.version[index]
	}
	return index, name, v&versionHidden != 0
}

// dynamicSymbols reads the dynamic symbol table, whose length only the hash
// tables tell.
func (o *object) dynamicSymbols() *symbolTable {
	d := o.dynamic
	t := &symbolTable{layout: o.layout}
	if d == nil {
		return t
	}
	b := o.bytes(d.symbols)
	n := min(o.hashed(), uint64(len(b)/o.symSize))
	if d.symbols == 0 || d.symbolSize != 0 && d.symbolSize != uint64(o.symSize) {
		n = 0
	}
	t.records = b[:n*uint64(o.symSize)]
	t.strings = o.table(d.strings, d.stringsSize)
	if d.versym != 0 {
		t.versym = o.table(d.versym, 2*n)
		t.version = o.versions()
	}
	return t
}

// hashed returns the number of dynamic symbols. DT_HASH has it; DT_GNU_HASH has
// the first symbol of each bucket, ascending, and a bit that ends its chain.
func (o *object) hashed() uint64 {
	le := binary.LittleEndian
	if b := o.table(o.dynamic.hash, 8); b != nil {
		return uint64(le.Uint32(b[4:]))
	}
	b := o.bytes(o.dynamic.gnuHash)
	if o.dynamic.gnuHash == 0 || len(b) < 16 {
		return o.referenced()
	}
	buckets, first, bloom := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[8:]))
	at := 16 + bloom*uint64(o.size)
	chains := at + 4*buckets
	if chains > uint64(len(b)) {
		return 0
	}
	last := uint64(0)
	for ; at < chains; at += 4 {
		last = max(last, uint64(le.Uint32(b[at:])))
	}
	if last < first {
		return max(first, o.referenced())
	}
	for ; ; last++ {
		at := chains + 4*(last-first)
		if at+4 > uint64(len(b)) {
			return 0
		}
		if le.Uint32(b[at:])&1 != 0 {
			return last + 1
		}
	}
}

// referenced returns one more than the greatest symbol that a relocation names:
// an object that defines none may have no hash table that covers its own.
func (o *object) referenced() uint64 {
	n := uint64(0)
	o.relocations(func(r relocation) bool {
		n = max(n, uint64(r.symbol)+1)
		return true
	})
	return n
}

// maxVersions bounds the versions of one object: they have 15 bits.
const maxVersions = 1 << 15

// versions returns the names of the object's versions, those that it defines and
// those that it needs, by their index.
func (o *object) versions() []string {
	le := binary.LittleEndian
	var out []string
	set := func(index uint16, name string) {
		k := int(index &^ versionHidden)
		for len(out) <= k {
			out = append(out, "")
		}
		out[k] = name
	}
	d := o.dynamic
	steps := 0
	b := o.bytes(d.verdef)
	for range d.verdefs {
		if steps++; d.verdef == 0 || len(b) < 20 || steps > maxVersions {
			break
		}
		flags, index, aux, next := le.Uint16(b[2:]), le.Uint16(b[4:]), uint64(le.Uint32(b[12:])), uint64(le.Uint32(b[16:]))
		// The base version is the file's own name, which no reference asks for.
		if aux+4 <= uint64(len(b)) && flags&1 == 0 {
			set(index, o.str(uint64(le.Uint32(b[aux:]))))
		}
		if next == 0 || next > uint64(len(b)) {
			break
		}
		b = b[next:]
	}
	b = o.bytes(d.verneed)
	for range d.verneeds {
		if d.verneed == 0 || len(b) < 16 {
			break
		}
		count, at, next := le.Uint16(b[2:]), uint64(le.Uint32(b[8:])), uint64(le.Uint32(b[12:]))
		for range count {
			if steps++; at+16 > uint64(len(b)) || steps > maxVersions {
				break
			}
			set(le.Uint16(b[at+6:]), o.str(uint64(le.Uint32(b[at+8:]))))
			step := uint64(le.Uint32(b[at+12:]))
			if step == 0 {
				break
			}
			at += step
		}
		if next == 0 || next > uint64(len(b)) {
			break
		}
		b = b[next:]
	}
	return out
}

// debugSymbols reads the symbols that the linker left for debuggers, if they
// were not stripped.
func (o *object) debugSymbols() *symbolTable {
	t := &symbolTable{layout: o.layout}
	s, ok := o.section(func(_ string, typ elf.SectionType) bool { return typ == elf.SHT_SYMTAB })
	if !ok {
		return t
	}
	n := int(o.sections.End-o.sections.Start) / o.shdr
	names, ok := o.sectionAt(s.link, n)
	if !ok {
		return t
	}
	t.records, t.strings = s.data, names.data
	return t
}
