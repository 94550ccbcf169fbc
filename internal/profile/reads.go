package profile

import (
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// mayRead returns the registers that what in calls may read before it writes them: all,
// if it is not known to be one of two kinds of functions that are called while registers
// still hold what is not for them. By the ABIs of thread-local storage __tls_get_addr
// has one argument; and wrappers of system calls, as sched_yield, name what they read.
func (a *analysis) mayRead(in *image.Inst) uint64 {
	const all = ^uint64(0)
	if in.Op != image.OpCall && in.Op != image.OpCallInd {
		return all
	}
	fn, _, ok := a.calleeOf(targetOf(a.prog, in))
	if !ok || a.prog.IsGo(fn) {
		return all
	}
	if name := a.prog.Name(fn); name[strings.LastIndexByte(name, ':')+1:] == "__tls_get_addr" {
		return 1 << argumentRegisters[a.prog.ABI][0]
	}
	return a.readBy(fn)
}

// calleeOf returns the function at addr, behind stubs that do nothing but jump if that is
// what is there; of a linker's table if the jump is through a word.
func (a *analysis) calleeOf(addr uint64) (fn int, linked, ok bool) {
	for range refineDepth {
		if fn, ok = a.entryOf(addr); !ok {
			return 0, false, false
		}
		in, ok := a.firstOf(fn)
		if !ok || in.Op != image.OpJmp && in.Op != image.OpJmpInd {
			return fn, linked, true
		}
		linked = linked || in.Op == image.OpJmpInd
		addr = targetOf(a.prog, &in)
	}
	return 0, false, false
}

// firstOf returns the first instruction of function fn that does something.
func (a *analysis) firstOf(fn int) (image.Inst, bool) {
	addr, text := a.prog.Code(fn)
	for i := 0; i < len(text); {
		in := a.prog.Decode(text[i:], addr+uint64(i))
		if in.Op != image.OpNop {
			return in, true
		}
		i += int(in.Len)
	}
	return image.Inst{}, false
}

// readBy returns the registers that function fn of x86 names other than to write them;
// all if it is not a short one of few kinds of instructions, that goes nowhere else.
func (a *analysis) readBy(fn int) (read uint64) {
	const all = ^uint64(0)
	addr, text := a.prog.Code(fn)
	if len(text) > refineCode || a.ragged[fn] != nil || a.prog.ABI != abi.AMD64 && a.prog.ABI != abi.I386 {
		return all
	}
	reads := func(r image.Reg) {
		if r < 64 {
			read |= 1 << r
		}
	}
	ends := false // what is behind the last instruction is not run
	for i := 0; i < len(text); {
		in := a.prog.Decode(text[i:], addr+uint64(i))
		i += int(in.Len)
		switch in.Op {
		case image.OpNop:
			continue
		case image.OpRet, image.OpTrap:
			ends = true
			continue
		case image.OpSyscall: // the kernel calls no function by an argument
			ends = false
			continue
		case image.OpJmp, image.OpJcc:
			if in.Target-addr >= uint64(len(text)) {
				return all
			}
		case image.OpMov, image.OpLea, image.OpXor, image.OpAnd, image.OpOr, image.OpAdd, image.OpSub, image.OpNeg, image.OpCmp, image.OpTest:
		default:
			return all
		}
		ends = in.Op == image.OpJmp
		for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
			switch o.Kind {
			case image.OperandReg:
				set := o == &in.Dst && in.Size >= 4 && (in.Op == image.OpMov || in.Op == image.OpLea)
				if !set {
					reads(o.Reg)
				}
			case image.OperandMem:
				reads(o.Base)
				reads(o.Index)
			}
		}
	}
	if !ends {
		return all
	}
	return read
}
