package image

// twoByte fills in what an instruction of the 0F map does that is not a vector
// instruction.
func (e *encoding) twoByte(in *Inst) {
	op := e.opcode
	size := e.size()
	width := size
	if op&1 == 0 {
		width = 1 // where the opcode's low bit tells bytes from words
	}
	switch op {
	case 0x00:
		e.group6(in)
	case 0x01:
		e.group7(in)
	case 0x02, 0x03, 0xB2, 0xB4, 0xB5, 0xBC, 0xBD: // LAR, LSL, LSS, LFS, LGS, BSF, BSR, TZCNT, LZCNT
		e.regRM(in, OpOther, size)
		if op == 0xB2 && e.narrow {
			in.Op = OpBad
		}
	case 0x05:
		in.Op, in.Writes = OpSyscall, 1<<RAX|1<<RCX|1<<R11
		if e.narrow { // AMD only, and for the vDSO
			in.unknown()
		}
	case 0x34:
		in.Op = OpSysenter
		in.unknown()
	case 0x0B, 0xB9, 0xFF: // UD2, UD1, UD0
		in.Op = OpTrap
	case 0x0D, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F:
		e.hint(in)
	case 0x06, 0x08, 0x09, 0x0E, 0x22, 0x23, 0x30: // CLTS, INVD, WBINVD, FEMMS, MOV to control registers, WRMSR
	case 0x0F: // 3DNow!
		if e.isMem() {
			e.mem(&in.Src)
		}
	case 0x20, 0x21: // MOV from control registers
		e.rm(&in.Dst, 8)
		in.unary(OpOther, e.word())
	case 0x31, 0x32, 0x33: // RDTSC, RDMSR, RDPMC
		in.Writes = 1<<RAX | 1<<RDX
	case 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F:
		e.regRM(in, OpCmov, size)
	case 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F:
		e.branch(in, OpJcc)
	case 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F:
		e.rm(&in.Dst, 1)
		in.unary(OpSetcc, 1)
	case 0xA0, 0xA8: // PUSH FS, GS
		in.Src.Kind = OperandVec
		e.push(in)
	case 0xA1, 0xA9:
		in.Dst.Kind = OperandVec
		e.pop(in)
	case 0xA2: // CPUID
		in.Writes = 1<<RAX | 1<<RBX | 1<<RCX | 1<<RDX
	case 0xA3, 0xAB, 0xB3, 0xBA, 0xBB:
		e.bits(in, size)
	case 0xA4, 0xA5, 0xAC, 0xAD: // SHLD, SHRD
		e.rm(&in.Dst, 8)
		in.unary(OpOther, size)
	case 0xA6, 0xA7: // PadLock: memory at RDI; the others count and advance
		in.Writes = 1<<RAX | 1<<RCX | 1<<RDX | 1<<RSI | 1<<RDI
		in.StoreAny = true
		if e.isMem() || e.modrm&7 != 0 {
			in.Op = OpBad
		}
	case 0xAE:
		e.group15(in)
	case 0xAF:
		e.regRM(in, OpImul, size)
	case 0xB0, 0xB1: // CMPXCHG
		e.rmReg(in, OpOther, width)
		in.Writes |= 1 << RAX
	case 0xC0, 0xC1: // XADD
		e.rmReg(in, OpOther, width)
		in.Writes |= 1 << in.Src.Reg
	case 0xB6, 0xB7:
		e.extend(in, OpMovZX, size)
	case 0xBE, 0xBF:
		e.extend(in, OpMovSX, size)
	case 0xB8: // POPCNT with F3, undefined without
		e.regRM(in, OpOther, size)
		if e.rep != 0xF3 {
			in.Op = OpBad
		}
	case 0xC3: // MOVNTI
		e.rmReg(in, OpMov, size)
		if !e.isMem() {
			in.Op = OpBad
		}
	case 0xC7:
		e.group9(in)
	case 0xC8, 0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF: // BSWAP
		e.opcodeReg(&in.Dst, 8)
		in.unary(OpOther, size)
	default: // SYSRET, SYSEXIT, RSM, GETSEC
		in.Op = OpBad
	}
}

// extend handles MOVZX and MOVSX from bytes and words.
func (e *encoding) extend(in *Inst, op Op, size uint8) {
	src := 1 + e.opcode&1
	e.reg(&in.Dst, 8)
	e.rm(&in.Src, src)
	in.binary(op, size)
	in.SrcSize = src
}

// bits handles BT, BTS, BTR and BTC. A bit that a register names may lie
// anywhere behind the address, or before it.
func (e *encoding) bits(in *Inst, size uint8) {
	which := e.opcode >> 3 & 3 // BT, BTS, BTR, BTC
	if e.opcode == 0xBA {
		which = e.group() & 3
	}
	switch {
	case e.opcode == 0xBA && e.group() < 4:
		in.Op = OpBad
	case which == 0:
		in.Size = size
		e.rm(&in.Src, 8)
	case e.isMem() && e.opcode != 0xBA:
		e.mem(&in.Src)
		in.StoreAny = true
	default:
		e.rm(&in.Dst, 8)
		in.unary(OpOther, size)
	}
}

// hint handles the places of prefetches and no-operations that newer
// instructions share.
func (e *encoding) hint(in *Inst) {
	in.Op = OpNop
	switch {
	case e.opcode == 0x1B && e.isMem(): // BNDMOV, BNDSTX
		e.mem(&in.Src)
		in.Op, in.StoreAny = OpOther, true
	case e.opcode == 0x1E && e.rep == 0xF3 && !e.isMem() && e.group() == 1: // RDSSP
		e.rm(&in.Dst, 8)
		in.unary(OpOther, e.size())
	}
}

// group6 handles 0F 00.
func (e *encoding) group6(in *Inst) {
	switch e.group() {
	case 0, 1: // SLDT, STR: 16 bits of memory, or a whole register
		e.rm(&in.Dst, 8)
		in.unary(OpOther, 2)
	case 2, 3, 4, 5: // LLDT, LTR, VERR, VERW
	default:
		in.Op = OpBad
	}
}

// group7 handles 0F 01.
func (e *encoding) group7(in *Inst) {
	if e.isMem() {
		switch e.group() {
		case 0, 1: // SGDT, SIDT
			e.mem(&in.Dst)
			in.unary(OpOther, 10)
		case 4: // SMSW
			e.mem(&in.Dst)
			in.unary(OpOther, 2)
		case 5: // RSTORSSP
			e.mem(&in.Src)
			in.StoreAny = true
		}
		return
	}
	switch g := e.group(); {
	case g == 4: // SMSW
		e.rm(&in.Dst, 8)
		in.unary(OpOther, e.size())
		return
	case g == 6: // LMSW
		return
	case e.rep != 0 || e.data16:
		in.Op = OpBad
		return
	}
	switch e.modrm {
	case 0xC8, 0xC9, 0xCA, 0xCB, 0xD1, 0xD5, 0xD6, 0xE8, 0xEF, 0xF8, 0xFA, 0xFB:
		// MONITOR, MWAIT, CLAC, STAC, XSETBV, XEND, XTEST, SERIALIZE, WRPKRU, SWAPGS, MONITORX, MWAITX
	case 0xD0, 0xEE, 0xFD: // XGETBV, RDPKRU, RDPRU
		in.Writes = 1<<RAX | 1<<RDX
	case 0xF9: // RDTSCP
		in.Writes = 1<<RAX | 1<<RCX | 1<<RDX
	default: // virtualisation, enclaves, user interrupts
		in.Op = OpBad
	}
}

// group9 handles 0F C7.
func (e *encoding) group9(in *Inst) {
	size := e.size()
	switch g := e.group(); {
	case !e.isMem() && g >= 6: // RDRAND, RDSEED, RDPID
		e.rm(&in.Dst, 8)
		in.unary(OpOther, size)
	case !e.isMem():
		in.Op = OpBad
	case g == 1: // CMPXCHG8B, CMPXCHG16B
		e.mem(&in.Dst)
		in.unary(OpOther, 2*max(size, 4))
		in.Writes |= 1<<RAX | 1<<RDX
	case g == 3, g == 6: // XRSTORS, VMPTRLD and its kin
	case g == 0, g == 2:
		in.Op = OpBad
	default: // XSAVEC, XSAVES, VMPTRST
		e.mem(&in.Src)
		in.StoreAny = true
	}
}

// group15 handles 0F AE.
func (e *encoding) group15(in *Inst) {
	switch g := e.group(); {
	case !e.isMem() && e.rep == 0xF3 && g < 2: // RDFSBASE, RDGSBASE
		e.rm(&in.Dst, 8)
		in.unary(OpOther, e.size())
	case !e.isMem(): // WRFSBASE, PTWRITE, INCSSP, fences, waits
	case g == 3: // STMXCSR
		e.mem(&in.Dst)
		in.unary(OpOther, 4)
	case g == 0, g == 4, g == 6: // FXSAVE, XSAVE, XSAVEOPT
		e.mem(&in.Src)
		in.StoreAny = true
	default:
		e.mem(&in.Src)
	}
}
