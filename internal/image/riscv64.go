package image

import "encoding/binary"

// Registers of riscv64 with a task; x0 is the constant 0.
const (
	RVLink Reg = 1  // ra, the return address
	RVSP   Reg = 2  // sp, the stack pointer
	rvGP   Reg = 3  // gp, which always holds the same address of data
	rvT1   Reg = 6  // where a stub of a linkage table leaves its own address …
	rvT3   Reg = 28 // … and where it has that of the function
	RVFP   Reg = 8  // s0, the frame pointer
	rvA0   Reg = 10 // a0, the result of a system call
	RVA7   Reg = 17 // a7, the number of a system call
)

// DecodeRISCV64 decodes the instruction at the start of code, which lies at
// address addr (RISC-V Unprivileged ISA, RV64GC and what programs see of the
// ratified extensions). Instructions have 2 or 4 bytes, longer ones are an OpBad
// of the length that their first bits say; what is cut off is an OpBad too.
//
// Of what an instruction does, the rest of the module may rely on what
// [DecodeAMD64] promises: Writes and Store never miss anything, every Op but
// OpBad and OpOther does exactly what its comment says, memory operands are
// exact. A compressed instruction is the one that it stands for. What vendors
// define for themselves is OpBad.
func DecodeRISCV64(code []byte, addr uint64) (in Inst) {
	if len(code) < 2 {
		in.bad(addr, 1)
		return in
	}
	half := binary.LittleEndian.Uint16(code)
	n := lengthRISCV64(half)
	if n > len(code) {
		in.bad(addr, len(code)&^1)
		return in
	}
	in = Inst{Addr: addr, Len: uint8(n), Op: OpOther}
	switch {
	case half == 0: // defined to be illegal: padding
		in.Op = OpTrap
	case n == 2:
		if w := expand(half); w != 0 {
			w.describe(&in)
		} else {
			in.Op = OpBad
		}
	case n == 4:
		wordRV(binary.LittleEndian.Uint32(code)).describe(&in)
	default:
		in.Op = OpBad
	}
	if in.Op == OpBad {
		in.bad(addr, n)
	}
	return in
}

// lengthRISCV64 returns the length of the instruction that starts with half.
func lengthRISCV64(half uint16) int {
	switch {
	case half&3 != 3:
		return 2
	case half&0x1C != 0x1C:
		return 4
	case half&0x3F == 0x1F:
		return 6
	case half&0x7F == 0x3F:
		return 8
	}
	return 2 // reserved
}

// A wordRV is an instruction of riscv64.
type wordRV uint32

func (w wordRV) rd() Reg             { return Reg(w >> 7 & 31) }
func (w wordRV) rs1() Reg            { return Reg(w >> 15 & 31) }
func (w wordRV) rs2() Reg            { return Reg(w >> 20 & 31) }
func (w wordRV) funct3() int         { return int(w >> 12 & 7) }
func (w wordRV) funct7() int         { return int(w >> 25) }
func (w wordRV) immI() int64         { return int64(int32(w) >> 20) }
func (w wordRV) immU() int64         { return int64(int32(w &^ 0xFFF)) }
func (w wordRV) immS() int64         { return int64(int32(w)>>25<<5) | int64(w>>7&31) }
func (w wordRV) field(lo, n int) int { return int(w >> lo & (1<<n - 1)) }

func (w wordRV) immB() int64 {
	return int64(int32(w)>>31<<12) | int64(w.field(7, 1))<<11 | int64(w.field(25, 6))<<5 | int64(w.field(8, 4))<<1
}

func (w wordRV) immJ() int64 {
	return int64(int32(w)>>31<<20) | int64(w.field(12, 8))<<12 | int64(w.field(20, 1))<<11 | int64(w.field(21, 10))<<1
}

// dst makes Dst the register rd; what is written to x0 is lost.
func (w wordRV) dst(in *Inst) {
	if w.rd() == 0 {
		in.Op = OpNop
		return
	}
	in.Dst.register(w.rd())
	in.Writes |= 1 << w.rd()
}

// x makes a the register r, x0 being zero.
func (a *Operand) x(r Reg) {
	if r == 0 {
		a.constant(0)
	} else {
		a.register(r)
	}
}

// cell makes a the memory at base + disp.
func (a *Operand) cell(base Reg, disp int64) {
	*a = Operand{Kind: OperandMem, Base: base, Index: RegNone, Disp: disp}
	if base == 0 {
		a.Base = RegNone
	}
}

// The major opcodes, bits 2 to 6.
const (
	rvLoad    = 0x00
	rvLoadFP  = 0x01
	rvFence   = 0x03
	rvOpImm   = 0x04
	rvAUIPC   = 0x05
	rvOpImm32 = 0x06
	rvStore   = 0x08
	rvStoreFP = 0x09
	rvAMO     = 0x0B
	rvOp      = 0x0C
	rvLUI     = 0x0D
	rvOp32    = 0x0E
	rvMAdd    = 0x10
	rvNMAdd   = 0x13
	rvOpFP    = 0x14
	rvOpV     = 0x15
	rvBranch  = 0x18
	rvJALR    = 0x19
	rvJAL     = 0x1B
	rvSystem  = 0x1C
	rvOpVE    = 0x1D
)

// describe fills in what w does.
func (w wordRV) describe(in *Inst) {
	in.Size = 8
	switch op := w.field(2, 5); op {
	case rvLoad:
		w.load(in)
	case rvStore:
		w.store(in)
	case rvOpImm:
		w.immediate(in)
	case rvOp:
		w.register(in)
	case rvAUIPC:
		in.Op = OpPage
		in.Src.constant(int64(in.Addr) + w.immU())
		w.dst(in)
	case rvLUI:
		in.Op = OpMov
		in.Src.constant(w.immU())
		w.dst(in)
	case rvOpImm32, rvOp32:
		w.narrow(in)
	case rvBranch:
		if f := w.funct3(); f == 2 || f == 3 {
			in.Op = OpBad
			return
		}
		in.Op, in.Target = OpJcc, in.Addr+uint64(w.immB())
		in.Dst.x(w.rs1())
		in.Src.x(w.rs2())
	case rvJAL:
		in.Op, in.Target = OpCall, in.Addr+uint64(w.immJ())
		if w.rd() == 0 {
			in.Op = OpJmp
		}
	case rvJALR:
		w.jumpRegister(in)
	case rvSystem:
		w.system(in)
	case rvAMO:
		w.atomic(in)
	case rvLoadFP, rvStoreFP:
		w.memoryFP(in, op == rvStoreFP)
	case rvOpFP:
		w.float(in)
	case rvOpV:
		// vsetvl and its kin; vmv.x.s, vcpop, vfirst.
		if w.funct3() == 7 || w.funct3() == 2 && w.field(26, 6) == 0x10 {
			w.dst(in)
			in.Op = OpOther
		}
	case rvFence:
		switch w.funct3() {
		case 0, 1:
		case 2: // cbo.zero clears memory
			in.StoreAny = true
		default:
			in.Op = OpBad
		}
	case rvMAdd, rvMAdd + 1, rvMAdd + 2, rvNMAdd, rvOpVE: // floats and vectors only
	default:
		in.Op = OpBad
	}
	if in.Op == OpOther && in.Src.Kind == OperandNone && w.takesSP() {
		in.Src.register(RVSP)
	}
}

// takesSP reports that w computes with the stack pointer, or moves it.
func (w wordRV) takesSP() bool {
	switch w.field(2, 5) {
	case rvOpImm, rvOpImm32, rvLoadFP, rvStoreFP:
		return w.rs1() == RVSP
	case rvOp, rvOp32:
		return w.rs1() == RVSP || w.rs2() == RVSP
	case rvAMO:
		return w.rs2() == RVSP
	case rvOpFP:
		return w.rs1() == RVSP && (w.funct7()>>2 == 26 || w.funct7()>>2 == 30 || w.funct7()>>2 == 22)
	case rvOpV:
		return w.rs1() == RVSP && (w.funct3() == 4 || w.funct3() == 6)
	}
	return false
}

// load handles loads of general registers.
func (w wordRV) load(in *Inst) {
	size := uint8(1) << (w.funct3() & 3)
	switch f := w.funct3(); {
	case f == 7:
		in.Op = OpBad
		return
	case f == 3:
		in.Op = OpMov
	case f < 3:
		in.Op, in.SrcSize = OpMovSX, size
	default:
		in.Op, in.SrcSize = OpMovZX, size
	}
	in.Src.cell(w.rs1(), w.immI())
	if w.dst(in); in.Op == OpNop { // it may fault, all the same
		in.Op, in.SrcSize = OpOther, 0
	}
}

func (w wordRV) store(in *Inst) {
	if w.funct3() > 3 {
		in.Op = OpBad
		return
	}
	in.Op, in.Size = OpMov, 1<<w.funct3()
	in.Store = in.Size
	in.Src.x(w.rs2())
	in.Dst.cell(w.rs1(), w.immS())
}

// immediate handles operations on a register and a constant.
func (w wordRV) immediate(in *Inst) {
	imm, same := w.immI(), w.rd() == w.rs1()
	switch w.funct3() {
	case 0: // ADDI
		switch {
		case w.rs1() == 0:
			in.Op = OpMov
			in.Src.constant(imm)
		case imm == 0:
			in.Op = OpMov
			in.Src.register(w.rs1())
		default:
			in.Op = OpLea
			in.Src.cell(w.rs1(), imm)
		}
	case 2, 3: // SLTI, SLTIU
		in.Op = OpSetcc
	case 7: // ANDI
		if imm == 0xFF && w.rs1() != 0 {
			in.Op, in.SrcSize = OpMovZX, 1
			in.Src.register(w.rs1())
			break
		}
		w.logical(in, OpAnd, imm)
	case 6:
		w.logical(in, OpOr, imm)
	case 4:
		w.logical(in, OpXor, imm)
	case 1:
		if same && w>>26 == 0 {
			in.Op = OpShl
			in.Src.constant(imm & 63)
		}
	case 5:
		switch {
		case same && w>>26 == 0:
			in.Op = OpShr
			in.Src.constant(imm & 63)
		case same && w>>26 == 0x10:
			in.Op = OpSar
			in.Src.constant(imm & 63)
		}
	}
	w.dst(in)
}

// logical makes in the operation of rs1 and a constant, exact where rd is rs1.
func (w wordRV) logical(in *Inst, op Op, imm int64) {
	if w.rd() == w.rs1() {
		in.Op = op
		in.Src.constant(imm)
	}
}

// register handles operations on two registers.
func (w wordRV) register(in *Inst) {
	same := w.rd() == w.rs1()
	switch w.funct7()<<3 | w.funct3() {
	case 0: // ADD
		switch {
		case w.rs1() == 0 || w.rs2() == 0:
			in.Op = OpMov
			in.Src.x(w.rs1() | w.rs2())
		default:
			in.Op = OpLea
			in.Src = Operand{Kind: OperandMem, Base: w.rs1(), Index: w.rs2(), Scale: 1}
			if w.rs2() == RVSP { // as the base, the stack pointer is looked for
				in.Src.Base, in.Src.Index = w.rs2(), w.rs1()
			}
		}
	case 0x20 << 3: // SUB
		switch {
		case same:
			in.Op = OpSub
			in.Src.x(w.rs2())
		case w.rs1() == 0 && w.rd() == w.rs2():
			in.Op = OpNeg
		}
	case 2, 3: // SLT, SLTU
		in.Op = OpSetcc
	case 4, 6, 7: // XOR, OR, AND
		if same {
			in.Op = [...]Op{4: OpXor, 6: OpOr, 7: OpAnd}[w.funct3()]
			in.Src.x(w.rs2())
		}
	case 1 << 3: // MUL
		if same {
			in.Op = OpImul
			in.Src.x(w.rs2())
		}
	}
	w.dst(in)
}

// narrow handles operations on words of 32 bits.
func (w wordRV) narrow(in *Inst) {
	switch imm := w.field(2, 5) == rvOpImm32; {
	case imm && w.funct3() == 0 && w.rs1() == 0: // ADDIW
		in.Op = OpMov
		in.Src.constant(w.immI())
	case imm && w.funct3() == 0 && w.immI() == 0: // SEXT.W
		in.Op, in.SrcSize = OpMovSX, 4
		in.Src.register(w.rs1())
	case !imm && w.funct7() == 4 && w.funct3() == 0 && w.rs2() == 0 && w.rs1() != 0: // ZEXT.W
		in.Op, in.SrcSize = OpMovZX, 4
		in.Src.register(w.rs1())
	}
	w.dst(in)
}

func (w wordRV) jumpRegister(in *Inst) {
	if w.funct3() != 0 {
		in.Op = OpBad
		return
	}
	imm := w.immI()
	switch {
	case w.rd() == 0 && w.rs1() == RVLink && imm == 0:
		in.Op = OpRet
		return
	case w.rd() == 0:
		in.Op = OpJmpInd
	case w.rd() == rvT1 && w.rs1() == rvT3: // of a stub: nobody returns there
		in.Op, in.Writes = OpJmpInd, 1<<rvT1
	default:
		in.Op = OpCallInd
	}
	in.Src.x(w.rs1())
	in.Imm2 = imm
}

func (w wordRV) system(in *Inst) {
	switch {
	case w == 0x00000073: // ECALL
		in.Op, in.Writes = OpSyscall, 1<<rvA0
	case w == 0x00100073: // EBREAK
		in.Op = OpInt3
	case w == 0x00D00073 || w == 0x01D00073: // WRS: they wait
	case w.funct3()&3 != 0: // control and status registers
		if w.dst(in); in.Op == OpNop {
			in.Op = OpOther
		}
	default: // for the kernel alone
		in.Op = OpBad
	}
}

// atomic handles reads that also write; loads with a reservation count as such.
func (w wordRV) atomic(in *Inst) {
	if w.funct3() > 4 {
		in.Op = OpBad
		return
	}
	in.Size = 1 << w.funct3()
	if w.dst(in); in.Op == OpNop {
		in.Op = OpOther
	}
	if w.funct3() == 4 && w.rd() != 0 { // a compare and swap of two words
		in.Writes |= 1 << (w.rd() + 1)
	}
	in.Dst.cell(w.rs1(), 0)
	in.Store = in.Size
}

// memoryFP handles loads and stores of float and vector registers.
func (w wordRV) memoryFP(in *Inst, store bool) {
	f := w.funct3()
	scalar := f >= 1 && f <= 4
	in.Size = 1 << f
	switch {
	case scalar && store:
		in.Src.Kind = OperandVec
		in.Dst.cell(w.rs1(), w.immS())
		in.Store = in.Size
	case scalar:
		in.Dst.Kind = OperandVec
		in.Src.cell(w.rs1(), w.immI())
	case store: // with strides and indexes: anywhere
		in.StoreAny = true
	}
}

// float handles operations on floats: some give a general register.
func (w wordRV) float(in *Inst) {
	switch w.field(27, 5) {
	case 0, 1, 2, 3, 4, 5, 8, 11, 22, 26, 30: // FADD to FMAX, FCVT between floats, FSQRT, moves to floats
	default:
		if w.dst(in); in.Op == OpNop {
			in.Op = OpOther
		}
	}
}
