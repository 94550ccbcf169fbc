package profile

import (
	"slices"
	"sort"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// A code is one function, decoded into basic blocks.
type code struct {
	a     *analysis
	fn    int
	entry uint64
	end   uint64
	insts []image.Inst
	// parts are the ranges that the compiler split the function into: the one with
	// its entry, then the others.
	parts  []part
	native bool // not of Go
	// depth[i] is how far the stack pointer lies below its value at the entry
	// before insts[i], or noDepth; exact reports that there is any.
	depth []int64
	exact bool
	// frame[i] is where the frame pointer of native code points before insts[i],
	// from the stack pointer at the entry, or noDepth.
	frame  []int64
	blocks []block
	// locals and args are the lowest offsets, below and above the return address,
	// from which on something else than the function's own moves may write: an
	// address was taken there, and objects extend upwards from it. See exposed for
	// native code.
	locals, args int64
	lastFP       int
	convention
	// unresolved are the blocks that end in a jump whose targets are not known.
	unresolved []int
}

// A block is insts[start:end], entered only at its start.
type block struct {
	start, end int
	preds      []int
	stray      bool // entered from outside the function, not at its entry, or by a recovered panic
	live       bool // something leads here
}

const (
	neverExposed = 1 << 62
	noDepth      = -1 << 62
)

// A part is insts[start:end], the code from one address up to another.
type part struct {
	start, end int
	from, to   uint64
}

// decode decodes function fn. One that is over the budget has no instructions:
// nothing in it is known.
func (a *analysis) decode(fn int) *code {
	addr, text := a.prog.Code(fn)
	c := &code{
		a: a, fn: fn, entry: addr, end: addr + uint64(len(text)), native: !isGo(a.prog, fn) || a.prog.FromObject(fn),
		locals: neverExposed, args: neverExposed, convention: conventionOf(a.prog, fn),
	}
	size := len(text)
	parts := a.partsOf(fn)
	for _, p := range parts[1:] {
		_, more := a.prog.Code(p)
		size += len(more)
	}
	if size > maxCode || a.decoded+size/4 > maxDecoded {
		return c
	}
	for _, p := range parts {
		from, text := a.prog.Code(p)
		start := len(c.insts)
		if list := a.instructions(p); len(parts) == 1 && a.ragged[p] == nil {
			c.insts = list // nobody else's
		} else {
			c.insts = append(c.insts, list...)
		}
		c.parts = append(c.parts, part{start, len(c.insts), from, from + uint64(len(text))})
	}
	a.decoded += len(c.insts)
	if len(c.insts) == 0 { // data, taken for a function
		c.parts = nil
		return c
	}
	if c.native {
		c.split(a)
		if pieced(a.prog, fn) {
			c.compose()
		}
		c.trackDepths()
		c.exact = c.exact && (a.prog.ABI != abi.I386 || c.returnsLevel())
		c.setNativeExposed()
		return c
	}
	c.setDepths(a.prog)
	c.setExposed()
	c.split(a)
	if pieced(a.prog, fn) {
		c.compose()
	}
	return c
}

// targetOf returns where instruction i goes for certain, or 0.
func (c *code) targetOf(i int) uint64 {
	if in := &c.insts[i]; c.native {
		return targetOf(c.a.prog, in)
	} else {
		return in.Target
	}
}

// holds reports that addr lies in the function.
func (c *code) holds(addr uint64) bool {
	return slices.ContainsFunc(c.parts, func(p part) bool { return addr >= p.from && addr < p.to })
}

// setDepths reads the stack depth before each instruction.
func (c *code) setDepths(p *image.Program) {
	table := p.Depths(c.fn)
	c.depth = make([]int64, len(c.insts))
	c.exact = !p.WritesSP(c.fn) && (len(table) > 0 || c.keepsSP())
	k := 0
	for i := range c.insts {
		for k < len(table) && table[k].End <= c.insts[i].Addr {
			k++
		}
		if k == len(table) {
			break // padding at the end has no depth; it holds no stack access
		}
		c.depth[i] = table[k].Depth
	}
	if p.WritesSP(c.fn) && len(table) > 0 {
		c.exact = c.untilNewStack()
	}
}

// untilNewStack takes the depths away from where the function sets the stack
// pointer on, as runtime.clone does in the child, and reports whether any are
// left: nothing behind may lead back to before.
func (c *code) untilNewStack() bool {
	k := slices.IndexFunc(c.insts, func(in image.Inst) bool {
		return in.Writes&(1<<c.sp) != 0 && in.Op != image.OpPush && in.Op != image.OpPop
	})
	if k <= 0 {
		return false
	}
	for i := k; i < len(c.insts); i++ {
		switch in := &c.insts[i]; in.Op {
		case image.OpJmp, image.OpJcc:
			if in.Target >= c.entry && in.Target < c.insts[k].Addr {
				return false
			}
		case image.OpJmpInd:
			return false
		}
		c.depth[i] = noDepth
	}
	return true
}

// keepsSP reports that no instruction moves the stack pointer: the linker's own
// trampolines have no table that says so.
func (c *code) keepsSP() bool {
	return !slices.ContainsFunc(c.insts, func(in image.Inst) bool {
		call := in.Op == image.OpCall || in.Op == image.OpCallInd
		return in.Writes&(1<<c.sp) != 0 || call && c.pushed > 0
	})
}

// slot returns the stack offset, from the stack pointer at the entry, that
// operand o of instruction i names directly.
func (c *code) slot(i int, o *image.Operand) (off int64, ok bool) {
	if !c.exact || o.Kind != image.OperandMem || o.Index != image.RegNone {
		return 0, false
	}
	switch {
	case o.Base == c.sp && c.depth[i] != noDepth:
		return o.Disp - c.depth[i], true
	case o.Base == c.fp && c.native && c.frame[i] != noDepth:
		return o.Disp + c.frame[i], true
	}
	return 0, false
}

// setExposed looks for instructions that make an address in the frame.
func (c *code) setExposed() {
	if !c.exact {
		c.expose(-neverExposed)
		return
	}
	c.setLastFP()
	for i := range c.insts {
		in := &c.insts[i]
		switch {
		case c.stackCheck(i) || c.framePointer(i) || c.newStack(i):
		case in.Op == image.OpLea && in.Src.Base == c.sp && in.Dst.Reg != c.sp:
			if off, ok := c.slot(i, &in.Src); ok {
				c.expose(off)
			} else {
				c.expose(-neverExposed)
			}
		case in.Op != image.OpCmp && in.Op != image.OpTest && in.Op != image.OpJcc && in.Src.Kind == image.OperandReg && in.Src.Reg == c.sp:
			if c.pushed == 0 && in.Op == image.OpOther { // arithmetic: perhaps below the stack as it is now
				c.expose(-neverExposed)
			}
			c.expose(-c.depth[i])
		case in.Dst.Kind == image.OperandMem && in.Store > 0 && in.Dst.Base == c.sp && in.Dst.Index != image.RegNone:
			c.expose(in.Dst.Disp - c.depth[i])
		}
	}
}

// expose says that the address of stack offset off was taken.
func (c *code) expose(off int64) {
	if off < 0 {
		c.locals = min(c.locals, off)
	} else {
		c.args = min(c.args, off)
	}
	if off == -neverExposed {
		c.args = off
	}
}

// exposed reports that the word at stack offset off can be written through a
// pointer. In native code the address may be of a member in the middle of an object,
// from which C gets to those before it (container_of), or of its end: how far it
// reaches is not known, so all of the frame is exposed, or all of the arguments.
func (c *code) exposed(off int64) bool {
	if c.native && !c.a.upwards {
		return off < 0 && (c.locals != neverExposed || c.args == 0) || off >= 0 && c.args != neverExposed
	}
	if off < 0 {
		return off >= c.locals
	}
	return off >= c.args
}

// stackCheck reports that instruction i computes the end of a large frame for
// the comparison with the stack's limit: LEA -n(SP), r; CMP r, limit, or the
// same with MOV and SUB, or of arm64 SUBS n, SP, r and a branch on its overflow.
func (c *code) stackCheck(i int) bool {
	in := &c.insts[i]
	if i+2 >= len(c.insts) || in.Dst.Kind != image.OperandReg {
		return false
	}
	next := &c.insts[i+1]
	if c.pushed == 0 && next.Op == image.OpJcc {
		next = &c.insts[i+2]
	}
	uses := next.Dst.Kind == image.OperandReg && next.Dst.Reg == in.Dst.Reg || next.Src.Kind == image.OperandReg && next.Src.Reg == in.Dst.Reg
	switch in.Op {
	case image.OpOther:
		return c.pushed == 0 && in.Src.Kind == image.OperandReg && in.Src.Reg == c.sp && next.Op == image.OpCmp && uses
	case image.OpLea:
		return next.Op == image.OpCmp && uses && (in.Src.Disp < 0 || in.Src.Disp == 0 && c.pushed == 0 && c.depth[i] == 0)
	case image.OpMov:
		return next.Op == image.OpSub && uses && next.Src.Kind == image.OperandImm && next.Src.Imm > 0
	}
	return false
}

// framePointer reports that instruction i sets up the frame pointer as the
// compiler does, which only saves it: the word that it then points at holds the
// caller's.
func (c *code) framePointer(i int) bool {
	in := &c.insts[i]
	return (in.Op == image.OpMov || in.Op == image.OpLea) && in.Dst.Kind == image.OperandReg && in.Dst.Reg == c.fp && i > c.lastFP
}

// newStack reports that instruction i computes the stack pointer of a frame that
// is too large for one instruction of arm64: SUB n, SP, r, perhaps a second SUB,
// then only stores through r before it becomes the stack pointer. The assembler
// takes a register of its own for it.
func (c *code) newStack(i int) bool {
	in := &c.insts[i]
	constant := in.Op == image.OpLea && in.Src.Disp < 0
	computed := in.Op == image.OpOther && in.Src.Kind == image.OperandReg && in.Src.Reg == c.sp
	if c.pushed != 0 || !constant && !computed || in.Dst.Kind != image.OperandReg || in.Dst.Reg == c.sp {
		return false
	}
	for j := i + 1; j < len(c.insts) && j <= i+4; j++ {
		next := &c.insts[j]
		switch {
		case next.Op == image.OpLea && next.Dst.Reg == c.sp && next.Src.Base == in.Dst.Reg && next.Src.Disp == 0 && next.Src.Index == image.RegNone:
			return true
		case next.Store > 0 && next.Dst.Base == in.Dst.Reg && next.Writes == 0:
		case next.Op == image.OpLea && next.Dst.Reg == in.Dst.Reg && next.Src.Base == in.Dst.Reg && next.Src.Disp < 0:
		default:
			return false
		}
	}
	return false
}

// setLastFP finds the last instruction that uses the frame pointer as more: in
// an address, which may be of the frame, or to copy it.
func (c *code) setLastFP() {
	c.lastFP = -1
	for j := range c.insts {
		in := &c.insts[j]
		for _, o := range [...]*image.Operand{&in.Dst, &in.Src} {
			if o.Kind == image.OperandMem && (o.Base == c.fp || o.Index == c.fp) {
				c.lastFP = len(c.insts)
				return
			}
		}
		if in.Op != image.OpPush && in.Src.Kind == image.OperandReg && in.Src.Reg == c.fp && in.Dst.Reg != c.sp {
			c.lastFP = j
		}
		if in.Op == image.OpStorePair && in.Imm2 == int64(c.fp) {
			c.lastFP = j
		}
	}
}

// at returns the index of the instruction at addr, or -1.
func (c *code) at(addr uint64) int {
	for _, p := range c.parts {
		if addr < p.from || addr >= p.to {
			continue
		}
		i := p.start + sort.Search(p.end-p.start, func(i int) bool { return c.insts[p.start+i].Addr >= addr })
		if i < p.end && c.insts[i].Addr == addr {
			return i
		}
	}
	return -1
}

// behind returns the index of the instruction behind i in memory, or -1: mostly
// it is the next of the list.
func (c *code) behind(i int) int {
	addr := c.insts[i].Addr + uint64(c.insts[i].Len)
	if i+1 < len(c.insts) && c.insts[i+1].Addr == addr {
		return i + 1
	}
	return c.at(addr)
}

// block returns the index of the block that holds instruction i.
func (c *code) block(i int) int {
	return sort.Search(len(c.blocks), func(b int) bool { return c.blocks[b].start > i }) - 1
}

// ends reports whether control never goes on behind in. Behind a breakpoint it
// can, under a debugger.
func ends(in *image.Inst) bool {
	switch in.Op {
	case image.OpJmp, image.OpJmpInd, image.OpRet, image.OpTrap:
		return !in.Perhaps
	}
	return false
}

// split finds the blocks and links them.
func (c *code) split(a *analysis) {
	leader := make([]bool, len(c.insts)+1)
	leader[0] = true
	tables := map[int][]int{}
	final := make([]bool, len(c.insts)) // control does not go on behind it
	for i := range c.insts {
		in := &c.insts[i]
		final[i] = ends(in)
		switch in.Op {
		case image.OpJmp, image.OpJcc:
			if t := c.at(in.Target); t >= 0 {
				leader[t] = true
			}
		case image.OpCall:
			final[i] = !in.Perhaps && !a.returns(in.Target)
		case image.OpCallInd:
			if to, ok := bound(a.prog, in); c.native && ok {
				final[i] = !in.Perhaps && !a.returns(to)
			}
		case image.OpJmpInd:
			if c.targetOf(i) != 0 {
				break
			}
			for _, t := range c.jumpTable(a, i) {
				tables[i] = append(tables[i], t)
				leader[t] = true
			}
		}
		next := c.behind(i)
		if final[i] || in.Op == image.OpJcc || next != i+1 {
			leader[i+1] = true
			if next >= 0 {
				leader[next] = true
			}
		}
	}
	strays := c.strays()
	for _, s := range strays {
		if t := c.at(s); t >= 0 {
			leader[t] = true
		}
	}
	for i := range c.insts {
		if leader[i] {
			c.blocks = append(c.blocks, block{start: i})
		}
		c.blocks[len(c.blocks)-1].end = i + 1
	}
	for _, s := range strays {
		if t := c.at(s); t >= 0 {
			c.blocks[c.block(t)].stray = true
		}
	}
	link := func(from, to int) {
		t := &c.blocks[c.block(to)]
		t.preds = append(t.preds, from)
	}
	for b := range c.blocks {
		last := c.blocks[b].end - 1
		in := &c.insts[last]
		if next := c.behind(last); !final[last] && next >= 0 {
			link(b, next)
		}
		switch in.Op {
		case image.OpJmp, image.OpJcc:
			if t := c.at(in.Target); t >= 0 {
				link(b, t)
			}
		case image.OpJmpInd:
			for _, t := range tables[last] {
				link(b, t)
			}
			if len(tables[last]) == 0 && !(c.native && c.targetOf(last) != 0) {
				c.unresolved = append(c.unresolved, b)
			}
		}
	}
	if len(c.unresolved)*len(c.blocks) > maxJumps {
		c.insts, c.blocks, c.parts = nil, nil, nil
		return
	}
	// A jump that was not resolved may lead to any block but the entry, which
	// has a name.
	for b := 1; b < len(c.blocks); b++ {
		c.blocks[b].preds = append(c.blocks[b].preds, c.unresolved...)
		// Exceptions of native code are caught where nothing else leads to.
		if blk := &c.blocks[b]; c.native && len(blk.preds) == 0 && !c.padding(blk) {
			blk.stray = true
		}
	}
	c.markLive()
}

// strays are the addresses in the function that something else than its own
// jumps, and the calls of its entry, lead to.
func (c *code) strays() []uint64 {
	var out []uint64
	for k, p := range c.parts {
		out = append(out, c.a.straysInto(p.from, p.to)...)
		if k > 0 && c.a.enteredFrom(c.fn, p.from) {
			out = append(out, p.from)
		}
	}
	if resumed, ok := c.a.prog.DeferReturn(c.fn); ok {
		out = append(out, resumed)
	}
	if first := c.insts[0].Addr; first != c.entry {
		out = append(out, first)
	}
	return out
}

// padding reports that a block does nothing.
func (c *code) padding(b *block) bool {
	for i := b.start; i < b.end; i++ {
		switch c.insts[i].Op {
		case image.OpNop, image.OpInt3, image.OpTrap:
		case image.OpLea: // of 386
			if in := &c.insts[i]; in.Src.Base != in.Dst.Reg || in.Src.Index != image.RegNone || in.Src.Disp != 0 {
				return false
			}
		case image.OpXchg, image.OpMov:
			if in := &c.insts[i]; in.Dst.Kind != image.OperandReg || in.Dst != in.Src {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// successors returns the blocks that each block goes on to.
func (c *code) successors() [][]int {
	succs := make([][]int, len(c.blocks))
	for b := range c.blocks {
		for _, p := range c.blocks[b].preds {
			succs[p] = append(succs[p], b)
		}
	}
	return succs
}

// markLive finds the blocks that the entry, or an entry in the middle, leads
// to. What lies behind a call that never returns is not.
func (c *code) markLive() {
	succs := c.successors()
	var work []int
	for b := range c.blocks {
		if b == 0 || c.blocks[b].stray {
			c.blocks[b].live = true
			work = append(work, b)
		}
	}
	for len(work) > 0 {
		b := work[len(work)-1]
		work = work[:len(work)-1]
		for _, t := range succs[b] {
			if !c.blocks[t].live {
				c.blocks[t].live = true
				work = append(work, t)
			}
		}
	}
}
