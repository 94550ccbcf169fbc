package profile

import (
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// Compilers name more than the start of an object: the end of a table that a loop
// goes through backwards, a member in the middle of a structure, and, where
// addresses are constants, table[i-100] as an address 800 bytes below the table.
const (
	// maxBias is how far below a table such a constant is looked for.
	maxBias = 4096
	// maxBack is how far below a pointer a loop or a structure is read from it.
	maxBack = 256
)

// beyond relaxes from a node the objects beside addr, which function fn takes as an
// address or adds registers to: those before and behind it that the code may mean.
func (g *graph) beyond(node int32, dist uint32, fn int, addr uint64, kind refKind) {
	switch kind {
	case refTaken:
		// Constructors and destructors are called, whatever leads to their lists.
		listed := slices.ContainsFunc(g.native.constructors, func(r image.Range) bool { return addr > r.Start && addr <= r.End })
		if start, _ := g.native.data.extent(addr); addr == start && !listed && g.pointersBelow(addr) && g.native.goesBack(g.a, fn) {
			g.relax(g.node(addr-1), node, dist)
		}
	case refIndexed:
		low, ok := g.native.scaled(g.a, fn, addr)
		if !ok {
			return
		}
		if low == addr { // counted down
			g.relax(g.node(addr-1), node, dist)
		}
		g.within(image.Range{Start: low, End: low + maxBias}, node, dist)
	}
}

// pointersBelow reports that the object that ends at addr holds addresses.
func (g *graph) pointersBelow(addr uint64) bool {
	start, _ := g.native.data.extent(addr - 1)
	k := g.a.firstPointer(start)
	return k < len(g.a.pointers) && g.a.pointers[k].Addr < addr
}

// goesBack reports that native function fn reads addresses from below where a
// pointer points.
func (n *nativeReach) goesBack(a *analysis, fn int) bool {
	back, known := n.back[fn]
	if !known {
		back = a.goesBack(fn)
		n.back[fn] = back
	}
	return back
}

func (a *analysis) goesBack(fn int) bool {
	c := conventionOf(a.prog, fn)
	framed := false
	for in := range a.walk(fn) {
		if in.Op == image.OpMov && in.Dst.Kind == image.OperandReg && in.Dst.Reg == c.fp && in.Src.Kind == image.OperandReg && in.Src.Reg == c.sp {
			framed = true
		}
		for _, o := range [...]*image.Operand{&in.Src, &in.Dst} {
			if o.Kind == image.OperandMem && o.Base < 64 && o.Base != c.sp && !(framed && o.Base == c.fp) &&
				o.Disp < 0 && o.Disp >= -maxBack && (in.Op == image.OpCallInd || in.Op == image.OpJmpInd || in.Op == image.OpLea || int64(in.Size) >= c.word) {
				return true
			}
		}
		variable := in.Dst.Kind == image.OperandReg && in.Dst.Reg != c.sp || in.Dst.Kind == image.OperandMem && framed && in.Dst.Base == c.fp
		if (in.Op == image.OpSub || in.Op == image.OpAdd) && variable && in.Src.Kind == image.OperandImm {
			by := in.Src.Imm
			if in.Op == image.OpSub {
				by = -by
			}
			if by < 0 && by >= -maxBack && by%c.word == 0 {
				return true
			}
		}
	}
	return false
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
		if s.Addr-addr < maxBias {
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
