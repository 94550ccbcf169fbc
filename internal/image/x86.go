package image

// allRegisters is the Writes of an instruction that may change any of them.
const allRegisters = ^uint64(0)

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
//     (address arithmetic in half the mode's size, vectors of addresses, the
//     segment GS in 64-bit mode), the operand has kind
//     OperandNone, the operation becomes OpOther (control flow, pushes and
//     comparisons keep theirs), and a store through it is a StoreAny.
//   - Near branches under a 66 prefix, where Intel and AMD differ, are OpBad
//     with the length that Intel gives them; far branches and returns, which
//     may leave the mode, are OpBad too.
func DecodeAMD64(code []byte, addr uint64) (in Inst) {
	decodeX86(&in, code, addr, false)
	return in
}

// Decode386 is DecodeAMD64 in 32-bit mode. Registers are those of amd64 by
// number; Disp of a memory operand without a base is an address, all others
// count modulo 1<<32. What changes the base of a segment other than FS and GS is
// OpBad. A call through the word at 0x10 of the thread's segment is OpSysenter.
func Decode386(code []byte, addr uint64) (in Inst) {
	decodeX86(&in, code, addr, true)
	return in
}

func decodeX86(in *Inst, code []byte, addr uint64, narrow bool) {
	var e encoding
	if e.parse(code, narrow) {
		e.describe(in, addr)
	} else {
		in.bad(addr, 1)
	}
}

// bad makes in the OpBad of n bytes at addr.
func (in *Inst) bad(addr uint64, n int) {
	*in = Inst{Addr: addr, Len: uint8(n)}
	in.unknown()
}

// describe fills in what e does at address addr. Operands are built where they
// stay: it is copies of them that would take the time.
func (e *encoding) describe(in *Inst, addr uint64) {
	*in = Inst{Addr: addr, Len: uint8(e.length), Op: OpOther}
	e.next = addr + uint64(e.length)
	switch {
	case e.space == mapOneByte:
		e.oneByte(in)
	case e.kind == xop:
		in.unknown()
	case e.space == map0F && e.kind == legacy && x86Vector0F[e.opcode] == '.':
		e.twoByte(in)
	default:
		e.vector(in)
	}
	if in.Op == OpBad {
		in.bad(addr, e.length)
	}
}

// unknown gives in the widest effects.
func (in *Inst) unknown() {
	in.Writes, in.StoreAny = allRegisters, true
}

// unary makes in the operation op of size bytes on Dst, which it writes.
func (in *Inst) unary(op Op, size uint8) {
	in.Op, in.Size = op, size
	in.writeDst(size)
}

// binary makes in the operation op of size bytes on Dst and Src; all but
// comparisons write Dst.
func (in *Inst) binary(op Op, size uint8) {
	in.Op, in.Size = op, size
	if op == OpCmp || op == OpTest {
		return
	}
	if in.Src.Kind == OperandNone {
		in.Op = OpOther
	}
	in.writeDst(size)
}

// push makes in a push; Src is set already, or unknown.
func (e *encoding) push(in *Inst) {
	in.Op, in.Size, in.Writes = OpPush, e.stackSize(), 1<<RSP
}

// pop makes in a pop to Dst, set already or unknown.
func (e *encoding) pop(in *Inst) {
	in.unary(OpPop, e.stackSize())
	in.Op = OpPop
	in.Writes |= 1 << RSP
}

// rmReg makes in the operation op on ModRM.rm and ModRM.reg.
func (e *encoding) rmReg(in *Inst, op Op, size uint8) {
	e.rm(&in.Dst, size)
	e.reg(&in.Src, size)
	in.binary(op, size)
}

// regRM makes in the operation op on ModRM.reg and ModRM.rm.
func (e *encoding) regRM(in *Inst, op Op, size uint8) {
	e.reg(&in.Dst, size)
	e.rm(&in.Src, size)
	in.binary(op, size)
}

// rmImm makes in the operation op on ModRM.rm and the immediate.
func (e *encoding) rmImm(in *Inst, op Op, size uint8) {
	e.rm(&in.Dst, size)
	in.Src.constant(e.imm)
	in.binary(op, size)
}

// raxImm makes in the operation op on RAX and the immediate.
func (e *encoding) raxImm(in *Inst, op Op, size uint8) {
	in.Dst.register(RAX)
	in.Src.constant(e.imm)
	in.binary(op, size)
}

// writeDst notes that in writes size bytes of Dst.
func (in *Inst) writeDst(size uint8) {
	switch in.Dst.Kind {
	case OperandReg:
		in.Writes |= 1 << in.Dst.Reg
	case OperandMem:
		in.Store = size
	case OperandNone:
		in.Op, in.StoreAny = OpOther, true
	}
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
	return e.word()
}

// word returns the size of an address.
func (e *encoding) word() uint8 {
	if e.narrow {
		return 4
	}
	return 8
}

// group returns the three bits of ModRM that extend some opcodes.
func (e *encoding) group() uint8 { return e.modrm >> 3 & 7 }

// isMem reports whether ModRM names memory.
func (e *encoding) isMem() bool { return e.modrm < 0xC0 }

// setRegister makes a the register number n, of size bytes.
func (e *encoding) setRegister(a *Operand, n, size uint8) {
	a.Kind, a.Reg = OperandReg, Reg(n)
	if size == 1 && e.rex == 0 && n >= 4 && n < 8 {
		a.Reg, a.High = Reg(n-4), true
	}
}

// reg makes a the register that ModRM.reg names.
func (e *encoding) reg(a *Operand, size uint8) {
	e.setRegister(a, e.modrm>>3&7|e.rex&rexR<<1, size)
}

// opcodeReg makes a the register that the low bits of the opcode name.
func (e *encoding) opcodeReg(a *Operand, size uint8) {
	e.setRegister(a, e.opcode&7|e.rex&rexB<<3, size)
}

// rm makes a the register or memory cell that ModRM names.
func (e *encoding) rm(a *Operand, size uint8) {
	if e.isMem() {
		e.mem(a)
		return
	}
	e.setRegister(a, e.modrm&7|e.rex&rexB<<3, size)
}

// mem makes a the memory operand, or leaves it OperandNone where it has no
// exact form.
func (e *encoding) mem(a *Operand) {
	mod, rm := e.modrm>>6, e.modrm&7
	if e.global || e.addr && !e.thread && (e.narrow || mod != 0 || rm != 5) {
		return
	}
	a.Kind, a.Base, a.Index, a.Disp = OperandMem, RegNone, RegNone, int64(e.disp)
	switch {
	case e.thread:
		a.Base = RegFS
	case mod == 0 && rm == 5 && e.narrow:
		a.Disp = int64(uint32(a.Disp))
	case mod == 0 && rm == 5:
		a.Base = RegPC
		a.Disp += int64(e.next)
		if e.addr {
			a.Disp = int64(uint32(a.Disp))
		}
	case rm != 4:
		a.Base = Reg(rm | e.rex&rexB<<3)
	default:
		if base := e.sib & 7; base != 5 || mod != 0 {
			a.Base = Reg(base | e.rex&rexB<<3)
		} else if e.narrow {
			a.Disp = int64(uint32(a.Disp))
		}
		if index := e.sib>>3&7 | e.rex&rexX<<2; index != 4 {
			a.Index, a.Scale = Reg(index), 1<<(e.sib>>6)
		}
	}
}

// constant makes a the constant v.
func (a *Operand) constant(v int64) { a.Kind, a.Imm = OperandImm, v }

// register makes a the register r.
func (a *Operand) register(r Reg) { a.Kind, a.Reg = OperandReg, r }
