package image

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// exidxStarts returns where functions of the module start by the unwind data of
// arm ("Exception Handling ABI for the Arm Architecture", index tables), ascending:
// of neighbours that are unwound alike only the first. It does not say of which kind
// their code is.
func (m *Module) exidxStarts() (out []uint64) {
	b := m.object.bytes(m.object.exidx.Start)
	b = b[:min(uint64(len(b)), m.object.exidx.End-m.object.exidx.Start)]
	for at := m.Base + m.object.exidx.Start; len(b) >= 8; at, b = at+8, b[8:] {
		out = append(out, uint64(uint32(int64(at)+int64(int32(binary.LittleEndian.Uint32(b)<<1)>>1))))
	}
	slices.Sort(out)
	return out
}

// armStarts are the seeds of a module for arm, whose functions have no other
// descriptions: their lowest bits say which are Thumb.
func (m *Module) armStarts() (out []uint64) {
	for _, t := range [...]*symbolTable{m.dynsym, m.debug()} {
		for i := range t.len() {
			if s := t.at(i); (s.kind() == SymbolFunc || s.kind() == SymbolResolver) && m.defines(s) {
				out = append(out, m.Base+s.value)
			}
		}
	}
	for _, list := range [][]uint64{{m.Entry}, m.Init, m.Fini} {
		out = append(out, list...)
	}
	return out
}

// An armFlow is what is known while code of arm is followed: constants in registers,
// and the instructions before.
type armFlow struct {
	known  [16]uint32
	knows  uint16
	before []Inst
	// whole are the constants in registers that nothing has been added to so far: they
	// may be addresses, not parts of some; 0: none. held are those that were left so.
	whole [16]uint64
	held  []uint64
}

// leave takes over of whole what in, which comes next, does to it.
func (a *armFlow) leave(in *Inst) {
	for _, o := range [...]*Operand{&in.Dst, &in.Src} {
		if o.Kind == OperandMem && o.Index < 16 {
			a.whole[o.Index] = 0
			if o.Base < 16 {
				a.whole[o.Base] = 0
			}
		}
	}
	if in.Op == OpAdd && in.Dst.Reg < 16 {
		a.whole[in.Dst.Reg] = 0
	}
	for r, v := range a.whole {
		if v != 0 && (in.Writes>>r&1 != 0 || in.Op == OpCall) {
			a.held, a.whole[r] = append(a.held, v), 0
		}
	}
}

// pass takes over what in does. It returns the address that it puts together, of
// which the lowest bit says whether Thumb code may be there.
func (a *armFlow) pass(in *Inst) (addr uint64, ok bool) {
	v, set := uint32(0), false
	is := func(r Reg) bool { return r < 16 && a.knows>>r&1 != 0 }
	switch d := in.Dst.Reg; {
	case in.Dst.Kind != OperandReg || d > 15:
	case in.Op == OpMov && in.Src.Kind == OperandImm:
		v, set = uint32(in.Src.Imm), true
	case in.Op == OpMovTop && is(d):
		v, set = a.known[d]&0xFFFF|uint32(in.Src.Imm)<<16, true
	case in.Op == OpMov && in.Src.Kind == OperandReg && is(in.Src.Reg):
		v, set = a.known[in.Src.Reg], true
	case in.Op == OpAdd && in.Src.Kind == OperandImm && is(d):
		v, set = a.known[d]+uint32(in.Src.Imm), true
	case in.Op == OpLea && in.Src.Base == RegPC && in.Src.Index == RegNone:
		v, set = uint32(in.Src.Disp), true
	case in.Op == OpLea && in.Src.Base == RegPC && in.Src.Scale == 1 && is(in.Src.Index):
		v, set = uint32(in.Src.Disp)+a.known[in.Src.Index], true
	case in.Op == OpLea && is(in.Src.Base) && in.Src.Index == RegNone:
		v, set = a.known[in.Src.Base]+uint32(in.Src.Disp), true
	case in.Op == OpLea && is(in.Src.Base) && in.Src.Scale == 1 && is(in.Src.Index):
		v, set = a.known[in.Src.Base]+a.known[in.Src.Index], true
	}
	if a.knows &^= uint16(in.Writes); in.Op == OpCall || in.Op == OpCallInd {
		a.knows &^= 0xF00F // what calls do not keep
	}
	if set {
		a.known[in.Dst.Reg] = v
		a.knows |= 1 << in.Dst.Reg
	}
	if a.before = append(a.before, *in); len(a.before) > maxBefore {
		a.before = a.before[1:]
	}
	return uint64(v), set
}

// prepareARM makes the module's map of the code that is not Go's, which lies
// outside of skip, and takes the bit that says Thumb from its entries.
func (m *Module) prepareARM(skip Range) {
	if m.object.machine != abi.ARM {
		return
	}
	m.seeds = m.armStarts()
	m.Entry &^= 1
	for _, list := range [...][]uint64{m.Init, m.Fini} {
		for i := range list {
			list[i] &^= 1
		}
	}
	if areas := m.code(skip); len(areas) > 0 {
		m.arm = m.newARMCode(areas, skip)
	}
}

// enter returns where the code is that addr means: of arm its lowest bit says of
// which kind it is, which is noted.
func (g *gapSearch) enter(addr uint64) uint64 {
	c := g.m.arm
	if c == nil {
		return addr
	}
	at := addr &^ 1
	if x := g.at(at); x != nil {
		g.suppose(x, at, addr != at)
	}
	return at
}

// misses reports that addr is no pointer to code in x: of arm its lowest bit says
// another kind than what is there.
func (g *gapSearch) misses(x *gap, addr uint64) bool {
	c := g.m.arm
	switch {
	case c == nil:
		return false
	case x.state[addr&^1-x.Start] == gapStart:
		return c.isThumb(addr&^1) != (addr&1 != 0)
	}
	return addr&3 == 2
}

// suppose takes what may be an instruction at addr for one of A32 or Thumb code, as
// far as nothing is known of its bytes.
func (g *gapSearch) suppose(x *gap, addr uint64, thumb bool) {
	c := g.m.arm
	if c == nil || c.mapped {
		return
	}
	for at := addr; at < addr+4 && at < x.End && x.state[at-x.Start] == gapUnknown; at += 2 {
		c.put(c.thumb, at, at+2, thumb)
	}
}

// kind returns addr with the bit that says that Thumb code is there, if it is.
func (g *gapSearch) kind(addr uint64) uint64 {
	if g.m.arm != nil && g.m.arm.isThumb(addr) {
		return addr | 1
	}
	return addr
}

// searchARM finds the functions of code for arm without mapping symbols: what is
// code, and of which kind, tells only the way that control takes.
func (g *gapSearch) searchARM(areas []Range) []found {
	for _, a := range areas {
		g.add(a.Start, a.End)
	}
	for _, addr := range g.m.seeds {
		g.sure = append(g.sure, seed{addr, true})
	}
	g.run()
	g.survey(nil)
	// In what lies where it was linked to be, numbers look like addresses: what
	// calls come back to goes first.
	g.run()
	numbers := g.words
	g.words = nil
	for _, w := range numbers {
		if w&3 == 0 && g.certainA32(w) {
			g.maybe = append(g.maybe, w)
		}
	}
	g.try()
	g.eager = true
	g.run()
	// What the unwind data names and nothing has led to so far is of the kind of what
	// lies before.
	for _, addr := range g.m.exidxStarts() {
		x := g.at(addr)
		if x == nil || x.state[addr-x.Start] != gapUnknown {
			if x != nil && x.state[addr-x.Start] == gapStart {
				x.starts[addr] = true
			}
			continue
		}
		g.adopt(x, addr)
		if !g.plausible(x, addr) {
			if addr&2 != 0 || !g.m.arm.isThumb(addr) {
				continue
			}
			g.suppose(x, addr, false)
			if !g.plausible(x, addr) {
				continue
			}
		}
		g.sure = append(g.sure, seed{g.kind(addr), true})
		g.run()
	}
	g.settleARM(true)
	g.words = numbers
	for len(g.held)+len(g.words) > 0 {
		g.maybe, g.held = append(g.maybe, g.held...), nil
		g.try()
	}
	g.remains()
	g.settleARM(false)
	g.split()
	out := g.functions()
	slices.SortFunc(out, func(a, b found) int { return cmp.Compare(a.start, b.start) })
	return out
}

// certainA32 reports that several instructions of A32 code without a condition are at
// addr, of which nothing is known: neither numbers nor Thumb code look like that.
func (g *gapSearch) certainA32(addr uint64) bool {
	x := g.at(addr)
	for k := addr; k < addr+4*enoughA32 && k < x.End; k++ {
		if x.state[k-x.Start] != gapUnknown {
			return false
		}
	}
	return g.m.space.LooksA32(addr)
}

// plausibleARM is plausible for arm.
func (g *gapSearch) plausibleARM(x *gap, addr uint64) bool {
	c := g.m.arm
	thumb := c.isThumb(addr)
	// Most words of A32 code have no condition, few of data and of Thumb code look
	// like that.
	always, perhaps := 0, 0
	last := Op(OpBad)
	for range maxPlausible {
		likely := thumb || 2*perhaps <= always
		switch {
		case addr >= x.End:
			return likely
		case c.isData(addr):
			return likely && last == OpCall
		case x.state[addr-x.Start] == gapStart:
			return likely && c.isThumb(addr) == thumb
		}
		g.suppose(x, addr, thumb)
		in := g.decode(x, addr)
		if g.tried++; g.tried > maxTried || x.state[addr-x.Start] == gapInside || !g.written(x, &in) {
			return false
		}
		if b := g.m.bytes(addr); len(b) > 3 && b[3]>>4 < 14 {
			perhaps++
		} else {
			always++
		}
		if g.ends(&in) {
			return thumb || 2*perhaps <= always
		}
		last = in.Op
		addr += uint64(in.Len)
	}
	return true
}

// settleARM is settle for arm: it follows what may be code from where nothing is known
// on. What it leads to, and the constants that it loads, lie behind it. jumps says
// that only what computed jumps may lead to is meant.
func (g *gapSearch) settleARM(jumps bool) {
	const rounds = 8
	for range rounds {
		var starts []uint64
		g.left(func(_ *gap, start, _ uint64) { starts = append(starts, start) })
		followed := false
		for _, at := range starts {
			x := g.at(at)
			inside := g.behindJump(x, at)
			if jumps && !inside {
				continue
			}
			g.adopt(x, at)
			if at = g.trim(x, at, x.End); at == x.End || x.state[at-x.Start] != gapUnknown {
				continue
			}
			if g.adopt(x, at); !g.plausible(x, at) {
				continue
			}
			followed = true
			g.sure = append(g.sure, seed{g.kind(at), !inside})
			g.run()
		}
		if !followed {
			return
		}
	}
}

// behindJump reports that the function before addr has a computed jump of which it is
// not known where it leads: it may lead there.
func (g *gapSearch) behindJump(x *gap, addr uint64) bool {
	for at := addr; at > x.Start; at-- {
		if k := at - 1; x.state[k-x.Start] == gapStart {
			if slices.Contains(x.jumps, k) {
				return true
			}
			if x.starts[k] {
				return false
			}
		}
	}
	return false
}

// adopt takes what is at addr for code of the kind of what lies before it.
func (g *gapSearch) adopt(x *gap, addr uint64) {
	if c := g.m.arm; c != nil && !c.mapped {
		toStub := bytes.HasPrefix(g.m.bytes(addr), []byte("\x78\x47\xfd\xe7")) // BX PC and a jump to it
		g.suppose(x, addr, toStub || g.before(x, addr))
	}
}

// before reports that what is known before addr is Thumb code.
func (g *gapSearch) before(x *gap, addr uint64) bool {
	for at := addr; at > x.Start; at-- {
		if s := x.state[at-1-x.Start]; s == gapStart || s == gapInside {
			return g.m.arm.isThumb(at - 1)
		}
	}
	return g.m.arm.isThumb(g.m.Entry)
}

// followARM is follow for arm. It also notes which words are data.
func (g *gapSearch) followARM(x *gap, addr uint64) {
	c := g.m.arm
	thumb := c.isThumb(addr)
	flow := armFlow{}
	defer func() {
		for _, v := range append(flow.held, flow.whole[:]...) {
			if g.at(v) != nil {
				g.held = append(g.held, v)
			}
		}
	}()
	it := itState{}
	for x.Holds(addr) && x.state[addr-x.Start] == gapUnknown {
		at := addr - x.Start
		b := g.m.bytes(addr)[:x.End-addr]
		if !c.mapped {
			if len(b) >= 2 && thumb {
				c.setCondition(addr, it.step(half(binary.LittleEndian.Uint16(b))))
			}
		}
		g.suppose(x, addr, thumb)
		in := g.m.space.Decode(b, addr)
		if in.Op == OpBad && int(in.Len) > len(b) || c.isData(addr) {
			return
		}
		for k := range uint64(in.Len) {
			if at+k >= uint64(len(x.state)) || x.state[at+k] != gapUnknown {
				return
			}
		}
		for k := range uint64(in.Len) {
			x.state[at+k] = gapInside
		}
		x.state[at] = gapStart
		g.literals(b, addr, thumb)
		before := flow.before
		g.addressed(before, &in)
		flow.leave(&in)
		switch made, ok := flow.pass(&in); {
		case !ok:
		case in.Op == OpLea || in.Op == OpAdd:
			g.point(made)
		case g.m.Fixed() && in.Dst.Reg < 16:
			flow.whole[in.Dst.Reg] = made
		}
		if in.Op == OpJmpInd {
			if t, ok := g.m.space.JumpTable(before, &in, x.Range); ok {
				g.data(t.Table)
				for _, to := range t.Targets {
					g.lead(x, addr, to, thumb)
				}
				if !in.Perhaps {
					return
				}
			} else if in.Src.Kind == OperandNone && !thumb && in.List == 0 { // ADD PC, PC, …: somewhere behind
				in.Perhaps = true
			}
		}
		if g.leadsARM(x, &in, thumb) {
			return
		}
		addr += uint64(in.Len)
		if in.Op == OpCall && !in.Perhaps {
			// It may not come back: then there are constants, which the code before loads.
			heap.Push(&g.later, withKind(addr, thumb))
			return
		}
	}
}

// An addressHeap has the lowest address on top.
type addressHeap []uint64

func (h addressHeap) Len() int           { return len(h) }
func (h addressHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h addressHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push appends an address; it is for package heap.
func (h *addressHeap) Push(x any) { *h = append(*h, x.(uint64)) }

// Pop takes the last one; it is for package heap.
func (h *addressHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// leadsARM is leads for arm.
func (g *gapSearch) leadsARM(x *gap, in *Inst, thumb bool) (ends bool) {
	switch in.Op {
	case OpJmp, OpJcc:
		g.lead(x, in.Addr, in.Target, thumb != in.Switch)
	case OpCall:
		g.sure = append(g.sure, seed{withKind(in.Target, thumb != in.Switch), true})
	case OpJmpInd:
		x.jumps = append(x.jumps, in.Addr)
	}
	return g.ends(in)
}

// lead notes a jump to code of the same function or of another.
func (g *gapSearch) lead(x *gap, from, to uint64, thumb bool) {
	g.sure = append(g.sure, seed{withKind(to, thumb), g.at(to) != x})
	if g.at(to) == x {
		g.inner = append(g.inner, jump{from, to})
	}
}

// withKind returns addr with the bit that says Thumb code.
func withKind(addr uint64, thumb bool) uint64 {
	if thumb {
		return addr | 1
	}
	return addr
}

// literals notes the words that the instruction at the start of code loads from the
// code as data.
func (g *gapSearch) literals(code []byte, addr uint64, thumb bool) {
	in := Inst{}
	if thumb {
		in = DecodeThumb(code, addr, always)
	} else {
		in = DecodeARM(code, addr)
	}
	if in.Src.Kind != OperandMem || in.Src.Base != RegPC || in.Src.Index != RegNone || in.Op == OpLea {
		return
	}
	g.data(Range{uint64(in.Src.Disp), uint64(in.Src.Disp) + loadedARM(&in)})
}

// loadedARM returns how many bytes a load takes from memory.
func loadedARM(in *Inst) uint64 {
	switch {
	case in.Op == OpLoadPair:
		return 8
	case in.Dst.Kind == OperandVec:
		return uint64(in.Size)
	}
	return 4
}

// addressed notes the words that in loads from where an instruction closely before, an
// ADR, points: so compilers load constants of eight bytes.
func (g *gapSearch) addressed(before []Inst, in *Inst) {
	if in.Src.Kind != OperandMem || in.Src.Base > 15 || in.Src.Index != RegNone || in.Op == OpLea || in.Op == OpJmpInd || in.Op == OpCallInd {
		return
	}
	for k := len(before) - 1; k >= 0; k-- {
		switch adr := &before[k]; {
		case adr.Op == OpLea && adr.Dst.Reg == in.Src.Base && adr.Src.Base == RegPC && adr.Src.Index == RegNone:
			at := uint64(adr.Src.Disp + in.Src.Disp)
			g.data(Range{at, at + loadedARM(in)})
			return
		case adr.Writes>>in.Src.Base&1 != 0:
			return
		}
	}
}

// data takes the bytes of r out of the gap. Where control seemed to come, behind a
// call that does not come back, it does not.
func (g *gapSearch) data(r Range) {
	x, c := g.at(r.Start), g.m.arm
	if x == nil || c.mapped {
		return
	}
	for at := r.Start; at < r.End && at < x.End; at += 2 {
		if k := at - x.Start; x.state[k] != gapFilling && !x.starts[at] {
			c.data.put(c.at(at), true)
			c.thumb.put(c.at(at), false)
			x.state[k], x.state[min(k+1, x.End-1-x.Start)] = gapFilling, gapFilling
		}
	}
	// What was taken for code before may have ended in its middle.
	for k := r.End - x.Start; k < uint64(len(x.state)) && x.state[k] == gapInside; k++ {
		x.state[k] = gapUnknown
	}
}
