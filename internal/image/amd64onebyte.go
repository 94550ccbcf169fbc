package image

// arithmetic lists what opcodes 00 to 3F and the group of 80 to 83 do; ADC and
// SBB depend on the carry and stay OpOther.
var arithmetic = [8]Op{OpAdd, OpOr, OpOther, OpOther, OpAnd, OpSub, OpXor, OpCmp}

// shifts lists what the group of C0, C1 and D0 to D3 does; rotations are
// OpOther, and /6 is SHL again.
var shifts = [8]Op{OpOther, OpOther, OpOther, OpOther, OpShl, OpShr, OpShl, OpSar}

// oneByte fills in what an instruction with a one-byte opcode does.
func (e *encoding) oneByte(in *Inst, next uint64) {
	op := e.opcode
	size := e.size()
	if op&1 == 0 {
		size = 1 // where the opcode's low bit tells bytes from words
	}
	switch {
	case op < 0x40:
		e.arithmetic(in, arithmetic[op>>3], size, next)
	case op < 0x50: // REX alone
	case op < 0x58:
		in.Op, in.Size, in.Src = OpPush, e.stackSize(), e.opcodeReg(8)
		in.implicit(RSP)
	case op < 0x60:
		in.unary(OpPop, e.stackSize(), e.opcodeReg(8))
		in.implicit(RSP)
	case op >= 0x70 && op < 0x80:
		e.branch(in, OpJcc, next)
	case op >= 0x91 && op < 0x98:
		e.exchange(in, e.size(), Operand{Kind: OperandReg}, e.opcodeReg(8))
	case op >= 0xB0 && op < 0xB8:
		in.binary(OpMov, 1, e.opcodeReg(1), e.constant())
	case op >= 0xB8 && op < 0xC0:
		in.binary(OpMov, e.size(), e.opcodeReg(8), e.constant())
	case op >= 0xD8 && op < 0xE0:
		e.x87(in, next)
	case op >= 0xA4 && op < 0xB0 && op != 0xA8 && op != 0xA9, op >= 0x6C && op < 0x70:
		e.stringOp(in, size)
	default:
		e.oneByteRest(in, size, next)
	}
}

// arithmetic handles the six forms of opcodes 00 to 3F.
func (e *encoding) arithmetic(in *Inst, op Op, size uint8, next uint64) {
	var d, s Operand
	switch e.opcode & 7 {
	case 0, 1:
		d, s = e.rm(size, next), e.reg(size)
	case 2, 3:
		d, s = e.reg(size), e.rm(size, next)
	default:
		d, s = Operand{Kind: OperandReg}, e.constant()
	}
	if op == OpCmp {
		in.compare(op, size, d, s)
		return
	}
	in.binary(op, size, d, s)
}

// compare makes in an operation that reads a and b and writes nothing.
func (in *Inst) compare(op Op, size uint8, a, b Operand) {
	in.Op, in.Size, in.Dst, in.Src = op, size, a, b
}

// exchange makes in the XCHG of d, memory or register, with register s.
func (e *encoding) exchange(in *Inst, size uint8, d, s Operand) {
	in.binary(OpXchg, size, d, s)
	in.implicit(s.Reg)
}

// near returns op, or OpBad where the 66 prefix counts: AMD goes to a 16-bit
// address, Intel ignores it.
func (e *encoding) near(op Op) Op {
	if e.data16 && e.rex&rexW == 0 {
		return OpBad
	}
	return op
}

// branch makes in a direct jump or call.
func (e *encoding) branch(in *Inst, op Op, next uint64) {
	in.Op, in.Target = e.near(op), next+uint64(e.imm)
}

// stringOp handles MOVS, CMPS, STOS, LODS, SCAS, INS and OUTS.
func (e *encoding) stringOp(in *Inst, size uint8) {
	in.Size = size
	if in.Rep = e.rep != 0; in.Rep {
		in.implicit(RCX)
	}
	store := false
	switch e.opcode &^ 1 {
	case 0x6C, 0xA4: // INS, MOVS
		in.implicit(RDI)
		if e.opcode >= 0xA4 {
			in.implicit(RSI)
		}
		store = true
	case 0x6E: // OUTS
		in.implicit(RSI)
	case 0xA6: // CMPS
		in.implicit(RSI, RDI)
	case 0xAA: // STOS
		in.implicit(RDI)
		store = true
	case 0xAC: // LODS
		in.implicit(RAX, RSI)
	case 0xAE: // SCAS
		in.implicit(RDI)
	}
	if !store {
		return
	}
	if in.Rep || e.addr32 {
		in.StoreAny = true
		return
	}
	in.write(Operand{Kind: OperandMem, Base: RDI, Index: RegNone}, size)
}

// oneByteRest handles the opcodes that have a line of their own; size is 1 for
// even opcodes.
func (e *encoding) oneByteRest(in *Inst, size uint8, next uint64) {
	full := e.size()
	rax := Operand{Kind: OperandReg}
	switch e.opcode {
	case 0x63:
		in.binary(OpMovSX, full, e.reg(8), e.rm(8, next))
		in.SrcSize = min(full, 4)
	case 0x68, 0x6A:
		in.Op, in.Size, in.Src = OpPush, e.stackSize(), e.constant()
		in.implicit(RSP)
	case 0x69, 0x6B:
		in.binary(OpImul3, full, e.reg(8), e.rm(8, next))
		in.Imm2 = e.imm
	case 0x80, 0x81, 0x83:
		op := arithmetic[e.group()]
		if op == OpCmp {
			in.compare(op, size, e.rm(size, next), e.constant())
			return
		}
		in.binary(op, size, e.rm(size, next), e.constant())
	case 0x84, 0x85:
		in.compare(OpTest, size, e.rm(size, next), e.reg(size))
	case 0xA8, 0xA9:
		in.compare(OpTest, size, rax, e.constant())
	case 0x86, 0x87:
		e.exchange(in, size, e.rm(size, next), e.reg(size))
	case 0x88, 0x89:
		in.binary(OpMov, size, e.rm(size, next), e.reg(size))
	case 0x8A, 0x8B:
		in.binary(OpMov, size, e.reg(size), e.rm(size, next))
	case 0x8C: // MOV from a segment register: 16 bits of memory, or a whole register
		in.Src = Operand{Kind: OperandVec}
		in.write(e.rm(8, next), 2)
	case 0x8D:
		if !e.isMem() {
			in.Op = OpBad
			return
		}
		e.thread = false // LEA takes no segment
		in.binary(OpLea, full, e.reg(8), e.mem(next))
	case 0x8E:
		in.Dst, in.Src = Operand{Kind: OperandVec}, e.rm(8, next)
	case 0x8F:
		e.popRM(in, next)
	case 0x90:
		if e.rex&rexB == 0 {
			in.Op = OpNop
			return
		}
		e.exchange(in, full, rax, e.opcodeReg(8))
	case 0x98: // CBW, CWDE, CDQE
		in.binary(OpMovSX, full, rax, rax)
		in.SrcSize = full / 2
	case 0x99: // CWD, CDQ, CQO
		in.implicit(RDX)
	case 0x9B, 0x9E, 0xF5, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD: // FWAIT, SAHF, flags
	case 0x9C:
		in.Op, in.Size = OpPush, e.stackSize()
		in.implicit(RSP)
	case 0x9D:
		in.Op, in.Size = OpPop, e.stackSize()
		in.implicit(RSP)
	case 0x9F, 0xD7, 0xE4, 0xE5, 0xEC, 0xED: // LAHF, XLAT, IN
		in.implicit(RAX)
	case 0xE6, 0xE7, 0xEE, 0xEF: // OUT
	case 0xA0, 0xA1, 0xA2, 0xA3:
		e.moffs(in, size)
	case 0xC0, 0xC1:
		in.binary(shifts[e.group()], size, e.rm(size, next), e.constant())
	case 0xD0, 0xD1:
		in.binary(shifts[e.group()], size, e.rm(size, next), Operand{Kind: OperandImm, Imm: 1})
	case 0xD2, 0xD3:
		in.binary(shifts[e.group()], size, e.rm(size, next), Operand{Kind: OperandReg, Reg: RCX})
		in.SrcSize = 1
	case 0xC2, 0xC3:
		in.Op = e.near(OpRet)
		in.implicit(RSP)
	case 0xC6, 0xC7:
		e.moveConstant(in, size, next)
	case 0xC8: // ENTER
		in.implicit(RSP, RBP)
	case 0xC9:
		in.Op, in.Size = e.near(OpLeave), 8
		in.implicit(RSP, RBP)
	case 0xCC, 0xF1:
		in.Op = OpInt3
	case 0xCD:
		switch uint8(e.imm) {
		case 0x80:
			in.Op = OpInt80
			in.implicit(RAX, R8, R9, R10, R11) // old kernels cleared R8 to R11
		case 3:
			in.Op = OpInt3
		default:
			in.Op = OpTrap
		}
	case 0xF4:
		in.Op = OpTrap
	case 0xE0, 0xE1, 0xE2: // LOOPNE, LOOPE, LOOP
		e.branch(in, OpJcc, next)
		in.implicit(RCX)
	case 0xE3:
		e.branch(in, OpJcc, next)
	case 0xE8:
		e.branch(in, OpCall, next)
	case 0xE9, 0xEB:
		e.branch(in, OpJmp, next)
	case 0xF6, 0xF7:
		e.group3(in, size, next)
	case 0xFE, 0xFF:
		e.group5(in, size, next)
	default: // far returns, IRET
		in.Op = OpBad
	}
}

// popRM handles POP of memory or of a register with a ModRM byte. RSP counts
// up before it is used as a base.
func (e *encoding) popRM(in *Inst, next uint64) {
	if e.group() != 0 {
		in.Op = OpBad
		return
	}
	size := e.stackSize()
	d := e.rm(8, next)
	if d.Kind == OperandMem && d.Base == RSP {
		d.Disp += int64(size)
	}
	in.unary(OpPop, size, d)
	in.Op = OpPop
	in.implicit(RSP)
}

// moffs handles MOV of the accumulator from or to an absolute address.
func (e *encoding) moffs(in *Inst, size uint8) {
	rax := Operand{Kind: OperandReg}
	a := Operand{Kind: OperandMem, Base: RegNone, Index: RegNone, Disp: e.imm}
	if e.addr32 {
		a.Disp = int64(uint32(e.imm))
	}
	if e.thread {
		a.Base = RegFS
	}
	if e.opcode < 0xA2 {
		in.binary(OpMov, size, rax, a)
		return
	}
	in.binary(OpMov, size, a, rax)
}

// moveConstant handles C6 and C7: MOV of an immediate, and the two
// instructions of transactions in the same place.
func (e *encoding) moveConstant(in *Inst, size uint8, next uint64) {
	switch {
	case e.group() == 0:
		in.binary(OpMov, size, e.rm(size, next), e.constant())
	case e.modrm != 0xF8:
		in.Op = OpBad
	case e.opcode == 0xC7: // XBEGIN: an abort continues at the target, EAX set
		in.Op, in.Target = OpJcc, next+uint64(e.imm)
		in.implicit(RAX)
	}
}

// group3 handles F6 and F7.
func (e *encoding) group3(in *Inst, size uint8, next uint64) {
	d := e.rm(size, next)
	switch e.group() {
	case 0, 1:
		in.compare(OpTest, size, d, e.constant())
	case 2:
		in.unary(OpNot, size, d)
	case 3:
		in.unary(OpNeg, size, d)
	default: // MUL, IMUL, DIV, IDIV
		in.Size, in.Src = size, d
		in.implicit(RAX)
		if size > 1 {
			in.implicit(RDX)
		}
	}
}

// group5 handles FE and FF.
func (e *encoding) group5(in *Inst, size uint8, next uint64) {
	switch g := e.group(); {
	case g == 0:
		in.unary(OpInc, size, e.rm(size, next))
	case g == 1:
		in.unary(OpDec, size, e.rm(size, next))
	case e.opcode == 0xFE:
		in.Op = OpBad
	case g == 2:
		in.Op, in.Size, in.Src = e.near(OpCallInd), 8, e.rm(8, next)
	case g == 4:
		in.Op, in.Size, in.Src = e.near(OpJmpInd), 8, e.rm(8, next)
	case g == 6:
		in.Op, in.Size, in.Src = OpPush, e.stackSize(), e.rm(8, next)
		in.implicit(RSP)
	default: // far calls and jumps
		in.Op = OpBad
	}
}

// x87 handles D8 to DF: only stores and FNSTSW AX leave the coprocessor.
func (e *encoding) x87(in *Inst, next uint64) {
	if !e.isMem() {
		if e.opcode == 0xDF && e.modrm == 0xE0 {
			in.unary(OpOther, 2, Operand{Kind: OperandReg})
		}
		return
	}
	const sizes = "" + // bytes stored by group 0 to 7, a row per opcode
		"\x00\x00\x00\x00\x00\x00\x00\x00" + // D8
		"\x00\x00\x04\x04\x00\x00\x1C\x02" + // D9
		"\x00\x00\x00\x00\x00\x00\x00\x00" + // DA
		"\x00\x04\x04\x04\x00\x00\x00\x0A" + // DB
		"\x00\x00\x00\x00\x00\x00\x00\x00" + // DC
		"\x00\x08\x08\x08\x00\x00\x6C\x02" + // DD
		"\x00\x00\x00\x00\x00\x00\x00\x00" + // DE
		"\x00\x02\x02\x02\x00\x00\x0A\x08" // DF
	if n := sizes[(e.opcode&7)<<3|e.group()]; n != 0 {
		in.write(e.mem(next), n)
		return
	}
	in.Src = e.mem(next)
}
