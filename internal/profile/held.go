package profile

import (
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// A heldWord is where code gets a function's address from: a word of a table of the
// linker, or an instruction that names the function.
type heldWord struct {
	addr  uint64 // of the word, or of the function
	named bool
}

// meetHeld asks for a parameter of a native function whose address is only read
// from words by their own addresses, as from a table of the linker, or named by
// instructions, into registers that serve for calls alone: a compiler loads it once and
// calls it often.
func (a *analysis) meetHeld(d demand) bool {
	if a.reach == nil || a.prog.IsGo(d.fn) {
		return false
	}
	nodes := a.reach.native.taken[d.fn]
	if len(nodes) == 0 || len(nodes) == maxTakers {
		return false
	}
	var calls []valueCall
	add := func(w heldWord, takers ...int) bool {
		held, ok := a.heldCalls(w, takers)
		calls = append(calls, held...)
		return ok
	}
	var takers []int
	for _, n := range nodes {
		if n == noNode {
			return false
		}
		if int(n) < len(a.prog.Funcs) {
			takers = append(takers, int(n))
			continue
		}
		addr := a.reach.data[int(n)-len(a.prog.Funcs)]
		if addr&wordMark == 0 || a.prog.Writable(addr&^wordMark) || !add(heldWord{addr: addr &^ wordMark}) {
			return false
		}
	}
	if len(takers) > 0 && !add(heldWord{a.entry(d.fn), true}, takers...) {
		return false
	}
	for _, c := range calls {
		s := a.slicer(c.fn)
		up := s.c.pushed
		if s.c.insts[c.i].Op == image.OpJmpInd {
			up = 0
		}
		a.resolve(s.passed(c.i, d.a, up), &link{s.c.fn, s.c.insts[c.i].Addr, d.to})
	}
	return true
}

// heldCalls returns the calls through registers that hold w, if nothing else is done
// with it; the takers must be among the functions that load it.
func (a *analysis) heldCalls(w heldWord, takers []int) (calls []valueCall, ok bool) {
	done := map[int]bool{}
	for fn := range a.prog.Funcs {
		if !a.reached(fn) || a.prog.IsGo(fn) {
			continue
		}
		refs := a.heldRefs(w, a.survey.refs[a.survey.refAt[fn]:a.survey.refAt[fn+1]])
		if r := a.ragged[fn]; r != nil && refs+a.heldRefs(w, r.found.refs) > 0 || refs > 0 && pieced(a.prog, fn) {
			return nil, false
		}
		if refs == 0 || done[a.whole(fn)] {
			continue
		}
		done[a.whole(fn)] = true
		more, ok := a.slicer(fn).heldCalls(w, refs)
		if !ok {
			return nil, false
		}
		calls = append(calls, more...)
	}
	for _, fn := range takers {
		if !done[a.whole(fn)] {
			return nil, false
		}
	}
	return calls, true
}

// heldRefs counts the references to w.
func (a *analysis) heldRefs(w heldWord, refs []uint32) (n int) {
	for _, r := range refs {
		to, kind := a.survey.ref(r)
		if w.named && to == w.addr && kind != refRead || !w.named && kind == refRead && to+a.prog.WordSize() > w.addr && to < w.addr+a.prog.WordSize() {
			n++
		}
	}
	return n
}

// namedBy reports that an operand of in is w.
func (w heldWord) namedBy(in *image.Inst, o *image.Operand) bool {
	if !w.named {
		return fixed(o) && uint64(o.Disp) == w.addr
	}
	return o.Kind == image.OperandImm && uint64(o.Imm) == w.addr || in.Op == image.OpLea && o == &in.Src && fixed(o) && uint64(o.Disp) == w.addr
}

// loadedBy reports that in makes a register w.
func (w heldWord) loadedBy(in *image.Inst, word int64) bool {
	if in.Dst.Kind != image.OperandReg || !w.namedBy(in, &in.Src) {
		return false
	}
	return in.Op == image.OpMov && (int64(in.Size) == word || w.named && in.Size == 4) || in.Op == image.OpLea
}

// heldCalls is the same for one function, in which so many references to w were found:
// what is put together from several instructions is not seen here.
func (s *slicer) heldCalls(w heldWord, refs int) (calls []valueCall, ok bool) {
	c := s.c
	loads := func(in *image.Inst) bool { return w.loadedBy(in, c.word) }
	// starts[b] are the registers at the start of block b.
	starts := make([]holders, len(c.blocks))
	step := func(in *image.Inst, held holders) holders {
		switch in.Op {
		case image.OpCall:
			if _, linked, _ := c.a.calleeOf(in.Target); linked {
				return held.among(c.saved)
			}
			return held // compilers know which registers a function that they know leaves alone
		case image.OpCallInd:
			return held.among(c.saved)
		}
		copied := in.Op == image.OpMov && in.Dst.Kind == image.OperandReg && in.Src.Kind == image.OperandReg && held.word&(1<<in.Src.Reg) != 0
		rest := uint64(0)
		if in.Size == 1 {
			rest = held.rest & in.Writes
		}
		if setsByte(in) {
			rest |= 1 << in.Dst.Reg & held.any()
		}
		held = held.among(^in.Writes)
		held.rest |= rest
		if copied || loads(in) {
			held.word |= 1 << in.Dst.Reg
		}
		return held
	}
	for again := true; again; {
		again = false
		for b := range c.blocks {
			held := starts[b]
			for _, p := range c.blocks[b].preds {
				out := starts[p]
				for i := c.blocks[p].start; i < c.blocks[p].end; i++ {
					out = step(&c.insts[i], out)
				}
				held = holders{held.word | out.word, held.rest | out.rest}
			}
			if held != starts[b] {
				starts[b] = held
				again = true
			}
		}
	}
	named := 0
	arguments := uint64(1<<c.number | resultRegisters[c.a.prog.ABI])
	for _, r := range argumentRegisters[c.a.prog.ABI] {
		arguments |= 1 << r
	}
	for b := range c.blocks {
		held := starts[b]
		for i := c.blocks[b].start; i < c.blocks[b].end; i++ {
			in := &c.insts[i]
			use, through := c.uses(i, w, held)
			passed := arguments
			if in.Op == image.OpRet {
				passed = resultRegisters[c.a.prog.ABI]
			}
			if use || through == 0 && c.leaves(in) && held.any()&passed != 0 && held.any()&passed&c.a.mayRead(in) != 0 {
				return nil, false
			}
			if through != 0 {
				calls = append(calls, valueCall{c.fn, i})
				if held.any()&arguments&^through != 0 {
					return nil, false
				}
			}
			if w.namedBy(in, &in.Dst) || w.namedBy(in, &in.Src) {
				named++
			}
			held = step(in, held)
		}
	}
	if c.a.prog.ABI == abi.AMD64 && refs > 1 {
		refs = 1 // some are counted twice, and code is of one kind
	}
	return calls, named >= refs
}

// resultRegisters are those in which functions may return something; LLVM has three on
// amd64.
var resultRegisters = map[abi.ABI]uint64{
	abi.AMD64:   1<<image.RAX | 1<<image.RDX | 1<<image.RCX,
	abi.I386:    1<<image.RAX | 1<<image.RDX | 1<<image.RCX,
	abi.ARM:     1<<0 | 1<<1 | 1<<2 | 1<<3,
	abi.ARM64:   1<<0 | 1<<1,
	abi.RISCV64: 1<<10 | 1<<11, // a0, a1
}

// leaves reports that in goes to other code, which gets the registers of arguments
// and results.
func (c *code) leaves(in *image.Inst) bool {
	switch in.Op {
	case image.OpCall, image.OpCallInd, image.OpJmpInd, image.OpRet:
		return true
	case image.OpJmp, image.OpJcc:
		return c.at(in.Target) < 0
	}
	return false
}

// holders are the registers that may hold the word, and those that may hold the rest of
// it, whose low byte is something else by now: LLVM sets that alone where it needs no more.
type holders struct{ word, rest uint64 }

func (h holders) any() uint64 { return h.word | h.rest }

func (h holders) among(registers uint64) holders {
	return holders{h.word & registers, h.rest & registers}
}

// setsByte reports that in makes the low byte of a register something else, whatever it was.
func setsByte(in *image.Inst) bool {
	return in.Size == 1 && in.Dst.Kind == image.OperandReg && !in.Dst.High && (in.Op == image.OpSetcc || in.Op == image.OpMov && in.Dst != in.Src)
}

// uses reports that instruction i does something else with w, or with the registers
// held that hold it, than copy, compare and call it; through is the register that it
// calls through.
func (c *code) uses(i int, w heldWord, held holders) (use bool, through uint64) {
	in := &c.insts[i]
	has := func(r image.Reg) bool { return r < 64 && held.any()&(1<<r) != 0 }
	// holds reports that o is the word, or more than the low byte of the rest of it.
	holds := func(o *image.Operand) bool {
		size := in.Size
		if o == &in.Src && in.SrcSize != 0 {
			size = in.SrcSize
		}
		return o.Kind == image.OperandReg && has(o.Reg) && (held.word&(1<<o.Reg) != 0 || size > 1 || o.High)
	}
	for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
		switch {
		case w.namedBy(in, o):
			if !w.loadedBy(in, c.word) && in.Op != image.OpCallInd && in.Op != image.OpJmpInd && in.Op != image.OpCmp && in.Op != image.OpTest {
				return true, 0
			}
		case o.Kind == image.OperandMem && (has(o.Base) || has(o.Index)):
			return true, 0
		}
	}
	switch in.Op {
	case image.OpCmp, image.OpTest:
		return false, 0
	case image.OpCallInd, image.OpJmpInd:
		if holds(&in.Src) {
			through = 1 << in.Src.Reg
		}
		return through&held.rest != 0, through
	case image.OpMov, image.OpMovZX, image.OpMovSX, image.OpLea, image.OpPage, image.OpPop, image.OpImul3, image.OpSetcc:
		// They do not read what they write, but where it is a part of the register.
		partial := in.Size < 4 && holds(&in.Dst) && !setsByte(in)
		copied := in.Op == image.OpMov && in.Dst.Kind == image.OperandReg && int64(in.Size) == c.word && in.Src.Kind == image.OperandReg && held.rest&(1<<in.Src.Reg) == 0
		return partial || holds(&in.Src) && !copied, 0
	case image.OpXor, image.OpSub:
		if in.Dst.Kind == image.OperandReg && in.Dst == in.Src {
			return false, 0 // how a register is set to 0
		}
	case image.OpSelect, image.OpStorePair:
		if in.Imm2 >= 0 && has(image.Reg(in.Imm2)) {
			return true, 0
		}
	case image.OpOther, image.OpBad:
		// What they read need not be named: a general register that goes into a vector, what
		// string instructions store.
		hidden := in.Src.Kind == image.OperandNone && in.Dst.Kind != image.OperandNone
		if held != (holders{}) && (in.Op == image.OpBad || hidden) || in.StoreAny && has(image.RAX) {
			return true, 0
		}
	}
	return holds(&in.Dst) || holds(&in.Src), 0
}
