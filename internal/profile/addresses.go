package profile

import (
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// pieced reports that function i of p is native code of a machine whose
// instructions make addresses of pieces: one leaves a part of it in a register,
// others that follow add to that.
func pieced(p *image.Program, i int) bool {
	return (p.ABI == abi.ARM64 || p.ABI == abi.RISCV64) && !p.IsGo(i)
}

// noAddress is what a register holds of which no address is known.
const noAddress = ^uint64(0)

// addresses are those that registers hold.
type addresses [32]uint64

func (a *addresses) clear() {
	for r := range a {
		a[r] = noAddress
	}
}

// fill adds what b knows of the registers of which a knows nothing.
func (a *addresses) fill(b *addresses) {
	for r := range a {
		if a[r] == noAddress {
			a[r] = b[r]
		}
	}
}

// meet leaves what b knows too, and reports whether that is less.
func (a *addresses) meet(b *addresses) (less bool) {
	for r := range a {
		if a[r] != b[r] && a[r] != noAddress {
			a[r] = noAddress
			less = true
		}
	}
	return less
}

// A composer puts the pieces of addresses together, instruction by instruction.
type composer struct {
	convention
	known addresses
	fixed bool // constants may be addresses
}

func newComposer(p *image.Program, fn int) *composer {
	m := p.Module(fn)
	x := &composer{convention: conventionOf(p, fn), fixed: m != nil && m.Fixed()}
	x.known.clear()
	return x
}

// name makes the operands of in that are memory by a known address constant ones.
func (x *composer) name(in *image.Inst) {
	for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
		if o.Kind != image.OperandMem {
			continue
		}
		if o.Scale == 1 && !x.knows(o.Base) && x.knows(o.Index) {
			o.Base, o.Index = o.Index, o.Base
		}
		if x.knows(o.Base) {
			o.Base, o.Disp = image.RegPC, o.Disp+int64(x.known[o.Base])
		}
	}
}

func (x *composer) knows(r image.Reg) bool { return r < 32 && r != x.sp && x.known[r] != noAddress }

// leave takes over what in, whose operands have their names, leaves in registers.
func (x *composer) leave(in *image.Inst) {
	addr := noAddress
	switch {
	case in.Dst.Kind != image.OperandReg:
	case in.Op == image.OpPage, x.fixed && in.Op == image.OpMov && in.Src.Kind == image.OperandImm:
		addr = uint64(in.Src.Imm)
	case in.Op == image.OpLea && fixed(&in.Src):
		addr = uint64(in.Src.Disp)
	case in.Op == image.OpMov && in.Src.Kind == image.OperandReg && x.knows(in.Src.Reg):
		addr = x.known[in.Src.Reg]
	}
	call := in.Op == image.OpCall || in.Op == image.OpCallInd
	for r := range x.known {
		if in.Writes&(1<<r) != 0 || call && !x.keeps(image.Reg(r)) {
			x.known[r] = noAddress
		}
	}
	if addr != noAddress && in.Dst.Reg < 32 && in.Dst.Reg != x.sp {
		x.known[in.Dst.Reg] = addr
	}
}

// piecedReferences notes what native code refers to whose addresses are in pieces.
// A register holds the address that was put there last, in the order of the code,
// or on the way of a jump from further up: both pieces are of one symbol, so where
// ways meet they agree.
func (s *survey) piecedReferences(p *image.Program, i int) {
	x := newComposer(p, i)
	ahead := map[uint64]*addresses{} // at the targets of jumps forward
	ended := false                   // control does not come from the instruction before
	for _, in := range p.Instructions(i) {
		if there := ahead[in.Addr]; there != nil {
			if ended {
				there.fill(&x.known)
				x.known = *there
			} else {
				x.known.fill(there)
			}
		}
		x.name(&in)
		if number := x.fixed && in.Op == image.OpLea && insideOther(p, i, &in.Src); in.Op != image.OpPage && !number {
			s.nativeReference(p, &in, &in.Dst, in.Store > 0, false)
			s.nativeReference(p, &in, &in.Src, in.StoreAny, false)
		}
		x.leave(&in)
		if (in.Op == image.OpJmp || in.Op == image.OpJcc) && in.Target > in.Addr {
			if there := ahead[in.Target]; there != nil {
				there.fill(&x.known)
			} else {
				known := x.known
				ahead[in.Target] = &known
			}
		}
		ended = ends(&in)
	}
}

// compose puts the pieces of addresses in the function together, where all ways
// agree on them.
func (c *code) compose() {
	x := newComposer(c.a.prog, c.fn)
	starts := make([]*addresses, len(c.blocks))
	work := []int{}
	flow := func(b int, known *addresses) {
		switch {
		case starts[b] == nil:
			there := *known
			starts[b] = &there
		case !starts[b].meet(known):
			return
		}
		work = append(work, b)
	}
	nothing := x.known
	for b := range c.blocks {
		if b == 0 || c.blocks[b].stray || len(c.blocks[b].preds) == 0 {
			flow(b, &nothing)
		}
	}
	succs := c.successors()
	through := func(b int, rename bool) {
		x.known = *starts[b]
		for i := c.blocks[b].start; i < c.blocks[b].end; i++ {
			in := c.insts[i]
			if x.name(&in); rename {
				c.insts[i] = in
			}
			x.leave(&in)
		}
	}
	for len(work) > 0 {
		b := work[len(work)-1]
		work = work[:len(work)-1]
		through(b, false)
		for _, t := range succs[b] {
			known := x.known
			flow(t, &known)
		}
	}
	for b := range c.blocks {
		if starts[b] != nil {
			through(b, true)
		}
	}
}

// insideOther reports that o names an address inside of another function than i,
// which no compiler takes.
func insideOther(p *image.Program, i int, o *image.Operand) bool {
	fn, ok := p.Find(uint64(o.Disp))
	return o.Base == image.RegPC && ok && fn != i && p.Text+uint64(p.Funcs[fn].Entry) != uint64(o.Disp)
}
