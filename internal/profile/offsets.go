package profile

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// Where code is to lie anywhere, some keep how far functions are from something instead
// of their addresses, which the dynamic loader would have to write: C++ with relative
// virtual tables, assembly, linked lists of the kind that kernels have. The distance is
// from the table, from the word itself, or from another symbol. In a program at a fixed
// address 4 bytes may hold an address, too.

// maxOffsets bounds the bytes of an object that are looked through for distances.
const maxOffsets = 1 << 16

// A computing is how a native function computes what it calls, or hands on for others to
// call.
type computing struct {
	widths   []int    // how large the distances are, in bytes
	anywhere bool     // the tables may be those that pointers lead to
	named    []uint64 // the addresses that it names
}

// computing tells how function fn computes addresses of functions.
func (n *nativeReach) computing(a *analysis, fn int) *computing {
	c, known := n.computes[fn]
	if !known {
		if _, found := slices.BinarySearch(n.computed, fn); found && a.throughRegister(fn) || a.startsTable(fn) {
			c = a.computing(fn)
		}
		n.computes[fn] = c
	}
	return c
}

// throughRegister reports that function fn may call or jump to what a register holds: on
// amd64 it has the bytes of that (FF /2 and FF /4).
func (a *analysis) throughRegister(fn int) bool {
	if a.prog.ABI != abi.AMD64 {
		return true
	}
	_, text := a.prog.Code(fn)
	for {
		at := bytes.IndexByte(text, 0xff)
		if at < 0 || at+1 == len(text) {
			return false
		}
		if modrm := text[at+1]; modrm&0xf8 == 0xd0 || modrm&0xf8 == 0xe0 {
			return true
		}
		text = text[at+1:]
	}
}

// computing looks for calls of sums and of what was loaded from few bytes. It returns nil
// if there are none.
func (a *analysis) computing(fn int) *computing {
	o := a.origins(fn)
	if o.called|o.jumped|o.handed == 0 {
		return nil
	}
	word := int(a.prog.WordSize())
	called, handed := o.called, o.handed&offset != 0 && word == 8 && a.startsTable(fn)
	if (o.jumped != 0 || handed) && a.hasSwitch(fn) {
		handed = false
	} else {
		called |= o.jumped
	}
	if _, fixed := fixedRange(a.prog, fn); !fixed || word == 4 {
		called &^= narrow // it is a pointer
	}
	out := &computing{anywhere: called&(narrow|offset) != 0 && word == 8}
	if handed { // for others to call
		called |= offset
	}
	switch {
	case called == 0:
		return nil
	case word == 4 || called == summed:
		out.widths = []int{word}
	case o.halves:
		out.widths = []int{2, 4}
	default:
		out.widths = []int{4}
	}
	out.named = a.namedIn(fn)
	return out
}

// An origin is how a register, or a word of the frame, got its value last: a set.
type origin uint8

const (
	summed origin = 1 << iota // a sum of two registers, or of one and memory
	narrow                    // loaded, fewer bytes than an address has or 4
	offset                    // a sum with that
)

// origins are those of what a function calls, jumps to, and hands on: as a result, as an
// argument or in memory.
type origins struct {
	called, jumped, handed origin
	halves                 bool // numbers of 2 bytes were loaded
}

// origins looks at function fn in the order of its code.
func (a *analysis) origins(fn int) (out origins) {
	p := a.prog
	word := int64(p.WordSize())
	result := image.RAX
	if p.ABI == abi.RISCV64 {
		result = image.RVA7 - 7 // a0
	}
	c := conventionOf(p, fn)
	_, fixed := fixedRange(p, fn)
	var registers [32]origin
	some := uint64(0) // the registers with an origin
	frame, framed := map[int64]origin{}, false
	slot := func(o *image.Operand) (at int64, ok bool) {
		return o.Disp<<8 | int64(o.Base), o.Kind == image.OperandMem && (o.Base == c.sp || framed && o.Base == c.fp) && o.Index == image.RegNone
	}
	of := func(o *image.Operand) origin {
		if o.Kind == image.OperandReg && o.Reg < 32 {
			return registers[o.Reg]
		}
		if at, ok := slot(o); ok && len(frame) > 0 {
			return frame[at]
		}
		return 0
	}
	sum := func(x, y origin) origin {
		if (x|y)&narrow != 0 {
			return offset
		}
		return summed
	}
	address := func(n int64) bool { return fixed && p.Segment(uint64(n)) != nil }
	for in := range a.walk(fn) {
		framed = framed || in.Dst.Kind == image.OperandReg && in.Dst.Reg == c.fp && (in.Src.Kind == image.OperandReg && in.Src.Reg == c.sp || in.Op == image.OpLea && in.Src.Base == c.sp)
		got := origin(0)
		switch in.Op {
		case image.OpCallInd:
			out.called |= of(&in.Src)
		case image.OpJmpInd:
			out.jumped |= of(&in.Src)
		case image.OpRet:
			out.handed |= registers[result]
		case image.OpMov, image.OpMovSX, image.OpMovZX:
			width := in.SrcSize
			if in.Op == image.OpMov {
				width = in.Size
			}
			_, local := slot(&in.Src)
			switch {
			case in.Src.Kind == image.OperandReg || local:
				got = of(&in.Src)
			case in.Src.Kind == image.OperandMem && (width == 2 || width == 4):
				got = narrow
				out.halves = out.halves || width == 2
			}
		case image.OpOther: // of arm64, by an index of 4 bytes
			if in.SrcSize == 2 || in.SrcSize == 4 {
				got = narrow
			}
		case image.OpAdd:
			if int64(in.Size) == word && (in.Src.Kind != image.OperandImm || address(in.Src.Imm)) {
				got = sum(of(&in.Dst), of(&in.Src))
			}
		case image.OpLea:
			switch {
			case in.Src.Base >= 32:
			case in.Src.Index == image.RegNone:
				if registers[in.Src.Base] == narrow && address(in.Src.Disp) {
					got = offset
				}
			case in.Src.Index < 32:
				if got = sum(registers[in.Src.Base], registers[in.Src.Index]); got == summed && in.Src.Scale != 1 {
					got = 0
				}
			}
		}
		lost := in.Writes
		if in.Op == image.OpCall || in.Op == image.OpCallInd {
			for _, r := range argumentRegisters[p.ABI] {
				out.handed |= registers[r]
			}
			lost = ^c.saved
		}
		if ends(in) { // what comes next is reached from elsewhere
			lost = ^uint64(0)
		}
		for lost &= some; lost != 0; lost &= lost - 1 {
			registers[bits.TrailingZeros64(lost)] = 0
		}
		if in.Store > 0 {
			if at, ok := slot(&in.Dst); !ok {
				out.handed |= got
			} else if got != 0 || len(frame) > 0 {
				frame[at] = got
			}
		} else if in.Dst.Kind == image.OperandReg && in.Dst.Reg < 32 && in.Writes&(1<<in.Dst.Reg) != 0 {
			registers[in.Dst.Reg] = got
			some |= 1 << in.Dst.Reg
		}
	}
	return out
}

// namedIn returns the addresses that function fn names, and those that the words there
// hold.
func (a *analysis) namedIn(fn int) (out []uint64) {
	x := newComposer(a.prog, fn)
	for in := range a.walk(fn) {
		whole := *in
		x.name(&whole)
		for _, o := range [...]*image.Operand{&whole.Dst, &whole.Src} {
			if addr, ok := nativeNamed(o, x.fixed); ok && in.Op != image.OpPage && a.prog.Segment(addr) != nil {
				out = append(out, addr)
			}
		}
		x.leave(&whole)
	}
	for _, r := range a.survey.refs[a.survey.refAt[fn]:a.survey.refAt[fn+1]] {
		addr, _ := a.survey.ref(r)
		out = append(out, addr)
	}
	for _, addr := range out {
		if v, ok := a.value(addr); ok {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// value returns the address that the word of data at addr holds, if it holds one.
func (a *analysis) value(addr uint64) (v uint64, ok bool) {
	k := a.firstPointer(addr)
	if k == len(a.pointers) || a.pointers[k].Addr != addr {
		return 0, false
	}
	return a.pointers[k].Value, true
}

// hasSwitch reports that function fn has a table of how far places in it are from the
// table, or from another of the addresses named in it.
func (a *analysis) hasSwitch(fn int) bool {
	inside := func(addr uint64) bool {
		in, ok := a.prog.Find(addr)
		return ok && a.whole(in) == a.whole(fn)
	}
	refs := a.survey.refs[a.survey.refAt[fn]:a.survey.refAt[fn+1]]
	for _, r := range refs {
		table, kind := a.survey.ref(r)
		if kind == refRead || kind == refWritten || !a.isData(table) {
			continue
		}
		b := a.prog.Bytes(table)
		for b = b[:min(len(b), 32)]; len(b) >= 4; b = b[4:] {
			distance := uint64(int64(int32(binary.LittleEndian.Uint32(b))))
			if inside(table+distance) || slices.ContainsFunc(refs, func(r uint32) bool {
				base, _ := a.survey.ref(r)
				return a.inCode(base) && inside(base) && inside(base+distance)
			}) {
				return true
			}
		}
	}
	return false
}

// computed relaxes from the node of function fn the functions that it computes the
// addresses of.
func (g *graph) computed(fn int32, dist uint32) {
	n, a := g.native, g.a
	c := n.computing(a, int(fn))
	if c == nil {
		return
	}
	bases := slices.Clone(c.named)
	if _, fixed := fixedRange(a.prog, int(fn)); fixed {
		bases = append(bases, 0)
	}
	for _, addr := range c.named {
		if a.isData(addr) {
			g.offsets(fn, dist+costData, addr, bases, c.widths)
		}
	}
	if m := a.prog.Module(int(fn)); c.anywhere && !n.relative[m] {
		n.relative[m] = true
		for k, addr := range g.data {
			if node := int32(len(a.prog.Funcs) + k); g.dist[node] != unreached {
				g.relativeTable(node, g.dist[node], addr)
			}
		}
	}
}

// startsTable reports that function fn names a table that starts with how far a function
// is from there or from code that it names.
func (a *analysis) startsTable(fn int) bool {
	refs := a.survey.refs[a.survey.refAt[fn]:a.survey.refAt[fn+1]]
	var bases []uint64
	for _, r := range refs {
		if base, _ := a.survey.ref(r); a.inCode(base) {
			bases = append(bases, base)
		}
	}
	for _, r := range refs {
		table, kind := a.survey.ref(r)
		switch {
		case kind == refRead && a.prog.ABI != abi.AMD64: // its address is in a word
			table, _ = a.value(table)
		case kind == refRead || kind == refWritten:
			continue
		}
		b := a.prog.Bytes(table)
		if len(b) < 4 {
			continue
		}
		distance := uint64(int64(int32(binary.LittleEndian.Uint32(b))))
		leads := func(base uint64) bool {
			to := base + distance
			return a.inCode(to) && to != a.entry(fn) && a.isFunction(to, table)
		}
		if distance != 0 && (leads(table) || slices.ContainsFunc(bases, leads)) && a.isData(table) {
			return true
		}
	}
	return false
}

// inCode reports that addr is where the program's code lies.
func (a *analysis) inCode(addr uint64) bool { return addr-a.prog.Text < a.prog.Etext-a.prog.Text }

// isData reports that data lies at addr, which may be among code.
func (a *analysis) isData(addr uint64) bool {
	_, code := a.prog.Find(addr)
	return !code && a.prog.Segment(addr) != nil
}

// isFunction reports that addr is the entry of a native function in the module that has
// data at table.
func (a *analysis) isFunction(addr, table uint64) bool {
	if !a.inCode(addr) {
		return false
	}
	fn, ok := a.entryOf(addr)
	return ok && !a.prog.IsGo(fn) && a.prog.Module(fn) == a.prog.ModuleAt(table)
}

// relativeTable relaxes what the object at addr names by how far it is from addr, or
// from the word that says so, if code of the same file that can run calls like that.
func (g *graph) relativeTable(node int32, dist uint32, addr uint64) {
	if len(g.native.relative) > 0 && addr&wordMark == 0 && g.native.relative[g.a.prog.ModuleAt(addr)] {
		g.offsets(node, dist+costData, addr, []uint64{addr}, []int{4})
	}
}

// offsets relaxes from a node the functions which the object at addr holds the distance
// of, from one of bases or from the distance itself. Those are numbers of widths.
// Addresses, which are from base 0, may lie anywhere.
func (g *graph) offsets(node int32, dist uint32, addr uint64, bases []uint64, widths []int) {
	a := g.a
	_, end := g.native.data.extent(addr)
	b := a.prog.Bytes(addr)
	b = b[:min(uint64(len(b)), end-addr, maxOffsets)]
	if slices.ContainsFunc(a.distances(), func(r image.Range) bool { return r.Holds(addr) }) {
		return
	}
	lead := func(to uint64) {
		if a.isFunction(to, addr) {
			if fn, _ := a.entryOf(to); int32(fn) != node {
				g.take(fn, node, dist)
			}
		}
	}
	step := min(4, uint64(widths[0]))
	if slices.Contains(bases, 0) {
		step = 1
	}
	for at := -addr & (step - 1); at < uint64(len(b)); at += step {
		for _, w := range widths {
			if uint64(len(b))-at < uint64(w) {
				continue
			}
			var distance int64
			switch w {
			case 2:
				distance = int64(int16(binary.LittleEndian.Uint16(b[at:])))
			case 4:
				distance = int64(int32(binary.LittleEndian.Uint32(b[at:])))
			case 8:
				distance = int64(binary.LittleEndian.Uint64(b[at:]))
			}
			if distance == 0 {
				continue
			}
			aligned := (addr+at)%min(uint64(w), 4) == 0
			if aligned {
				lead(addr + at + uint64(distance))
			}
			for _, base := range bases {
				if aligned || base == 0 {
					lead(base + uint64(distance))
				}
			}
		}
	}
}

// distances returns where the program says how far functions are to the dynamic loader
// and to those who unwind the stack.
func (a *analysis) distances() []image.Range {
	if a.distant == nil {
		for _, m := range a.prog.Modules {
			a.distant = append(a.distant, m.Distances()...)
		}
	}
	return a.distant
}
