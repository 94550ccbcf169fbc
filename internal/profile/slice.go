package profile

import (
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// A location is a register, of which only the low size bytes count unless that is
// 0, or size bytes of the stack at an offset from the
// stack pointer at the function's entry.
type location struct {
	stack bool
	reg   image.Reg
	size  uint8
	off   int64
}

func register(r image.Reg) location       { return location{reg: r} }
func slot(off int64, size uint8) location { return location{stack: true, off: off, size: size} }

// A slicer answers what a location holds at a point of one function, by
// walking back from there. What holds at the start of a block is kept, and
// grows until nothing changes: cycles start from nothing.
type slicer struct {
	c     *code
	nodes map[node]*value
	// done are the nodes that were evaluated in this round.
	done    map[node]bool
	since   map[pointee]change // as nodes, of what lies behind pointers
	looked  map[pointee]bool
	changed bool
	depth   int
	writes  map[int][]int // see writesBefore
}

type node struct {
	block int
	loc   location
}

func newSlicer(c *code) *slicer {
	return &slicer{c: c, nodes: map[node]*value{}, since: map[pointee]change{}}
}

// before returns what loc holds before instruction i.
func (s *slicer) before(i int, loc location) value {
	if len(s.c.insts) == 0 {
		return value{why: &unknown{tooLarge, s.c.fn, s.c.entry}}
	}
	for {
		s.begin()
		v := s.walk(i, loc)
		switch {
		case s.changed:
		case len(v.atoms) == 0 && v.why == nil:
			return s.lost(i, noWay)
		default:
			return v.placed(s.c.fn, s.c.insts[i].Addr)
		}
	}
}

// begin starts a round.
func (s *slicer) begin() {
	s.changed, s.done, s.looked = false, map[node]bool{}, nil
}

// placed gives an unknown without a place one.
func (v value) placed(fn int, at uint64) value {
	if v.why == nil || v.why.at != 0 {
		return v
	}
	return value{why: &unknown{v.why.reason, fn, at}}
}

func (s *slicer) lost(i int, format string, args ...any) value {
	return value{why: s.why(i, format, args...)}
}

func (s *slicer) why(i int, format string, args ...any) *unknown {
	i = min(i, len(s.c.insts)-1)
	return &unknown{fmt.Sprintf(format, args...), s.c.fn, s.c.insts[i].Addr}
}

// walk goes back from instruction i, in its block, to where loc is set.
func (s *slicer) walk(i int, loc location) value { return s.within(s.c.block(i), i, loc) }

// within does so in block b, and goes on to the blocks before it.
func (s *slicer) within(b, i int, loc location) value {
	if off, ok := s.c.framePointed(i, loc); ok {
		return exactly(atom{kind: frame, n: off})
	}
	if s.depth == maxDepth {
		return s.lost(i, overBudget)
	}
	s.depth++
	defer func() { s.depth-- }()
	for j := i - 1; j >= s.c.blocks[b].start; j-- {
		if s.c.a.steps++; s.c.a.steps > maxSteps {
			return s.lost(j, "%s", overBudget)
		}
		var v value
		var found bool
		if loc.stack {
			v, found = s.slotSet(j, loc)
		} else {
			v, found = s.registerSet(j, loc)
		}
		if found {
			return v
		}
	}
	return s.atStart(b, loc)
}

// atStart returns what loc holds at the start of block b.
func (s *slicer) atStart(b int, loc location) value {
	n := node{b, loc}
	held := s.nodes[n]
	if held == nil {
		held = &value{}
		s.nodes[n] = held
	}
	if s.done[n] {
		return *held
	}
	s.done[n] = true
	v := *held
	blk := &s.c.blocks[b]
	switch {
	case blk.stray:
		v = v.join(s.lost(blk.start, "entered in its middle, from elsewhere"))
	case b == 0:
		v = v.join(s.atEntry(loc))
	}
	for _, p := range blk.preds {
		if v.why != nil {
			break
		}
		// Nothing flows out of a block that control never reaches.
		if s.c.blocks[p].live || !blk.live {
			if n, ok := s.c.equals(p, b, loc); ok {
				v = v.join(constants(n))
			} else {
				v = v.join(s.within(p, s.c.blocks[p].end, loc))
			}
		}
	}
	v = v.placed(s.c.fn, s.c.insts[blk.start].Addr)
	if !v.equal(*held) {
		s.changed = true
		*held = v
	}
	return v
}

func (s *slicer) atEntry(loc location) value {
	switch {
	case !loc.stack:
		return exactly(atom{kind: parameter, reg: loc.reg})
	case loc.off >= s.c.word, loc.off >= s.c.pushed && s.c.native:
		return s.extend(exactly(atom{kind: stacked, n: loc.off}), loc.size, s.why(0, partOfWider))
	case loc.off == 0:
		return s.lost(0, "a return address")
	}
	return s.lost(0, "a stack word that was never set")
}

// slotSet returns what instruction j leaves in the stack location loc, if it
// changes it.
func (s *slicer) slotSet(j int, loc location) (v value, set bool) {
	in := &s.c.insts[j]
	off := loc.off
	exposed := s.c.exposed(off)
	switch in.Op {
	case image.OpCall, image.OpCallInd:
		top := -s.c.depth[j]
		switch {
		case s.c.native && s.c.a.returnsTwice(s.c.targetOf(j)):
			return s.lost(j, "a stack word behind setjmp, which may return again"), true
		case s.c.native && s.c.depth[j] == noDepth:
			return s.lost(j, "a stack word of a stack whose depth is not known"), true
		case off < top:
			return s.lost(j, "a stack word that a call overwrites"), true
		case exposed:
			return s.lost(j, "a stack word whose address is known to a callee"), true
		case s.c.native:
			// A callee may change its arguments, but nobody reads them again.
		case top == 0 && s.c.pushed > 0:
			// Without a frame nothing can be passed on the stack: it would lie over
			// the function's own return address. Calls for more stack are such.
		case in.Op == image.OpCallInd:
			return s.lost(j, "a result or an argument on the stack of a call through a function value"), true
		case off < top+s.c.first+s.c.a.argsOf(in.Target):
			return s.lost(j, "a result or an argument on the stack of a call of %s", s.c.a.nameAt(in.Target)), true
		}
		return v, false
	case image.OpPush:
		if s.c.depth[j] == noDepth {
			return s.lost(j, "a stack word of a stack whose depth is not known"), true
		}
		at := -s.c.depth[j] - int64(in.Size)
		if at == off && int64(in.Size) == s.c.word {
			return s.operand(j, &in.Src, loc.size), true
		}
		return s.overlap(j, at, int64(in.Size), loc)
	case image.OpSyscall, image.OpInt80, image.OpSysenter:
		if exposed {
			return s.lost(j, "a stack word whose address the kernel may have"), true
		}
		if s.c.native && s.forks(j) {
			return s.lost(j, "a stack word behind vfork, which may return again"), true
		}
	case image.OpStoreMany:
		if at, direct := s.c.slot(j, &in.Dst); direct && loc.size <= 4 {
			if r, ok := many(in, off-at); ok {
				return s.extend(s.walk(j, register(r)), loc.size, s.why(j, partOfWider)), true
			}
		}
	case image.OpStorePair:
		at, direct := s.c.slot(j, &in.Dst)
		switch {
		case !direct || in.Size < loc.size:
		case at == off:
			return s.operand(j, &in.Src, loc.size), true
		case at+int64(in.Size) == off:
			return s.extend(s.second(j, in), loc.size, s.why(j, partOfWider)), true
		}
	}
	if in.StoreAny && exposed {
		return s.lost(j, "a stack word that may be written through a pointer"), true
	}
	if in.Store == 0 || in.Dst.Kind != image.OperandMem {
		return v, false
	}
	at, direct := s.c.slot(j, &in.Dst)
	if !direct && s.c.native && in.Dst.Base == s.c.sp {
		return s.lost(j, "a stack word of a stack whose depth is not known"), true
	}
	if !direct {
		// Not through the stack pointer: only an exposed word can be meant.
		if exposed && in.Dst.Base != image.RegPC && in.Dst.Base != image.RegFS {
			return s.lost(j, "a stack word that may be written through a pointer"), true
		}
		return v, false
	}
	if at == off && in.Op == image.OpMov && in.Size >= loc.size && in.Size <= 8 && in.Src.Kind != image.OperandVec {
		return s.operand(j, &in.Src, loc.size), true
	}
	return s.overlap(j, at, int64(in.Store), loc)
}

// many returns the register of OpLoadMany or OpStoreMany in that stands for the word
// off bytes behind the first.
func many(in *image.Inst, off int64) (r image.Reg, ok bool) {
	for ; r < 16; r++ {
		if in.List>>r&1 == 0 {
			continue
		}
		if off == 0 {
			return r, true
		}
		off -= 4
	}
	return 0, false
}

// forks reports that the system call at instruction j may make a child that runs on
// the same stack.
func (s *slicer) forks(j int) bool {
	on := s.c.a.prog.ABI
	nrs, _ := s.walk(j, register(s.c.number)).constants()
	return slices.ContainsFunc(nrs, func(nr int64) bool {
		return forksHere(on, uint32(nr), s.walk(j, register(argumentsOf(on)[0])))
	})
}

func (s *slicer) overlap(j int, at, size int64, loc location) (v value, set bool) {
	if at < loc.off+int64(loc.size) && loc.off < at+size {
		return s.lost(j, "a stack word that is written in part, or by arithmetic"), true
	}
	return v, false
}

// operand returns the value of operand o of size bytes before instruction j.
func (s *slicer) operand(j int, o *image.Operand, size uint8) value {
	why := s.why(j, partOfWider)
	switch o.Kind {
	case image.OperandImm:
		return s.extend(constants(o.Imm), size, why)
	case image.OperandReg:
		if o.High {
			return s.lost(j, "taken from a high byte register")
		}
		loc := register(o.Reg)
		if size < 4 {
			loc.size = size
		}
		return s.extend(s.walk(j, loc), size, why)
	case image.OperandMem:
		return s.extend(s.load(j, o, size), size, why)
	}
	return s.lost(j, "taken from a register that is not followed")
}

// second returns the value of the second register of instruction j.
func (s *slicer) second(j int, in *image.Inst) value {
	if in.Imm2 < 0 {
		return constants(0)
	}
	return s.walk(j, register(image.Reg(in.Imm2)))
}

// load returns what memory operand o of instruction j holds.
func (s *slicer) load(j int, o *image.Operand, size uint8) value {
	if off, ok := s.c.slot(j, o); ok {
		return s.walk(j, slot(off, size))
	}
	switch {
	case o.Base == image.RegFS:
		return s.lost(j, "read from thread-local storage")
	case o.Index != image.RegNone:
		return s.table(j, o, size)
	case o.Base == image.RegPC || o.Base == image.RegNone:
		return s.global(j, o.Disp)
	case o.Base == s.c.sp:
		return s.lost(j, "read from a stack whose depth is not known")
	}
	if at, sum, ok := s.c.summed(j, o); ok {
		return s.table(at, &sum, size)
	}
	return s.through(j, s.walk(j, register(o.Base)), o.Disp, size)
}

// through returns what lies disp bytes behind the pointer base before
// instruction j.
func (s *slicer) through(j int, base value, disp int64, size uint8) value {
	if base.why != nil {
		return base.because(s.why(j, "read through a pointer"))
	}
	out := value{}
	for _, a := range base.atoms {
		switch {
		case a.kind == frame:
			out = out.join(s.walk(j, slot(a.n+disp, size)))
		case a.kind == constant:
			out = out.join(s.global(j, a.n+disp))
		case s.c.native && a.width == 0 && a.or == 0 && (a.kind == parameter || a.kind == stacked || a.kind == global):
			since := s.changes(j, a, disp, size)
			if since == changed {
				return s.lost(j, "read through a pointer, and written so before")
			}
			a.kind, a.off, a.since = pointers[a.kind], disp, since
			out = out.join(exactly(a))
		default:
			return s.lost(j, "read through a pointer")
		}
	}
	return out
}

// pointers are the kinds of what lies behind a pointer of a kind.
var pointers = map[atomKind]atomKind{parameter: behind, stacked: behindStacked, global: behindGlobal}

// behind returns what lies behind the pointer v before instruction i, as far as
// x takes it.
func (s *slicer) behind(i int, v value, x atom) value {
	for {
		s.begin()
		if w := s.through(i, v, x.off, x.size()); !s.changed {
			return w.narrow(x, s.why(i, partOfWider)).placed(s.c.fn, s.c.insts[i].Addr)
		}
	}
}

func (s *slicer) global(j int, addr int64) value {
	if s.c.word == 4 {
		addr = int64(uint32(addr))
	}
	s.c.a.noteRead(uint64(addr), s.c.fn, s.c.insts[j].Addr)
	return exactly(atom{kind: global, n: addr})
}

// extend narrows v to its low size bytes; addresses are a word wide.
func (s *slicer) extend(v value, size uint8, why *unknown) value {
	return v.extend(size, uint8(s.c.word), why)
}

// because replaces the reason of an unknown value by one closer to its use.
func (v value) because(u *unknown) value { return value{why: u} }

// address returns the address that memory operand o of instruction j names.
func (s *slicer) address(j int, o *image.Operand) value {
	if off, ok := s.c.slot(j, o); ok {
		return exactly(atom{kind: frame, n: off})
	}
	why := s.why(j, "the result of arithmetic")
	var v value
	switch o.Base {
	case image.RegPC, image.RegNone:
		v = constants(o.Disp)
	case image.RegFS, s.c.sp:
		return value{why: why}
	default:
		v = s.add(s.walk(j, register(o.Base)), constants(o.Disp), why)
	}
	if o.Index != image.RegNone {
		scale := int64(o.Scale)
		v = v.combine(s.walk(j, register(o.Index)), why, func(a, b int64) int64 { return a + b*scale })
	}
	return v
}

// add adds constants to constants or to stack addresses.
func (s *slicer) add(v, w value, why *unknown) value {
	if w.why == nil && len(w.atoms) == 1 && w.atoms[0].kind == constant {
		n := w.atoms[0].n
		return v.mapEach(why, func(a atom) (atom, bool) {
			if s.c.word == 4 && a.kind == frame {
				n = int64(int32(n)) // constants are kept without a sign
			}
			a.n += n
			return a, a.kind == constant || a.kind == frame || n == 0
		})
	}
	return v.combine(w, why, func(a, b int64) int64 { return a + b })
}
