package image

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// A dynamic is what a program tells the dynamic loader (System V gABI, "Dynamic
// Section"), as far as it matters here: addresses and sizes.
type dynamic struct {
	needed           bool // names libraries
	pltGOT           uint64
	symbols          uint64
	rela, relaSize   uint64
	plt, pltSize     uint64 // relocations too, of the form of rela
	relr, relrSize   uint64
	other            bool // relocations of a form that 64-bit programs do not use
	relaEnt, symbEnt uint64
}

const (
	relaSize = 24
	symSize  = 24
)

func parseDynamic(b []byte) dynamic {
	d := dynamic{relaEnt: relaSize, symbEnt: symSize}
	for ; len(b) >= 16; b = b[16:] {
		v := binary.LittleEndian.Uint64(b[8:])
		switch elf.DynTag(binary.LittleEndian.Uint64(b)) {
		case elf.DT_NULL:
			return d
		case elf.DT_NEEDED:
			d.needed = true
		case elf.DT_PLTGOT:
			d.pltGOT = v
		case elf.DT_SYMTAB:
			d.symbols = v
		case elf.DT_SYMENT:
			d.symbEnt = v
		case elf.DT_RELA:
			d.rela = v
		case elf.DT_RELASZ:
			d.relaSize = v
		case elf.DT_RELAENT:
			d.relaEnt = v
		case elf.DT_JMPREL:
			d.plt = v
		case elf.DT_PLTRELSZ:
			d.pltSize = v
		case 36: // DT_RELR
			d.relr = v
		case 35: // DT_RELRSZ
			d.relrSize = v
		case elf.DT_REL, elf.DT_TEXTREL:
			d.other = true
		}
	}
	return d
}

// relocate writes into the data of the segments what the dynamic loader writes
// there for a program that it puts at its linked addresses. It changes copies:
// the file stays as it is. The error says what it cannot do.
func (f *File) relocate(d *dynamic) error {
	if d.other || d.relaEnt != relaSize || d.symbEnt != symSize {
		return fmt.Errorf("has relocations of a form that is not supported")
	}
	copied := map[*Segment]bool{}
	var last *Segment // most relocations lie where the one before does
	store := func(addr, v uint64) error {
		if last == nil || addr-last.Addr >= last.MemSize {
			last = f.Segment(addr)
			if last == nil || last.Exec {
				return fmt.Errorf("has a relocation at %#x, which is no data", addr)
			}
			if !copied[last] {
				last.Data, copied[last] = append([]byte(nil), last.Data...), true
			}
		}
		off := addr - last.Addr
		if off+8 > uint64(len(last.Data)) {
			return fmt.Errorf("has a relocation at %#x, which is no data", addr)
		}
		binary.LittleEndian.PutUint64(last.Data[off:], v)
		return nil
	}
	for _, table := range [...][2]uint64{{d.rela, d.relaSize}, {d.plt, d.pltSize}} {
		b := f.Bytes(table[0])
		if table[1] > uint64(len(b)) {
			return fmt.Errorf("malformed ELF: a relocation table of %d bytes at %#x", table[1], table[0])
		}
		for b = b[:table[1]]; len(b) >= relaSize; b = b[relaSize:] {
			if err := f.applyRela(d, b, store); err != nil {
				return err
			}
		}
	}
	if d.relrSize != 0 {
		return fmt.Errorf("has packed relocations (DT_RELR), which are not supported")
	}
	return nil
}

// applyRela does one relocation of a table.
func (f *File) applyRela(d *dynamic, b []byte, store func(addr, v uint64) error) error {
	le := binary.LittleEndian
	addr, info, addend := le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])
	switch typ := elf.R_X86_64(uint32(info)); typ {
	case elf.R_X86_64_NONE, elf.R_X86_64_DTPMOD64, elf.R_X86_64_DTPOFF64, elf.R_X86_64_TPOFF64: // no address of the program
		return nil
	case elf.R_X86_64_RELATIVE:
		return store(addr, addend)
	case elf.R_X86_64_64, elf.R_X86_64_GLOB_DAT, elf.R_X86_64_JMP_SLOT:
		sym := f.Bytes(d.symbols + info>>32*symSize)
		if len(sym) < symSize || le.Uint16(sym[6:]) == uint16(elf.SHN_UNDEF) {
			return fmt.Errorf("refers to a symbol of a library, at %#x", addr)
		}
		if typ != elf.R_X86_64_64 {
			addend = 0
		}
		return store(addr, le.Uint64(sym[8:])+addend)
	default:
		return fmt.Errorf("has a relocation of type %v, which is not supported", typ)
	}
}
