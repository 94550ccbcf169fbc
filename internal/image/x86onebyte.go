package image

// arithmetic lists what opcodes 00 to 3F and the group of 80 to 83 do; ADC and
// SBB depend on the carry and stay OpOther.
var arithmetic = [8]Op{OpAdd, OpOr, OpOther, OpOther, OpAnd, OpSub, OpXor, OpCmp}

// shifts lists what the group of C0, C1 and D0 to D3 does; rotations are
// OpOther, and /6 is SHL again.
var shifts = [8]Op{OpOther, OpOther, OpOther, OpOther, OpShl, OpShr, OpShl, OpSar}

// oneByte fills in what an instruction with a one-byte opcode does.
func (e *encoding) oneByte(in *Inst) {
	op := e.opcode
	full := e.size()
	size := full
	if op&1 == 0 {
		size = 1 // where the opcode's low bit tells bytes from words
	}
	switch {
	case op < 0x40 && op&7 < 6:
		e.arithmetic(in, arithmetic[op>>3], size)
		return
	case e.narrow && e.oneByte386(in, size):
		return
	}
	switch op {
	case 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57:
		e.opcodeReg(&in.Src, 8)
		e.push(in)
	case 0x58, 0x59, 0x5A, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F:
		e.opcodeReg(&in.Dst, 8)
		e.pop(in)
	case 0x63:
		e.regRM(in, OpMovSX, full)
		in.SrcSize = min(full, 4)
	case 0x68, 0x6A:
		in.Src.constant(e.imm)
		e.push(in)
	case 0x69, 0x6B:
		e.regRM(in, OpImul3, full)
		in.Imm2 = e.imm
	case 0x6C, 0x6D, 0x6E, 0x6F, 0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF:
		e.stringOp(in, size)
	case 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x7B, 0x7C, 0x7D, 0x7E, 0x7F, 0xE3:
		e.branch(in, OpJcc)
	case 0x80, 0x81, 0x82, 0x83:
		e.rmImm(in, arithmetic[e.group()], size)
	case 0x84, 0x85:
		e.rmReg(in, OpTest, size)
	case 0x86, 0x87:
		e.rmReg(in, OpXchg, size)
		in.Writes |= 1 << in.Src.Reg
	case 0x88, 0x89:
		e.rmReg(in, OpMov, size)
	case 0x8A, 0x8B:
		e.regRM(in, OpMov, size)
	case 0x8C: // MOV from a segment register: 16 bits of memory, or a whole register
		e.rm(&in.Dst, 8)
		in.Src.Kind = OperandVec
		in.binary(OpOther, 2)
	case 0x8D:
		e.lea(in, full)
	case 0x8E:
		in.Dst.Kind = OperandVec
		e.rm(&in.Src, 8)
	case 0x8F:
		e.popRM(in)
	case 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97:
		e.exchangeRAX(in, full)
	case 0x98: // CBW, CWDE, CDQE
		in.Dst.register(RAX)
		in.Src.register(RAX)
		in.binary(OpMovSX, full)
		in.SrcSize = full / 2
	case 0x99: // CWD, CDQ, CQO
		in.Writes = 1 << RDX
	case 0x9B, 0x9E, 0xF5, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD: // FWAIT, SAHF, flags
	case 0x9C: // PUSHF
		e.push(in)
	case 0x9D: // POPF
		in.Dst.Kind = OperandVec
		e.pop(in)
	case 0x9F, 0xD7, 0xE4, 0xE5, 0xEC, 0xED: // LAHF, XLAT, IN
		in.Writes = 1 << RAX
	case 0xE6, 0xE7, 0xEE, 0xEF: // OUT
	case 0xA0, 0xA1, 0xA2, 0xA3:
		e.moffs(in, size)
	case 0xA8, 0xA9:
		e.raxImm(in, OpTest, size)
	case 0xB0, 0xB1, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7:
		e.opcodeReg(&in.Dst, 1)
		in.Src.constant(e.imm)
		in.binary(OpMov, 1)
	case 0xB8, 0xB9, 0xBA, 0xBB, 0xBC, 0xBD, 0xBE, 0xBF:
		e.opcodeReg(&in.Dst, 8)
		in.Src.constant(e.imm)
		in.binary(OpMov, full)
	case 0xC0, 0xC1:
		e.rmImm(in, shifts[e.group()], size)
	case 0xD0, 0xD1:
		e.imm = 1
		e.rmImm(in, shifts[e.group()], size)
	case 0xD2, 0xD3:
		e.rm(&in.Dst, size)
		in.Src.register(RCX)
		in.binary(shifts[e.group()], size)
		in.SrcSize = 1
	case 0xC2, 0xC3:
		in.Op, in.Writes = e.near(OpRet), 1<<RSP
		if e.opcode == 0xC2 {
			in.Imm2 = e.imm & 0xffff
		}
	case 0xC6, 0xC7:
		e.moveConstant(in, size)
	case 0xC8: // ENTER
		in.Writes = 1<<RSP | 1<<RBP
	case 0xC9:
		in.Op, in.Size, in.Writes = e.near(OpLeave), e.word(), 1<<RSP|1<<RBP
	case 0xCC, 0xF1:
		in.Op = OpInt3
	case 0xCD:
		e.interrupt(in)
	case 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF:
		e.x87(in)
	case 0xE0, 0xE1, 0xE2: // LOOPNE, LOOPE, LOOP
		e.branch(in, OpJcc)
		in.Writes = 1 << RCX
	case 0xE8:
		e.branch(in, OpCall)
	case 0xE9, 0xEB:
		e.branch(in, OpJmp)
	case 0xF4:
		in.Op = OpTrap
	case 0xF6, 0xF7:
		e.group3(in, size)
	case 0xFE, 0xFF:
		e.group5(in, size)
	default: // far returns, IRET
		in.Op = OpBad
	}
}

// arithmetic handles the six forms of opcodes 00 to 3F.
func (e *encoding) arithmetic(in *Inst, op Op, size uint8) {
	switch e.opcode & 7 {
	case 0, 1:
		e.rmReg(in, op, size)
	case 2, 3:
		e.regRM(in, op, size)
	default:
		e.raxImm(in, op, size)
	}
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
func (e *encoding) branch(in *Inst, op Op) {
	in.Op, in.Target = e.near(op), e.wrap(e.next+uint64(e.imm))
}

// wrap returns addr as the mode counts addresses.
func (e *encoding) wrap(addr uint64) uint64 {
	if e.narrow {
		return uint64(uint32(addr))
	}
	return addr
}

// lea handles LEA, which takes no segment. An address of 32 bits is exact as
// the low half of one of 64; one of 16 is not followed.
func (e *encoding) lea(in *Inst, size uint8) {
	if !e.isMem() {
		in.Op = OpBad
		return
	}
	if e.addr && !e.narrow {
		size, e.addr = min(size, 4), false
	}
	e.thread, e.global = false, false
	e.regRM(in, OpLea, size)
}

// exchangeRAX handles 90 to 97: XCHG with RAX, and NOP.
func (e *encoding) exchangeRAX(in *Inst, size uint8) {
	e.opcodeReg(&in.Dst, 8)
	if in.Dst.Reg == RAX {
		in.Op, in.Dst = OpNop, Operand{}
		return
	}
	in.Src.register(RAX)
	in.binary(OpXchg, size)
	in.Writes |= 1 << RAX
}

// stringOp handles MOVS, CMPS, STOS, LODS, SCAS, INS and OUTS.
func (e *encoding) stringOp(in *Inst, size uint8) {
	in.Size = size
	store := false
	switch e.opcode &^ 1 {
	case 0x6C, 0xAA: // INS, STOS
		in.Writes, store = 1<<RDI, true
	case 0xA4: // MOVS
		in.Writes, store = 1<<RSI|1<<RDI, true
	case 0x6E: // OUTS
		in.Writes = 1 << RSI
	case 0xA6: // CMPS
		in.Writes = 1<<RSI | 1<<RDI
	case 0xAC: // LODS
		in.Writes = 1<<RAX | 1<<RSI
	case 0xAE: // SCAS
		in.Writes = 1 << RDI
	}
	if in.Rep = e.rep != 0; in.Rep {
		in.Writes |= 1 << RCX
	}
	switch {
	case store && (in.Rep || e.addr):
		in.StoreAny = true
	case store:
		in.Dst = Operand{Kind: OperandMem, Base: RDI, Index: RegNone}
		in.Store = size
	}
}

// popRM handles POP of memory or of a register with a ModRM byte. RSP counts
// up before it is used as a base.
func (e *encoding) popRM(in *Inst) {
	if e.group() != 0 {
		in.Op = OpBad
		return
	}
	e.rm(&in.Dst, 8)
	if in.Dst.Kind == OperandMem && in.Dst.Base == RSP {
		in.Dst.Disp += int64(e.stackSize())
	}
	e.pop(in)
}

// moffs handles MOV of the accumulator from or to an absolute address.
func (e *encoding) moffs(in *Inst, size uint8) {
	a := Operand{Kind: OperandMem, Base: RegNone, Index: RegNone, Disp: e.imm}
	switch {
	case e.narrow && e.addr && !e.thread:
		a.Disp = int64(uint16(e.imm))
	case e.narrow && !e.thread:
		a.Disp = int64(uint32(e.imm))
	case e.global:
		a = Operand{}
	case e.thread:
		a.Base = RegFS
	case e.addr:
		a.Disp = int64(uint32(e.imm))
	}
	if e.opcode < 0xA2 {
		in.Dst.register(RAX)
		in.Src = a
	} else {
		in.Dst = a
		in.Src.register(RAX)
	}
	in.binary(OpMov, size)
}

// moveConstant handles C6 and C7: MOV of an immediate, and the two
// instructions of transactions in the same place.
func (e *encoding) moveConstant(in *Inst, size uint8) {
	switch {
	case e.group() == 0:
		e.rmImm(in, OpMov, size)
	case e.modrm != 0xF8:
		in.Op = OpBad
	case e.opcode == 0xC7: // XBEGIN: an abort continues at the target, EAX set
		e.branch(in, OpJcc)
		in.Writes = 1 << RAX
	}
}

// interrupt handles INT n.
func (e *encoding) interrupt(in *Inst) {
	switch uint8(e.imm) {
	case 0x80:
		// Kernels before 4.14 cleared R8 to R11.
		in.Op, in.Writes = OpInt80, 1<<RAX|1<<R8|1<<R9|1<<R10|1<<R11
		if e.narrow {
			in.Writes = 1 << RAX
		}
	case 3:
		in.Op = OpInt3
	default:
		in.Op = OpTrap
	}
}

// group3 handles F6 and F7.
func (e *encoding) group3(in *Inst, size uint8) {
	switch e.group() {
	case 0, 1:
		e.rmImm(in, OpTest, size)
	case 2:
		e.rm(&in.Dst, size)
		in.unary(OpNot, size)
	case 3:
		e.rm(&in.Dst, size)
		in.unary(OpNeg, size)
	default: // MUL, IMUL, DIV, IDIV
		e.rm(&in.Src, size)
		in.Size, in.Writes = size, 1<<RAX
		if size > 1 {
			in.Writes |= 1 << RDX
		}
	}
}

// group5 handles FE and FF.
func (e *encoding) group5(in *Inst, size uint8) {
	g := e.group()
	switch {
	case g == 0:
		e.rm(&in.Dst, size)
		in.unary(OpInc, size)
	case g == 1:
		e.rm(&in.Dst, size)
		in.unary(OpDec, size)
	case e.opcode == 0xFE, g == 3, g == 5, g == 7: // far calls and jumps
		in.Op = OpBad
	case g == 6:
		e.rm(&in.Src, 8)
		e.push(in)
	case g == 2:
		e.rm(&in.Src, 8)
		in.Op, in.Size = e.near(OpCallInd), e.word()
		if e.narrow && in.Src.Base == RegFS && in.Src.Disp == sysinfo && in.Op == OpCallInd {
			*in = Inst{Addr: in.Addr, Len: in.Len, Op: OpSysenter, Writes: 1 << RAX}
		}
	default:
		e.rm(&in.Src, 8)
		in.Op, in.Size = e.near(OpJmpInd), e.word()
	}
}

// x87Stores counts the bytes that opcodes D8 to DF store, by row, under group
// 0 to 7.
const x87Stores = "" +
	"\x00\x00\x00\x00\x00\x00\x00\x00" + // D8
	"\x00\x00\x04\x04\x00\x00\x1C\x02" + // D9
	"\x00\x00\x00\x00\x00\x00\x00\x00" + // DA
	"\x00\x04\x04\x04\x00\x00\x00\x0A" + // DB
	"\x00\x00\x00\x00\x00\x00\x00\x00" + // DC
	"\x00\x08\x08\x08\x00\x00\x6C\x02" + // DD
	"\x00\x00\x00\x00\x00\x00\x00\x00" + // DE
	"\x00\x02\x02\x02\x00\x00\x0A\x08" //   DF

// x87 handles D8 to DF: only stores and FNSTSW AX leave the coprocessor.
func (e *encoding) x87(in *Inst) {
	n := x87Stores[(e.opcode&7)<<3|e.group()]
	switch {
	case !e.isMem() && e.opcode == 0xDF && e.modrm == 0xE0:
		in.Dst.register(RAX)
		in.unary(OpOther, 2)
	case !e.isMem():
	case n != 0:
		e.mem(&in.Dst)
		in.unary(OpOther, n)
	default:
		e.mem(&in.Src)
	}
}
