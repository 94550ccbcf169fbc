package profile

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// takenBy says where the address of function g is taken other than by calls:
// then it can be called from anywhere, with any argument. It returns "" if it
// is not.
func (a *analysis) takenBy(g int) string {
	if a.reach != nil && !a.prog.IsGo(g) {
		nodes := a.reach.native.taken[g]
		if len(nodes) == 0 || a.onlyCompared(g) {
			return ""
		}
		return a.takerName(nodes[0])
	}
	entry := a.entry(g)
	if fns := a.takers(entry); len(fns) > 0 {
		return "in " + a.prog.Name(fns[0])
	}
	for _, w := range a.words {
		if w.fn == g && !a.methodOffset(w.addr) {
			return a.dataUser(w.addr)
		}
	}
	if t, ok := a.methodTable(g); ok {
		return fmt.Sprintf("by the method table at %#x", t)
	}
	return ""
}

// dataUser names a function that refers to the data word at addr.
func (a *analysis) dataUser(addr uint64) string {
	if fns := a.takers(addr); len(fns) > 0 {
		return "in " + a.prog.Name(fns[0])
	}
	return fmt.Sprintf("by data at %#x", addr)
}

// methodTable finds function g in the method table of a type.
func (a *analysis) methodTable(g int) (addr uint64, ok bool) {
	for _, m := range a.methods {
		if m.fn == g {
			return m.addr, true
		}
	}
	return 0, false
}

// takerName says of a node that it has an address.
func (a *analysis) takerName(node int32) string {
	switch {
	case node == noNode:
		return "by the dynamic loader"
	case int(node) < len(a.prog.Funcs):
		return "in " + a.prog.Name(int(node))
	}
	return fmt.Sprintf("by data at %#x", a.reach.data[int(node)-len(a.prog.Funcs)]&^wordMark)
}

// tableOnly returns the module of function g if only its own data holds the
// function's address: tables of functions that the module calls through.
func (a *analysis) tableOnly(g int) *image.Module {
	if a.reach == nil || a.prog.IsGo(g) {
		return nil
	}
	m := a.prog.Module(g)
	nodes := a.reach.native.taken[g]
	if m == nil || len(nodes) == 0 || len(nodes) == maxTakers {
		return nil
	}
	for _, n := range nodes {
		if n == noNode || int(n) < len(a.prog.Funcs) {
			return nil
		}
		addr := a.reach.data[int(n)-len(a.prog.Funcs)]
		if a.prog.ModuleAt(addr&^wordMark) != m || addr&wordMark != 0 && !a.onlyCalled(addr&^wordMark) {
			return nil
		}
	}
	return m
}

// onlyCalled reports that code that can run does nothing with the word at addr but
// call through it and compare it: a value in a register may go anywhere.
func (a *analysis) onlyCalled(addr uint64) bool {
	for fn := range a.prog.Funcs {
		if !a.reached(fn) {
			continue
		}
		reads := false
		for _, r := range a.survey.refs[a.survey.refAt[fn]:a.survey.refAt[fn+1]] {
			to, kind := a.survey.ref(r)
			reads = reads || kind == refRead && to < addr+a.prog.WordSize() && addr < to+a.prog.WordSize()
		}
		if reads && (pieced(a.prog, fn) || a.ragged[fn] != nil || !a.onlyCallsThrough(fn, addr)) {
			return false
		}
	}
	return true
}

// onlyCallsThrough reports that function fn only calls through the word at addr, or
// compares it.
func (a *analysis) onlyCallsThrough(fn int, addr uint64) bool {
	for in := range a.walk(fn) {
		for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
			to, ok := nativeNamed(o, true)
			width := uint64(in.Size)
			if width == 0 || in.Dst.Kind == image.OperandVec && width < maxStore {
				width = maxStore
			}
			if !ok || o.Kind != image.OperandMem || to >= addr+a.prog.WordSize() || to+width <= addr {
				continue
			}
			switch {
			case in.Op == image.OpCallInd, in.Op == image.OpJmpInd, in.Op == image.OpCmp, in.Op == image.OpTest, in.Op == image.OpLea:
			case o == &in.Dst && in.Op == image.OpMov: // it is set
			default:
				return false
			}
		}
	}
	return true
}

// computedCalls returns the functions of module m with calls through pointers; ok
// is false if they are too many to look at.
func (a *analysis) computedCalls(m *image.Module) (out []int, ok bool) {
	for _, fn := range a.survey.computed {
		if _, stub := a.prog.Stub(fn); !stub && a.reached(fn) && a.prog.Module(fn) == m {
			out = append(out, a.whole(fn))
		}
	}
	return slices.Compact(out), len(out) <= maxComputed
}

// meetComputed asks for a parameter wherever module m calls through pointers that
// may be the function's.
func (a *analysis) meetComputed(d demand, m *image.Module) (ok bool) {
	callers, ok := a.computedCalls(m)
	if !ok || a.named {
		return false
	}
	entry := a.entry(d.fn)
	for _, fn := range callers {
		s := a.slicer(fn)
		for i := range s.c.insts {
			in := &s.c.insts[i]
			up := s.c.pushed
			switch {
			case s.c.targetOf(i) != 0:
				continue
			case in.Op == image.OpCallInd:
			case in.Op == image.OpJmpInd && len(s.c.tableTargets(i)) == 0:
				up = 0
			default:
				continue
			}
			if to, known := a.calls(s, i); !known || slices.Contains(to, int64(entry)) {
				a.resolve(s.passed(i, d.a, up), &link{fn, in.Addr, d.to})
			}
		}
	}
	return true
}

// calls returns the functions that the computed call at instruction i can be of,
// if they are known.
func (a *analysis) calls(s *slicer, i int) (to []int64, known bool) {
	v := s.query(i, &s.c.insts[i].Src, uint8(s.c.word))
	if v.why != nil || s.c.insts[i].Imm2 != 0 { // on riscv64 that is added
		return nil, false
	}
	for _, x := range v.atoms {
		switch {
		case x.kind == constant:
			to = append(to, x.n)
		case x.kind == global:
			target, resolver, ok := a.prog.SlotTarget(uint64(x.n))
			if !ok || resolver {
				return nil, false
			}
			to = append(to, int64(target))
		default:
			return nil, false
		}
	}
	return to, true
}

// methodOffset reports that the word at addr is one of the offsets in an entry of a
// method table: of arm, where they are as large as addresses, it may look like one.
func (a *analysis) methodOffset(addr uint64) bool {
	if a.prog.ABI != abi.ARM {
		return false
	}
	k, _ := slices.BinarySearchFunc(a.methods, addr-12, func(m entryWord, start uint64) int { return cmp.Compare(m.addr, start) })
	return k < len(a.methods) && a.methods[k].addr <= addr
}

// onlyCompared reports that all who have the address of function g are functions
// that compare it with others, and do nothing else with it: so libraries tell
// whether a signal came in a certain place.
func (a *analysis) onlyCompared(g int) bool {
	if a.reach == nil || a.prog.IsGo(g) {
		return false
	}
	nodes := a.reach.native.taken[g]
	for _, n := range nodes {
		if n == noNode || int(n) >= len(a.prog.Funcs) || a.prog.IsGo(int(n)) || !a.slicer(int(n)).c.compares(a.entry(g)) {
			return false
		}
	}
	return len(nodes) > 0 && len(nodes) < maxTakers
}

// compares reports that the function names the address addr, and only compares it.
// One that has it from elsewhere (dlsym) can do anything with it.
func (c *code) compares(addr uint64) bool {
	named := false
	for i := range c.insts {
		in := &c.insts[i]
		for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
			if at, ok := nativeNamed(o, true); !ok || at != addr {
				continue
			}
			named = true
			if in.Op == image.OpCmp || in.Op == image.OpTest || targetOf(c.a.prog, in) == addr {
				continue
			}
			if in.Op != image.OpLea || !fixed(&in.Src) || in.Dst.Kind != image.OperandReg || !c.comparedFrom(i+1, in.Dst.Reg) {
				return false
			}
		}
	}
	return named
}

// comparedFrom reports that from instruction i on register r is compared in its
// block, not used otherwise, and not kept beyond what is called next: no call
// takes arguments in it, and none keeps it.
func (c *code) comparedFrom(i int, r image.Reg) bool {
	end := c.blocks[c.block(i)].end
	compared := false
	for ; i < end; i++ {
		in := &c.insts[i]
		uses := false
		for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
			uses = uses || o.Kind == image.OperandMem && (o.Base == r || o.Index == r)
		}
		uses = uses || in.Src.Kind == image.OperandReg && in.Src.Reg == r
		reads := in.Dst.Kind == image.OperandReg && in.Dst.Reg == r
		switch {
		case in.Op == image.OpCmp && (uses || reads) && in.Dst.Kind != image.OperandMem && in.Src.Kind != image.OperandMem:
			compared = true
		case uses, reads && in.Op != image.OpMov && in.Op != image.OpLea, in.Op == image.OpCall, in.Op == image.OpCallInd:
			return false
		case in.Writes&(1<<r) != 0:
			return compared
		}
	}
	// What follows may use it still, unless it is set there first.
	return compared && c.deadBehind(end-1, r)
}

// deadBehind reports that on no way on from the end of a block, which ends with
// instruction i, register r is used before it is set.
func (c *code) deadBehind(i int, r image.Reg) bool {
	seen := map[int]bool{}
	var next []int
	from := c.block(i)
	for b := range c.blocks {
		if slices.Contains(c.blocks[b].preds, from) {
			next = append(next, b)
		}
	}
	for len(next) > 0 {
		b := next[len(next)-1]
		next = next[:len(next)-1]
		if seen[b] {
			continue
		}
		seen[b] = true
		ended := false
		for k := c.blocks[b].start; k < c.blocks[b].end && !ended; k++ {
			in := &c.insts[k]
			for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
				if o.Kind == image.OperandMem && (o.Base == r || o.Index == r) {
					return false
				}
			}
			if in.Src.Kind == image.OperandReg && in.Src.Reg == r || in.Dst.Kind == image.OperandReg && in.Dst.Reg == r && in.Op != image.OpMov && in.Op != image.OpLea && in.Op != image.OpPop {
				return false
			}
			switch {
			case in.Op == image.OpCall, in.Op == image.OpCallInd, in.Op == image.OpRet, in.Op == image.OpJmpInd, in.Op == image.OpJmp && c.at(in.Target) < 0:
				if c.keeps(r) || slices.Contains(argumentRegisters[c.a.prog.ABI], r) || r == c.number {
					return false
				}
				ended = true
			case in.Writes&(1<<r) != 0:
				ended = true
			}
		}
		if !ended {
			for t := range c.blocks {
				if slices.Contains(c.blocks[t].preds, b) {
					next = append(next, t)
				}
			}
		}
	}
	return true
}
