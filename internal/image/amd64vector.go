package image

// vector fills in what an instruction does that mostly works on vectors and
// masks: SSE and its followers, and what else lies in their maps.
func (e *encoding) vector(in *Inst, next uint64) {
	in.Size = e.vlen
	if e.vectorMove(in, next) {
		return
	}
	vec := Operand{Kind: OperandVec, Reg: e.vectorReg()}
	switch class := e.classOf(); class {
	case 'v':
		in.Dst, in.Src = vec, e.source(next)
	case 'n':
		in.Src = e.source(next)
	case 'i':
		in.Dst = vec
	case 's':
		in.Size, in.Src = e.stored(), vec
		if e.isMem() {
			in.write(e.vectorMem(in.Size, next), in.Size)
		}
	case 'k', 'a':
		in.Src, in.StoreAny = vec, class == 'a' || e.isMem()
	case 'x':
		in.Size, in.Src = e.stored(), vec
		d := e.rm(8, next)
		if e.isMem() {
			d = e.vectorMem(in.Size, next)
		}
		in.write(d, in.Size)
	case 'g':
		in.unary(OpOther, e.intSize(), e.reg(8))
		in.Src = e.source(next)
	case 'e':
		in.unary(OpOther, e.intSize(), Operand{Kind: OperandReg, Reg: e.vvvv})
		in.Src = e.source(next)
	case 'm':
		in.unary(OpOther, e.intSize(), e.reg(8))
		in.Src = e.source(next)
		in.implicit(e.vvvv)
	case 'c':
		in.implicit(RCX)
		in.Src = e.source(next)
	case 'p': // CMPccXADD
		r := e.reg(8)
		in.unary(OpOther, e.intSize(), e.mem(next))
		in.implicit(r.Reg)
	default:
		in.unknown()
	}
}

// vectorMove handles the moves of whole vectors and of scalars, which value
// flow follows; it reports whether the instruction is one.
func (e *encoding) vectorMove(in *Inst, next uint64) bool {
	if e.space != map0F || e.masked || (e.kind == legacy && !e.data16 && e.rep == 0 && e.opcode >= 0x60) {
		return false // masked, or MMX
	}
	toRM, size := false, e.vlen
	switch e.opcode {
	case 0x10, 0x11:
		if e.rep != 0 {
			if !e.isMem() {
				return false // merges
			}
			size = e.stored()
		}
		toRM = e.opcode == 0x11
	case 0x28, 0x6F:
	case 0x29, 0x2B, 0x7F, 0xE7:
		toRM = true
		if e.opcode == 0x2B && e.rep != 0 {
			size = e.stored() // SSE4a stores a scalar
		}
	case 0x6E:
		size = e.intSize()
	case 0x7E:
		toRM = e.rep != 0xF3
		size = 8
		if toRM {
			size = e.intSize()
		}
	case 0xD6:
		if e.rep != 0 {
			return false
		}
		toRM, size = true, 8
	default:
		return false
	}
	vec := Operand{Kind: OperandVec, Reg: e.vectorReg()}
	rm := Operand{Kind: OperandVec, Reg: e.vectorRM()}
	switch {
	case e.isMem():
		rm = e.vectorMem(size, next)
	case e.opcode == 0x6E, e.opcode == 0x7E && toRM:
		rm = e.rm(8, next)
	}
	if toRM {
		in.binary(OpMov, size, rm, vec)
	} else {
		in.binary(OpMov, size, vec, rm)
	}
	return true
}

// source returns what ModRM.rm names where it is read: memory, exact but for
// EVEX displacements of one byte, or a register that nobody asks for.
func (e *encoding) source(next uint64) Operand {
	if e.isMem() {
		return e.vectorMem(0, next)
	}
	return Operand{}
}

// vectorMem returns the memory operand; EVEX scales displacements of one byte
// by the size of the access, 0 if not known.
func (e *encoding) vectorMem(size uint8, next uint64) Operand {
	if e.kind != evex || !e.disp8 {
		return e.mem(next)
	}
	if size == 0 {
		return Operand{}
	}
	a := e.mem(next)
	a.Disp *= int64(size)
	return a
}

// vectorReg returns the number of the vector register that ModRM.reg names.
func (e *encoding) vectorReg() Reg {
	return Reg(e.modrm>>3&7 | e.rex&rexR<<1 | e.high)
}

// vectorRM returns the number of the vector register that ModRM.rm names.
func (e *encoding) vectorRM() Reg {
	r := e.modrm&7 | e.rex&rexB<<3
	if e.kind == evex {
		r |= e.rex & rexX << 3
	}
	return Reg(r)
}

// intSize returns the size of a general register as an operand.
func (e *encoding) intSize() uint8 {
	if e.rex&rexW != 0 {
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
	case op == 0x11 || op == 0x2B:
		switch e.rep {
		case 0xF3:
			return 4
		case 0xF2:
			return 8
		}
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
