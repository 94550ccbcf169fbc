package image

// vector fills in what an instruction does that mostly works on vectors and
// masks: SSE and its followers, and what else lies in their maps.
func (e *encoding) vector(in *Inst) {
	if e.space == map0F && e.vectorMove(in) {
		return
	}
	in.Size = e.vlen
	switch class := e.classOf(); class {
	case 'v':
		e.vectorReg(&in.Dst)
		e.source(in)
	case 'n':
		e.source(in)
	case 'o':
	case 'i':
		e.vectorReg(&in.Dst)
	case 's', 'x':
		in.Size = e.stored()
		e.vectorReg(&in.Src)
		switch {
		case e.isMem():
			e.vectorMem(&in.Dst, in.Size)
			in.writeDst(in.Size)
		case class == 'x':
			e.rm(&in.Dst, 8)
			in.writeDst(in.Size)
		default:
			e.vectorRM(&in.Dst)
		}
	case 'k':
		e.source(in)
		in.StoreAny = e.isMem()
	case 'a':
		in.StoreAny = true
	case 'g', 'm':
		e.source(in)
		e.reg(&in.Dst, 8)
		in.unary(OpOther, e.intSize())
		if class == 'm' {
			in.Writes |= 1 << e.vvvv
		}
	case 'e':
		e.source(in)
		in.Dst.register(e.vvvv)
		in.unary(OpOther, e.intSize())
	case 'c':
		e.source(in)
		in.Writes = 1 << RCX
	case 'p': // CMPccXADD
		e.rmReg(in, OpOther, e.intSize())
		in.Writes |= 1 << in.Src.Reg
	default:
		in.unknown()
	}
}

// vectorMove handles the moves of whole vectors and of scalars, which value
// flow follows; it reports whether the instruction is one. Masked moves and
// those that merge a scalar into a register are not, nor is MMX.
func (e *encoding) vectorMove(in *Inst) bool {
	if e.masked || e.kind == legacy && !e.data16 && e.rep == 0 && e.opcode >= 0x60 {
		return false
	}
	store, general, size := false, false, e.vlen
	switch e.opcode {
	case 0x10, 0x11:
		if e.rep != 0 && !e.isMem() {
			return false
		}
		store, size = e.opcode == 0x11, e.scalar()
	case 0x28, 0x6F:
	case 0x29, 0x7F, 0xE7:
		store = true
	case 0x2B:
		store, size = true, e.scalar() // SSE4a stores scalars
	case 0x6E:
		general, size = true, e.intSize()
	case 0x7E:
		size = 8
		if e.rep != 0xF3 {
			store, general, size = true, true, e.intSize()
		}
	case 0xD6:
		if e.rep != 0 {
			return false
		}
		store, size = true, 8
	default:
		return false
	}
	rm, reg := &in.Src, &in.Dst
	if store {
		rm, reg = &in.Dst, &in.Src
	}
	e.vectorReg(reg)
	switch {
	case e.isMem():
		e.vectorMem(rm, size)
	case general:
		e.rm(rm, 8)
	default:
		e.vectorRM(rm)
	}
	in.binary(OpMov, size)
	return true
}

// source makes Src what ModRM.rm names where it is read: memory, exact but for
// EVEX displacements of one byte, or a vector register. What may be a general
// register is not named.
func (e *encoding) source(in *Inst) {
	switch {
	case e.isMem():
		e.vectorMem(&in.Src, 0)
	case !e.readsGeneral():
		e.vectorRM(&in.Src)
	}
}

// readsGeneral reports that ModRM.rm, if it is a register, may be a general one: of
// CVTSI2SD and its kin, KMOV, PINSRx, VPBROADCASTx and the instructions whose result
// is an integer.
func (e *encoding) readsGeneral() bool {
	switch e.space {
	case map0F:
		switch e.opcode {
		case 0x2A, 0x6E, 0x7B, 0x92, 0xC4:
			return true
		}
		return false
	case map0F38:
		return e.opcode >= 0x7A && e.opcode <= 0x7C || e.opcode >= 0xF0
	case map0F3A:
		return e.opcode == 0x20 || e.opcode == 0x22 || e.opcode >= 0xF0
	}
	return true
}

// vectorMem makes a the memory operand; EVEX scales displacements of one byte
// by the size of the access, 0 if not known.
func (e *encoding) vectorMem(a *Operand, size uint8) {
	if e.kind == evex && e.disp8 {
		if size == 0 {
			return
		}
		e.disp *= int32(size)
	}
	e.mem(a)
}

// vectorReg makes a the vector register that ModRM.reg names.
func (e *encoding) vectorReg(a *Operand) {
	a.Kind, a.Reg = OperandVec, Reg(e.modrm>>3&7|e.rex&rexR<<1|e.high)
}

// vectorRM makes a the vector register that ModRM.rm names.
func (e *encoding) vectorRM(a *Operand) {
	r := e.modrm&7 | e.rex&rexB<<3
	if e.kind == evex {
		r |= e.rex & rexX << 3
	}
	a.Kind, a.Reg = OperandVec, Reg(r)
}

// scalar returns the size of a scalar, which the prefix tells, or of the
// vector.
func (e *encoding) scalar() uint8 {
	switch e.rep {
	case 0xF3:
		return 4
	case 0xF2:
		return 8
	}
	return e.vlen
}

// intSize returns the size of a general register as an operand.
func (e *encoding) intSize() uint8 {
	if e.rex&rexW != 0 && !e.narrow {
		return 8
	}
	return 4
}

// stored returns the bytes that an instruction of class s or x stores.
func (e *encoding) stored() uint8 {
	mmx := e.kind == legacy && !e.data16 && e.rep == 0
	switch e.space {
	case mapEVEX5:
		return 2
	case map0F3A:
		switch e.opcode {
		case 0x14:
			return 1
		case 0x15:
			return 2
		case 0x16:
			return e.intSize()
		case 0x17:
			return 4
		case 0x1B, 0x3B:
			return 32
		case 0x1D:
			return e.vlen / 2
		}
		return 16
	case map0F38:
		switch {
		case e.opcode == 0x49:
			return 64
		case e.kind == legacy && e.opcode == 0xF1:
			return e.size()
		case e.kind == legacy:
			return e.intSize()
		}
		return e.vlen
	}
	switch op := e.opcode; {
	case op == 0x13, op == 0x17, op == 0xD6, op == 0x78, mmx && op >= 0x60 && op != 0x7E:
		return 8
	case op == 0x11, op == 0x2B:
		return e.scalar()
	case op == 0x7E:
		return e.intSize()
	case op == 0x91: // KMOV
		switch {
		case e.data16 && e.rex&rexW == 0:
			return 1
		case e.data16:
			return 4
		case e.rex&rexW == 0:
			return 2
		}
		return 8
	case op == 0xAE:
		return 4
	}
	return e.vlen
}
