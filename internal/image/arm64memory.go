package image

// memory handles loads and stores.
func (w word64) memory(in *Inst) {
	switch vector := w.bit(26); {
	case w.field(24, 6) == 0b001000 && !vector:
		w.exclusive(in)
	case w.field(27, 3) == 0b011 && !w.bit(24):
		w.literal(in, vector)
	case w.field(27, 3) == 0b101:
		w.pair(in, vector)
	case w.field(27, 3) == 0b111:
		w.single(in, vector)
	case w.field(24, 6) == 0b011001 && !vector && !w.bit(21) && w.field(10, 2) == 0: // LDAPUR, STLUR
		w.transfer(in, false)
		w.cell(in, w.signed(12, 9))
	case w.field(25, 5) == 0b00110: // structures of vectors
		if w.bit(23) {
			in.Writes |= 1 << w.rn()
		}
		if !w.bit(22) {
			in.Src.at(w.rn(), 0)
			in.StoreAny = true
		}
	default: // tags, copies of memory, compare and swap of pairs, what is new
		in.unknown()
	}
}

// exclusive handles the exclusive, the ordered and the compare-and-swap
// accesses: what they write is in one of the register fields, or behind it.
func (w word64) exclusive(in *Inst) {
	in.Size = 1 << w.field(30, 2)
	load := w.bit(22)
	switch {
	case w.bit(23) && !w.bit(21) && load: // LDAR, LDLAR
		in.Op = OpMov
		if in.Size < 4 {
			in.Op, in.SrcSize, in.Size = OpMovZX, in.Size, 4
		}
		in.Src.at(w.rn(), 0)
		w.dst(in, w.rd())
	case w.bit(23) && !w.bit(21): // STLR, STLLR
		in.Op = OpMov
		in.Src.reg(w.rd())
		in.Dst.at(w.rn(), 0)
		in.Store = in.Size
	default:
		for _, r := range [...]uint8{w.rd(), w.rd() + 1, w.rm(), w.rm() + 1, uint8(w.field(10, 5))} {
			if r < 31 {
				in.Writes |= 1 << r
			}
		}
		in.Dst.at(w.rn(), 0)
		in.Store = 16
	}
}

// literal handles loads from the code.
func (w word64) literal(in *Inst, vector bool) {
	in.Src = Operand{Kind: OperandMem, Base: RegPC, Index: RegNone, Disp: int64(in.Addr) + w.signed(5, 19)<<2}
	switch opc := w.field(30, 2); {
	case vector:
		in.Size = 4 << opc
		in.Dst.Kind = OperandVec
	case opc == 3: // PRFM
		in.Op, in.Src = OpNop, Operand{}
	case opc == 2: // LDRSW
		in.Op, in.Size, in.SrcSize = OpMovSX, 8, 4
		w.dst(in, w.rd())
	default:
		in.Op, in.Size = OpMov, 4<<opc
		w.dst(in, w.rd())
	}
}

// pair handles loads and stores of two registers.
func (w word64) pair(in *Inst, vector bool) {
	opc, mode := w.field(30, 2), w.field(23, 2)
	size := uint8(4) << (opc >> 1)
	if vector {
		size = 4 << opc
	}
	disp := w.signed(15, 7) * int64(size)
	cell := &in.Dst
	in.Size = size
	two := uint8(w.field(10, 5))
	switch {
	case opc == 3 || opc == 1 && !vector && !w.bit(22) && mode == 0:
		in.unknown()
		return
	case w.bit(22): // loads
		cell = &in.Src
		switch {
		case vector:
			in.Dst.Kind = OperandVec
		case opc == 1: // LDPSW
			w.writes(in, w.rd())
			w.writes(in, two)
		case w.rd() == 31:
			w.writes(in, two)
		default:
			in.Op, in.Imm2 = OpLoadPair, second(two)
			w.writes(in, two)
			w.dst(in, w.rd())
		}
	case vector:
		in.Src.Kind = OperandVec
		in.Store = 2 * size
	case opc == 1: // STGP writes a tag too
		in.Store = 16
		disp = w.signed(15, 7) * 16
	default:
		in.Op, in.Imm2 = OpStorePair, second(two)
		in.Src.reg(w.rd())
		in.Store = 2 * size
	}
	w.address(in, cell, disp, mode)
}

// address makes cell the memory that a mode names: 1 and 3 write the base, 1
// after the access.
func (w word64) address(in *Inst, cell *Operand, disp int64, mode int) {
	if mode == 1 || mode == 3 {
		in.Writes |= 1 << w.rn()
	}
	if mode == 1 {
		disp = 0
	}
	cell.at(w.rn(), disp)
}

// single handles the other loads and stores of general and vector registers.
func (w word64) single(in *Inst, vector bool) {
	scaled := w.bit(24)
	switch {
	case !scaled && w.bit(21) && w.field(10, 2) == 0 && !vector:
		w.atomic(in)
		return
	case !scaled && w.bit(21) && w.field(10, 2) != 2: // LDRAA; vectors have none
		in.unknown()
		return
	}
	if !vector && w.field(22, 2) == 2 && w.field(30, 2) == 3 { // a prefetch has no effect, whatever its address
		in.Op = OpNop
		return
	}
	w.transfer(in, vector)
	cell := &in.Dst
	if in.Store == 0 {
		cell = &in.Src
	}
	switch {
	case scaled:
		cell.at(w.rn(), int64(w.field(10, 12))<<w.scale(vector))
	case w.bit(21):
		w.indexed(in, cell, vector)
	default:
		w.address(in, cell, w.signed(12, 9), w.field(10, 2))
	}
	if in.Op == OpNop { // a load into the zero register
		in.Op = OpOther
	}
}

// cell makes the memory operand of a transfer base + disp.
func (w word64) cell(in *Inst, disp int64) {
	if in.Store > 0 {
		in.Dst.at(w.rn(), disp)
	} else {
		in.Src.at(w.rn(), disp)
	}
}

// scale returns the power of two by which an offset is scaled.
func (w word64) scale(vector bool) int {
	if vector && w.bit(23) {
		return 4
	}
	return w.field(30, 2)
}

// indexed makes cell the memory at a base and an index; only an index of 64 bits
// has an exact form.
func (w word64) indexed(in *Inst, cell *Operand, vector bool) {
	scale := 0
	if w.bit(12) {
		scale = w.scale(vector)
	}
	switch {
	case w.field(13, 2) == 3 && w.rm() == 31:
		cell.at(w.rn(), 0)
	case w.field(13, 2) == 3 && scale <= 3:
		*cell = Operand{Kind: OperandMem, Base: Reg(w.rn()), Index: Reg(w.rm()), Scale: 1 << scale}
	case in.Store > 0:
		in.Op, in.Store, in.StoreAny = OpOther, 0, true
	default:
		in.Op = OpOther
	}
}

// transfer makes in the load or store of one register, without the address.
func (w word64) transfer(in *Inst, vector bool) {
	opc := w.field(22, 2)
	size := uint8(1) << w.scale(vector)
	in.Size = size
	switch {
	case vector && opc&1 != 0:
		in.Dst.Kind = OperandVec
	case vector:
		in.Src.Kind = OperandVec
		in.Store = size
	case opc == 0:
		in.Op, in.Store = OpMov, size
		in.Src.reg(w.rd())
	case opc == 1 && size >= 4:
		in.Op = OpMov
		w.dst(in, w.rd())
	case opc == 1:
		in.Op, in.Size, in.SrcSize = OpMovZX, 4, size
		w.dst(in, w.rd())
	default: // with its sign, to 64 or to 32 bits
		in.Op, in.SrcSize, in.Size = OpMovSX, size, 8
		if opc == 3 {
			in.Size = 4
		}
		w.dst(in, w.rd())
	}
}

// atomic handles reads that also write: the register of the result changes, and
// the memory.
func (w word64) atomic(in *Inst) {
	if w.bit(15) && w.field(12, 3) != 0 && w.field(12, 3) != 4 { // of 64 bytes, and new ones
		in.unknown()
		return
	}
	in.Size = 1 << w.field(30, 2)
	w.writes(in, w.rd())
	in.Dst.at(w.rn(), 0)
	in.Store = in.Size
}
