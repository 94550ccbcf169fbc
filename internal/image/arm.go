package image

import (
	"encoding/binary"
	"math/bits"
)

// Registers of arm with a task.
const (
	ARMR7  Reg = 7  // the number of a system call, in Thumb code the frame pointer
	ARMR11 Reg = 11 // in A32 code the frame pointer; what Go's assembler takes for the halves of an instruction
	ARMIP  Reg = 12 // what linkers may change between a call and the function
	ARMSP  Reg = 13
	ARMLR  Reg = 14 // the return address
	armPC  Reg = 15
)

// DecodeARM decodes the A32 instruction at the start of code, which lies at
// address addr (Arm Architecture Reference Manual for A-profile, chapter F4).
// Instructions have 4 bytes; what is cut off is an OpBad.
//
// Of what an instruction does, the rest of the module may rely on what
// [DecodeAMD64] promises: Writes and Store never miss anything, every Op but
// OpBad and OpOther does exactly what its comment says, memory operands are
// exact. Most instructions may have a condition, and then do what they do or
// nothing: a move is an OpCmov, a branch an OpJcc, other jumps, calls and returns say Perhaps,
// what only reads stays what it is, everything else is an OpOther.
//
// Of what enters Thumb code, BLX with a distance says Switch. Every SVC but one is
// OpBad: SVC 0 without a condition is a system call. With another
// constant it is a call of the old ABI (OABI), which kernels with seccomp do not
// have; words that are loaded as constants look like it.
func DecodeARM(code []byte, addr uint64) (in Inst) {
	if len(code) < 4 {
		in.bad(addr, max(len(code), 1))
		return in
	}
	w := word32(binary.LittleEndian.Uint32(code))
	in = Inst{Addr: addr, Len: 4, Op: OpOther, Size: 4}
	if w>>28 == 15 {
		w.unconditional(&in)
	} else {
		w.describe(&in)
	}
	if w>>28 < 14 {
		if in.conditional(uint8(w >> 28)); w.bit(20) && w.field(26, 2) == 0 {
			in.Condition = 0 // it sets the flags
		}
	}
	if in.Op == OpBad || in.Writes&(1<<armPC) != 0 {
		in.bad(addr, 4)
	}
	return in
}

// A word32 is an instruction of arm.
type word32 uint32

func (w word32) bit(n int) bool      { return w>>n&1 != 0 }
func (w word32) field(lo, n int) int { return int(w >> lo & (1<<n - 1)) }
func (w word32) rn() Reg             { return Reg(w >> 16 & 15) }
func (w word32) rd() Reg             { return Reg(w >> 12 & 15) }
func (w word32) rm() Reg             { return Reg(w & 15) }

// conditional turns in into what it is under a condition.
func (in *Inst) conditional(condition uint8) {
	switch in.Op {
	case OpBad, OpNop, OpOther, OpCmp, OpTest, OpInt3:
	case OpJmp:
		in.Op = OpJcc
	case OpMov:
		if in.Store == 0 && in.Dst.Kind == OperandReg {
			in.Op, in.Condition = OpCmov, condition+1
		} else {
			in.Op = OpOther
		}
	case OpCall, OpCallInd, OpJmpInd:
		in.Perhaps = true
	case OpRet:
		in.Perhaps, in.Writes, in.Moves = true, 0, 0 // where it goes on nothing has changed
	case OpTrap:
		in.Op = OpNop
	case OpSyscall:
		in.Op = OpBad
	case OpLea:
		in.Op = OpOther
		if in.Src.Base == ARMSP { // as of any other arithmetic
			in.Src.register(ARMSP)
		}
	default:
		in.Op = OpOther
	}
}

// read makes a the register r; the program counter is 8 bytes ahead.
func (a *Operand) read(r Reg, addr uint64) {
	if r == armPC {
		a.constant(int64(uint32(addr + 8)))
	} else {
		a.register(r)
	}
}

// at32 makes a the memory at base + disp.
func (a *Operand) at32(base Reg, disp int64, addr uint64) {
	*a = Operand{Kind: OperandMem, Base: base, Index: RegNone, Disp: disp}
	if base == armPC {
		a.Base, a.Disp = RegPC, int64(uint32(int64(addr)+8+disp))
	}
}

// write makes Dst the register r.
func (in *Inst) write(r Reg) {
	in.Dst.register(r)
	in.Writes |= 1 << r
}

func (w word32) describe(in *Inst) {
	switch w.field(25, 3) {
	case 0:
		switch {
		case w == 0: // ANDEQ R0, R0, R0: padding
			in.Op = OpNop
		case w.bit(4) && w.bit(7) && w.field(5, 2) != 0:
			w.extraMemory(in)
		case w.bit(4) && w.bit(7) && w.bit(24):
			w.exclusive(in)
		case w.bit(4) && w.bit(7):
			w.multiply(in)
		case w.field(23, 2) == 2 && !w.bit(20):
			w.misc(in)
		default:
			w.data(in)
		}
	case 1:
		if w.field(23, 2) == 2 && !w.bit(20) {
			w.wide(in)
		} else {
			w.data(in)
		}
	case 3:
		if w.bit(4) {
			w.media(in)
			return
		}
		fallthrough
	case 2:
		w.memory(in)
	case 4:
		w.multiple(in)
	case 5:
		in.Op, in.Target = OpJmp, uint64(uint32(int64(in.Addr)+8+int64(int32(w<<8)>>6)))
		if w.bit(24) {
			in.Op = OpCall
		}
	case 6:
		w.coprocessorMemory(in)
	case 7:
		switch {
		case w == 0xEF000000:
			in.Op, in.Writes = OpSyscall, 1
		case w.bit(24): // SVC
			in.Op = OpBad
		default:
			w.coprocessor(in)
		}
	}
}

// unconditional handles the instructions in the place of a condition that never
// holds.
func (w word32) unconditional(in *Inst) {
	switch {
	case w&0xFE000000 == 0xF2000000: // vectors
	case w&0xFF100000 == 0xF4000000: // vectors and memory
		if w.rm() != armPC {
			in.Writes |= 1 << w.rn()
		}
		if !w.bit(21) {
			in.Src.at32(w.rn(), 0, in.Addr)
			in.StoreAny = true
		}
	case w&0xFF100000 == 0xF4200000:
		in.StoreAny = true // stores or loads, of new forms
		in.Writes |= 1 << w.rn()
	case w&0xFD70F000 == 0xF550F000, w&0xFD70F000 == 0xF510F000, w&0xFD70F000 == 0xF450F000: // PLD, PLDW, PLI
		in.Op = OpNop
	case w&0xFFFFFF00 == 0xF57FF000: // barriers, CLREX
	case w&0xFFF000F0 == 0xF7F000F0: // UDF, as Go's assembler has it
		in.Op = OpTrap
	case w&0xFF000010 == 0xFE000000 && w.field(9, 3) == 5: // floats
	case w&0xFE000000 == 0xFC000000: // LDC2, STC2 and moves of two registers
		w.coprocessorMemory(in)
	case w&0xFF000000 == 0xFE000000:
		w.coprocessor(in)
	case w&0xFE000000 == 0xFA000000: // BLX
		in.Op, in.Switch = OpCall, true
		in.Target = uint64(uint32(int64(in.Addr) + 8 + int64(int32(w<<8)>>6) + int64(w.field(24, 1)<<1)))
	default:
		in.Op = OpBad
	}
}

// operand2 makes o the second operand of a data-processing instruction; exact is
// false if it has no form here.
func (w word32) operand2(o *Operand, addr uint64) (exact bool) {
	if w.bit(25) {
		o.constant(int64(bits.RotateLeft32(uint32(w&0xFF), -2*w.field(8, 4))))
		return true
	}
	if w.field(4, 8) != 0 { // shifted
		return false
	}
	o.read(w.rm(), addr)
	return true
}

// data handles arithmetic, logic, moves and comparisons.
func (w word32) data(in *Inst) {
	var o Operand
	exact := w.operand2(&o, in.Addr)
	w.operate(in, &o, exact)
}

// operate is data with the second operand there, if it is exact.
func (w word32) operate(in *Inst, second *Operand, exact bool) {
	o := *second
	op, rd, rn := w.field(21, 4), w.rd(), w.rn()
	switch op {
	case 8, 9, 10, 11: // TST, TEQ, CMP, CMN
		in.Op = OpCmp
		if op == 8 {
			in.Op = OpTest
		}
		in.Dst.read(rn, in.Addr)
		if in.Src = o; !exact { // shifted
			in.Src = Operand{}
		}
		return
	}
	if rd == armPC {
		w.jump(in, op, &o, exact)
		return
	}
	same := rd == rn && rn != armPC
	switch {
	case op == 2 && exact && o.Kind == OperandImm: // SUB
		in.Op = OpLea
		in.Src.at32(rn, -o.Imm, in.Addr)
	case op == 4 && exact && o.Kind == OperandImm: // ADD
		in.Op = OpLea
		in.Src.at32(rn, o.Imm, in.Addr)
	case op == 4 && !w.bit(25) && w.field(4, 3) == 0 && w.field(7, 5) <= 3 && w.rm() != armPC: // ADD, of registers
		in.Op = OpLea
		in.Src.at32(rn, 0, in.Addr)
		in.Src.Index, in.Src.Scale = w.rm(), 1<<w.field(7, 5)
		if w.rm() == ARMSP && in.Src.Scale == 1 && rn != armPC { // as the base, the stack pointer is looked for
			in.Src.Base, in.Src.Index = w.rm(), rn
		}
	case op == 2 && exact && same: // SUB, of registers
		in.Op, in.Src = OpSub, o
	case op == 3 && exact && same && o.Kind == OperandImm && o.Imm == 0: // RSB
		in.Op = OpNeg
	case op == 1 && exact && o.Kind == OperandReg && o.Reg == rn: // EOR of a register with itself
		in.Op = OpMov
		in.Src.constant(0)
	case (op == 0 || op == 1 || op == 12) && exact && same: // AND, EOR, ORR
		in.Op, in.Src = [...]Op{0: OpAnd, 1: OpXor, 12: OpOr}[op], o
	case op == 0 && exact && rn != armPC && o.Kind == OperandImm && o.Imm == 0xFF:
		in.Op, in.SrcSize = OpMovZX, 1
		in.Src.register(rn)
	case op == 14 && exact && same && o.Kind == OperandImm: // BIC
		in.Op = OpAnd
		in.Src.constant(int64(^uint32(o.Imm)))
	case op == 13 && exact: // MOV
		in.Op, in.Src = OpMov, o
	case op == 15 && exact && o.Kind == OperandImm: // MVN
		in.Op = OpMov
		in.Src.constant(int64(^uint32(o.Imm)))
	case op == 13 && rd == w.rm() && !w.bit(4): // MOV, shifted by a constant
		w.shift(in)
	default: // the stack pointer may be there: the operand says so
		if in.Src.read(rn, in.Addr); rn != ARMSP && !w.bit(25) && w.rm() == ARMSP {
			in.Src.register(ARMSP)
		}
	}
	in.write(rd)
}

// shift handles a shift of a register by a constant.
func (w word32) shift(in *Inst) {
	n := w.field(7, 5)
	if n == 0 { // 32, or with the carry
		return
	}
	if kind := w.field(5, 2); kind < 3 {
		in.Op = [...]Op{OpShl, OpShr, OpSar}[kind]
		in.Src.constant(int64(n))
	}
}

// jump handles data processing whose result is the program counter.
func (w word32) jump(in *Inst, op int, o *Operand, exact bool) {
	in.Op = OpJmpInd
	switch {
	case w.bit(20): // returns from exceptions
		in.Op = OpBad
	case op == 13 && exact && o.Kind == OperandReg && o.Reg == ARMLR, // MOV
		(op == 4 || op == 2) && exact && o.Kind == OperandImm && o.Imm == 0 && w.rn() == ARMLR: // ADD, SUB
		in.Op = OpRet
	case op == 13 && exact && o.Kind == OperandReg:
		in.Src = *o
	case (op == 4 || op == 2) && exact && o.Kind == OperandImm && w.rn() == armPC:
		to := int64(in.Addr) + 8 + o.Imm
		if op == 2 {
			to = int64(in.Addr) + 8 - o.Imm
		}
		in.Op, in.Target = OpJmp, uint64(uint32(to))
	}
}

// misc handles what takes the place of comparisons that keep no flags.
func (w word32) misc(in *Inst) {
	kind := w.field(21, 2)
	switch op := w.field(4, 4); {
	case op == 0 && !w.bit(21): // MRS
		in.write(w.rd())
	case op == 0: // MSR
	case op == 1 && kind == 1: // BX
		in.Op = OpJmpInd
		if w.rm() == ARMLR {
			in.Op = OpRet
		} else {
			in.Src.read(w.rm(), in.Addr)
		}
	case op == 3 && kind == 1: // BLX
		in.Op = OpCallInd
		in.Src.read(w.rm(), in.Addr)
	case op == 1 && kind == 3, op == 4, op == 5: // CLZ, CRC32, QADD
		in.write(w.rd())
	case op == 7 && kind == 1: // BKPT
		in.Op = OpInt3
	case op == 7: // HLT, HVC, SMC: for the kernel alone
		in.Op = OpTrap
	case op&9 == 8: // multiplications of halves
		in.write(w.rn())
		if kind == 2 {
			in.Writes |= 1 << w.rd()
		}
	default:
		in.Op = OpBad
	}
}

// wide handles constants of 16 bits, hints and flags.
func (w word32) wide(in *Inst) {
	switch w.field(20, 5) {
	case 0x10: // MOVW
		in.Op = OpMov
		in.Src.constant(int64(w.field(16, 4)<<12 | w.field(0, 12)))
		in.write(w.rd())
	case 0x14: // MOVT
		in.Op = OpMovTop
		in.Src.constant(int64(w.field(16, 4)<<12 | w.field(0, 12)))
		in.write(w.rd())
	default: // MSR, hints
		if w&0x0FFFFF00 == 0x0320F000 {
			in.Op = OpNop
		}
	}
}

func (w word32) multiply(in *Inst) {
	op := w.field(21, 3)
	in.write(w.rn())
	if op == 2 || op >= 4 { // of two words
		in.Writes |= 1 << w.rd()
	}
}

// exclusive handles swaps, the exclusive and the ordered accesses.
func (w word32) exclusive(in *Inst) {
	if w.rd() != armPC { // STL has none
		in.Writes |= 1 << w.rd()
		if w.bit(20) && w.field(21, 2) == 1 { // LDREXD
			in.Writes |= 1 << (w.rd() + 1)
		}
	}
	if !w.bit(20) {
		in.Dst.at32(w.rn(), 0, in.Addr)
		in.Store = 8
	}
}
