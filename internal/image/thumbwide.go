package image

import "math/bits"

// A wide32 is an instruction of 4 bytes of Thumb code, the first half on top.
type wide32 uint32

func (w wide32) bit(n int) bool             { return w>>n&1 != 0 }
func (w wide32) field(lo, n int) uint32     { return uint32(w) >> lo & (1<<n - 1) }
func (w wide32) rn() uint32                 { return w.field(16, 4) }
func (w wide32) rt() uint32                 { return w.field(12, 4) }
func (w wide32) rd() uint32                 { return w.field(8, 4) }
func (w wide32) rm() uint32                 { return w.field(0, 4) }
func (w wide32) is(mask, value uint32) bool { return uint32(w)&mask == value }

// describe handles the instructions of 4 bytes.
func (w wide32) describe(in *Inst) {
	switch {
	case w.is(0xFE400000, 0xE8000000): // STM, LDM
		if w.bit(23) == w.bit(24) { // RFE, SRS: for the kernel alone
			in.Op = OpBad
			return
		}
		in.as(uint32(w), false)
	case w.is(0xFE400000, 0xE8400000):
		w.pairs(in)
	case w.is(0xFE000000, 0xEA000000):
		w.shifted(in)
	case w.is(0xEF000000, 0xEF000000): // vectors
		in.as(0xF2000000|w.field(28, 1)<<24|w.field(0, 24), false)
	case w.is(0xEC000000, 0xEC000000): // coprocessors, floats
		in.as(uint32(w), true)
	case w.is(0xF8008000, 0xF0008000):
		w.branch(in)
	case w.is(0xFA000000, 0xF0000000):
		w.immediate(in)
	case w.is(0xFA000000, 0xF2000000):
		w.plain(in)
	case w.is(0xFF100000, 0xF9000000): // vectors and memory
		in.as(0xF4000000|w.field(0, 24), false)
	case w.is(0xFE000000, 0xF8000000):
		w.memory(in)
	case w.is(0xFF000000, 0xFA000000):
		w.register(in)
	case w.is(0xFF000000, 0xFB000000): // multiplications, divisions
		in.write(Reg(w.rd()))
		if w.bit(23) && Reg(w.rt()) != armPC {
			in.Writes |= 1 << w.rt()
		}
	default:
		in.Op = OpBad
	}
}

// operations are A32's numbers of the operations of data processing, by T32's; -1:
// none, or of no use here.
var operations = [16]int{0: 0, 1: 14, 2: 12, 3: -1, 4: 1, 5: -1, 6: -1, 7: -1, 8: 4, 9: -1, 10: 5, 11: 6, 12: -1, 13: 2, 14: 3, 15: -1}

// operate describes data processing with the second operand o, or, if that is not
// exact, with one that is not followed. same is what A32 has for it.
func (w wide32) operate(in *Inst, o *Operand, exact bool, same uint32) {
	op, rd := operations[w.field(21, 4)], w.rd()
	switch compares := w.bit(20) && Reg(rd) == armPC; {
	case compares && (op == 0 || op == 1 || op == 2 || op == 4): // TST, TEQ, CMP, CMN
		op, rd = [...]int{0: 8, 1: 9, 2: 10, 4: 11}[op], 0
	case w.field(21, 4) == 2 && w.rn() == uint32(armPC): // MOV
		op = 13
	case w.field(21, 4) == 3 && w.rn() == uint32(armPC): // MVN
		op = 15
	case op < 0: // ORN, PKH
		if k := w.field(21, 4); k != 3 && k != 6 {
			in.Op = OpBad
			return
		}
		in.Src.read(Reg(w.rn()), in.Addr)
		in.write(Reg(rd))
		return
	}
	addr := in.Addr
	in.Addr -= 4
	word32(0xE0000000|same|uint32(op)<<21|w.rn()<<16|rd<<12).operate(in, o, exact)
	in.Addr = addr
}

// shifted handles data processing with a shifted register.
func (w wide32) shifted(in *Inst) {
	same := w.field(12, 3)<<9 | w.field(6, 2)<<7 | w.field(4, 2)<<5 | w.rm()
	var o Operand
	exact := word32(same).operand2(&o, in.Addr-4)
	w.operate(in, &o, exact, same)
}

// immediate handles data processing with a constant.
func (w wide32) immediate(in *Inst) {
	var o Operand
	o.constant(int64(w.constant()))
	w.operate(in, &o, true, 1<<25)
}

// constant returns the constant of 12 bits that stands for one of 32
// (ThumbExpandImm).
func (w wide32) constant() uint32 {
	n, low := w.field(26, 1)<<11|w.field(12, 3)<<8|w.field(0, 8), w.field(0, 8)
	switch n >> 8 {
	case 0:
		return low
	case 1:
		return low<<16 | low
	case 2:
		return low<<24 | low<<8
	case 3:
		return low<<24 | low<<16 | low<<8 | low
	}
	return bits.RotateLeft32(n&0x7F|0x80, -int(n>>7))
}

// plain handles constants of 12 and 16 bits, and fields of bits.
func (w wide32) plain(in *Inst) {
	imm12 := w.field(26, 1)<<11 | w.field(12, 3)<<8 | w.field(0, 8)
	switch op := w.field(20, 5); op {
	case 0, 10: // ADD, SUB, ADR
		n := int64(imm12)
		if op == 10 {
			n = -n
		}
		in.Op = OpLea
		if addr := in.Addr; Reg(w.rn()) == armPC {
			in.Src.at32(armPC, n, addr&^3-4)
		} else {
			in.Src.at32(Reg(w.rn()), n, addr)
		}
		in.write(Reg(w.rd()))
	case 4, 12: // MOVW, MOVT
		in.Op = OpMov
		if op == 12 {
			in.Op = OpMovTop
		}
		in.Src.constant(int64(w.rn()<<12 | imm12))
		in.write(Reg(w.rd()))
	case 16, 18, 20, 22, 24, 26, 28: // saturation, fields of bits
		in.write(Reg(w.rd()))
	default:
		in.Op = OpBad
	}
}

// pairs handles loads and stores of two words, the exclusive and the ordered ones,
// and jumps by tables of distances.
func (w wide32) pairs(in *Inst) {
	if w.bit(24) || w.bit(21) {
		w.pair(in)
		return
	}
	if !w.bit(23) { // STREX, LDREX
		if w.bit(20) {
			in.write(Reg(w.rt()))
		} else {
			w.exclusiveStore(in, w.rd(), int64(w.field(0, 8))<<2)
		}
		return
	}
	switch op := w.field(4, 4); {
	case op < 2 && w.bit(20): // TBB, TBH
		in.Op, in.Size = OpJmpInd, 1<<op
		in.Src = Operand{Kind: OperandMem, Base: Reg(w.rn()), Index: Reg(w.rm()), Scale: 1 << op}
		if in.Src.Base == armPC {
			in.Src.Base, in.Src.Disp = RegPC, int64(uint32(in.Addr+4))
		}
	case w.bit(20): // LDREXB and its kin, LDA
		in.write(Reg(w.rt()))
		if op&3 == 3 {
			in.Writes |= 1 << w.rd()
		}
	case op >= 8 && op < 11: // STL has no result
		w.exclusiveStore(in, uint32(armPC), 0)
	default:
		w.exclusiveStore(in, w.rm(), 0)
	}
}

// exclusiveStore describes a store whose success is in register r, if that is one.
func (w wide32) exclusiveStore(in *Inst, r uint32, disp int64) {
	if Reg(r) != armPC {
		in.Writes |= 1 << r
	}
	in.Dst.at32(Reg(w.rn()), disp, in.Addr)
	in.Store = 8
}

// pair handles LDRD and STRD.
func (w wide32) pair(in *Inst) {
	first, second := Reg(w.rt()), Reg(w.rd())
	var cell Operand
	w.address(in, &cell, int64(w.field(0, 8))<<2, w.bit(24), w.bit(23), w.bit(21))
	if w.bit(20) {
		base := in.Writes
		in.write(first)
		in.Writes |= 1 << second
		if base&(1<<first|1<<second) == 0 && first != Reg(w.rn()) && first != second {
			in.Op, in.Src, in.Imm2 = OpLoadPair, cell, int64(second)
		}
		return
	}
	in.Op, in.Dst, in.Imm2, in.Store = OpStorePair, cell, int64(second), 8
	if in.Src.register(first); first >= ARMSP || second >= ARMSP {
		if in.Op = OpOther; second == ARMSP {
			in.Src.register(ARMSP)
		}
	}
}

// address makes cell the memory at a constant distance from register rn, before
// which the base moves or behind which.
func (w wide32) address(in *Inst, cell *Operand, offset int64, before, up, moves bool) {
	if !up {
		offset = -offset
	}
	rn := Reg(w.rn())
	if moves || !before {
		in.Writes |= 1 << rn
		in.Moves = int16(offset)
	}
	if !before {
		offset = 0
	}
	if addr := in.Addr; rn == armPC {
		cell.at32(rn, offset, addr&^3-4)
	} else {
		cell.at32(rn, offset, addr)
	}
}

// memory handles loads and stores of one register.
func (w wide32) memory(in *Inst) {
	size := w.field(21, 2)
	load, signed, rt := w.bit(20), w.bit(24), Reg(w.rt())
	if size == 3 || signed && (!load || size == 2) {
		in.Op = OpBad
		return
	}
	var cell Operand
	exact := true
	switch {
	case Reg(w.rn()) == armPC:
		if !load {
			in.Op = OpBad
			return
		}
		w.address(in, &cell, int64(w.field(0, 12)), true, w.bit(23), false)
	case w.bit(23):
		w.address(in, &cell, int64(w.field(0, 12)), true, true, false)
	case w.bit(11):
		if !w.bit(10) && !w.bit(8) {
			in.Op = OpBad
			return
		}
		// Unprivileged accesses are like others for programs.
		w.address(in, &cell, int64(w.field(0, 8)), w.bit(10), w.bit(9), w.bit(8))
	case w.field(6, 5) != 0:
		in.Op = OpBad
		return
	default:
		cell = Operand{Kind: OperandMem, Base: Reg(w.rn()), Index: Reg(w.rm()), Scale: 1 << w.field(4, 2)}
		exact = cell.Index != armPC
	}
	same := word32(uint32(w.rn())<<16 | w.rt()<<12 | 1<<24)
	if in.Moves != 0 && !w.bit(10) {
		same &^= 1 << 24 // behind the access
	}
	switch {
	case !load:
		same.store(in, &cell, exact, 1<<size)
	case rt == armPC && size == 2:
		same.loadPC(in, &cell, exact)
	case rt == armPC && in.Writes != 0:
		in.Op = OpBad
	case rt == armPC: // PLD, PLI
		in.Op = OpNop
	case signed:
		same.load(in, &cell, exact, OpMovSX, 1<<size)
	default:
		same.load(in, &cell, exact, OpMovZX, 1<<size)
	}
}

// register handles shifts, extensions and parallel arithmetic.
func (w wide32) register(in *Inst) {
	rd := Reg(w.rd())
	if w.rt() != 15 {
		in.Op = OpBad
		return
	}
	in.write(rd)
	// Extensions: SXTH, UXTH, SXTB, UXTB.
	if op := w.field(20, 4); w.rn() == 15 && w.field(4, 4) == 8 && (op < 2 || op == 4 || op == 5) && Reg(w.rm()) != armPC {
		in.Op, in.SrcSize = OpMovSX, 2
		if op&1 != 0 {
			in.Op = OpMovZX
		}
		if op >= 4 {
			in.SrcSize = 1
		}
		in.Src.register(Reg(w.rm()))
	}
}

// branch handles branches and what is for the system.
func (w wide32) branch(in *Inst) {
	s := w.field(26, 1)
	j1, j2 := w.field(13, 1)^s^1, w.field(11, 1)^s^1
	far := int32(s<<31|j1<<30|j2<<29|w.field(16, 10)<<19|w.field(0, 11)<<8) >> 7
	switch w.field(12, 3) | w.field(14, 1)<<2 {
	case 1, 3: // B
		in.jumpTo(OpJmp, far)
	case 5, 7: // BL
		in.jumpTo(OpCall, far)
	case 4, 6: // BLX
		if in.jumpTo(OpCall, far&^2); w.bit(0) {
			in.Op = OpBad
			return
		}
		in.Target, in.Switch = in.Target&^3, true
	default:
		if w.field(23, 3) != 7 {
			near := int32(s<<31|w.field(11, 1)<<30|w.field(13, 1)<<29|w.field(16, 6)<<23|w.field(0, 11)<<12) >> 11
			in.jumpTo(OpJcc, near)
			return
		}
		w.system(in)
	}
}

// system handles hints, barriers and status registers.
func (w wide32) system(in *Inst) {
	switch {
	case w.is(0xFFF0F000, 0xF7F0A000): // UDF
		in.Op = OpTrap
	case w.is(0xFFE0D000, 0xF3808000): // MSR
	case w.is(0xFFF0D700, 0xF3A08000): // hints
		in.Op = OpNop
	case w.is(0xFFF0D000, 0xF3A08000): // CPS
	case w.is(0xFFF0D000, 0xF3B08000): // barriers, CLREX
	case w.is(0xFFE0D000, 0xF3E08000): // MRS
		in.write(Reg(w.rd()))
	case w.is(0xFFE0D000, 0xF7E08000): // HVC, SMC: for the kernel alone
		in.Op = OpTrap
	default: // BXJ, ERET
		in.Op = OpBad
	}
}
