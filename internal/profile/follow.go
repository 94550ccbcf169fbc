package profile

import (
	"fmt"
	"maps"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

const (
	// maxFollowed bounds the ways into functions on which one object is followed.
	maxFollowed = 500
	// maxRounds bounds the rounds over the blocks of one function.
	maxRounds = 64
)

// A follower follows the pointer to an object forwards, from where it is made
// through registers, stack words, calls and returns, and notes which bytes of
// the object are set. It takes in too much rather than too little: a register
// that may hold the pointer does.
type follower struct {
	a *analysis
	// holders are the offsets in other objects where the pointer may be stored
	// without being lost.
	holders map[int64]bool
	// set says of each offset of the object that is set where that is; sizes has
	// the number of bytes.
	set map[write]string
	// lost is where the pointer first goes out of sight, or the object is
	// written as a whole; "" if it does not.
	lost string
	// borrowed is for a pointer that may be to something else: where it goes out
	// of sight says nothing.
	borrowed bool

	seen  map[entryPoint]bool
	depth int
}

// A write is size bytes at offset off of an object.
type write struct {
	off  int64
	size uint8
}

// An entryPoint is where the pointer enters a function: before instruction i, in
// a register or a stack word.
type entryPoint struct {
	fn, i int
	loc   location
}

func (a *analysis) newFollower(holders []int64) *follower {
	f := &follower{a: a, holders: map[int64]bool{}, set: map[write]string{}, seen: map[entryPoint]bool{}}
	for _, off := range holders {
		f.holders[off] = true
	}
	return f
}

func (f *follower) lose(fn int, at uint64, format string, args ...any) {
	if f.lost == "" && !f.borrowed {
		f.lost = fmt.Sprintf(format, args...) + " in " + f.a.place(fn, at)
	}
}

// place names a function, and the line of the instruction at addr.
func (a *analysis) place(fn int, addr uint64) string {
	s := a.source(hop{fn: fn, addr: addr})[0]
	if s.File == "" {
		return s.Func
	}
	return s.Func + " (" + s.Place() + ")"
}

// A holding is which registers and stack words may hold the pointer, and which
// registers point into the write barrier's buffer.
type holding struct {
	regs   uint64
	buffer uint64
	slots  map[int64]bool
}

func (h holding) clone() holding {
	h.slots = maps.Clone(h.slots)
	return h
}

// join adds what g may hold, and reports whether that is more.
func (h *holding) join(g holding) bool {
	more := g.regs&^h.regs | g.buffer&^h.buffer
	h.regs |= g.regs
	h.buffer |= g.buffer
	for off := range g.slots {
		if !h.slots[off] {
			if h.slots == nil {
				h.slots = map[int64]bool{}
			}
			h.slots[off] = true
			more = 1
		}
	}
	return more != 0
}

func (h *holding) put(loc location) {
	if !loc.stack {
		h.regs |= 1 << loc.reg
		return
	}
	if h.slots == nil {
		h.slots = map[int64]bool{}
	}
	h.slots[loc.off] = true
}

// from follows the pointer that loc holds before instruction i of function fn.
func (f *follower) from(fn, i int, loc location) {
	at := entryPoint{fn, i, loc}
	if f.seen[at] || f.lost != "" {
		return
	}
	if f.seen[at] = true; len(f.seen) > maxFollowed {
		f.lose(fn, f.a.entry(fn), "it goes through too many functions to follow")
		return
	}
	c := f.a.slicer(fn).c
	if len(c.insts) == 0 || !c.exact && loc.stack {
		f.lose(fn, c.entry, "it cannot be followed")
		return
	}
	succs := c.successors()
	starts := make([]holding, len(c.blocks))
	first := c.block(i)
	var seed holding
	seed.put(loc)
	// The first pass through the block starts in its middle.
	out := f.through(c, i, c.blocks[first].end, seed)
	work := map[int]bool{}
	flow := func(b int, h holding) {
		for _, s := range succs[b] {
			if starts[s].join(h) {
				work[s] = true
			}
		}
	}
	flow(first, out)
	for range maxRounds * len(c.blocks) {
		if len(work) == 0 {
			return
		}
		b := len(c.blocks)
		for k := range work {
			b = min(b, k)
		}
		delete(work, b)
		flow(b, f.through(c, c.blocks[b].start, c.blocks[b].end, starts[b].clone()))
	}
	f.lose(fn, c.entry, "its ways through the function are too many")
}

// through takes the pointer through the instructions i up to end.
func (f *follower) through(c *code, i, end int, h holding) holding {
	for ; i < end; i++ {
		f.step(c, i, &h)
		if f.lost != "" {
			break
		}
	}
	return h
}

func (h *holding) holds(o *image.Operand) bool {
	return o.Kind == image.OperandReg && !o.High && o.Reg < 64 && h.regs>>o.Reg&1 != 0
}

// based reports that o is memory that the pointer leads to.
func (h *holding) based(o *image.Operand) bool {
	in := func(r image.Reg) bool { return r < 64 && h.regs>>r&1 != 0 }
	return o.Kind == image.OperandMem && (in(o.Base) || in(o.Index))
}

func (f *follower) step(c *code, i int, h *holding) {
	in := &c.insts[i]
	switch in.Op {
	case image.OpCall:
		f.call(c, i, h)
		return
	case image.OpCallInd:
		if h.regs&c.argumentRegisters() != 0 || f.passesSlot(c, i, h, neverExposed) {
			f.lose(c.fn, in.Addr, "it may be passed through a function value")
		}
		h.regs, h.buffer = 0, 0
		return
	case image.OpRet:
		f.returned(c, i, h)
		return
	case image.OpJmp, image.OpJcc:
		if in.Target < c.entry || in.Target >= c.end {
			f.enter(c, i, h)
		}
		return
	case image.OpJmpInd:
		return
	}
	if h.based(&in.Dst) && (in.Store > 0 || in.StoreAny) {
		f.write(c, i, h)
	} else if in.Store > 0 && in.Dst.Kind == image.OperandMem {
		f.stored(c, i, h)
	}
	if in.StoreAny && h.regs != 0 && in.Rep && !f.zeroing(c, in) {
		f.lose(c.fn, in.Addr, "it may be copied")
	}
	f.moved(c, i, h)
}

// write notes that bytes of the object are set.
func (f *follower) write(c *code, i int, h *holding) {
	in := &c.insts[i]
	if in.StoreAny || in.Dst.Index != image.RegNone {
		f.lose(c.fn, in.Addr, "it is written as a whole")
		return
	}
	if f.zeroing(c, in) {
		return
	}
	size := in.Store
	if int64(size) > c.word {
		if !f.borrowed {
			f.lose(c.fn, in.Addr, "it is copied from another")
		}
		return
	}
	w := write{in.Dst.Disp, size}
	if f.set[w] == "" {
		f.set[w] = f.a.place(c.fn, in.Addr)
	}
}

// zeroing reports that an instruction stores zeros: X15 is zero in Go's code for
// amd64.
func (f *follower) zeroing(c *code, in *image.Inst) bool {
	switch {
	case in.Op == image.OpStorePair:
		return in.Src.Kind == image.OperandImm && in.Src.Imm == 0 && in.Imm2 < 0
	case in.Src.Kind == image.OperandImm:
		return in.Op == image.OpMov && in.Src.Imm == 0
	case in.Src.Kind == image.OperandVec:
		return in.Op == image.OpMov && c.pushed == 8 && in.Src.Reg == 15
	}
	return false
}

// stored looks where an instruction stores the pointer.
func (f *follower) stored(c *code, i int, h *holding) {
	in := &c.insts[i]
	first := h.holds(&in.Src)
	second := in.Op == image.OpStorePair && in.Imm2 >= 0 && h.regs>>uint(in.Imm2)&1 != 0
	off, direct := c.slot(i, &in.Dst)
	if direct {
		for at := range h.slots {
			if at < off+int64(in.Store) && off < at+c.word {
				delete(h.slots, at)
			}
		}
	}
	for k, holds := range []bool{first, second} {
		disp := in.Dst.Disp
		if k == 1 {
			disp += int64(in.Size)
		}
		switch {
		case !holds:
		case direct && int64(in.Size) == c.word && !c.exposed(off+disp-in.Dst.Disp):
			h.put(slot(off+disp-in.Dst.Disp, uint8(c.word)))
		case direct:
			// What has the address of that part of the frame may read it.
			f.lose(c.fn, in.Addr, "it is stored in a variable on the stack whose address is taken")
		case in.Dst.Base < 64 && h.buffer>>in.Dst.Base&1 != 0:
			// The collector's.
		case in.Dst.Index == image.RegNone && in.Dst.Base < 64 && f.holders[disp] && int64(in.Size) == c.word:
		default:
			f.lose(c.fn, in.Addr, "it is stored elsewhere")
		}
	}
}

// moved follows registers.
func (f *follower) moved(c *code, i int, h *holding) {
	in := &c.insts[i]
	before := *h
	h.regs &^= in.Writes
	h.buffer &^= in.Writes
	put := func(o *image.Operand) {
		if o.Kind == image.OperandReg && o.Reg < 64 {
			h.regs |= 1 << o.Reg
		}
	}
	word := int64(in.Size) == c.word
	switch in.Op {
	case image.OpMov, image.OpCmov, image.OpSelect:
		holds := before.holds(&in.Src)
		if in.Op == image.OpSelect && in.Imm2 >= 0 {
			holds = holds || before.regs>>uint(in.Imm2)&1 != 0
		}
		if off, ok := c.slot(i, &in.Src); ok && before.slots[off] {
			holds = true
		}
		switch {
		case in.Op == image.OpCmov && before.holds(&in.Dst):
			put(&in.Dst)
		case !holds || !word:
		case in.Dst.Kind == image.OperandReg:
			put(&in.Dst)
		case in.Dst.Kind == image.OperandVec:
			f.lose(c.fn, in.Addr, "it is moved where it is not followed")
		}
	case image.OpLoadPair:
		if off, ok := c.slot(i, &in.Src); ok {
			if before.slots[off] {
				put(&in.Dst)
			}
			if in.Imm2 >= 0 && before.slots[off+int64(in.Size)] {
				h.regs |= 1 << uint(in.Imm2)
			}
		}
	case image.OpLea:
		if !before.based(&in.Src) {
			break
		}
		if in.Src.Disp == 0 && in.Src.Index == image.RegNone {
			put(&in.Dst)
			break
		}
		// The address of a field leads to that field alone.
		w := write{in.Src.Disp, 1}
		if in.Src.Index != image.RegNone {
			f.lose(c.fn, in.Addr, "an address in it is computed")
		} else if f.set[w] == "" {
			f.set[w] = f.a.place(c.fn, in.Addr)
		}
	case image.OpXchg:
		if before.holds(&in.Src) && in.Dst.Kind == image.OperandReg {
			put(&in.Dst)
		}
		if before.holds(&in.Dst) {
			put(&in.Src)
		}
	case image.OpPush:
		off := -c.depth[i] - int64(in.Size)
		if delete(h.slots, off); before.holds(&in.Src) && c.exact {
			h.put(slot(off, in.Size))
		}
	case image.OpPop:
		if before.slots[-c.depth[i]] {
			put(&in.Dst)
		}
	case image.OpCmp, image.OpTest, image.OpNop, image.OpSyscall:
	default:
		if before.holds(&in.Src) && in.Dst.Kind == image.OperandReg || before.holds(&in.Dst) && in.Writes != 0 && in.Op != image.OpXor && in.Op != image.OpPage && in.Op != image.OpSetcc && in.Op != image.OpMovZX && in.Op != image.OpMovSX {
			f.lose(c.fn, in.Addr, "an address in it is computed")
		}
	}
}

// call follows the pointer into the function that instruction i calls.
func (f *follower) call(c *code, i int, h *holding) {
	in := &c.insts[i]
	name := f.a.nameAt(in.Target)
	switch {
	case strings.HasPrefix(name, "runtime.gcWriteBarrier"):
		// It keeps all registers but the one that it returns the buffer in. Until
		// Go 1.20 it stored itself what the other branch stores too.
		if r, ok := c.barrierResult(); ok {
			h.regs &^= 1 << r
			h.buffer |= 1 << r
		}
		return
	case strings.HasPrefix(name, "runtime.duffzero"), name == "runtime.wbZero", name == "runtime.typedmemclr", name == "runtime.memclrHasPointers":
	case h.regs&c.argumentRegisters() != 0 && (strings.HasPrefix(name, "runtime.duffcopy") || name == "runtime.wbMove" || name == "runtime.typedmemmove"):
		f.lose(c.fn, in.Addr, "it is copied")
	case strings.HasPrefix(name, "runtime.panic"), strings.HasPrefix(name, "runtime.morestack"), isAllocation(name):
	default:
		f.enter(c, i, h)
	}
	h.regs, h.buffer = 0, 0
}

// enter follows the pointer into what instruction i calls or jumps to.
func (f *follower) enter(c *code, i int, h *holding) {
	in := &c.insts[i]
	fn, ok := f.a.entryOf(in.Target)
	if !ok {
		if h.regs != 0 {
			f.lose(c.fn, in.Addr, "it may be passed to unknown code")
		}
		return
	}
	if f.borrowed {
		if f.depth > 0 {
			return
		}
		f.depth++
		defer func() { f.depth-- }()
	}
	for r := range image.Reg(64) {
		if h.regs&f.a.taken(fn)>>r&1 != 0 {
			f.from(fn, 0, register(r))
		}
	}
	up := int64(0)
	if in.Op == image.OpCall {
		up = c.pushed
	}
	top := -c.depth[i]
	for off := range h.slots {
		if off >= top && off < top+c.first+f.a.argsOf(in.Target) {
			f.from(fn, 0, slot(off+c.depth[i]+up, uint8(c.word)))
		}
	}
}

// taken returns the registers in which function fn takes arguments: others hold
// what their callers have left there. Before it calls for more stack a function
// saves just these.
func (a *analysis) taken(fn int) uint64 {
	c := a.slicer(fn).c
	mask := c.argumentRegisters()
	for i := range c.insts {
		if in := &c.insts[i]; in.Op == image.OpCall && strings.HasPrefix(a.nameAt(in.Target), "runtime.morestack") {
			saved := uint64(0)
			for j := c.blocks[c.block(i)].start; j < i; j++ {
				in := &c.insts[j]
				if _, ok := c.slot(j, &in.Dst); !ok || in.Store == 0 {
					continue
				}
				if in.Src.Kind == image.OperandReg {
					saved |= 1 << in.Src.Reg
				}
				if in.Op == image.OpStorePair && in.Imm2 >= 0 {
					saved |= 1 << in.Imm2
				}
			}
			mask &= saved
			break
		}
	}
	return mask
}

// passesSlot reports that a stack word that holds the pointer lies among the
// arguments of the call at instruction i.
func (f *follower) passesSlot(c *code, i int, h *holding, size int64) bool {
	if c.argumentRegisters() != 0 {
		return false
	}
	top := -c.depth[i]
	for off := range h.slots {
		if off >= top && off < top+size {
			return true
		}
	}
	return false
}

// returned follows the pointer to the callers of a function that returns it.
func (f *follower) returned(c *code, i int, h *holding) {
	var locs []location
	for r := range image.Reg(64) {
		if h.regs&c.argumentRegisters()>>r&1 != 0 {
			locs = append(locs, register(r))
		}
	}
	for off := range h.slots {
		if off >= c.word {
			locs = append(locs, slot(off, uint8(c.word)))
		}
	}
	if len(locs) == 0 || f.borrowed {
		return
	}
	if by := f.a.takenBy(c.fn); by != "" {
		f.lose(c.fn, c.insts[i].Addr, "it may be returned to unknown callers")
		return
	}
	for _, caller := range f.a.survey.callers(c.fn) {
		k := f.a.slicer(caller).c
		for j := range k.insts {
			if in := &k.insts[j]; in.Op != image.OpCall || in.Target != c.entry || j+1 == len(k.insts) {
				continue
			}
			for _, loc := range locs {
				if loc.stack {
					loc.off -= k.pushed + k.depth[j]
				}
				f.from(caller, j+1, loc)
			}
		}
		if len(k.insts) == 0 {
			f.lose(caller, k.entry, "it may be returned to a function that is too large")
		}
	}
}

// argumentRegisters is the set of registers in which Go's functions take
// arguments and return results; none where they use the stack.
func (c *code) argumentRegisters() uint64 {
	switch minor := c.a.prog.Build.Minor; {
	case c.a.prog.ABI == abi.AMD64: // AX, BX, CX, DI, SI, R8 to R11
		return 1<<image.RAX | 1<<image.RBX | 1<<image.RCX | 1<<image.RDI | 1<<image.RSI | 0xf<<image.R8
	case c.a.prog.ABI == abi.ARM64 && minor >= 18:
		return 0xffff
	}
	return 0
}

// barrierResult returns the register in which the write barrier returns where
// in its buffer to store.
func (c *code) barrierResult() (r image.Reg, ok bool) {
	switch c.a.prog.ABI {
	case abi.AMD64:
		return image.R11, true
	case abi.ARM64:
		return 25, true
	case abi.I386:
		return image.RDI, true
	}
	return 0, false
}
