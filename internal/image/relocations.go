package image

import (
	"debug/elf"
	"encoding/binary"

	"github.com/sysgate/sysgate/abi"
)

// A relocation is one thing that the dynamic loader writes.
type relocation struct {
	addr    uint64 // where, as linked
	kind    relocationKind
	symbol  uint32
	addend  uint64
	inPlace bool // the addend is what the word at addr holds
	typ     uint32
}

// A relocationKind is what a relocation means, on whichever machine.
type relocationKind uint8

const (
	relUnknown  relocationKind = iota
	relNone                    // writes no address of code or data: nothing, or a thread's offset
	relRelative                // base + addend
	relSymbol                  // the symbol's address + addend
	relGlobal                  // the symbol's address
	relSlot                    // the symbol's address, which may be found at the first call only
	relCopy                    // the content of the symbol's object
	relResolved                // what the function at base + addend returns
)

// relocationKinds are the types that linkers write into executables and
// libraries, by the machines' ABI supplements.
var relocationKinds = map[abi.ABI]map[uint32]relocationKind{
	abi.AMD64: {
		uint32(elf.R_X86_64_NONE): relNone, uint32(elf.R_X86_64_64): relSymbol, uint32(elf.R_X86_64_COPY): relCopy,
		uint32(elf.R_X86_64_GLOB_DAT): relGlobal, uint32(elf.R_X86_64_JMP_SLOT): relSlot, uint32(elf.R_X86_64_RELATIVE): relRelative,
		uint32(elf.R_X86_64_DTPMOD64): relNone, uint32(elf.R_X86_64_DTPOFF64): relNone, uint32(elf.R_X86_64_TPOFF64): relNone,
		uint32(elf.R_X86_64_TLSDESC): relNone, uint32(elf.R_X86_64_SIZE64): relNone, uint32(elf.R_X86_64_IRELATIVE): relResolved,
	},
	abi.I386: {
		uint32(elf.R_386_NONE): relNone, uint32(elf.R_386_32): relSymbol, uint32(elf.R_386_COPY): relCopy,
		uint32(elf.R_386_GLOB_DAT): relGlobal, uint32(elf.R_386_JMP_SLOT): relSlot, uint32(elf.R_386_RELATIVE): relRelative,
		uint32(elf.R_386_TLS_TPOFF): relNone, uint32(elf.R_386_TLS_DTPMOD32): relNone, uint32(elf.R_386_TLS_DTPOFF32): relNone,
		uint32(elf.R_386_TLS_TPOFF32): relNone, uint32(elf.R_386_TLS_DESC): relNone, uint32(elf.R_386_IRELATIVE): relResolved,
	},
	abi.ARM64: {
		uint32(elf.R_AARCH64_NONE): relNone, uint32(elf.R_AARCH64_ABS64): relSymbol, uint32(elf.R_AARCH64_COPY): relCopy,
		uint32(elf.R_AARCH64_GLOB_DAT): relGlobal, uint32(elf.R_AARCH64_JUMP_SLOT): relSlot, uint32(elf.R_AARCH64_RELATIVE): relRelative,
		uint32(elf.R_AARCH64_TLS_DTPMOD64): relNone, uint32(elf.R_AARCH64_TLS_DTPREL64): relNone, uint32(elf.R_AARCH64_TLS_TPREL64): relNone,
		uint32(elf.R_AARCH64_TLSDESC): relNone, uint32(elf.R_AARCH64_IRELATIVE): relResolved,
	},
	abi.ARM: {
		uint32(elf.R_ARM_NONE): relNone, uint32(elf.R_ARM_ABS32): relSymbol, uint32(elf.R_ARM_COPY): relCopy,
		uint32(elf.R_ARM_GLOB_DAT): relGlobal, uint32(elf.R_ARM_JUMP_SLOT): relSlot, uint32(elf.R_ARM_RELATIVE): relRelative,
		uint32(elf.R_ARM_TLS_DTPMOD32): relNone, uint32(elf.R_ARM_TLS_DTPOFF32): relNone, uint32(elf.R_ARM_TLS_TPOFF32): relNone,
		13: relNone /* R_ARM_TLS_DESC */, uint32(elf.R_ARM_IRELATIVE): relResolved,
	},
	abi.RISCV64: {
		uint32(elf.R_RISCV_NONE): relNone, uint32(elf.R_RISCV_64): relSymbol, uint32(elf.R_RISCV_COPY): relCopy,
		uint32(elf.R_RISCV_JUMP_SLOT): relSlot, uint32(elf.R_RISCV_RELATIVE): relRelative,
		uint32(elf.R_RISCV_TLS_DTPMOD64): relNone, uint32(elf.R_RISCV_TLS_DTPREL64): relNone, uint32(elf.R_RISCV_TLS_TPREL64): relNone,
		12: relNone /* R_RISCV_TLSDESC */, 58: relResolved, /* R_RISCV_IRELATIVE */
	},
}

// relocations yields what the loader does to the object, in its order: the
// packed ones, those of data, those of slots.
func (o *object) relocations(yield func(relocation) bool) (malformed bool) {
	d := o.dynamic
	if d == nil {
		return !o.resolvedByStart(yield)
	}
	if d.relrSize != 0 {
		b := o.table(d.relr, d.relrSize)
		if b == nil {
			return true
		}
		if !o.packed(b, yield) {
			return false
		}
	}
	tables := [...]struct {
		addr, size uint64
		rela       bool
		entry      uint64
	}{
		{d.rela, d.relaSize, true, d.relaEntry},
		{d.rel, d.relSize, false, d.relEntry},
		{d.plt, d.pltSize, d.pltForm != uint64(elf.DT_REL), 0},
	}
	for _, t := range tables {
		if t.size == 0 {
			continue
		}
		b := o.table(t.addr, t.size)
		if b == nil || t.entry != 0 && t.entry != uint64(o.relocationSize(t.rela)) {
			return true
		}
		if !o.eachRelocation(b, t.rela, yield) {
			return false
		}
	}
	return false
}

func (e *layout) relocationSize(rela bool) int {
	if rela {
		return 3 * e.size
	}
	return 2 * e.size
}

func (o *object) eachRelocation(b []byte, rela bool, yield func(relocation) bool) bool {
	kinds := relocationKinds[o.machine]
	relative := uint32(0) // most are of this type
	for t, k := range kinds {
		if k == relRelative {
			relative = t
		}
	}
	size := o.relocationSize(rela)
	for ; len(b) >= size; b = b[size:] {
		r := relocation{addr: o.word(b, 0), inPlace: !rela}
		if o.size == 4 {
			info := binary.LittleEndian.Uint32(b[4:])
			r.typ, r.symbol = info&0xff, info>>8
		} else {
			r.typ, r.symbol = binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
		}
		if rela {
			r.addend = o.word(b, 2*o.size)
		}
		r.kind = relRelative
		if r.typ != relative {
			r.kind = kinds[r.typ]
		}
		if !yield(r) {
			return false
		}
	}
	return true
}

// packed yields the relative relocations of DT_RELR: an address, then words
// whose bits from the second on stand for the words behind it.
func (o *object) packed(b []byte, yield func(relocation) bool) bool {
	size := uint64(o.size)
	at := uint64(0)
	for ; len(b) >= o.size; b = b[o.size:] {
		w := o.word(b, 0)
		if w&1 == 0 {
			if !yield(relocation{addr: w, kind: relRelative, inPlace: true}) {
				return false
			}
			at = w + size
			continue
		}
		for k, bits := at, w>>1; bits != 0; k, bits = k+size, bits>>1 {
			if bits&1 != 0 && !yield(relocation{addr: k, kind: relRelative, inPlace: true}) {
				return false
			}
		}
		at += size * (8*size - 1)
	}
	return true
}

// resolvedWindow is how far from its start a static program has its relocations,
// behind the headers and notes.
const resolvedWindow = 1 << 16

// resolvedByStart yields the relocations of a program without a dynamic section.
// Its own start-up code knows where they are, from symbols that are not kept:
// they are found by what they look like. All are of one kind.
func (o *object) resolvedByStart(yield func(relocation) bool) bool {
	first := &o.segments[0]
	b := first.Data[:min(len(first.Data), resolvedWindow)]
	rela := o.size == 8
	size := o.relocationSize(rela)
	for len(b) >= size {
		found := false
		ok := o.eachRelocation(b[:size], rela, func(r relocation) bool {
			if r.kind != relResolved || r.symbol != 0 {
				return true
			}
			to := r.addend
			slot := segmentAt(o.segments, r.addr)
			if d := o.bytes(r.addr); r.inPlace && len(d) >= o.size {
				to = o.word(d, 0)
			}
			code := segmentAt(o.segments, to)
			if slot == nil || slot.Exec || code == nil || !code.Exec || r.addr%uint64(o.size) != 0 {
				return true
			}
			found = true
			return yield(r)
		})
		if !ok {
			return false
		}
		if found {
			b = b[size:]
		} else {
			b = b[o.size:]
		}
	}
	return true
}
