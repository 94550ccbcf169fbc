package image

import (
	"cmp"
	"container/heap"
	"debug/elf"
	"maps"
	"slices"
	"sort"

	"github.com/sysgate/sysgate/abi"
)

// A gap is code that neither unwind data nor sized symbols describe, and what
// has been found out about it by following it.
type gap struct {
	Range
	// state has a byte for each of the gap's: see below.
	state []byte
	// starts are the functions that were found in it, jumps those that have a
	// computed jump, by its address.
	starts map[uint64]bool
	jumps  []uint64
}

const (
	gapUnknown = iota
	gapStart   // an instruction starts here
	gapInside  // … goes on here
	gapFilling // nothing but padding
	gapStub    // the stubs of a procedure linkage table
)

// A gapSearch finds the functions in the gaps of a module by following calls and
// addresses. What may be an address of data is code if all of it can be, up to
// where it ends.
type gapSearch struct {
	m     *Module
	gaps  []*gap // ascending
	stubs []found
	sure  []seed
	later addressHeap // behind calls of arm, with the bit that says Thumb
	eager bool        // they are followed, too
	held  []uint64    // constants in the code of arm that may be addresses
	maybe []uint64
	words []uint64 // like maybe, but on their own: even less likely
	tried int      // instructions that were decoded only to tell code from data
	inner []jump   // inside of gaps
}

// A jump is a direct one, conditional or not.
type jump struct{ from, to uint64 }

// A seed is an address at which code is known to be.
type seed struct {
	addr     uint64
	function bool // a function starts there
}

func (g *gapSearch) add(start, end uint64) *gap {
	x := &gap{Range: Range{start, end}, state: make([]byte, end-start), starts: map[uint64]bool{}}
	g.gaps = append(g.gaps, x)
	return x
}

// at returns the gap that addr lies in, or nil.
func (g *gapSearch) at(addr uint64) *gap {
	if n := len(g.gaps); n == 0 || addr < g.gaps[0].Start || addr >= g.gaps[n-1].End {
		return nil
	}
	i := sort.Search(len(g.gaps), func(i int) bool { return g.gaps[i].End > addr })
	if i == len(g.gaps) || addr < g.gaps[i].Start {
		return nil
	}
	return g.gaps[i]
}

// decode decodes the instruction at addr in x.
func (g *gapSearch) decode(x *gap, addr uint64) Inst {
	return g.m.space.Decode(g.m.bytes(addr)[:x.End-addr], addr)
}

// run follows all seeds, then what they lead to.
func (g *gapSearch) run() {
	for len(g.sure) > 0 || g.eager && len(g.later) > 0 {
		if len(g.sure) == 0 {
			g.sure = append(g.sure, seed{heap.Pop(&g.later).(uint64), false})
		}
		s := g.sure[len(g.sure)-1]
		g.sure = g.sure[:len(g.sure)-1]
		s.addr = g.enter(s.addr)
		x := g.at(s.addr)
		if x == nil || x.state[s.addr-x.Start] > gapStart {
			continue
		}
		if s.function {
			if g.stub(x, s.addr) {
				continue
			}
			x.starts[s.addr] = true
		}
		g.follow(x, s.addr)
	}
}

// stub takes a stub at addr out of the gap, and reports whether there is one.
func (g *gapSearch) stub(x *gap, addr uint64) bool {
	if x.state[addr-x.Start] != gapUnknown {
		return false
	}
	s, next, ok := g.m.stub(addr, x.End)
	if ok {
		g.take(x, []stub{s}, next)
	}
	return ok
}

// take takes stubs that end at stop out of the gap.
func (g *gapSearch) take(x *gap, stubs []stub, stop uint64) {
	for i, s := range stubs {
		end := stop
		if i+1 < len(stubs) {
			end = stubs[i+1].start
		}
		g.stubs = append(g.stubs, found{start: s.start, end: end, slot: s.slot, stub: true})
		for at := s.start; at < end; at++ {
			x.state[at-x.Start] = gapStub
		}
	}
}

// follow marks the instructions from addr on, as far as control goes on.
func (g *gapSearch) follow(x *gap, addr uint64) {
	if g.m.arm != nil {
		g.followARM(x, addr)
		return
	}
	var first Inst // that makes half of an address, on some machines
	for addr >= x.Start && addr < x.End && x.state[addr-x.Start] == gapUnknown {
		in := g.decode(x, addr)
		if in.Op == OpBad && in.Len == 1 || addr+uint64(in.Len) > x.End {
			return
		}
		at := addr - x.Start
		for k := range uint64(in.Len) {
			if x.state[at+k] != gapUnknown {
				return
			}
		}
		for k := range uint64(in.Len) {
			x.state[at+k] = gapInside
		}
		x.state[at] = gapStart
		whole := in
		if first.Op == OpPage && whole.join(&first) {
			g.mention(&whole)
		}
		first = in
		if g.leads(x, &in) {
			return
		}
		addr += uint64(in.Len)
	}
}

// leads adds where instruction in leads to the seeds, and reports that control
// does not go on behind it.
func (g *gapSearch) leads(x *gap, in *Inst) (ends bool) {
	switch in.Op {
	case OpJmp, OpJcc:
		// Inside a gap it is a part of the same function, unless one is found between
		// them later.
		g.sure = append(g.sure, seed{in.Target, g.at(in.Target) != x})
		if g.at(in.Target) == x {
			g.inner = append(g.inner, jump{in.Addr, in.Target})
		}
	case OpCall:
		g.sure = append(g.sure, seed{in.Target, true})
	case OpJmpInd:
		x.jumps = append(x.jumps, in.Addr)
	}
	g.mention(in)
	return g.ends(in)
}

// mention notes the addresses in a gap that in takes.
func (g *gapSearch) mention(in *Inst) {
	switch {
	case in.Op == OpLea && in.Src.constantAddress() && in.Src.Index == RegNone:
		g.perhaps(uint64(in.Src.Disp))
	case g.m.object.typ == elf.ET_EXEC && (in.Op == OpMov || in.Op == OpPush) && in.Src.Kind == OperandImm:
		g.perhaps(uint64(uint32(in.Src.Imm)))
	}
}

// point notes an address in a gap that something refers to. That Thumb code is there
// its lowest bit says, where sections say that it can be no data.
func (g *gapSearch) point(addr uint64) {
	if g.m.arm != nil && addr&1 != 0 && g.m.object.sections.End != 0 {
		g.sure = append(g.sure, seed{addr, true})
		return
	}
	g.perhaps(addr)
}

func (g *gapSearch) perhaps(addr uint64) {
	if g.at(addr) != nil {
		g.maybe = append(g.maybe, addr)
	}
}

// try follows addresses that may be of code or of data.
func (g *gapSearch) try() {
	for len(g.maybe)+len(g.words) > 0 {
		list := g.maybe
		g.maybe = nil
		if len(list) == 0 {
			list, g.words = g.words, nil
		}
		slices.Sort(list)
		for _, addr := range slices.Compact(list) {
			x := g.at(addr)
			if g.misses(x, addr) {
				continue
			}
			addr = g.enter(addr)
			switch state := x.state[addr-x.Start]; {
			case state == gapStart:
				x.starts[addr] = true
			case state == gapUnknown && g.plausible(x, addr):
				g.sure = append(g.sure, seed{g.kind(addr), true})
				g.run()
			}
		}
	}
}

// Bounds for the instructions that are looked at to tell code from data: at one
// address, and in one module. What is beyond is not known to be code.
const (
	maxPlausible = 4096
	maxTried     = 1 << 24
)

// plausible reports that from addr on there are instructions, and none that
// compilers do not write, up to one behind which control does not go on.
func (g *gapSearch) plausible(x *gap, addr uint64) bool {
	if g.m.arm != nil {
		return g.plausibleARM(x, addr)
	}
	for range maxPlausible {
		if addr == x.End || x.state[addr-x.Start] == gapStart {
			return true
		}
		in := g.decode(x, addr)
		if g.tried++; g.tried > maxTried {
			return false
		}
		if x.state[addr-x.Start] == gapInside || !g.written(x, &in) {
			return false
		}
		if g.ends(&in) {
			return true
		}
		addr += uint64(in.Len)
	}
	return true
}

// written reports that in is one of the instructions that compilers write.
func (g *gapSearch) written(x *gap, in *Inst) bool {
	switch {
	case in.Op == OpBad || in.Writes == allRegisters || in.Addr+uint64(in.Len) > x.End:
		return false
	case in.Op == OpJmp || in.Op == OpJcc || in.Op == OpCall:
		s := segmentAt(g.m.segments(), in.Target)
		return s != nil && s.Exec || in.Target == 0 // a weak symbol that nothing defines
	case in.Op == OpAdd && in.Len == 2 && in.Size == 1 && in.Dst.Kind == OperandMem: // zeros
		return g.m.bytes(in.Addr)[0] != 0
	}
	return true
}

// trim marks what fills up the gap at addr, and returns where it ends.
func (g *gapSearch) trim(x *gap, addr, end uint64) uint64 {
	for addr < end {
		n := g.m.filling(addr, end)
		if n == 0 {
			break
		}
		for k := range n {
			x.state[addr-x.Start+k] = gapFilling
		}
		addr += n
	}
	return addr
}

// filling returns the length of the padding at addr: a byte or an instruction
// without effect; 0 if there is none.
func (m *Module) filling(addr, end uint64) uint64 {
	b := m.bytes(addr)
	b = b[:min(uint64(len(b)), end-addr)]
	if len(b) == 0 {
		return 0
	}
	unit := m.unit()
	if m.arm != nil && !m.arm.isThumb(addr) {
		unit = 4
	}
	if unit > 1 {
		if len(b) >= unit && string(b[:unit]) == "\x00\x00\x00\x00"[:unit] {
			return uint64(unit)
		}
	} else if b[0] == 0 || b[0] == 0xcc {
		return 1
	}
	in := m.space.Decode(b, addr)
	same := in.Op == OpLea && in.Dst.Kind == OperandReg && in.Src.Base == in.Dst.Reg && in.Src.Disp == 0 && in.Src.Index == RegNone
	if (in.Op == OpNop || same && in.Dst.Reg != RSP) && !isEndbr(b) {
		return uint64(in.Len)
	}
	return 0
}

// unit is what the lengths of instructions are multiples of.
func (m *Module) unit() int {
	switch m.object.machine {
	case abi.AMD64, abi.I386:
		return 1
	case abi.RISCV64:
		return 2
	case abi.ARM:
		if m.arm != nil {
			return 2
		}
	}
	return 4
}

// left calls f with each run of bytes that nothing is known about.
func (g *gapSearch) left(f func(x *gap, start, end uint64)) {
	for _, x := range g.gaps {
		for at := x.Start; at < x.End; {
			if x.state[at-x.Start] != gapUnknown {
				at++
				continue
			}
			end := at
			for end < x.End && x.state[end-x.Start] == gapUnknown {
				end++
			}
			f(x, at, end)
			at = end
		}
	}
}

// remains reports that there is something left but padding. It takes out the
// padding and the stubs.
func (g *gapSearch) remains() bool {
	rest := false
	g.left(func(x *gap, start, end uint64) {
		start = g.trim(x, start, end)
		if start == end {
			return
		}
		stubs, stop := g.m.stubs(start, end)
		if len(stubs) > 0 {
			g.take(x, stubs, stop)
			start = g.trim(x, stop, end)
		}
		rest = rest || start < end
	})
	return rest
}

// survey looks for references to the gaps in the module's other code, and in its
// data.
func (g *gapSearch) survey(known []found) {
	m := g.m
	var in Inst
	for _, f := range known {
		if f.stub || f.end <= f.start {
			continue
		}
		code := m.bytes(f.start)
		sw := m.space.Sweep(code[:min(uint64(len(code)), f.end-f.start)], f.start)
		for sw.Next(&in) {
			switch in.Op {
			case OpCall, OpJmp, OpJcc:
				if g.at(in.Target) != nil {
					g.sure = append(g.sure, seed{in.Target, true})
				}
			}
			g.mention(&in)
		}
	}
	if m.object.typ != elf.ET_EXEC {
		m.object.relocations(func(r relocation) bool {
			if w, ok := m.space.Word(m.Base + r.addr); ok && r.kind != relNone {
				g.point(w)
			}
			return true
		})
		return
	}
	size := m.space.word
	sections := m.Sections()
	tables := slices.Concat(sections.Tables, sections.Constructors, sections.Destructors)
	for _, s := range m.constants() {
		if s.Exec {
			continue
		}
		// Without relocations any number may look like an address, but one that has
		// others near to it is part of a table.
		const near = 64
		last, alone := uint64(0), uint64(0)
		for off := -s.Addr & (size - 1); off+size <= uint64(len(s.Data)); off += size {
			w := m.space.ReadWord(s.Data[off:])
			if g.at(w) == nil {
				continue
			}
			if m.arm != nil && slices.ContainsFunc(tables, func(r Range) bool { return r.Holds(s.Addr + off) }) {
				g.point(w)
				continue
			}
			if m.arm != nil {
				g.words = append(g.words, w)
				continue
			}
			if s.Addr+off-last <= near {
				g.maybe = append(g.maybe, w)
				if alone != 0 {
					g.maybe = append(g.maybe, alone)
				}
				alone = 0
			} else {
				if alone != 0 {
					g.words = append(g.words, alone)
				}
				alone = w
			}
			last = s.Addr + off
		}
		if alone != 0 {
			g.words = append(g.words, alone)
		}
	}
}

// settle decides about what is still left: instructions through and through are
// code, of the function before them if that has a computed jump, which may lead
// there.
func (g *gapSearch) settle() {
	var now *gap
	var starts []uint64 // of its functions
	g.left(func(x *gap, start, end uint64) {
		if x != now {
			now = x
			starts = slices.Sorted(maps.Keys(x.starts))
			slices.Sort(x.jumps)
		}
		last := Inst{Op: OpRet} // what is behind its like may be padding
		for at := start; at < end; {
			if n := g.m.filling(at, end); n > 0 && (g.ends(&last) || g.m.bytes(at)[0] != 0) {
				at += n
				continue
			}
			if last = g.decode(x, at); !g.written(x, &last) || at+uint64(last.Len) > end {
				return
			}
			at += uint64(last.Len)
		}
		function, _ := slices.BinarySearch(starts, start)
		jump, _ := slices.BinarySearch(x.jumps, start)
		if jump == 0 || function > 0 && x.jumps[jump-1] < starts[function-1] {
			x.starts[start] = true
		}
		for k := start; k < end; k++ {
			x.state[k-x.Start] = gapStart
		}
	})
}

// split makes functions of what other functions jump to, where control does not
// come from before: functions that are only called last.
func (g *gapSearch) split() {
	const rounds = 8 // each may show more of them
	for range rounds {
		var x *gap
		var starts []uint64
		function := func(addr uint64) int {
			i, found := slices.BinarySearch(starts, addr)
			if found {
				i++
			}
			return i
		}
		changed := false
		slices.SortFunc(g.inner, func(a, b jump) int { return cmp.Compare(a.to, b.to) })
		for _, j := range g.inner {
			if at := g.at(j.to); at != x {
				x = at
				starts = slices.Sorted(maps.Keys(x.starts))
			}
			if !x.starts[j.to] && function(j.from) != function(j.to) && x.state[j.to-x.Start] == gapStart && !g.flowsTo(x, j.to) {
				x.starts[j.to] = true
				changed = true
			}
		}
		if !changed {
			return
		}
	}
}

// flowsTo reports that control can come to addr from the instruction before it.
func (g *gapSearch) flowsTo(x *gap, addr uint64) bool {
	const longest = 15
	for at := addr - 1; at >= x.Start && at < addr && addr-at <= longest; at-- {
		switch x.state[at-x.Start] {
		case gapStart:
			in := g.decode(x, at)
			return at+uint64(in.Len) == addr && !g.ends(&in)
		case gapInside:
		default:
			return false
		}
	}
	return false
}

// ends reports that control does not go on behind in.
func (g *gapSearch) ends(in *Inst) bool {
	switch in.Op {
	case OpJmp, OpJmpInd, OpRet, OpTrap:
		return !in.Perhaps
	}
	return false
}

// functions returns the functions of the gaps, and what is left in them, with
// their ends but for padding. What goes on from the function before a gap has no
// start.
func (g *gapSearch) functions() []found {
	out := g.stubs
	for _, x := range g.gaps {
		var now *found
		last := byte(gapFilling)
		for at := x.Start; at < x.End; at++ {
			state := x.state[at-x.Start]
			if state == gapFilling {
				continue
			}
			isStart := state == gapStart && x.starts[at]
			if state == gapInside {
				state = gapStart
			}
			switch {
			case state == gapStub:
				now = nil
			case state == gapUnknown && last != gapUnknown,
				isStart, state == gapStart && (last == gapUnknown || last == gapStub),
				now == nil:
				out = append(out, found{start: at, unknown: state == gapUnknown, flows: state == gapStart && !isStart && last == gapFilling})
				now = &out[len(out)-1]
			}
			if now != nil {
				now.end = at + 1
			}
			last = state
		}
	}
	return out
}
