package image

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// An armCode says of what kind the code of a module for arm is that is not Go's:
// A32, Thumb, or words of data among it, which no bits of its own tell.
type armCode struct {
	span        Range
	skip        Range // Go's
	areas       []Range
	thumb       bitSet // by half-words: an instruction of Thumb code is there
	data        bitSet // constants, tables of jumps
	conditional bitSet // the start of an instruction that an IT puts under a condition
	conditions  map[uint64]uint8
	pointers    map[uint64]bool // words of data that had the bit by which pointers say Thumb
	mapped      bool            // symbols say all of it ("ELF for the Arm Architecture", mapping symbols)
}

// A bitSet is a set of small numbers.
type bitSet []uint64

func (s bitSet) has(i uint64) bool { return i>>6 < uint64(len(s)) && s[i>>6]>>(i&63)&1 != 0 }

func (s bitSet) put(i uint64, v bool) {
	switch {
	case i>>6 >= uint64(len(s)):
	case v:
		s[i>>6] |= 1 << (i & 63)
	default:
		s[i>>6] &^= 1 << (i & 63)
	}
}

// newARMCode makes a map of the areas of code of m, from its mapping symbols where
// it has some.
func (m *Module) newARMCode(areas []Range, skip Range) *armCode {
	c := &armCode{span: Range{areas[0].Start &^ 3, areas[len(areas)-1].End}, skip: skip}
	n := (c.span.End-c.span.Start)>>7 + 1
	c.thumb, c.data, c.conditional = make(bitSet, n), make(bitSet, n), make(bitSet, n)
	type mark struct {
		addr uint64
		kind byte
	}
	var marks []mark
	t := m.debug()
	for i := range t.len() {
		s := t.at(i)
		if name := t.name(s); len(name) >= 2 && name[0] == '$' && bytes.IndexByte([]byte("atd"), name[1]) >= 0 && (len(name) == 2 || name[2] == '.') && m.defines(s) {
			marks = append(marks, mark{m.address(s), name[1]})
		}
	}
	slices.SortStableFunc(marks, func(a, b mark) int { return cmp.Compare(a.addr, b.addr) })
	for i, x := range marks {
		end := c.span.End
		if i+1 < len(marks) {
			end = marks[i+1].addr
		}
		for _, a := range areas {
			from, to := max(x.addr, a.Start), min(end, a.End)
			switch {
			case from >= to:
			case x.kind == 'd':
				c.put(c.data, from, to, true)
			case x.kind == 't':
				c.mapped = true
				c.put(c.thumb, from, to, true)
				m.conditions(c, from, to)
			default:
				c.mapped = true
			}
		}
	}
	return c
}

// holds reports that it is known what lies at addr.
func (c *armCode) holds(addr uint64) bool {
	return c != nil && c.span.Holds(addr) && !c.skip.Holds(addr)
}

func (c *armCode) at(addr uint64) uint64 { return (addr - c.span.Start) >> 1 }

// put says of the bytes from start up to end whether they are in the set.
func (c *armCode) put(set bitSet, start, end uint64, v bool) {
	if start < c.span.Start {
		return
	}
	for i := c.at(start); i < c.at(end+1); i++ {
		set.put(i, v)
	}
}

func (c *armCode) isThumb(addr uint64) bool { return c.span.Holds(addr) && c.thumb.has(c.at(addr)) }
func (c *armCode) isData(addr uint64) bool  { return c.span.Holds(addr) && c.data.has(c.at(addr)) }

// conditions notes which instructions of the Thumb code from start up to end are
// under a condition.
func (m *Module) conditions(c *armCode, start, end uint64) {
	b := m.bytes(start)
	b = b[:min(uint64(len(b)), end-start)]
	it := itState{}
	for k := uint64(0); k+2 <= uint64(len(b)); {
		h := half(binary.LittleEndian.Uint16(b[k:]))
		c.setCondition(start+k, it.step(h))
		if k += 2; h.wide() {
			k += 2
		}
	}
}

// setCondition notes the condition that the instruction at addr is under.
func (c *armCode) setCondition(addr uint64, condition uint8) {
	c.conditional.put(c.at(addr), condition < always)
	if condition < always {
		if c.conditions == nil {
			c.conditions = map[uint64]uint8{}
		}
		c.conditions[addr] = condition
	}
}

// condition returns the condition that the instruction at addr is under.
func (c *armCode) condition(addr uint64) uint8 {
	if c.conditional.has(c.at(addr)) {
		return c.conditions[addr]
	}
	return always
}

// decodeARM decodes the instruction of arm at the start of code, which lies at addr. A
// constant that it loads from the code stands in its place. Data is OpTrap: it is
// not for running.
func (f *File) decodeARM(code []byte, addr uint64) Inst {
	m := f.ModuleAt(addr)
	if m == nil || !m.arm.holds(addr) {
		return DecodeARM(code, addr)
	}
	c, in := m.arm, Inst{}
	switch at := c.at(addr); {
	case c.data.has(at) && len(code) >= 2:
		return Inst{Addr: addr, Len: 2, Op: OpTrap}
	case c.thumb.has(at):
		in = DecodeThumb(code, addr, c.condition(addr))
	default:
		in = DecodeARM(code, addr)
	}
	if to := uint64(in.Src.Disp); in.Src.Kind == OperandMem && in.Src.Base == RegPC && in.Src.Index == RegNone && c.holds(to) {
		in.literal(m.bytes(to), to)
		if in.Op == OpJmp {
			in.Switch = in.Target&1 != 0 != c.isThumb(addr)
			in.Target &^= 1
		}
	}
	return in
}

// intoData makes in an OpBad if it is data into which control comes from the
// instruction before: then one of the two is not what it is taken for. Only calls that
// do not come back have data behind them.
func (f *File) intoData(before, in *Inst) {
	if in.Op != OpTrap || in.Len != 2 || before.Len == 0 || before.Addr+uint64(before.Len) != in.Addr {
		return
	}
	switch before.Op {
	case OpCall, OpCallInd, OpTrap, OpInt3, OpNop, OpSyscall:
		return
	case OpJmp, OpJmpInd, OpRet:
		if !before.Perhaps {
			return
		}
	}
	if f.ConstantsAt(in.Addr) {
		in.bad(in.Addr, 2)
	}
}

// CodeAt reports that addr, of a module for arm, lies where code is, not in sections of
// data or among constants.
func (f *File) CodeAt(addr uint64) bool {
	m := f.ModuleAt(addr)
	return m != nil && m.arm.holds(addr) && !m.arm.isData(addr) && slices.ContainsFunc(m.arm.areas, func(r Range) bool { return r.Holds(addr) })
}

// enoughA32 is how many instructions tell that code is A32.
const enoughA32 = 4

// LooksA32 reports that several instructions of A32 code without a condition are at
// addr: neither numbers nor Thumb code look like that.
func (f *File) LooksA32(addr uint64) bool {
	b := f.Bytes(addr)
	for k := 0; k < 4*enoughA32; k += 4 {
		in := DecodeARM(b[min(k, len(b)):], addr+uint64(k))
		if in.Op == OpBad || b[k+3]>>4 != always {
			return false
		}
		if k > 0 && (in.Op == OpRet || in.Op == OpJmp || in.Op == OpJmpInd) {
			return true
		}
	}
	return addr&3 == 0
}

// ConstantsAt reports that data is at addr, among code of arm.
func (f *File) ConstantsAt(addr uint64) bool {
	m := f.ModuleAt(addr)
	return m != nil && m.arm != nil && m.arm.isData(addr)
}

// Even returns addr without the bit by which pointers of arm say that Thumb code
// is there.
func (f *File) Even(addr uint64) uint64 {
	if addr&1 != 0 && f.word == 4 {
		if m := f.ModuleAt(addr); m != nil && m.arm != nil && m.arm.isThumb(addr) {
			return addr - 1
		}
	}
	return addr
}

// Thumb reports that Thumb code is at addr.
func (f *File) Thumb(addr uint64) bool {
	m := f.ModuleAt(addr)
	return m != nil && m.arm != nil && m.arm.isThumb(addr)
}

// even takes that bit from the words of the module's data that point to the starts
// of its functions, as [File.Even] would.
func (b *binding) even() error {
	m := b.module
	if m.arm == nil {
		return nil
	}
	m.arm.pointers = map[uint64]bool{}
	one := func(addr uint64) error {
		v, ok := b.space.Word(addr)
		if !ok || b.space.Even(v) == v {
			return nil
		}
		m.arm.pointers[addr] = true
		return b.store(addr, v-1)
	}
	var err error
	if !m.Fixed() {
		m.object.relocations(func(r relocation) bool {
			if s := segmentAt(m.segments(), m.Base+r.addr); r.kind != relNone && r.kind != relCopy && s != nil && !s.Exec && m.Base+r.addr+4-s.Addr <= uint64(len(s.Data)) {
				err = one(m.Base + r.addr)
			}
			return err == nil
		})
		return err
	}
	for _, s := range m.segments() {
		for off := -s.Addr & 3; !s.Exec && off+4 <= uint64(len(s.Data)) && err == nil; off += 4 {
			err = one(s.Addr + off)
		}
	}
	return err
}
