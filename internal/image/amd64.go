package image

// allRegisters is the Writes of an instruction that may change any of them.
const allRegisters = 0xFFFF

// DecodeAMD64 decodes the instruction at the start of code, which lies at
// address addr, in 64-bit mode. It takes at most 15 bytes of code; what is cut
// off or undefined is an OpBad of one byte.
//
// Lengths are exact for all of the legacy, VEX, EVEX and XOP maps, as GNU
// objdump has them. Of what an instruction does, the rest of the module may
// rely on this:
//
//   - Writes and Store never miss anything: a general-purpose register outside
//     Writes keeps its value, memory outside Store (see there) and the stack
//     slots of pushes keeps its content. Both may name too much. Instructions
//     that change the state in other ways, or that nothing is known of, are
//     OpBad with their length, all registers and StoreAny; new instructions in
//     free places of known maps are OpOther with the same.
//   - Every other Op than OpBad and OpOther does exactly what its comment says.
//   - A memory operand is exact. Where an address has no exact form here
//     (32-bit address arithmetic, vectors of addresses), the operand has kind
//     OperandNone, the operation becomes OpOther (control flow, pushes and
//     comparisons keep theirs), and a store through it is a StoreAny.
//   - Near branches under a 66 prefix, on which Intel and AMD differ, far
//     branches and returns are OpBad with their length.
func DecodeAMD64(code []byte, addr uint64) Inst {
	var e encoding
	if !e.parse(code) {
		return Inst{Addr: addr, Len: 1, Writes: allRegisters, StoreAny: true}
	}
	in := Inst{Addr: addr, Len: uint8(e.length), Op: OpOther}
	next := addr + uint64(e.length)
	switch {
	case e.kind == xop:
		in.unknown()
	case e.space == mapOneByte:
		e.oneByte(&in, next)
	case e.space == map0F && e.kind == legacy && amd64Vector0F[e.opcode] == '.':
		e.twoByte(&in, next)
	default:
		e.vector(&in, next)
	}
	if in.Op == OpBad {
		in.unknown()
	}
	return in
}

// unknown gives in the widest effects.
func (in *Inst) unknown() {
	in.Writes, in.StoreAny = allRegisters, true
}

// implicit adds registers to Writes.
func (in *Inst) implicit(regs ...Reg) {
	for _, r := range regs {
		in.Writes |= 1 << r
	}
}

// write makes d, of size bytes, the destination.
func (in *Inst) write(d Operand, size uint8) {
	in.Dst = d
	switch d.Kind {
	case OperandReg:
		in.Writes |= 1 << d.Reg
	case OperandMem:
		in.Store = size
	case OperandNone:
		in.Op, in.StoreAny = OpOther, true
	}
}

// binary makes in the operation op of size bytes on d, which it writes, and s.
func (in *Inst) binary(op Op, size uint8, d, s Operand) {
	in.Op, in.Size, in.Src = op, size, s
	if s.Kind == OperandNone {
		in.Op = OpOther
	}
	in.write(d, size)
}

// unary makes in the operation op of size bytes on d, which it writes.
func (in *Inst) unary(op Op, size uint8, d Operand) {
	in.Op, in.Size = op, size
	in.write(d, size)
}

// size returns the operand size of instructions that follow REX.W and 66.
func (e *encoding) size() uint8 {
	switch {
	case e.rex&rexW != 0:
		return 8
	case e.data16:
		return 2
	}
	return 4
}

// stackSize returns the operand size of pushes and pops.
func (e *encoding) stackSize() uint8 {
	if e.data16 && e.rex&rexW == 0 {
		return 2
	}
	return 8
}

// group returns the three bits of ModRM that extend some opcodes.
func (e *encoding) group() uint8 { return e.modrm >> 3 & 7 }

// isMem reports whether ModRM names memory.
func (e *encoding) isMem() bool { return e.modrm < 0xC0 }

// register returns the operand for register number n of size bytes.
func (e *encoding) register(n, size uint8) Operand {
	if size == 1 && e.rex == 0 && n >= 4 && n < 8 {
		return Operand{Kind: OperandReg, Reg: Reg(n - 4), High: true}
	}
	return Operand{Kind: OperandReg, Reg: Reg(n)}
}

// reg returns the register that ModRM.reg names.
func (e *encoding) reg(size uint8) Operand {
	return e.register(e.modrm>>3&7|e.rex&rexR<<1, size)
}

// opcodeReg returns the register that the low bits of the opcode name.
func (e *encoding) opcodeReg(size uint8) Operand {
	return e.register(e.opcode&7|e.rex&rexB<<3, size)
}

// rm returns the register or memory cell that ModRM names; next is the address
// of the next instruction.
func (e *encoding) rm(size uint8, next uint64) Operand {
	if !e.isMem() {
		return e.register(e.modrm&7|e.rex&rexB<<3, size)
	}
	return e.mem(next)
}

// mem returns the memory operand, or one of kind OperandNone.
func (e *encoding) mem(next uint64) Operand {
	mod, rm := e.modrm>>6, e.modrm&7
	a := Operand{Kind: OperandMem, Base: RegNone, Index: RegNone, Disp: int64(e.disp)}
	switch {
	case e.thread:
		a.Base = RegFS
		return a
	case mod == 0 && rm == 5:
		a.Base, a.Disp = RegPC, int64(next)+int64(e.disp)
		if e.addr32 {
			a.Disp = int64(uint32(a.Disp))
		}
		return a
	case e.addr32:
		return Operand{}
	case rm != 4:
		a.Base = Reg(rm | e.rex&rexB<<3)
		return a
	}
	if base := e.sib & 7; base != 5 || mod != 0 {
		a.Base = Reg(base | e.rex&rexB<<3)
	}
	if index := e.sib>>3&7 | e.rex&rexX<<2; index != 4 {
		a.Index, a.Scale = Reg(index), 1<<(e.sib>>6)
	}
	return a
}

// constant returns the immediate as an operand.
func (e *encoding) constant() Operand {
	return Operand{Kind: OperandImm, Imm: e.imm}
}
