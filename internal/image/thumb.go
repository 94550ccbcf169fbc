package image

import "encoding/binary"

// DecodeThumb decodes the T32 instruction at the start of code, which lies at
// address addr (Arm Architecture Reference Manual for A-profile, chapter F3).
// Instructions have 2 or 4 bytes; what is cut off is an OpBad. condition is the one that
// an IT before puts it under, 14 for none.
//
// It promises what [DecodeARM] does: most instructions are one of A32 in another
// encoding, and are taken for it. SVC is a system call whatever its constant is:
// from Thumb code the kernel takes no calls of the old ABI.
func DecodeThumb(code []byte, addr uint64, condition uint8) (in Inst) {
	if len(code) < 2 {
		in.bad(addr, max(len(code), 1))
		return in
	}
	h := half(binary.LittleEndian.Uint16(code))
	in = Inst{Addr: addr, Len: 2, Op: OpOther, Size: 4}
	if !h.wide() {
		h.describe(&in)
	} else if len(code) < 4 {
		in.bad(addr, 2)
		return in
	} else {
		in.Len = 4
		wide32(uint32(h)<<16 | uint32(binary.LittleEndian.Uint16(code[2:]))).describe(&in)
	}
	if condition < always {
		if in.conditional(condition); h.wide() && h.field(4, 1) != 0 {
			in.Condition = 0 // it may set the flags
		}
	}
	if in.Op == OpBad || in.Writes&(1<<armPC) != 0 {
		in.bad(addr, int(in.Len))
	}
	return in
}

// A half is the first or only half of an instruction of Thumb code.
type half uint16

// wide reports that another half follows.
func (h half) wide() bool { return h>>11 >= 0x1D }

// always is the condition that always holds.
const always = 14

// An itState is what an IT says of the instructions behind it: the condition of the
// next, and how many there are.
type itState struct {
	condition uint8 // the lowest bit is that of each
	bits      uint8 // of the others, from bit 4 down
	left      int
}

// step takes over the instruction h, and returns the condition that it is under.
func (s *itState) step(h half) (condition uint8) {
	if s.left > 0 {
		condition = s.condition&^1 | s.bits>>4&1
		s.left--
		s.bits <<= 1
		return condition
	}
	if h&0xFF00 == 0xBF00 && h&15 != 0 {
		s.left = 4
		for m := h; m&1 == 0; m >>= 1 {
			s.left--
		}
		s.condition, s.bits = uint8(h>>4&15), uint8(h&31)
	}
	return always
}

func (h half) field(lo, n int) uint32 { return uint32(h) >> lo & (1<<n - 1) }

// as describes in as w of A32 code, where the program counter is as far ahead as
// in Thumb code. aligned says that it counts from a multiple of 4.
func (in *Inst) as(w uint32, aligned bool) {
	addr := in.Addr
	if in.Addr -= 4; aligned {
		in.Addr = addr&^3 - 4
	}
	if w>>28 == 15 {
		word32(w).unconditional(in)
	} else {
		word32(w).describe(in)
	}
	in.Addr = addr
}

// jumpTo makes in a branch over a distance.
func (in *Inst) jumpTo(op Op, distance int32) {
	in.Op, in.Target = op, uint64(uint32(int64(in.Addr)+4+int64(distance)))
}

// describe handles the instructions of 2 bytes.
func (h half) describe(in *Inst) {
	low, mid, high := h.field(0, 3), h.field(3, 3), h.field(6, 3) // registers, mostly
	imm5, imm8, r8 := h.field(6, 5), h.field(0, 8), h.field(8, 3)
	switch h >> 11 {
	case 0, 1, 2: // LSL, LSR, ASR by a constant
		in.as(0xE1A00000|low<<12|imm5<<7|h.field(11, 2)<<5|mid, false)
	case 3: // ADD, SUB
		op := [...]uint32{0xE0800000, 0xE0400000, 0xE2800000, 0xE2400000}[h.field(9, 2)]
		in.as(op|mid<<16|low<<12|high, false)
	case 4: // MOV
		in.as(0xE3A00000|r8<<12|imm8, false)
	case 5: // CMP
		in.as(0xE3500000|r8<<16|imm8, false)
	case 6: // ADD
		in.as(0xE2800000|r8<<16|r8<<12|imm8, false)
	case 7: // SUB
		in.as(0xE2400000|r8<<16|r8<<12|imm8, false)
	case 8:
		if h.field(10, 1) == 0 {
			h.data(in)
		} else {
			h.special(in)
		}
	case 9: // LDR of a constant
		in.as(0xE59F0000|r8<<12|imm8<<2, true)
	case 10, 11: // loads and stores at the sum of registers
		op := [...]uint32{0xE7800000, 0xE18000B0, 0xE7C00000, 0xE19000D0, 0xE7900000, 0xE19000B0, 0xE7D00000, 0xE19000F0}[h.field(9, 3)]
		in.as(op|mid<<16|low<<12|high, false)
	case 12, 13: // STR, LDR
		in.as(0xE5800000|h.field(11, 1)<<20|mid<<16|low<<12|imm5<<2, false)
	case 14, 15: // STRB, LDRB
		in.as(0xE5C00000|h.field(11, 1)<<20|mid<<16|low<<12|imm5, false)
	case 16, 17: // STRH, LDRH
		n := imm5 << 1
		in.as(0xE1C000B0|h.field(11, 1)<<20|mid<<16|low<<12|n>>4<<8|n&15, false)
	case 18, 19: // STR, LDR on the stack
		in.as(0xE58D0000|h.field(11, 1)<<20|r8<<12|imm8<<2, false)
	case 20: // ADR
		in.as(0xE28F0F00|r8<<12|imm8, true)
	case 21: // ADD to the stack pointer
		in.as(0xE28D0F00|r8<<12|imm8, false)
	case 22, 23:
		h.misc(in)
	case 24: // STM
		in.as(0xE8A00000|r8<<16|imm8, false)
	case 25: // LDM, which moves a base that it does not load
		in.as(0xE8900000|r8<<16|imm8|(1-uint32(imm8>>r8&1))<<21, false)
	case 26, 27:
		switch r := h.field(8, 4); r {
		case 14:
			in.Op = OpTrap
			if imm8 == 1 { // what gdb and the kernel take for a breakpoint
				in.Op = OpInt3
			}
		case 15:
			in.Op, in.Writes = OpSyscall, 1
		default:
			in.jumpTo(OpJcc, int32(int8(imm8))<<1)
		}
	case 28: // B
		in.jumpTo(OpJmp, int32(uint32(h)<<21)>>20)
	}
}

// data handles arithmetic and logic on two low registers.
func (h half) data(in *Inst) {
	rd, rm := h.field(0, 3), h.field(3, 3)
	two := rd<<16 | rd<<12 | rm
	switch op := h.field(6, 4); op {
	case 2, 3, 4, 7: // shifts by a register
		in.as(0xE1A00010|rd<<12|rm<<8|rd|[...]uint32{2: 0, 3: 1 << 5, 4: 2 << 5, 7: 3 << 5}[op], false)
	case 8, 10, 11: // TST, CMP, CMN
		in.as(0xE1100000|(op-8)<<21|rd<<16|rm, false)
	case 9: // RSB from 0
		in.as(0xE2600000|rm<<16|rd<<12, false)
	case 13: // MUL
		in.as(0xE0000090|rd<<16|rd<<8|rm, false)
	case 15: // MVN
		in.as(0xE1E00000|rd<<12|rm, false)
	default: // AND, EOR, ADC, SBC, ORR, BIC
		in.as(0xE0000000|[...]uint32{0: 0, 1: 1, 5: 5, 6: 6, 12: 12, 14: 14}[op]<<21|two, false)
	}
}

// special handles what works on all registers.
func (h half) special(in *Inst) {
	rd, rm := h.field(7, 1)<<3|h.field(0, 3), h.field(3, 4)
	switch h.field(8, 2) {
	case 0: // ADD
		in.as(0xE0800000|rd<<16|rd<<12|rm, false)
		if Reg(rm) == armPC && Reg(rd) != armPC { // the distance to something
			in.Op = OpAdd
			in.Src.constant(int64(uint32(in.Addr + 4)))
		}
	case 1: // CMP
		in.as(0xE1500000|rd<<16|rm, false)
	case 2: // MOV
		in.as(0xE1A00000|rd<<12|rm, false)
	default: // BX, BLX
		switch {
		case Reg(rm) == armPC && h.field(7, 1) == 0: // to the A32 code behind
			in.Op, in.Switch, in.Target = OpJmp, true, uint64(uint32(in.Addr+4)&^3)
		default:
			in.as(0xE12FFF10|h.field(7, 1)<<5|rm, false)
		}
	}
}

// misc handles the stack pointer, tests for zero, extensions and hints.
func (h half) misc(in *Inst) {
	low, mid := h.field(0, 3), h.field(3, 3)
	switch op := h.field(8, 4); {
	case op == 0: // ADD, SUB of the stack pointer
		in.as([...]uint32{0xE28DDF00, 0xE24DDF00}[h.field(7, 1)]|h.field(0, 7), false)
	case op&5 == 1: // CBZ, CBNZ
		in.jumpTo(OpJcc, int32(h.field(9, 1)<<6|h.field(3, 5)<<1))
	case op == 2: // extensions
		in.as([...]uint32{0xE6BF0070, 0xE6AF0070, 0xE6FF0070, 0xE6EF0070}[h.field(6, 2)]|low<<12|mid, false)
	case op == 4, op == 5: // PUSH
		in.as(0xE92D0000|h.field(8, 1)<<14|h.field(0, 8), false)
	case op == 12, op == 13: // POP
		in.as(0xE8BD0000|h.field(8, 1)<<15|h.field(0, 8), false)
	case op == 10 && h.field(6, 2) == 2: // HLT: for debuggers alone
		in.Op = OpTrap
	case op == 10: // REV, REV16, REVSH
		in.write(Reg(low))
	case op == 14:
		in.Op = OpInt3
	case op == 15: // IT, hints
		in.Op = OpNop
	case op == 6 && h.field(5, 3) != 0: // SETEND, CPS
	default:
		in.Op = OpBad
	}
}
