package profile

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// maxPassed bounds how deep a function's address is followed as an argument.
const maxPassed = 6

// A holder finds what start-up code leaves behind: the functions whose address it
// stores in memory, returns, or gives to code that is not known. One that it only
// calls, or passes to functions that only call it, as it does with its own parts, is
// not.
type holder struct {
	a      *analysis
	before *graph
	// readers are the functions of start-up code that read a word by its address.
	readers map[uint64][]int
	passed  map[passedAs]bool
	// constructors are the lists of functions that start-up code calls.
	constructors []image.Range
}

// A passedAs is a parameter of a function.
type passedAs struct {
	fn  int
	reg image.Reg
}

// loaderHolds is what the source of glibc's loader and musl's shows of what they leave
// behind: the addresses of functions that they store in memory other than the stack or
// jump away with are its exit function, what binds symbols lazily, and what finds
// variables of threads. What they pass to their own functions is called before these
// come back (_dl_catch_exception, _dl_sysdep_start).
const loaderHolds = "the dynamic loader copies no address of a function from its data, and keeps none that it passes on"

func (a *analysis) newHolder(before *graph) *holder {
	h := &holder{a: a, before: before, readers: map[uint64][]int{}, passed: map[passedAs]bool{}}
	for _, m := range a.prog.Modules {
		h.constructors = append(h.constructors, m.Sections().Constructors...)
	}
	for fn := range a.prog.Funcs {
		if before.dist[fn] == unreached {
			continue
		}
		for _, r := range a.survey.refs[a.survey.refAt[fn]:a.survey.refAt[fn+1]] {
			if addr, kind := a.survey.ref(r); kind == refRead {
				h.readers[addr] = append(h.readers[addr], fn)
			}
		}
	}
	return h
}

// leaves reports that start-up code leaves the address of function fn behind.
func (h *holder) leaves(fn int) bool {
	nodes := h.before.native.taken[fn]
	return len(nodes) == maxTakers || slices.ContainsFunc(nodes, func(n int32) bool { return h.leavesFrom(fn, n) })
}

func (h *holder) leavesFrom(fn int, node int32) bool {
	a, n := h.a, len(h.a.prog.Funcs)
	entry := a.entry(fn)
	switch {
	case node == noNode:
		return false // the loader calls it: see lateRoots
	case int(node) < n:
		return h.keeps(int(node), func(in *image.Inst) bool {
			to, ok := nativeNamed(&in.Src, true)
			return ok && to == entry && (in.Op == image.OpLea || in.Op == image.OpMov)
		}, entry)
	}
	addr := h.before.data[int(node)-n]
	word := addr &^ wordMark
	if addr&wordMark == 0 {
		// It may be copied from there.
		return !a.inLoader(addr) && !slices.ContainsFunc(h.constructors, func(r image.Range) bool { return addr >= r.Start && addr < r.End })
	}
	for near := word - a.prog.WordSize() + 1; near < word+a.prog.WordSize(); near++ {
		for _, by := range h.readers[near] {
			if near != word || h.keeps(by, func(in *image.Inst) bool { return fixed(&in.Src) && uint64(in.Src.Disp) == word }, word) {
				return true
			}
		}
	}
	return len(h.readers[word]) == 0
}

// keeps reports that function fn may leave behind what the instructions that source
// holds for, which name addr, put into a register.
func (h *holder) keeps(fn int, source func(*image.Inst) bool, addr uint64) bool {
	a := h.a
	c := a.slicer(fn).c
	if a.prog.ABI != abi.AMD64 || a.ragged[fn] != nil || a.prog.IsGo(fn) || len(c.insts) == 0 {
		return true
	}
	loads := make([]bool, len(c.insts))
	found := false
	for i := range c.insts {
		in := &c.insts[i]
		for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
			if to, ok := nativeNamed(o, true); !ok || to != addr || a.calledThrough(in, o) {
				continue
			}
			if o != &in.Src || !source(in) || in.Dst.Kind != image.OperandReg || int64(in.Size) != c.word && in.Op != image.OpLea && in.Src.Kind != image.OperandImm {
				if in.Op != image.OpCmp && in.Op != image.OpTest && in.Op != image.OpJmp && in.Op != image.OpCall && in.Op != image.OpJcc {
					return true // it goes elsewhere than into a register
				}
				continue
			}
			loads[i], found = true, true
		}
	}
	return !found || h.escapes(c, loads, 0, 0)
}

// calledThrough reports that in only calls what operand o names.
func (a *analysis) calledThrough(in *image.Inst, o *image.Operand) bool {
	return o == &in.Src && o.Kind == image.OperandMem && fixed(o) && (in.Op == image.OpCallInd || in.Op == image.OpJmpInd)
}

// A held is where an address is: registers, and words of the function's own stack.
type held struct {
	regs  uint64
	slots map[int64]bool
}

// maxStacked bounds the arguments on the stack, in bytes.
const maxStacked = 64

// argument reports that at a call where the stack is depth deep the address may be an
// argument on it.
func (s *held) argument(depth int64) bool {
	for off := range s.slots {
		if depth == noDepth || off >= -depth && off < -depth+maxStacked {
			return true
		}
	}
	return false
}

// escapes reports that an address which the loads put into registers, or which is in
// the registers at from the start, gets out of the function's hands.
func (h *holder) escapes(c *code, loads []bool, at uint64, depth int) bool {
	in := make([]held, len(c.blocks))
	done := make([]bool, len(c.blocks))
	next := make([][]int, len(c.blocks))
	for b := range c.blocks {
		in[b].slots = map[int64]bool{}
		for _, p := range c.blocks[b].preds {
			next[p] = append(next[p], b)
		}
	}
	entry := c.at(c.entry)
	if entry < 0 {
		return true
	}
	in[c.block(entry)].regs = at
	for again := true; again; {
		again = false
		for b := range c.blocks {
			if done[b] {
				continue
			}
			done[b], again = true, true
			out := held{in[b].regs, map[int64]bool{}}
			for off := range in[b].slots {
				out.slots[off] = true
			}
			for i := c.blocks[b].start; i < c.blocks[b].end; i++ {
				if h.escapesAt(c, i, &out, loads[i], depth) {
					return true
				}
			}
			for _, t := range next[b] {
				more := out.regs&^in[t].regs != 0
				in[t].regs |= out.regs
				for off := range out.slots {
					more = more || !in[t].slots[off]
					in[t].slots[off] = true
				}
				if more {
					done[t] = false
				}
			}
		}
	}
	return false
}

// escapesAt follows the address over instruction i.
func (h *holder) escapesAt(c *code, i int, s *held, load bool, depth int) bool {
	in := &c.insts[i]
	has := func(r image.Reg) bool { return r < 64 && s.regs>>r&1 != 0 }
	switch {
	case c.leaves(in):
		return h.passes(c, i, s, depth)
	case in.Op == image.OpCmp, in.Op == image.OpTest:
		return false
	}
	copied, stored := load, int64(0)
	switch from := &in.Src; {
	case from.Kind == image.OperandReg && has(from.Reg):
		if in.Op != image.OpMov {
			return true // computed with, pushed, stored in part
		}
		off, own := c.slot(i, &in.Dst)
		switch {
		case in.Dst.Kind == image.OperandReg && in.Dst.Reg < 64 && int64(in.Size) == c.word:
			copied = true
		case in.Dst.Kind == image.OperandMem && own && off < 0 && (!c.exposed(off) || h.a.inLoader(c.entry)):
			stored = off
		default:
			return true
		}
	case from.Kind == image.OperandMem:
		if has(from.Index) || has(from.Base) && in.Op == image.OpLea {
			return true
		}
		if off, own := c.slot(i, from); own && s.slots[off] {
			if in.Op != image.OpMov || in.Dst.Kind != image.OperandReg || int64(in.Size) != c.word {
				return true
			}
			copied = true
		}
	}
	if s.regs != 0 && (in.Op == image.OpXchg || in.StoreAny) || changes(in) && has(in.Dst.Reg) {
		return true // stored by what is not followed, or computed with: pointers are mangled
	}
	if off, own := c.slot(i, &in.Dst); own && in.Store > 0 {
		delete(s.slots, off)
	}
	s.regs &^= in.Writes
	if copied {
		s.regs |= 1 << in.Dst.Reg
	}
	if stored != 0 {
		s.slots[stored] = true
	}
	return false
}

// changes reports that in computes the new content of a register from the old one.
func changes(in *image.Inst) bool {
	if in.Dst.Kind != image.OperandReg {
		return false
	}
	switch in.Op {
	case image.OpMov, image.OpMovZX, image.OpMovSX, image.OpLea, image.OpPop:
		return false
	case image.OpXor:
		return in.Src != in.Dst // zero
	}
	return true
}

// passes follows the address into what instruction i calls, jumps or returns to.
func (h *holder) passes(c *code, i int, s *held, depth int) bool {
	in := &c.insts[i]
	args := uint64(0)
	for _, r := range argumentRegisters[h.a.prog.ABI] {
		args |= 1 << r
	}
	given := s.regs & args
	switch in.Op {
	case image.OpRet:
		return s.regs&(1<<image.RAX|1<<image.RDX) != 0
	case image.OpCall, image.OpCallInd:
		defer func() { s.regs &= c.saved }()
	}
	if (in.Op == image.OpCallInd || in.Op == image.OpJmpInd) && in.Src.Kind == image.OperandReg {
		given &^= 1 << in.Src.Reg // it is called
	}
	if in.Op != image.OpRet && !h.a.inLoader(c.entry) && s.argument(c.depth[i]) {
		return true
	}
	if given == 0 {
		return false
	}
	fn, ok := h.a.entryOf(c.targetOf(i))
	switch {
	case in.Op == image.OpCall && h.a.inLoader(c.entry):
		return false // see loaderHolds
	case !ok, depth == maxPassed:
		return true
	}
	for r := range image.Reg(64) {
		if given>>r&1 != 0 && h.keepsArgument(fn, r, depth+1) {
			return true
		}
	}
	return false
}

// keepsArgument reports that function fn may leave behind what it is passed in
// register r. Arguments are all six, as it is not known how many it takes: those that
// it does not take it does not keep.
func (h *holder) keepsArgument(fn int, r image.Reg, depth int) bool {
	k := passedAs{h.a.whole(fn), r}
	if keeps, known := h.passed[k]; known {
		return keeps
	}
	h.passed[k] = true // of itself, meanwhile
	c := h.a.slicer(fn).c
	keeps := h.a.ragged[fn] != nil || h.a.prog.IsGo(fn) || len(c.insts) == 0 || h.escapes(c, make([]bool, len(c.insts)), 1<<r, depth)
	h.passed[k] = keeps
	return keeps
}
