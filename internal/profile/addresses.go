package profile

import (
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// pieced reports that function i of p is native code in which addresses are made of
// pieces: one instruction leaves a part of it in a register, others that follow add to
// that.
func pieced(p *image.Program, i int) bool { return alwaysPieced(p, i) || farOf(p, i) }

// alwaysPieced reports that all code is like that on the machine. Go's is on 386 alone,
// where it can lie anywhere; elsewhere its pieces are always together.
func alwaysPieced(p *image.Program, i int) bool {
	if p.IsGo(i) {
		return p.ABI == abi.I386 && len(p.Modules) > 0 && !p.Modules[0].Fixed()
	}
	return p.ABI != abi.AMD64
}

// noAddress is what a register holds of which no address is known.
const noAddress = ^uint64(0)

// addresses are those that registers hold. Of arm, which has 16 registers, the upper
// half are the constants in them, which an address may be made of.
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
	// far says that constants are added to the address of the linker's table.
	far  bool
	prog *image.Program
	// top is the constant that the instruction before has pushed, its own address
	// mostly, for the next to take.
	top uint64

	native bool // not of Go
	arm    bool // native code of arm
	// may says that what may be in a register is asked for, not what must: compilers
	// know what functions of the same file leave as it is.
	may bool
}

// returned reports that calls leave results in register r.
func (x *composer) returned(r image.Reg) bool {
	switch x.prog.ABI {
	case abi.AMD64, abi.I386:
		return r == image.RAX || r == image.RDX
	case abi.RISCV64:
		return r == image.RVA7-7 || r == image.RVA7-6 // a0, a1
	}
	return r <= 1
}

func newComposer(p *image.Program, fn int) *composer {
	m := p.Module(fn)
	x := &composer{convention: conventionOf(p, fn), fixed: m != nil && m.Fixed(), far: farOf(p, fn), prog: p, native: !p.IsGo(fn)}
	x.arm = x.native && p.ABI == abi.ARM
	x.known.clear()
	x.top = noAddress
	return x
}

// name makes the operands of in that are memory by a known address constant ones.
func (x *composer) name(in *image.Inst) {
	switch {
	case x.far:
		x.sum(in)
	case x.arm:
		x.whole(in)
	}
	for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
		if o.Kind != image.OperandMem {
			continue
		}
		if o.Scale == 1 && o.Base != image.RegPC && !x.points(o.Base) && x.points(o.Index) {
			o.Base, o.Index = o.Index, o.Base
		}
		if x.points(o.Base) {
			o.Base, o.Disp = image.RegPC, o.Disp+int64(x.known[o.Base])
			if x.word == 4 {
				o.Disp = int64(uint32(o.Disp))
			}
		}
		if part, ok := x.part(o.Index); ok && o.Base == image.RegPC {
			o.Disp, o.Index = int64(uint32(o.Disp)+part*uint32(o.Scale)), image.RegNone
		}
		if x.arm && o.Base == image.RegPC && o.Index == image.RegNone {
			o.Disp = int64(x.entry(uint64(o.Disp)))
		}
	}
}

// entry returns addr without the bit that says Thumb if it is the entry of a function.
func (x *composer) entry(addr uint64) uint64 {
	even := x.prog.Even(addr)
	if fn, ok := x.prog.Find(even); ok && x.prog.Text+uint64(x.prog.Funcs[fn].Entry) == even {
		return even
	}
	return addr
}

// part returns the constant or address in register r of arm.
func (x *composer) part(r image.Reg) (n uint32, ok bool) {
	switch {
	case !x.arm || r >= 16:
		return 0, false
	case x.known[16+r] != noAddress:
		return uint32(x.known[16+r]), true
	}
	return uint32(x.known[r]), x.knows(r)
}

// whole makes in, an instruction of arm that adds what an address lacks to a
// constant, one that makes the address.
func (x *composer) whole(in *image.Inst) {
	if in.Dst.Kind != image.OperandReg || in.Src.Kind != image.OperandImm {
		return
	}
	part, ok := x.part(in.Dst.Reg)
	switch {
	case in.Op == image.OpMov && x.fixed:
		if imm := uint64(uint32(in.Src.Imm)); x.entry(imm) != imm {
			in.Op = image.OpLea
			in.Src = image.Operand{Kind: image.OperandMem, Base: image.RegPC, Index: image.RegNone, Disp: int64(imm - 1)}
		}
	case in.Op == image.OpMovTop && ok:
		in.Op, in.Src.Imm = image.OpMov, int64(part&0xFFFF)|in.Src.Imm<<16
		x.whole(in)
	case in.Op == image.OpAdd && ok: // the program counter
		in.Op = image.OpLea
		in.Src = image.Operand{Kind: image.OperandMem, Base: image.RegPC, Index: image.RegNone, Disp: int64(x.entry(uint64(part + uint32(in.Src.Imm))))}
	}
}

func (x *composer) knows(r image.Reg) bool {
	return r < 32 && !(x.arm && r >= 16) && r != x.sp && x.known[r] != noAddress
}

// points reports that register r holds an address, not a part of one.
func (x *composer) points(r image.Reg) bool {
	return x.knows(r) && (!x.far || x.prog.Segment(x.known[r]) != nil)
}

// leave takes over what in, whose operands have their names, leaves in registers.
func (x *composer) leave(in *image.Inst) {
	addr := noAddress
	switch {
	case in.Dst.Kind != image.OperandReg:
	case in.Op == image.OpPage, (x.fixed || x.far && in.Size == 8) && in.Op == image.OpMov && in.Src.Kind == image.OperandImm:
		addr = uint64(in.Src.Imm)
	case in.Op == image.OpPop:
		addr = x.top
	case in.Op == image.OpLea && fixed(&in.Src):
		addr = uint64(in.Src.Disp)
	case in.Op == image.OpAdd && in.Src.Kind == image.OperandImm && x.knows(in.Dst.Reg): // of x86
		if addr = x.known[in.Dst.Reg] + uint64(in.Src.Imm); x.word == 4 {
			addr = uint64(uint32(addr))
		}
	case in.Op == image.OpMov && in.Src.Kind == image.OperandReg && x.knows(in.Src.Reg):
		addr = x.known[in.Src.Reg]
	}
	if x.top = noAddress; in.Op == image.OpPush && in.Src.Kind == image.OperandImm {
		x.top = uint64(in.Src.Imm)
	}
	call := in.Op == image.OpCall || in.Op == image.OpCallInd
	constant := noAddress
	switch {
	case !x.arm || in.Op != image.OpMov || in.Dst.Kind != image.OperandReg:
	case in.Src.Kind == image.OperandImm:
		constant = uint64(uint32(in.Src.Imm))
	case in.Src.Kind == image.OperandReg:
		if part, ok := x.part(in.Src.Reg); ok {
			constant = uint64(part)
		}
	}
	for k := range x.known {
		r := k
		if x.arm {
			r &= 15
		}
		if in.Writes&(1<<r) != 0 || call && !x.keeps(image.Reg(r)) && !(x.may && !x.returned(image.Reg(r))) {
			x.known[k] = noAddress
		}
	}
	if constant != noAddress && in.Dst.Reg < 16 {
		x.known[16+in.Dst.Reg] = constant
	}
	if addr != noAddress && in.Dst.Reg < 32 && in.Dst.Reg != x.sp {
		x.known[in.Dst.Reg] = addr
	}
}

// A trail is what the survey of a function, in the order of its code, knows of
// addresses: what may be there, where [code.compose] has what must be.
type trail struct {
	*composer
	ahead map[uint64]*addresses // at the targets of jumps forward
	ended bool                  // control does not come from the instruction before
	// On x86 and arm, where registers are few, addresses are kept on the stack, too: depth
	// is how much of it is in use, kept says what is where in it.
	depth int64
	kept  map[int64]uint64
	// body and bodyDepth are what was known before the last jump or call: where a
	// function returns in its middle it restores what was before.
	body      addresses
	bodyDepth int64
}

// framePart keeps the words that the frame pointer names apart from those that the
// stack pointer does.
const framePart = 1 << 40

// place returns where on the stack o is.
func (t *trail) place(o *image.Operand) (at int64, ok bool) {
	switch {
	case t.kept == nil || o.Kind != image.OperandMem || o.Index != image.RegNone:
	case o.Base == t.sp:
		return o.Disp - t.depth, true
	case o.Base == t.fp && !t.knows(t.fp):
		return o.Disp + framePart, true
	}
	return 0, false
}

// arrive takes over what is known on the ways to the instruction at addr.
func (t *trail) arrive(addr uint64) {
	there := t.ahead[addr]
	switch {
	case there == nil:
	case t.ended:
		there.fill(&t.known)
		t.known = *there
	default:
		t.known.fill(there)
	}
}

// follow takes over what in leaves, and where it leads.
func (t *trail) follow(in *image.Inst) {
	loaded := noAddress
	if t.kept != nil {
		loaded = t.keep(in)
	}
	t.leave(in)
	if loaded != noAddress && in.Dst.Reg != t.sp {
		t.known[in.Dst.Reg] = loaded
	}
	switch in.Op {
	case image.OpJmp, image.OpJcc:
		t.lead(in.Target, in.Addr)
		fallthrough
	case image.OpCall, image.OpCallInd, image.OpJmpInd:
		t.body, t.bodyDepth = t.known, t.depth
	case image.OpRet:
		if !in.Perhaps {
			t.known, t.depth = t.body, t.bodyDepth
		}
	}
	t.ended = ends(in)
}

// lead notes what is known where a jump forward leads.
func (t *trail) lead(to, from uint64) {
	if to <= from {
		return
	}
	if there := t.ahead[to]; there != nil {
		there.fill(&t.known)
		return
	}
	known := t.known
	t.ahead[to] = &known
}

// keep follows the stack, and returns the address that in loads from it.
func (t *trail) keep(in *image.Inst) (loaded uint64) {
	loaded = noAddress
	load := func(at int64) {
		if v, ok := t.kept[at]; ok && in.Dst.Kind == image.OperandReg && int64(in.Size) == t.word {
			loaded = v
		}
	}
	store := func(at int64) {
		if in.Src.Kind == image.OperandReg && t.knows(in.Src.Reg) && int64(in.Size) == t.word {
			t.kept[at] = t.known[in.Src.Reg]
		}
	}
	toStack := in.Dst.Kind == image.OperandReg && in.Dst.Reg == t.sp
	base := &in.Src
	if in.Dst.Kind == image.OperandMem {
		base = &in.Dst
	}
	if in.Moves != 0 && base.Kind == image.OperandMem && base.Base == t.sp {
		defer func() { t.depth -= int64(in.Moves) }()
	}
	switch {
	case in.Op == image.OpPush:
		t.depth += int64(in.Size)
		store(-t.depth)
	case in.Op == image.OpPop:
		load(-t.depth)
		t.depth -= int64(in.Size)
	case toStack && in.Src.Kind == image.OperandImm && in.Op == image.OpSub:
		t.depth += in.Src.Imm
	case toStack && in.Src.Kind == image.OperandImm && in.Op == image.OpAdd:
		t.depth -= in.Src.Imm
	case toStack && in.Op == image.OpLea && in.Src.Base == t.sp && in.Src.Index == image.RegNone:
		t.depth -= in.Src.Disp
	case in.Op == image.OpMov:
		if at, ok := t.place(&in.Src); ok {
			load(at)
		}
		if at, ok := t.place(&in.Dst); ok {
			store(at)
		}
	}
	return loaded
}

// piecedReferences notes what function i, native code, refers to whose addresses
// are in pieces. A register holds the address that was put there last, in the order
// of the code, or on the way of a jump from further up: the pieces are of one
// symbol, so where ways meet they agree. The function may be entered with some.
func (s *survey) piecedReferences(p *image.Program, i int, entered *addresses) {
	narrow := p.ABI == abi.I386 || p.ABI == abi.ARM
	t := &trail{composer: newComposer(p, i), ahead: map[uint64]*addresses{}}
	t.may = t.native
	t.far = t.far || entered != nil && p.ABI == abi.AMD64
	if narrow || t.far {
		t.kept = map[int64]uint64{}
	}
	if entered != nil {
		t.known = *entered
	}
	t.body = t.known
	addr, text := p.Code(i)
	var in image.Inst
	for decoded := range p.Walk(i) {
		in = *decoded // and then its operands
		t.arrive(in.Addr)
		t.name(&in)
		switch {
		case in.Op == image.OpPage, t.fixed && (in.Op == image.OpLea || t.arm && in.Op == image.OpMov) && insideOther(p, i, &in.Src): // the latter is a number
		case !t.native:
			s.reference(p, &in, &in.Dst, in.Store > 0)
			s.reference(p, &in, &in.Src, in.Op == image.OpXchg || in.StoreAny)
		case entered == nil && narrow && (in.Op == image.OpCallInd || in.Op == image.OpJmpInd) && s.throughSlot(p, i, &in):
		default:
			s.nativeReference(p, &in, &in.Dst, in.Store > 0, narrow && t.fixed)
			s.nativeReference(p, &in, &in.Src, in.Op == image.OpXchg || in.StoreAny, narrow && t.fixed)
		}
		t.follow(&in)
		if (narrow || t.far) && entered == nil && (in.Op == image.OpJmp || in.Op == image.OpJcc) && in.Target-addr >= uint64(len(text)) {
			s.entered = append(s.entered, entering{in.Target, t.known})
		}
	}
}

// An entering is a jump out of a function, with the addresses that registers hold
// then.
type entering struct {
	target uint64
	known  addresses
}

// reenter looks again at the functions that jumps lead to: compilers of 386 move
// what is seldom run elsewhere, where it goes on with the addresses that the rest
// has made. The survey is of the functions from first on.
func (s *survey) reenter(p *image.Program, first int, within image.Range) {
	known := map[int]*addresses{}
	for k := range s.entered {
		e := &s.entered[k]
		fn, ok := p.Find(e.target)
		if !ok || !pieced(p, fn) {
			continue
		}
		if there := known[fn]; there != nil {
			there.fill(&e.known)
		} else {
			known[fn] = &e.known
		}
	}
	if s.entered = nil; len(known) == 0 {
		return
	}
	refs := make([]uint32, 0, len(s.refs)+len(s.refs)/8)
	for k := range len(s.refAt) - 1 {
		at := len(refs)
		if there := known[first+k]; there != nil {
			more := &survey{base: s.base, within: within}
			more.piecedReferences(p, first+k, there)
			refs = append(refs, more.refs...)
		} else {
			refs = append(refs, s.refs[s.refAt[k]:s.refAt[k+1]]...)
		}
		s.refAt[k] = uint32(at)
	}
	s.refAt[len(s.refAt)-1] = uint32(len(refs))
	s.refs = refs
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
	addr := uint64(o.Disp)
	switch {
	case o.Kind == image.OperandImm:
		addr = uint64(o.Imm)
	case o.Base != image.RegPC:
		return false
	}
	fn, ok := p.Find(addr)
	return ok && fn != i && p.Text+uint64(p.Funcs[fn].Entry) != addr
}
