package profile

import (
	"github.com/sysgate/sysgate/internal/image"
)

// Compilers name more than the start of an object: the end of a table that a loop
// goes through backwards, a member in the middle of a structure, and table[i-100] as an
// address 800 bytes below the table. Pointers in data may be like that, too.
const (
	// maxBias is how far from an address the table is looked for in the same segment.
	maxBias = 1 << 16
	// nearBias is the same in another one, and where other tables may lie between them.
	nearBias = 4096
	// nearBack is how far below a pointer a loop or a structure is read from it, mostly,
	// maxBack at most.
	nearBack = 256
	maxBack  = 4096
	// maxElement is how far before a table an address is taken for that of the element
	// before its first, although it lies in another object.
	maxElement = 64
)

// beyond relaxes from a node the objects beside addr, which function fn takes as an
// address or adds registers to: those before and behind it that the code may mean.
func (g *graph) beyond(node int32, dist uint32, fn int, addr uint64, kind refKind) {
	if kind == refRead || g.native.data.bordersSet(addr) {
		return // of sets all objects count, see setsNamed
	}
	if !g.native.data.starts(addr) {
		g.ahead(node, dist, addr)
	}
	if last, ok := g.behind(addr); ok && !g.atMost(last, dist) {
		if back := g.native.backward(g.a, fn); back == backNear || back == backFar && !g.native.data.starts(addr) {
			g.relax(g.node(last), node, dist)
		}
	}
	if kind != refIndexed {
		return
	}
	if low, ok := g.native.scaled(g.a, fn, addr); ok {
		if low == addr { // counted down
			g.relax(g.node(addr-1), node, dist)
		}
		g.within(image.Range{Start: low, End: low + nearBias}, node, dist)
	}
}

// beyondValue relaxes the objects beside the one that the word at addr points at,
// which function fn reads.
func (g *graph) beyondValue(node int32, dist uint32, fn int, addr uint64) {
	pointers := g.a.pointers
	k := g.a.firstPointer(addr)
	if k == len(pointers) || pointers[k].Addr != addr {
		return
	}
	if _, code := g.a.prog.Find(pointers[k].Value); code {
		return
	}
	if last, ok := g.behind(pointers[k].Value); ok && !g.atMost(last, dist) && g.native.backward(g.a, fn) != backNever {
		g.relax(g.node(last), node, dist)
	}
}

// ahead relaxes the next object that holds addresses, if the one at addr holds none
// behind it, or ends soon: addr may be from where the elements of a table are counted.
func (g *graph) ahead(node int32, dist uint32, addr uint64) {
	from := addr
	_, end := g.native.data.extent(addr)
	if end-addr <= maxElement {
		from = end
	}
	pointers := g.a.pointers
	k := g.a.firstPointer(from)
	for k < len(pointers) && g.native.data.listed(pointers[k].Addr) {
		k++
	}
	if k == len(pointers) || pointers[k].Addr < end {
		return
	}
	far := uint64(nearBias)
	if s := g.a.prog.Segment(addr); s == g.a.prog.Segment(pointers[k].Addr) {
		far = maxBias
	}
	if pointers[k].Addr-addr < far {
		g.relax(g.node(pointers[k].Addr), node, dist)
	}
}

// behind returns the last object before addr that holds addresses, if it is near: addr
// may be from where it is read backwards.
func (g *graph) behind(addr uint64) (last uint64, ok bool) {
	data := g.native.data
	k := g.a.firstPointer(addr)
	if k == 0 {
		return 0, false
	}
	last = g.a.pointers[k-1].Addr
	start, end := data.object(addr)
	switch {
	case end != 0 && start != addr:
		return 0, false // inside an object, which is meant
	case data.starts(addr):
		// It is meant, or what ends there.
		start, _ = data.extent(addr - 1)
		ok = last >= start
	default:
		ok = addr-last < maxBias
	}
	// Constructors and destructors are called, whatever leads to their lists.
	return last, ok && !data.listed(addr) && !data.listed(addr-1)
}

// A backward says how a function reads below where a pointer points.
type backward uint8

const (
	backNever backward = iota
	backFar            // by a number that is computed, or far
	backNear           // by a constant, not far: a loop goes down, or a member is one of a structure
)

// goesBack reports that native function fn reads addresses from closely below where a
// pointer points.
func (n *nativeReach) goesBack(a *analysis, fn int) bool { return n.backward(a, fn) == backNear }

// backward tells how native function fn reads addresses from below where a pointer
// points.
func (n *nativeReach) backward(a *analysis, fn int) backward {
	back, known := n.back[fn]
	if !known {
		back = a.backward(fn)
		n.back[fn] = back
	}
	return back
}

func (a *analysis) backward(fn int) (back backward) {
	c := conventionOf(a.prog, fn)
	framed := false
	by := func(n int64) {
		switch {
		case n < 0 && n >= -nearBack:
			back = backNear
		case n < 0 && n >= -maxBack:
			back = max(back, backFar)
		}
	}
	for in := range a.walk(fn) {
		if in.Op == image.OpMov && in.Dst.Kind == image.OperandReg && in.Dst.Reg == c.fp && in.Src.Kind == image.OperandReg && in.Src.Reg == c.sp {
			framed = true
		}
		for _, o := range [...]*image.Operand{&in.Src, &in.Dst} {
			if o.Kind == image.OperandMem && o.Base < 64 && o.Base != c.sp && !(framed && o.Base == c.fp) &&
				(in.Op == image.OpCallInd || in.Op == image.OpJmpInd || in.Op == image.OpLea && o.Disp%c.word == 0 || in.Op != image.OpLea && int64(in.Size) >= c.word) {
				by(o.Disp)
			}
		}
		variable := in.Dst.Kind == image.OperandReg && in.Dst.Reg != c.sp || in.Dst.Kind == image.OperandMem && framed && in.Dst.Base == c.fp
		switch {
		case in.Op == image.OpNeg && in.Size >= 4, in.Op == image.OpSub && c.pushed == 0 && in.Dst.Kind == image.OperandReg && in.Src.Kind == image.OperandReg:
			back = max(back, backFar)
		case in.Src.Kind != image.OperandImm || !variable || in.Src.Imm%c.word != 0:
		case in.Op == image.OpSub:
			by(-in.Src.Imm)
		case in.Op == image.OpAdd:
			by(in.Src.Imm)
		}
		if back == backNear {
			break
		}
	}
	return back
}

// isScaled reports that instruction in takes an address from a table, or calls or
// jumps through one, or writes to a table: o is its operand, to which a scaled
// register is added.
func isScaled(p *image.Program, in *image.Inst, o *image.Operand) bool {
	if o.Kind != image.OperandMem || o.Index == image.RegNone || o.Base != image.RegNone {
		return false
	}
	if o == &in.Dst {
		return in.Store > 0 && o.Scale == in.Store
	}
	return uint64(o.Scale) == p.WordSize() &&
		(in.Op == image.OpCallInd || in.Op == image.OpJmpInd || in.Op == image.OpMov && uint64(in.Size) == p.WordSize())
}

// above returns where the next segment above addr starts, if that is near.
func above(p *image.Program, addr uint64) uint64 {
	for _, s := range p.Segments {
		if s.Addr-addr < nearBias {
			return s.Addr
		}
	}
	return addr
}

// scaled returns the address, addr or shortly below it in no segment, at which native
// function fn has a table of addresses, as far as it says.
func (n *nativeReach) scaled(a *analysis, fn int, addr uint64) (low uint64, ok bool) {
	tables, known := n.tables[fn]
	if !known {
		if _, fixed := fixedRange(a.prog, fn); fixed {
			for in := range a.walk(fn) {
				if isScaled(a.prog, in, &in.Src) {
					tables = append(tables, uint64(in.Src.Disp))
				}
			}
		}
		n.tables[fn] = tables
	}
	for _, at := range tables {
		if (at == addr || a.prog.Segment(at) == nil && above(a.prog, at) == addr) && (!ok || at < low) {
			low, ok = at, true
		}
	}
	return low, ok
}
