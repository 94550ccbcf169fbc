package profile

import (
	"math/bits"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// A frameState is what is known of the stack at a point of native code: how far
// the stack pointer lies below its value at the entry, and where the frame
// pointer points, from there; or noDepth.
type frameState struct {
	depth, frame int64
	// Of arm, whose frame pointer is the register of the number in Thumb code, kept is
	// what it was when it was pushed last, at the offset keptAt.
	kept, keptAt int64
}

// noFrame is what is known of a stack of which nothing is.
var noFrame = frameState{noDepth, noDepth, noDepth, noDepth}

// join is what holds if either may.
func (f frameState) join(g frameState) frameState {
	if f.depth != g.depth {
		f.depth = noDepth
	}
	if f.frame != g.frame {
		f.frame = noDepth
	}
	if f.kept != g.kept || f.keptAt != g.keptAt {
		f.kept, f.keptAt = noDepth, noDepth
	}
	return f
}

// trackDepths follows the stack pointer and the frame pointer through native
// code, from the entry on. Unwind data says the same where there is some, and
// says it wrongly in hand-written code.
func (c *code) trackDepths() {
	c.exact = true
	c.depth, c.frame = make([]int64, len(c.insts)), make([]int64, len(c.insts))
	for i := range c.insts {
		c.depth[i], c.frame[i] = noDepth, noDepth
	}
	succs := c.successors()
	in := make([]frameState, len(c.blocks))
	seen := make([]bool, len(c.blocks))
	var work []int
	enter := func(b int, f frameState) {
		if c.blocks[b].stray && b != 0 {
			f = noFrame
		}
		if seen[b] {
			f = f.join(in[b])
			if f == in[b] {
				return
			}
		}
		in[b], seen[b] = f, true
		work = append(work, b)
	}
	for b := range c.blocks {
		if b == 0 {
			enter(b, frameState{0, noDepth, noDepth, noDepth})
		} else if c.blocks[b].stray {
			enter(b, frameState{})
		}
	}
	for len(work) > 0 {
		b := work[len(work)-1]
		work = work[:len(work)-1]
		f := in[b]
		for i := c.blocks[b].start; i < c.blocks[b].end; i++ {
			c.depth[i], c.frame[i] = f.depth, f.frame
			f = c.moveStack(i, f)
		}
		for _, t := range succs[b] {
			enter(t, f)
		}
	}
}

// aligned is what is taken for the distance where code aligns the stack pointer: no
// frame comes near to it. What lies above is not named from below any more, but
// through a pointer.
const aligned = 1 << 24

// returnsLevel reports that the stack pointer is where it was wherever the function
// returns, as far as is known: else one of its calls takes its arguments away, and
// the depths behind that are wrong.
func (c *code) returnsLevel() bool {
	for i := range c.insts {
		if c.insts[i].Op == image.OpRet && c.depth[i] != noDepth && c.depth[i] != 0 {
			return false
		}
	}
	return true
}

// pops returns how many bytes of arguments the function at addr takes off the stack
// when it returns: on 386 the address of a result in memory.
func (a *analysis) pops(addr uint64) int64 {
	fn, ok := a.entryOf(addr)
	if !ok || a.prog.ABI != abi.I386 || a.prog.IsGo(fn) {
		return 0
	}
	n, known := a.popping[fn]
	if !known {
		at, text := a.prog.Code(fn)
		for off := 0; off < len(text); {
			in := a.prog.Decode(text[off:], at+uint64(off))
			if off += int(in.Len); in.Op == image.OpRet {
				n = max(n, in.Imm2)
			}
		}
		a.popping[fn] = n
	}
	return n
}

// moveStack returns the state behind instruction i, from that before it.
func (c *code) moveStack(i int, f frameState) frameState {
	in := &c.insts[i]
	add := func(n int64) {
		if f.depth != noDepth {
			f.depth += n
		}
	}
	toStack := in.Dst.Kind == image.OperandReg && in.Dst.Reg == c.sp && int64(in.Size) == c.word
	toFrame := in.Dst.Kind == image.OperandReg && in.Dst.Reg == c.fp && int64(in.Size) == c.word
	switch in.Op {
	case image.OpCall, image.OpCallInd:
		add(-c.a.pops(c.targetOf(i)))
		return f // else it comes back with both as they were
	case image.OpPush:
		add(int64(in.Size))
		return f
	case image.OpPop:
		add(-int64(in.Size))
		if toStack {
			f.depth = noDepth
		}
		if in.Writes&(1<<c.fp) != 0 {
			f.frame = noDepth
		}
		return f
	case image.OpStoreMany, image.OpLoadMany:
		if g, ok := c.moveMany(in, f); ok {
			return g
		}
	case image.OpLeave:
		if f.depth = noDepth; f.frame != noDepth {
			f.depth = -f.frame - c.word
		}
		f.frame = noDepth
		return f
	case image.OpAdd, image.OpSub:
		if toStack && in.Src.Kind == image.OperandImm {
			if n := in.Src.Imm; in.Op == image.OpAdd {
				add(-n)
			} else {
				add(n)
			}
			return f
		}
	case image.OpAnd:
		if toStack && in.Src.Kind == image.OperandImm && in.Src.Imm < 0 && c.pushed > 0 {
			add(aligned)
			return f
		}
	case image.OpMov:
		switch {
		case toStack && in.Src.Kind == image.OperandReg && in.Src.Reg == c.fp:
			if f.depth = noDepth; f.frame != noDepth {
				f.depth = -f.frame
			}
			return f
		case toFrame && in.Src.Kind == image.OperandReg && in.Src.Reg == c.sp:
			if f.frame = noDepth; f.depth != noDepth {
				f.frame = -f.depth
			}
			return f
		}
	case image.OpLea:
		off, ok := int64(0), false
		if in.Src.Kind == image.OperandMem && in.Src.Index == image.RegNone {
			switch {
			case in.Src.Base == c.sp && f.depth != noDepth:
				off, ok = in.Src.Disp-f.depth, true
			case in.Src.Base == c.fp && f.frame != noDepth:
				off, ok = in.Src.Disp+f.frame, true
			}
		}
		if toStack {
			if f.depth = noDepth; ok {
				f.depth = -off
			}
			return f
		}
		if toFrame {
			if f.frame = noDepth; ok {
				f.frame = off
			}
			return f
		}
	}
	if n, ok := c.moved(in); ok {
		add(-n)
	} else if in.Writes&(1<<c.sp) != 0 {
		f.depth = noDepth
	}
	if in.Writes&(1<<c.fp) != 0 {
		f.frame = noDepth
	}
	return f
}

// moveMany is moveStack for what pushes or pops several registers of arm, if that is
// what in does.
func (c *code) moveMany(in *image.Inst, f frameState) (frameState, bool) {
	n, ok := c.moved(in)
	if !ok || f.depth == noDepth {
		return f, false
	}
	frame := in.List>>c.fp&1 != 0
	at := int64(4*bits.OnesCount16(in.List&(1<<c.fp-1))) - f.depth
	switch {
	case in.Op == image.OpStoreMany && frame && f.frame != noDepth:
		f.kept, f.keptAt = f.frame, at+in.Dst.Disp
	case in.Op == image.OpLoadMany && frame:
		if f.frame = noDepth; f.keptAt == at+in.Src.Disp {
			f.frame = f.kept
		}
	}
	f.depth -= n
	return f, true
}

// setNativeExposed looks for instructions that make an address in the frame, as
// setExposed does for Go. The frame pointer serves to address the frame; only
// what copies it lets it out.
func (c *code) setNativeExposed() {
	out := func(off int64, ok bool) {
		if !ok {
			off = -neverExposed
		}
		c.expose(off)
	}
	for i := range c.insts {
		in := &c.insts[i]
		toStack := in.Dst.Kind == image.OperandReg && (in.Dst.Reg == c.sp || in.Dst.Reg == c.fp)
		for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
			if o.Kind == image.OperandMem && (o.Base == c.sp || o.Base == c.fp && c.frame[i] != noDepth) && (o.Index != image.RegNone || in.Op == image.OpLea && !toStack) {
				direct := *o
				direct.Index = image.RegNone
				if o.Index == image.RegNone || in.Op == image.OpLea || in.Store > 0 || in.StoreAny {
					out(c.slot(i, &direct))
				}
			}
		}
		if in.Src.Kind != image.OperandReg || in.Op == image.OpCmp || in.Op == image.OpTest || toStack {
			continue
		}
		switch {
		case in.Src.Reg == c.sp:
			out(-c.depth[i], c.depth[i] != noDepth)
		case in.Src.Reg == c.fp && c.frame[i] != noDepth:
			out(c.frame[i], true)
		}
	}
}

// framePointed returns where in the frame loc points before instruction i of
// native code, if it is the stack pointer or the frame pointer.
func (c *code) framePointed(i int, loc location) (off int64, ok bool) {
	if !c.native || loc.stack || i >= len(c.insts) {
		return 0, false
	}
	switch {
	case loc.reg == c.sp && c.depth[i] != noDepth:
		return -c.depth[i], true
	case loc.reg == c.fp && c.frame[i] != noDepth:
		return c.frame[i], true
	}
	return 0, false
}
