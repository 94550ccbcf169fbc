package profile

import (
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

const (
	// refineCode bounds the functions, in bytes, in which the calls are asked
	// too whether they return; it is enough for the stubs in front of the
	// functions that panic.
	refineCode  = 256
	refineDepth = 4
	entryMark   = 4  // the bytes of the instruction that marks an entry for indirect branches
	nativeDepth = 64 // in native code, whose functions are asked whatever their size
)

// final are functions of the runtime that never come back although they hold a
// return, for which the compiler has no use: after a panic the program goes on,
// if at all, where the deferring function returns.
var final = map[string]bool{"runtime.gopanic": true, "runtime.throw": true, "runtime.fatal": true, "runtime.fatalthrow": true}

// twice are functions that can come back a second time, when what lies on the stack
// has changed; the registers that calls keep are as they were.
var twice = []string{"setjmp", "_setjmp", "sigsetjmp", "__sigsetjmp", "getcontext", "vfork", "__vfork", "savectx"}

// returnsTwice reports that the function at addr is one of them, or looks like one
// where the names are gone.
func (a *analysis) returnsTwice(addr uint64) bool {
	fn, ok := a.prog.Find(addr)
	return ok && !a.prog.IsGo(fn) && a.isTwice(fn, 0)
}

func (a *analysis) isTwice(fn, depth int) bool {
	is, known := a.again[fn]
	if known || depth > refineDepth {
		return is
	}
	name := a.prog.Name(fn)
	name = strings.TrimSuffix(name[strings.LastIndexByte(name, ':')+1:], "@plt")
	is = slices.Contains(twice, name) || a.keepsReturn(fn, depth) || a.sharesStack(fn)
	a.again[fn] = is
	return is
}

// keepsReturn reports that function fn puts its return address behind its first
// argument, or goes on to a function that does.
func (a *analysis) keepsReturn(fn, depth int) bool {
	addr, text := a.prog.Code(fn)
	args := argumentRegisters[a.prog.ABI]
	if len(text) > refineCode {
		return false
	}
	c := conventionOf(a.prog, fn)
	reads, writes := false, false
	copied := false // of arm: the argument to another register
	for at := 0; at < len(text); {
		in := a.prog.Decode(text[at:], addr+uint64(at))
		at += int(in.Len)
		behind := in.Dst.Kind == image.OperandMem && (in.Dst.Base == args[0] || copied && in.Dst.Base == image.ARMIP)
		copied = copied || a.prog.ABI == abi.ARM && in.Op == image.OpMov && in.Dst.Reg == image.ARMIP && in.Src.Kind == image.OperandReg && in.Src.Reg == args[0]
		switch {
		case c.pushed == 0: // the return address is in a register
			reads = true
			// glibc scrambles the address itself, on arm64 into another register: that it saves its
			// caller's frame pointer tells it there.
			writes = writes || behind && (in.Op == image.OpStorePair && in.Src.Reg == c.fp && a.prog.ABI == abi.ARM64 || in.Src.Reg == c.link && in.Src.Kind == image.OperandReg || in.Op == image.OpStorePair && in.Imm2 == int64(c.link) || in.Op == image.OpStoreMany && (in.List>>c.link&1 != 0 || in.List&savedARM == savedARM))
		case in.Op == image.OpPop && behind:
			reads, writes = true, true
		default:
			reads = reads || in.Op == image.OpMov && in.Src.Kind == image.OperandMem && in.Src.Base == c.sp && in.Src.Index == image.RegNone && in.Src.Disp == 0
			writes = writes || behind && in.Store > 0
		}
		if to := targetOf(a.prog, &in); to != 0 && (in.Op == image.OpJmp || in.Op == image.OpJmpInd) && to-addr >= uint64(len(text)) {
			// Assembly jumps over the instruction that marks an entry.
			if next, ok := a.prog.Find(to); ok && to-a.entry(next) <= entryMark && a.isTwice(next, depth+1) {
				return true
			}
		}
		if in.Op == image.OpPush || in.Op == image.OpCall {
			break // what the stack pointer points at is something else
		}
	}
	return reads && writes
}

// leavesAlone reports that a call of the function at addr, of arm, leaves register r as it
// was although others need not: glibc's __libc_do_syscall, to which Thumb code passes the
// number of a system call in a register that it reads again later.
func (a *analysis) leavesAlone(addr uint64, r image.Reg) bool {
	fn, ok := a.entryOf(addr)
	if !ok || a.prog.ABI != abi.ARM || a.prog.IsGo(fn) {
		return false
	}
	written, known := a.writing[fn]
	if !known {
		written = a.writtenBy(fn)
		a.writing[fn] = written
	}
	return written>>r&1 == 0
}

// writtenBy returns the registers that function fn writes; all if it is not a short one
// that goes nowhere else.
func (a *analysis) writtenBy(fn int) (written uint64) {
	const all = ^uint64(0)
	addr, text := a.prog.Code(fn)
	if len(text) > refineCode {
		return all
	}
	for at := 0; at < len(text); {
		in := a.prog.Decode(text[at:], addr+uint64(at))
		at += int(in.Len)
		written |= in.Writes
		switch in.Op {
		case image.OpRet:
			if at == len(text) || !in.Perhaps {
				return written
			}
		case image.OpCall, image.OpCallInd, image.OpJmp, image.OpJcc, image.OpJmpInd, image.OpBad:
			return all
		}
	}
	return all
}

// sharesStack reports that function fn is nothing but a system call that makes a child
// on the same stack, as vfork: its return address is not on the stack meanwhile.
func (a *analysis) sharesStack(fn int) bool {
	addr, text := a.prog.Code(fn)
	if len(text) > refineCode {
		return false
	}
	c := conventionOf(a.prog, fn)
	set := map[image.Reg]int64{} // constants
	for at := 0; at < len(text); {
		in := a.prog.Decode(text[at:], addr+uint64(at))
		at += int(in.Len)
		switch in.Op {
		case image.OpPop, image.OpNop:
		case image.OpMov:
			if in.Dst.Kind == image.OperandReg && in.Src.Kind == image.OperandImm {
				set[in.Dst.Reg] = in.Src.Imm
			}
		case image.OpSyscall, image.OpInt80:
			nr, known := set[c.number]
			flags := value{} // where they come from the caller, the stack does, too
			if f, known := set[argumentsOf(a.prog.ABI)[0]]; known {
				flags = constants(f)
			}
			return known && forksHere(a.prog.ABI, uint32(nr), flags)
		case image.OpPush, image.OpCall, image.OpCallInd, image.OpJmp, image.OpJmpInd, image.OpRet:
			return false
		}
	}
	return false
}

// The flags of clone(2) with which the child has the memory of its parent, which waits
// for it.
const cloneVfork = 0x4100

// forksHere reports that the system call nr, with flags as its first argument where
// they are known, may make a child that runs on the stack of its parent.
func forksHere(on abi.ABI, nr uint32, flags value) bool {
	switch on.SyscallName(nr) {
	case "vfork":
		return true
	case "clone":
		known, ok := flags.constants()
		return !ok || slices.ContainsFunc(known, func(f int64) bool { return f&cloneVfork == cloneVfork })
	}
	return false
}

// finalNative are functions of the libraries of C and C++ that never come back,
// though no look at their code tells: they unwind the stack, or restore another.
var finalNative = []string{
	"longjmp", "_longjmp", "siglongjmp", "__longjmp_chk", "pthread_exit", "thrd_exit", "_Unwind_Resume",
	"__cxa_throw", "__cxa_rethrow", "_ZSt9terminatev", "abort", "exit", "_exit", "_Exit", "quick_exit",
	"__stack_chk_fail", "__assert_fail", "__assert_perror_fail", "__chk_fail", "__fortify_fail", "__libc_fatal",
	"err", "errx", "verr", "verrx",
}

// standardLibraries are where these names mean those functions.
var standardLibraries = []string{"libc.so", "libc-", "libc.musl", "ld-musl", "libpthread", "libstdc++", "libgcc_s", "ld-linux"}

// noteFinal marks them as not returning.
func (a *analysis) noteFinal() {
	for _, name := range finalNative {
		for _, s := range a.prog.Lookup(name) {
			fn, ok := a.entryOf(s.Addr)
			if ok && slices.ContainsFunc(standardLibraries, func(lib string) bool { return strings.HasPrefix(s.Module.Soname, lib) }) {
				a.returning[fn] = false
			}
		}
	}
}

// returns reports whether a call of the function at addr can come back. It says
// no only where no path leads to a return, to a computed jump or to a function
// that can return: what it does not know returns. So does a function that
// defers another, which may recover from a panic, and one that switches stacks:
// the scheduler goes on behind calls of runtime.mcall, which has no return.
func (a *analysis) returns(addr uint64) bool {
	fn, ok := a.entryOf(addr)
	return !ok || a.canReturn(fn, 0)
}

func (a *analysis) canReturn(fn, depth int) bool {
	if r, known := a.returning[fn]; known {
		return r
	}
	if a.prog.IsGo(fn) && final[a.prog.Name(fn)] {
		a.returning[fn] = false
		return false
	}
	a.returning[fn] = true // while it is being looked at
	addr, text := a.prog.Code(fn)
	_, resumes := a.prog.DeferReturn(fn)
	// Only Go has a scheduler: other code that switches stacks ends in a jump
	// through a register or in a return.
	resumes = resumes || a.prog.WritesSP(fn) && isGo(a.prog, fn)
	r := resumes || len(text) > maxCode || a.reachesReturn(addr, text, func(uint64) bool { return true })
	native := !isGo(a.prog, fn)
	if r && !resumes && (native && depth < nativeDepth || len(text) <= refineCode && depth < refineDepth) {
		r = a.reachesReturn(addr, text, func(target uint64) bool {
			callee, ok := a.entryOf(target)
			return !ok || a.canReturn(callee, depth+1)
		})
	}
	a.returning[fn] = r
	return r
}

func (a *analysis) reachesReturn(addr uint64, text []byte, returns func(uint64) bool) bool {
	seen := make([]uint64, (len(text)+63)/64) // a bit for each address
	work := []uint64{0}
	var in image.Inst
	for len(work) > 0 {
		at := work[len(work)-1]
		work = work[:len(work)-1]
	path:
		for {
			if at >= uint64(len(text)) {
				return true // falls out of the function
			}
			if seen[at/64]>>(at%64)&1 != 0 {
				break
			}
			seen[at/64] |= 1 << (at % 64)
			a.prog.DecodeTo(&in, text[at:], addr+at)
			if in.Op == image.OpCallInd || in.Op == image.OpJmpInd {
				if to, ok := bound(a.prog, &in); ok && in.Op == image.OpCallInd {
					in.Op, in.Target = image.OpCall, to
				} else if ok {
					in.Op, in.Target = image.OpJmp, to
				}
			}
			switch in.Op {
			case image.OpRet, image.OpJmpInd, image.OpBad:
				return true
			case image.OpTrap:
				break path
			case image.OpJmp, image.OpJcc:
				if to := in.Target - addr; to < uint64(len(text)) {
					work = append(work, to)
				} else if returns(in.Target) {
					return true
				}
				if in.Op == image.OpJmp {
					break path
				}
			case image.OpCall:
				if !in.Perhaps && !returns(in.Target) {
					break path
				}
			}
			at += uint64(in.Len)
		}
	}
	return false
}
