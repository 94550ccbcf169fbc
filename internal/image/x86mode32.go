package image

// sysinfo is where, in the segment of a thread, C libraries of 386 keep the address
// of the vDSO's way into the kernel (glibc, sysdeps/i386/nptl/tls.h; musl,
// arch/i386/syscall_arch.h).
const sysinfo = 0x10

// place makes in the instruction that it is together with what it calls: code of
// 386 finds out where it is by calls of what lies behind them, or of functions that
// return their own return address in a register.
func (f *File) place(in *Inst) {
	if in.Op != OpCall {
		return
	}
	behind := in.Addr + uint64(in.Len)
	if in.Target == behind {
		in.Op, in.Size, in.Writes, in.Target = OpPush, 4, 1<<RSP, 0
		in.Src.constant(int64(behind))
		return
	}
	b := bytesAt(f.Segments, in.Target)
	if isEndbr(b) {
		b = b[4:]
	}
	if len(b) < 4 || b[0] != 0x8b || b[1]&0xc7 != 0x04 || b[2] != 0x24 || b[3] != 0xc3 { // MOV (ESP), r; RET
		return
	}
	r := Reg(b[1] >> 3 & 7)
	if r == RSP {
		return
	}
	in.Op, in.Size, in.Writes, in.Target = OpPage, 4, 1<<r, 0
	in.Dst.register(r)
	in.Src.constant(int64(behind))
}

// oneByte386 fills in what the opcodes do that only 32-bit mode has, and
// reports whether the opcode is one of them.
func (e *encoding) oneByte386(in *Inst, size uint8) bool {
	switch op := e.opcode; op {
	case 0x06, 0x0E, 0x16, 0x1E: // PUSH of a segment register
		in.Src.Kind = OperandVec
		e.push(in)
	case 0x27, 0x2F, 0x37, 0x3F, 0xD4, 0xD5: // DAA, DAS, AAA, AAS, AAM, AAD
		in.Writes = 1 << RAX
	case 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47:
		e.opcodeReg(&in.Dst, 4)
		in.unary(OpInc, e.size())
	case 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F:
		e.opcodeReg(&in.Dst, 4)
		in.unary(OpDec, e.size())
	case 0x60: // PUSHA
		e.push(in)
		in.Size *= 8
	case 0x61: // POPA
		in.Writes = allRegisters
	case 0x62: // BOUND
		e.rm(&in.Src, 8)
	case 0x63: // ARPL
		e.rm(&in.Dst, 2)
		in.unary(OpOther, 2)
	case 0x8E: // MOV to a segment register; all but FS and GS move memory
		in.Dst.Kind = OperandVec
		e.rm(&in.Src, 8)
		if e.group() != 4 && e.group() != 5 {
			in.Op = OpBad
		}
	case 0xCE: // INTO, which goes on without an overflow
	case 0x07, 0x17, 0x1F, 0x9A, 0xC4, 0xC5, 0xD6, 0xEA: // POP of segment registers, far CALL and JMP, LES, LDS; SALC, which objdump does not know
		in.Op = OpBad
	default:
		return false
	}
	return true
}
