package image

import (
	"encoding/binary"
	"math/bits"
)

// noReg stands for the zero register where a register's number is wanted.
const noReg = -1

// DecodeARM64 decodes the instruction at the start of code, which lies at
// address addr (Arm Architecture Reference Manual for A-profile, chapter C4).
// Instructions have 4 bytes; what is cut off is an OpBad.
//
// Of what an instruction does, the rest of the module may rely on what
// [DecodeAMD64] promises: Writes and Store never miss anything, every Op but
// OpBad and OpOther does exactly what its comment says, memory operands are
// exact. Scalable vectors and matrices may do anything. Every SVC is a
// system call, as Linux ignores its constant.
func DecodeARM64(code []byte, addr uint64) (in Inst) {
	if len(code) < 4 {
		in.bad(addr, max(len(code), 1))
		return in
	}
	w := word64(binary.LittleEndian.Uint32(code))
	in = Inst{Addr: addr, Len: 4, Op: OpOther}
	if unallocatedARM64(uint32(w)) {
		in.bad(addr, 4)
		return in
	}
	switch w >> 25 & 0xF {
	case 8, 9:
		w.immediate(&in)
	case 10, 11:
		w.branch(&in)
	case 4, 6, 12, 14:
		w.memory(&in)
	case 5, 13:
		w.register(&in)
	case 7, 15:
		if w.leavesVectors() {
			w.writes(&in, w.rd())
		}
	default:
		if w>>16 == 0 { // UDF, and padding
			in.Op = OpTrap
		} else {
			in.unknown()
		}
	}
	if in.Op == OpBad {
		in.bad(addr, 4)
	}
	return in
}

// A word64 is an instruction of arm64.
type word64 uint32

func (w word64) rd() uint8           { return uint8(w & 31) }
func (w word64) rn() uint8           { return uint8(w >> 5 & 31) }
func (w word64) rm() uint8           { return uint8(w >> 16 & 31) }
func (w word64) bit(n int) bool      { return w>>n&1 != 0 }
func (w word64) field(lo, n int) int { return int(w >> lo & (1<<n - 1)) }

// signed returns the field of n bits at lo, sign-extended.
func (w word64) signed(lo, n int) int64 {
	return int64(w) << (64 - lo - n) >> (64 - n)
}

// size returns the operand size that bit 31 says.
func (w word64) size() uint8 {
	if w.bit(31) {
		return 8
	}
	return 4
}

// writes notes that register r, unless it is zero, may change.
func (w word64) writes(in *Inst, r uint8) {
	if r != 31 {
		in.Writes |= 1 << r
	}
}

// dst makes Dst the register r, 31 being zero: then nothing is written.
func (w word64) dst(in *Inst, r uint8) {
	if r == 31 {
		in.Op = OpNop
		return
	}
	in.Dst.register(Reg(r))
	in.Writes |= 1 << r
}

// dstSP is dst with 31 being the stack pointer.
func (w word64) dstSP(in *Inst, r uint8) {
	in.Dst.register(Reg(r))
	in.Writes |= 1 << r
}

// reg makes a the register r, 31 being zero.
func (a *Operand) reg(r uint8) {
	if r == 31 {
		a.constant(0)
	} else {
		a.register(Reg(r))
	}
}

// second returns r as Imm2 has it.
func second(r uint8) int64 {
	if r == 31 {
		return noReg
	}
	return int64(r)
}

// at makes a the memory at base + disp, 31 being the stack pointer.
func (a *Operand) at(base uint8, disp int64) {
	*a = Operand{Kind: OperandMem, Base: Reg(base), Index: RegNone, Disp: disp}
}

// leavesVectors reports that an instruction on floating-point numbers or vectors may
// write a general register: conversions to integers and fixed-point numbers, FMOV, SMOV
// and UMOV.
func (w word64) leavesVectors() bool {
	switch {
	case w&0x7F000000 == 0x1E000000:
		return !w.bit(21) || w.field(10, 6) == 0
	case w&0xBFE08400 == 0x0E000400: // DUP, INS, SMOV, UMOV
		to := w.field(11, 4)
		return to != 0 && to != 1 && to != 3
	}
	return false
}

// immediate handles data processing with an immediate.
func (w word64) immediate(in *Inst) {
	in.Size = w.size()
	switch w.field(23, 3) {
	case 0, 1: // ADR, ADRP
		imm := w.signed(5, 19)<<2 | int64(w.field(29, 2))
		in.Size = 8
		if w.bit(31) {
			in.Op = OpPage
			in.Src.constant(int64(in.Addr&^0xFFF) + imm<<12)
		} else {
			in.Op = OpLea
			in.Src = Operand{Kind: OperandMem, Base: RegPC, Index: RegNone, Disp: int64(in.Addr) + imm}
		}
		w.dst(in, w.rd())
	case 2: // ADD, SUB
		w.addImmediate(in)
	case 4: // AND, ORR, EOR, ANDS
		w.logicalImmediate(in)
	case 5: // MOVN, MOVZ, MOVK
		imm := uint64(w.field(5, 16)) << (16 * w.field(21, 2))
		switch w.field(29, 2) {
		case 0:
			imm = ^imm
		case 2:
		default:
			w.dst(in, w.rd())
			return
		}
		in.Op = OpMov
		in.Src.constant(int64(imm))
		w.dst(in, w.rd())
	case 6: // bit fields
		w.bitField(in)
	case 3: // tags
		w.dstSP(in, w.rd())
	default: // EXTR
		w.dst(in, w.rd())
	}
}

func (w word64) addImmediate(in *Inst) {
	imm := int64(w.field(10, 12))
	if w.bit(22) {
		imm <<= 12
	}
	if w.bit(29) && w.rd() == 31 { // CMP, CMN
		in.Op = OpCmp
		in.Dst.register(Reg(w.rn()))
		in.Src.constant(imm)
		return
	}
	if w.bit(30) {
		imm = -imm
	}
	in.Op = OpLea
	in.Src.at(w.rn(), imm)
	if w.bit(29) {
		w.dst(in, w.rd())
	} else {
		w.dstSP(in, w.rd())
	}
}

func (w word64) logicalImmediate(in *Inst) {
	imm, ok := w.bitmask()
	if !ok {
		in.Op = OpBad
		return
	}
	opc := w.field(29, 2)
	in.Src.constant(int64(imm))
	switch {
	case opc == 3 && w.rd() == 31:
		in.Op = OpTest
		in.Dst.reg(w.rn())
		return
	case w.rn() == 31 && opc == 1:
		in.Op = OpMov
	case opc == 0 && (imm == 0xFF || imm == 0xFFFF || imm == 0xFFFFFFFF) && w.rn() != 31:
		in.Op = OpMovZX
		in.SrcSize = uint8(bits.OnesCount64(imm) / 8)
		in.Src = Operand{Kind: OperandReg, Reg: Reg(w.rn())}
	case w.rd() == w.rn():
		in.Op = [4]Op{OpAnd, OpOr, OpXor, OpAnd}[opc]
	default:
		in.Src = Operand{}
	}
	if opc == 3 {
		w.dst(in, w.rd())
	} else {
		w.dstSP(in, w.rd())
	}
}

// bitmask returns the immediate of a logical instruction: a run of ones,
// rotated, in elements of 2 to 64 bits that repeat (DecodeBitMasks in the
// manual).
func (w word64) bitmask() (uint64, bool) {
	n, immr, imms := w.field(22, 1), w.field(16, 6), w.field(10, 6)
	length := bits.Len(uint(n<<6|^imms&0x3F)) - 1
	if length < 1 || n == 1 && !w.bit(31) {
		return 0, false
	}
	size := 1 << length
	ones, rotate := imms&(size-1)+1, immr&(size-1)
	if ones == size {
		return 0, false
	}
	element := uint64(1)<<ones - 1
	element = (element>>rotate | element<<(size-rotate)) & (^uint64(0) >> (64 - size))
	for ; size < 64; size *= 2 {
		element |= element << size
	}
	if !w.bit(31) {
		element &= 0xFFFFFFFF
	}
	return element, true
}

func (w word64) bitField(in *Inst) {
	opc, immr, imms := w.field(29, 2), w.field(16, 6), w.field(10, 6)
	top := int(in.Size)*8 - 1
	in.Src.reg(w.rn())
	switch {
	case immr == 0 && (imms == 7 || imms == 15 || imms == 31) && opc != 1 && in.Src.Kind == OperandReg && imms < top:
		in.SrcSize = uint8(imms+1) / 8
		in.Op = OpMovZX
		if opc == 0 {
			in.Op = OpMovSX
		}
	case w.rd() == w.rn() && imms == top && opc == 2: // LSR
		in.Op = OpShr
		in.Src.constant(int64(immr))
	case w.rd() == w.rn() && imms == top && opc == 0: // ASR
		in.Op = OpSar
		in.Src.constant(int64(immr))
	case w.rd() == w.rn() && opc == 2 && imms+1 == immr: // LSL
		in.Op = OpShl
		in.Src.constant(int64(top - imms))
	default:
		in.Src = Operand{}
	}
	w.dst(in, w.rd())
}

// branch handles branches, exceptions and system instructions.
func (w word64) branch(in *Inst) {
	jump := func(op Op, lo, n int) {
		in.Op, in.Target = op, in.Addr+uint64(w.signed(lo, n)<<2)
	}
	switch {
	case w>>26 == 0b000101:
		jump(OpJmp, 0, 26)
	case w>>26 == 0b100101:
		jump(OpCall, 0, 26)
	case w>>24 == 0x54: // B.cond, BC.cond
		jump(OpJcc, 5, 19)
	case w>>25&0x3F == 0b011010: // CBZ, CBNZ
		jump(OpJcc, 5, 19)
	case w>>25&0x3F == 0b011011: // TBZ, TBNZ
		jump(OpJcc, 5, 14)
	case w>>25&0x3F == 0b111010: // CB, CBB, CBH with a register or a constant
		jump(OpJcc, 5, 9)
	case w>>25 == 0b1101011:
		w.branchRegister(in)
	case w>>24 == 0xD4:
		w.exception(in)
	case w>>22 == 0b1101010100:
		w.system(in)
	default:
		in.Op = OpBad
	}
}

func (w word64) branchRegister(in *Inst) {
	in.Size = 8
	in.Src.reg(w.rn())
	switch opc := w.field(21, 4) & 7; {
	case w.field(21, 4) == 4 || w.field(21, 4) == 5: // ERET, DRPS
		in.Op = OpBad
	case opc == 0:
		in.Op = OpJmpInd
	case opc == 1:
		in.Op = OpCallInd
	case opc == 2 && (w.rn() == uint8(X30) || w.field(10, 6) != 0): // RETAA takes X30 too
		in.Op, in.Src = OpRet, Operand{}
	case opc == 2:
		in.Op = OpJmpInd
	default:
		in.Op = OpBad
	}
}

func (w word64) exception(in *Inst) {
	switch {
	case w&0x00E0001F == 1: // SVC
		in.Op, in.Writes = OpSyscall, 1
	case w&0x00E0001F == 0x00200000: // BRK
		in.Op = OpInt3
	case w&0x00E0001C == 0x00600000: // TCANCEL
		in.Op = OpBad
	default: // HVC, SMC, HLT, DCPS: undefined for programs
		in.Op = OpTrap
	}
}

func (w word64) system(in *Inst) {
	switch {
	case w&0xFFFFF01F == 0xD503201F: // hints
		switch hint := w.field(5, 7); hint {
		case 0, 1, 2, 3, 4, 5, 6, 16, 17, 18, 20, 32, 34, 36, 38: // NOP to DGH, ESB, PSB, TSB, CSDB, BTI
			in.Op = OpNop
		default: // pointer authentication
			in.Writes = 1<<16 | 1<<17 | 1<<X30
		}
	case w.bit(21): // MRS, SYSL
		w.writes(in, w.rd())
	case w&0xFFF80000 == 0xD5080000: // SYS: DC ZVA clears memory
		in.StoreAny = true
	}
}

// register handles data processing with registers.
func (w word64) register(in *Inst) {
	in.Size = w.size()
	switch {
	case w.field(24, 5) == 0b01010:
		w.logicalRegister(in)
	case w.field(24, 5) == 0b01011:
		w.addRegister(in)
	case w.field(21, 8) == 0b11010100 && !w.bit(29) && !w.bit(11): // CSEL and its kin
		w.selectRegister(in)
	default:
		w.dst(in, w.rd())
	}
}

func (w word64) logicalRegister(in *Inst) {
	opc, shift := w.field(29, 2), w.field(10, 6)
	switch {
	case opc == 3 && w.rd() == 31:
		in.Op = OpTest
		in.Dst.reg(w.rn())
		in.Src.reg(w.rm())
		return
	case w.bit(21) || shift != 0 || w.field(22, 2) != 0:
	case opc == 1 && w.rn() == 31:
		in.Op = OpMov
		in.Src.reg(w.rm())
	case opc == 2 && w.rn() == w.rm():
		in.Op = OpMov
		in.Src.constant(0)
	case w.rd() == w.rn():
		in.Op = [4]Op{OpAnd, OpOr, OpXor, OpAnd}[opc]
		in.Src.reg(w.rm())
	}
	w.dst(in, w.rd())
}

func (w word64) addRegister(in *Inst) {
	extended := w.bit(21)
	switch {
	case w.bit(29) && w.rd() == 31: // CMP, CMN
		in.Op = OpCmp
		in.Dst.reg(w.rn())
		in.Src.reg(w.rm())
		if extended && w.rn() == 31 {
			in.Dst.register(SP)
		}
		return
	case extended:
		// The stack pointer may be Rn: the address says so.
		if in.Src.register(Reg(w.rn())); !w.bit(30) && w.field(13, 2) == 3 && w.rm() != 31 && w.field(10, 3) <= 3 {
			in.Op = OpLea
			in.Src = Operand{Kind: OperandMem, Base: Reg(w.rn()), Index: Reg(w.rm()), Scale: 1 << w.field(10, 3)}
		}
	case !w.bit(30) && w.field(22, 2) == 0 && w.field(10, 6) <= 3 && w.rn() != 31 && w.rm() != 31:
		in.Op = OpLea
		in.Src = Operand{Kind: OperandMem, Base: Reg(w.rn()), Index: Reg(w.rm()), Scale: 1 << w.field(10, 6)}
	case w.rd() == w.rn() && w.bit(30) && w.field(10, 6) == 0 && w.rm() != 31:
		in.Op = OpSub
		in.Src.reg(w.rm())
	}
	if extended && !w.bit(29) {
		w.dstSP(in, w.rd())
	} else {
		w.dst(in, w.rd())
	}
}

func (w word64) selectRegister(in *Inst) {
	switch op := w.field(30, 1)<<1 | w.field(10, 1); {
	case op == 0: // CSEL
		in.Op = OpSelect
		in.Src.reg(w.rn())
		in.Imm2 = second(w.rm())
	case op == 1 && w.rn() == 31 && w.rm() == 31: // CSINC of zeros: CSET
		in.Op = OpSetcc
	}
	w.dst(in, w.rd())
}
