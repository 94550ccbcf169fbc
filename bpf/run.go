package bpf

import "github.com/sysgate/sysgate/abi"

// A Result is the outcome of one run of a program.
type Result struct {
	Return abi.Action // the word that the program returned
	Steps  int        // instructions executed, the return included
}

// Run returns what the kernel gets from p for the call c on a machine of the
// given byte order. p must be valid; see [Program.Validate]. If it is not, Run
// still ends, and what the kernel would refuse gives kill_process.
//
// Two cases deserve a word. Division by X = 0 ends the program with return word
// 0, kill_thread. A shift by X uses its low 5 bits, as the kernel's interpreter
// (since 5.14) and its compilers for x86, arm64 and riscv do; C leaves larger
// shifts undefined, and other machines may differ.
func (p Program) Run(c abi.Call, bigEndian bool) Result {
	var a, x uint32
	var m [MemWords]uint32
	steps := 0
	for pc := uint64(0); pc < uint64(len(p)); pc++ {
		i := &p[pc]
		steps++
		taken := false
		switch i.Code {
		case LdAbs:
			if i.K >= DataSize || i.K%4 != 0 {
				return Result{abi.KillProcess, steps}
			}
			a = word(&c, i.K, bigEndian)
			continue
		case LdLen:
			a = DataSize
			continue
		case LdImm:
			a = i.K
			continue
		case LdMem:
			a = m[i.K%MemWords]
			continue
		case LdxLen:
			x = DataSize
			continue
		case LdxImm:
			x = i.K
			continue
		case LdxMem:
			x = m[i.K%MemWords]
			continue
		case St:
			m[i.K%MemWords] = a
			continue
		case Stx:
			m[i.K%MemWords] = x
			continue
		case Tax:
			x = a
			continue
		case Txa:
			a = x
			continue
		case RetK:
			return Result{abi.Action(i.K), steps}
		case RetA:
			return Result{abi.Action(a), steps}
		case Ja:
			pc += uint64(i.K)
			continue
		case JeqK:
			taken = a == i.K
		case JgtK:
			taken = a > i.K
		case JgeK:
			taken = a >= i.K
		case JsetK:
			taken = a&i.K != 0
		case JeqX:
			taken = a == x
		case JgtX:
			taken = a > x
		case JgeX:
			taken = a >= x
		case JsetX:
			taken = a&x != 0
		case DivK, DivX:
			d := operand(i, x)
			if d == 0 {
				return Result{abi.KillThread, steps}
			}
			a /= d
			continue
		default:
			var ok bool
			if a, ok = alu(i.Code, a, operand(i, x)); !ok {
				return Result{abi.KillProcess, steps}
			}
			continue
		}
		if taken {
			pc += uint64(i.JT)
		} else {
			pc += uint64(i.JF)
		}
	}
	return Result{abi.KillProcess, steps}
}

// word returns the word of c at an offset of struct seccomp_data.
func word(c *abi.Call, offset uint32, bigEndian bool) uint32 {
	var v uint64
	switch {
	case offset == OffsetNR:
		return c.NR
	case offset == OffsetArch:
		return c.Arch
	case offset < offsetArgs:
		v = c.IP
	default:
		v = c.Args[(offset-offsetArgs)/8]
	}
	if highHalf(offset, bigEndian) {
		return uint32(v >> 32)
	}
	return uint32(v)
}

// srcX is the bit of an arithmetic or jump code that selects X instead of K
// (BPF_X).
const srcX = 0x08

func operand(i *Instruction, x uint32) uint32 {
	if i.Code&srcX != 0 {
		return x
	}
	return i.K
}

// alu computes the arithmetic that cannot fail; ok is false for a code that is
// none.
func alu(code uint16, a, b uint32) (r uint32, ok bool) {
	switch code {
	case AddK, AddX:
		a += b
	case SubK, SubX:
		a -= b
	case MulK, MulX:
		a *= b
	case OrK, OrX:
		a |= b
	case AndK, AndX:
		a &= b
	case LshK, LshX:
		a <<= b % 32
	case RshK, RshX:
		a >>= b % 32
	case XorK, XorX:
		a ^= b
	case Neg:
		a = -a
	default:
		return 0, false
	}
	return a, true
}
