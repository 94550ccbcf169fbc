package image

import "math/bits"

// memory handles loads and stores of words and bytes.
func (w word32) memory(in *Inst) {
	size := uint8(4)
	if w.bit(22) {
		size = 1
	}
	var cell Operand
	exact := true
	switch {
	case !w.bit(25):
		w.address(in, &cell, int64(w.field(0, 12)))
	case !w.bit(24): // the register counts behind the access
		w.address(in, &cell, 0)
	default:
		if exact = w.bit(23) && w.field(5, 2) == 0 && w.field(7, 5) <= 3 && w.rm() != armPC; exact {
			w.address(in, &cell, 0)
			cell.Index, cell.Scale = w.rm(), 1<<w.field(7, 5)
		} else {
			w.writeBack(in)
		}
	}
	switch {
	case w.bit(20) && w.rd() == armPC:
		w.loadPC(in, &cell, exact && size == 4)
	case w.bit(20):
		w.load(in, &cell, exact, OpMovZX, size)
	default:
		w.store(in, &cell, exact, size)
	}
}

// address makes cell the memory that an instruction with an offset, added or
// not, before or behind the access, names.
func (w word32) address(in *Inst, cell *Operand, offset int64) {
	if !w.bit(23) {
		offset = -offset
	}
	w.writeBack(in)
	w.moves(in, offset)
	if !w.bit(24) {
		offset = 0
	}
	cell.at32(w.rn(), offset, in.Addr)
}

// writeBack notes that the base may change.
func (w word32) writeBack(in *Inst) {
	if !w.bit(24) || w.bit(21) {
		in.Writes |= 1 << w.rn()
	}
}

// moves notes by how much the base changes, if it does.
func (w word32) moves(in *Inst, n int64) {
	if in.Writes&(1<<w.rn()) != 0 {
		in.Moves = int16(n)
	}
}

// load makes in the load of size bytes; op is how fewer than 4 are extended.
func (w word32) load(in *Inst, cell *Operand, exact bool, op Op, size uint8) {
	in.write(w.rd())
	if !exact {
		return
	}
	in.Op, in.Src = OpMov, *cell
	if size < 4 {
		in.Op, in.SrcSize = op, size
	}
}

// loadPC makes in a jump to what is loaded, from the stack behind which it moves
// the pointer a return.
func (w word32) loadPC(in *Inst, cell *Operand, exact bool) {
	in.Op = OpJmpInd
	switch {
	case w.rn() == ARMSP && !w.bit(24) && exact:
		in.Op = OpRet
	case exact:
		in.Src = *cell
	}
}

func (w word32) store(in *Inst, cell *Operand, exact bool, size uint8) {
	if !exact {
		in.StoreAny = true
		return
	}
	in.Op, in.Size, in.Store, in.Dst = OpMov, size, size, *cell
	in.Src.register(w.rd())
	if w.rd() == armPC {
		in.Op = OpOther
	}
}

// extraMemory handles loads and stores of halves, of signed values and of two
// words.
func (w word32) extraMemory(in *Inst) {
	var cell Operand
	exact := true
	switch {
	case w.bit(22):
		w.address(in, &cell, int64(w.field(8, 4)<<4|w.field(0, 4)))
	case !w.bit(24):
		w.address(in, &cell, 0)
	default:
		if exact = w.bit(23) && w.rm() != armPC; exact {
			w.address(in, &cell, 0)
			cell.Index, cell.Scale = w.rm(), 1
		} else {
			w.writeBack(in)
		}
	}
	switch load, op := w.bit(20), w.field(5, 2); {
	case load && op == 1:
		w.load(in, &cell, exact, OpMovZX, 2)
	case load:
		w.load(in, &cell, exact, OpMovSX, uint8(op-1))
	case op == 1:
		w.store(in, &cell, exact, 2)
	case w.rd()&1 != 0: // pairs start at even registers
		in.Op = OpBad
	case op == 2: // LDRD
		in.write(w.rd())
		in.Writes |= 1 << (w.rd() + 1)
		if exact && in.Writes&(1<<w.rn()) == 0 {
			in.Op, in.Src, in.Imm2 = OpLoadPair, cell, int64(w.rd()+1)
		}
	case !exact:
		in.StoreAny = true
	default: // STRD
		in.Op, in.Dst, in.Imm2, in.Store = OpStorePair, cell, int64(w.rd()+1), 8
		if in.Src.register(w.rd()); w.rd()+1 >= ARMSP { // which is not followed there
			in.Op = OpOther
			in.Src.register(ARMSP)
		}
	}
}

// multiple handles loads and stores of any registers.
func (w word32) multiple(in *Inst) {
	list := uint64(w & 0xFFFF)
	n := int64(4 * bits.OnesCount64(list))
	if w.bit(22) || list == 0 || w.rn() == armPC { // for the kernel alone, or not defined
		in.Op = OpBad
		return
	}
	disp := int64(0)
	if !w.bit(23) {
		disp = -n
	}
	if w.bit(21) {
		in.Writes |= 1 << w.rn()
		if in.Moves = int16(n); !w.bit(23) {
			in.Moves = int16(-n)
		}
	}
	if w.bit(23) == w.bit(24) {
		disp += 4
	}
	in.List = uint16(list)
	if w.bit(20) {
		in.Op = OpLoadMany
		in.Src.at32(w.rn(), disp, in.Addr)
		in.Writes |= list &^ (1 << armPC)
		if list&(1<<armPC) != 0 {
			in.Op = OpJmpInd
			if w.rn() == ARMSP {
				in.Op = OpRet
			}
		}
		return
	}
	in.Op = OpStoreMany
	in.Dst.at32(w.rn(), disp, in.Addr)
	in.Store = uint8(n)
	if list&(1<<ARMSP) != 0 {
		in.Op = OpOther
		in.Src.register(ARMSP)
	}
}

// coprocessorMemory handles loads and stores of floats and vectors, and moves of
// two registers.
func (w word32) coprocessorMemory(in *Inst) {
	float := w.field(9, 3) == 5
	if w.field(21, 4) == 2 { // moves of two registers
		switch {
		case w.bit(20):
			in.Writes |= 1<<w.rd() | 1<<w.rn()
		case w.rd() == ARMSP || w.rn() == ARMSP:
			in.Src.register(ARMSP)
		}
		return
	}
	if !float { // LDC, STC, of iWMMXt where they are of use
		w.writeBack(in)
		in.StoreAny = !w.bit(20)
		return
	}
	imm := int64(w.field(0, 8)) * 4
	switch {
	case w.bit(24) && !w.bit(21): // VLDR, VSTR
		cell := &in.Dst
		in.Size = 4 << w.field(8, 1)
		if w.bit(20) {
			cell = &in.Src
			in.Dst.Kind = OperandVec
		} else {
			in.Src.Kind = OperandVec
			in.Store = in.Size
		}
		if !w.bit(23) {
			imm = -imm
		}
		cell.at32(w.rn(), imm, in.Addr)
	case w.rn() == armPC:
		in.Op = OpBad
	default: // VLDM, VSTM
		disp := int64(0)
		if w.bit(24) { // downwards
			disp, imm = -imm, -imm
		}
		if w.bit(21) {
			in.Writes |= 1 << w.rn()
			in.Moves = int16(imm)
		}
		in.Src.at32(w.rn(), disp, in.Addr)
		in.StoreAny = !w.bit(20)
	}
}

// coprocessor handles what works on floats and vectors, and moves from and to
// them and to the system's registers.
func (w word32) coprocessor(in *Inst) {
	switch {
	case !w.bit(4): // CDP
	case w.bit(20) && w.rd() != armPC: // with 15, flags
		in.write(w.rd())
	case !w.bit(20):
		in.Src.read(w.rd(), in.Addr)
	}
}

// media handles parallel arithmetic, packing, bit fields and divisions.
func (w word32) media(in *Inst) {
	op := w.field(20, 5)
	switch {
	case op == 0x1F && w.field(4, 4) == 15: // UDF
		in.Op = OpTrap
		if w == 0xE7F001F0 { // what gdb and Go take for a breakpoint
			in.Op = OpInt3
		}
	case op >= 0x10 && op <= 0x18: // multiplications, divisions, sums of differences
		in.write(w.rn())
		if op >= 0x14 && op <= 0x17 && w.rd() != armPC {
			in.Writes |= 1 << w.rd()
		}
	case w.field(4, 8) == 7 && w.rn() == armPC && (op == 0x0A || op == 0x0B || op == 0x0E || op == 0x0F) && w.rm() != armPC:
		in.Op, in.SrcSize = OpMovSX, 1
		if op&4 != 0 {
			in.Op = OpMovZX
		}
		if op&1 != 0 {
			in.SrcSize = 2
		}
		in.Src.register(w.rm())
		in.write(w.rd())
	default:
		in.write(w.rd())
	}
}
