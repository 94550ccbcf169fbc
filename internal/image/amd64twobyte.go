package image

// twoByte fills in what an instruction of the 0F map does that is not a vector
// instruction.
func (e *encoding) twoByte(in *Inst, next uint64) {
	op := e.opcode
	size := e.size()
	switch {
	case op >= 0x40 && op < 0x50:
		in.binary(OpCmov, size, e.reg(8), e.rm(8, next))
	case op >= 0x80 && op < 0x90:
		e.branch(in, OpJcc, next)
	case op >= 0x90 && op < 0xA0:
		in.unary(OpSetcc, 1, e.rm(1, next))
	case op >= 0xC8 && op < 0xD0: // BSWAP
		in.unary(OpOther, size, e.opcodeReg(8))
	default:
		e.twoByteRest(in, size, next)
	}
}

// twoByteRest handles the opcodes that have a line of their own.
func (e *encoding) twoByteRest(in *Inst, size uint8, next uint64) {
	width := size
	if e.opcode&1 == 0 {
		width = 1 // where the opcode's low bit tells bytes from words
	}
	switch e.opcode {
	case 0x00:
		if e.group() < 2 { // SLDT, STR: 16 bits of memory, or a whole register
			in.write(e.rm(8, next), 2)
		}
	case 0x01:
		e.group7(in, next)
	case 0x02, 0x03, 0xBC, 0xBD: // LAR, LSL, BSF, BSR, TZCNT, LZCNT
		in.binary(OpOther, size, e.reg(8), e.rm(8, next))
	case 0x05:
		in.Op = OpSyscall
		in.implicit(RAX, RCX, R11)
	case 0x34:
		in.Op = OpSysenter
		in.unknown()
	case 0x0B, 0xB9, 0xFF:
		in.Op = OpTrap
	case 0x0D, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F:
		e.hint(in, next)
	case 0x0E, 0x0F, 0x06, 0x08, 0x09, 0x22, 0x23, 0x30, 0x77: // FEMMS, 3DNow!, CLTS, INVD, WBINVD, MOV to control registers, WRMSR, EMMS
	case 0x20, 0x21:
		in.unary(OpOther, 8, e.rm(8, next))
	case 0x31, 0x32, 0x33: // RDTSC, RDMSR, RDPMC
		in.implicit(RAX, RDX)
	case 0xA0, 0xA8:
		in.Op, in.Size, in.Src = OpPush, e.stackSize(), Operand{Kind: OperandVec}
		in.implicit(RSP)
	case 0xA1, 0xA9:
		in.Op, in.Size, in.Dst = OpPop, e.stackSize(), Operand{Kind: OperandVec}
		in.implicit(RSP)
	case 0xA2:
		in.implicit(RAX, RBX, RCX, RDX)
	case 0xA3:
		in.Size, in.Src = size, e.rm(8, next)
	case 0xAB, 0xB3, 0xBB: // BTS, BTR, BTC: the bit may lie anywhere
		e.bitString(in, size, next)
	case 0xBA:
		switch g := e.group(); {
		case g < 4:
			in.Op = OpBad
		case g == 4:
			in.Size, in.Src = size, e.rm(8, next)
		default:
			in.unary(OpOther, size, e.rm(8, next))
		}
	case 0xA4, 0xA5, 0xAC, 0xAD: // SHLD, SHRD
		in.unary(OpOther, size, e.rm(8, next))
	case 0xAE:
		e.group15(in, next)
	case 0xAF:
		in.binary(OpImul, size, e.reg(8), e.rm(8, next))
	case 0xB0, 0xB1:
		in.unary(OpOther, width, e.rm(width, next))
		in.implicit(RAX)
	case 0xC0, 0xC1: // XADD
		r := e.reg(width)
		in.unary(OpOther, width, e.rm(width, next))
		in.implicit(r.Reg)
	case 0xB2, 0xB4, 0xB5: // LSS, LFS, LGS
		in.binary(OpOther, size, e.reg(8), e.rm(8, next))
		if !e.isMem() {
			in.Op = OpBad
		}
	case 0xB6, 0xB7, 0xBE, 0xBF:
		src := uint8(1)
		if e.opcode&1 != 0 {
			src = 2
		}
		ext := OpMovZX
		if e.opcode >= 0xB8 {
			ext = OpMovSX
		}
		in.binary(ext, size, e.reg(8), e.rm(src, next))
		in.SrcSize = src
	case 0xB8:
		in.binary(OpOther, size, e.reg(8), e.rm(8, next))
		if e.rep != 0xF3 { // POPCNT with F3, undefined without
			in.Op = OpBad
		}
	case 0xC3: // MOVNTI
		in.binary(OpMov, size, e.rm(8, next), e.reg(8))
		if !e.isMem() {
			in.Op = OpBad
		}
	case 0xC7:
		e.group9(in, next)
	default: // SYSRET, SYSEXIT, RSM, GETSEC, PadLock
		in.Op = OpBad
	}
}

// hint handles the places of prefetches and no-operations that newer
// instructions share.
func (e *encoding) hint(in *Inst, next uint64) {
	in.Op = OpNop
	switch {
	case e.opcode == 0x1B && e.isMem(): // BNDMOV, BNDSTX
		in.Op, in.StoreAny = OpOther, true
	case e.opcode == 0x1E && e.rep == 0xF3 && !e.isMem() && e.group() == 1: // RDSSP
		in.unary(OpOther, e.size(), e.rm(8, next))
	}
}

// bitString handles BTS, BTR and BTC by a register.
func (e *encoding) bitString(in *Inst, size uint8, next uint64) {
	if e.isMem() {
		in.StoreAny = true
		return
	}
	in.unary(OpOther, size, e.rm(8, next))
}

// group7 handles 0F 01.
func (e *encoding) group7(in *Inst, next uint64) {
	if e.isMem() {
		switch e.group() {
		case 0, 1: // SGDT, SIDT
			in.write(e.mem(next), 10)
		case 4: // SMSW
			in.write(e.mem(next), 2)
		case 5: // RSTORSSP
			in.StoreAny = true
		}
		return
	}
	switch e.modrm {
	case 0xC8, 0xC9, 0xCA, 0xCB, 0xD1, 0xD5, 0xD6, 0xEF, 0xF8, 0xFA, 0xFB:
		// MONITOR, MWAIT, CLAC, STAC, XSETBV, XEND, XTEST, WRPKRU, SWAPGS, MONITORX, MWAITX
		if e.rep != 0 || e.data16 {
			in.Op = OpBad
		}
	case 0xD0, 0xEE, 0xFD: // XGETBV, RDPKRU, RDPRU
		in.implicit(RAX, RDX)
		if e.rep != 0 || e.data16 {
			in.Op = OpBad
		}
	case 0xF9: // RDTSCP
		in.implicit(RAX, RCX, RDX)
	case 0xE8: // SERIALIZE
		if e.rep != 0 || e.data16 {
			in.Op = OpBad
		}
	case 0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7: // SMSW
		in.unary(OpOther, e.size(), e.rm(8, next))
	case 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7: // LMSW
	default: // virtualisation, enclaves, user interrupts
		in.Op = OpBad
	}
}

// group9 handles 0F C7.
func (e *encoding) group9(in *Inst, next uint64) {
	size := e.size()
	switch g := e.group(); {
	case !e.isMem() && g >= 6: // RDRAND, RDSEED, RDPID
		in.unary(OpOther, size, e.rm(8, next))
	case !e.isMem():
		in.Op = OpBad
	case g == 1: // CMPXCHG8B, CMPXCHG16B
		in.unary(OpOther, 2*max(size, 4), e.mem(next))
		in.implicit(RAX, RDX)
	case g == 3, g == 6: // XRSTORS, VMPTRLD and its kin
	case g == 0, g == 2:
		in.Op = OpBad
	default: // XSAVEC, XSAVES, VMPTRST
		in.StoreAny = true
	}
}

// group15 handles 0F AE.
func (e *encoding) group15(in *Inst, next uint64) {
	switch g := e.group(); {
	case !e.isMem() && e.rep == 0xF3 && g < 2: // RDFSBASE, RDGSBASE
		in.unary(OpOther, e.size(), e.rm(8, next))
	case !e.isMem(): // WRFSBASE, PTWRITE, INCSSP, fences, waits
	case g == 3: // STMXCSR
		in.write(e.mem(next), 4)
	case g == 0, g == 4, g == 6: // FXSAVE, XSAVE, XSAVEOPT
		in.StoreAny = true
	default:
		in.Src = e.mem(next)
	}
}
