package profile

import (
	"encoding/binary"
	"sort"

	"github.com/sysgate/sysgate/internal/image"
)

// table returns what memory operand o of instruction j, with an index, can hold: all
// elements of a constant table, whose length the symbols say or a comparison of
// the index before.
func (s *slicer) table(j int, o *image.Operand, size uint8) value {
	a := s.c.a
	base := constants(o.Disp)
	if o.Base != image.RegPC && o.Base != image.RegNone {
		base = s.add(s.walk(j, register(o.Base)), constants(o.Disp), s.why(j, "read from a table"))
	}
	step := uint64(max(o.Scale, size)) // an index that is summed up has its scale
	addrs, ok := base.constants()
	if !ok && o.Scale == 1 { // the table is the index
		base = s.add(s.walk(j, register(o.Index)), constants(o.Disp), s.why(j, "read from a table"))
		addrs, ok = base.constants()
		step = uint64(size)
	}
	if !s.c.native || a.reach == nil || !ok || len(addrs) == 0 {
		return s.lost(j, "read from a table")
	}
	out := value{}
	for _, at := range addrs {
		addr := uint64(at)
		start, end := a.reach.native.data.object(addr)
		if n, ok := s.c.indexBound(j, o.Index); ok && step == uint64(o.Scale) {
			start, end = addr, addr+step*n
		} else if end == 0 {
			return s.lost(j, "read from a table of unknown length")
		}
		if seg := a.prog.Segment(addr); seg == nil || a.prog.Writable(addr) || end-start > maxAtoms*step*4 {
			return s.lost(j, "read from a table that may change, or a long one")
		}
		for at := start + (addr-start)%step; at+uint64(size) <= end; at += step {
			b := a.prog.Bytes(at)
			if uint64(len(b)) < uint64(size) {
				return s.lost(j, "read from a table that the file does not hold")
			}
			var word [8]byte
			copy(word[:], b[:size])
			out = out.join(constants(int64(binary.LittleEndian.Uint64(word[:]))))
		}
	}
	return out
}

// summed returns the memory that operand o of instruction j names if an instruction
// of the same block, at, has added a register to a constant address to make its
// base.
func (c *code) summed(j int, o *image.Operand) (at int, sum image.Operand, ok bool) {
	for at = j - 1; at >= c.blocks[c.block(j)].start; at-- {
		in := &c.insts[at]
		call := in.Op == image.OpCall || in.Op == image.OpCallInd
		if in.Writes&(1<<o.Base) == 0 && !(call && !c.keeps(o.Base)) {
			continue
		}
		if in.Op != image.OpLea || in.Src.Base != image.RegPC || in.Src.Index == image.RegNone {
			break
		}
		sum = in.Src
		sum.Disp += o.Disp
		return at, sum, true
	}
	return 0, sum, false
}

// object returns the range of the object that addr lies in, as its symbol says;
// zeros if none does.
func (m *dataMap) object(addr uint64) (start, end uint64) {
	k := sort.Search(len(m.objects), func(k int) bool { return m.objects[k].End > addr })
	if k < len(m.objects) && m.objects[k].Start <= addr {
		return m.objects[k].Start, m.objects[k].End
	}
	return 0, 0
}

// indexBound returns how many values register r can have at instruction j, from 0
// on, if the branch that leads there compares it with a constant.
func (c *code) indexBound(j int, r image.Reg) (n uint64, ok bool) {
	b := c.block(j)
	for k := j - 1; k >= c.blocks[b].start; k-- {
		var same bool
		if r, same = c.copied(k, r); !same {
			return 0, false
		}
	}
	if len(c.blocks[b].preds) != 1 || c.blocks[b].stray || b == 0 {
		return 0, false
	}
	from := c.blocks[c.blocks[b].preds[0]]
	last := from.end - 1
	branch := &c.insts[last]
	if branch.Op != image.OpJcc {
		return 0, false
	}
	for k := last - 1; k >= from.start; k-- {
		in := &c.insts[k]
		if in.Op == image.OpCmp {
			if in.Dst.Kind != image.OperandReg || in.Dst.Reg != r || in.Src.Kind != image.OperandImm || in.Src.Imm < 0 || in.Size < 4 {
				return 0, false
			}
			jumps := c.insts[c.blocks[b].start].Addr == branch.Target
			return c.below(branch, jumps, uint64(in.Src.Imm))
		}
		switch in.Op {
		case image.OpMov, image.OpMovZX, image.OpMovSX, image.OpLea, image.OpNop:
		default:
			return 0, false
		}
		var same bool
		if r, same = c.copied(k, r); !same {
			return 0, false
		}
	}
	return 0, false
}

// copied returns the register that holds before instruction k what r holds behind
// it; the upper half of a number may be cut off.
func (c *code) copied(k int, r image.Reg) (image.Reg, bool) {
	in := &c.insts[k]
	switch {
	case in.Op == image.OpCall || in.Op == image.OpCallInd:
		return r, c.keeps(r)
	case in.Writes&(1<<r) == 0:
		return r, true
	case in.Dst.Kind == image.OperandReg && in.Dst.Reg == r && in.Src.Kind == image.OperandReg && !in.Src.High &&
		(in.Op == image.OpMov && in.Size >= 4 || (in.Op == image.OpMovZX || in.Op == image.OpMovSX) && in.SrcSize == 4):
		return in.Src.Reg, true
	}
	return r, false
}

// below returns how many unsigned values pass branch, behind a comparison with
// the constant n, where it jumps or does not.
func (c *code) below(branch *image.Inst, jumps bool, n uint64) (uint64, bool) {
	if c.pushed == 0 {
		return 0, false
	}
	switch cond := c.condition(branch); {
	case cond == conditionAbove && !jumps, cond == conditionBelowEqual && jumps:
		return n + 1, true
	case cond == conditionNotBelow && !jumps, cond == conditionBelow && jumps:
		return n, true
	}
	return 0, false
}

// equals returns the constant that a register holds at the start of block b when
// control comes from block p, if p ends in a comparison with it and goes on to b
// where they are equal.
func (c *code) equals(p, b int, loc location) (n int64, ok bool) {
	last := c.blocks[p].end - 1
	branch := &c.insts[last]
	if !c.native || c.pushed == 0 || loc.stack || branch.Op != image.OpJcc || last == c.blocks[p].start {
		return 0, false
	}
	compare := &c.insts[last-1]
	if compare.Dst.Kind != image.OperandReg || compare.Dst.Reg != loc.reg || compare.Dst.High || compare.Size < 4 {
		return 0, false
	}
	switch {
	case compare.Op == image.OpTest && compare.Src.Kind == image.OperandReg && compare.Src.Reg == loc.reg:
	case compare.Op == image.OpCmp && compare.Src.Kind == image.OperandImm:
		n = compare.Src.Imm
	default:
		return 0, false
	}
	jumps := c.insts[c.blocks[b].start].Addr == branch.Target
	if next := c.behind(last); jumps && next == c.blocks[b].start {
		return 0, false // both ways lead there
	}
	switch c.condition(branch) {
	case conditionEqual:
		return n, jumps
	case conditionNotEqual:
		return n, !jumps
	}
	return 0, false
}

// The conditions of branches of x86, as the low half of their opcodes has them.
const (
	conditionBelow      = 2
	conditionNotBelow   = 3
	conditionEqual      = 4
	conditionNotEqual   = 5
	conditionBelowEqual = 6
	conditionAbove      = 7
	conditionNone       = -1
)

// condition returns the condition of a branch.
func (c *code) condition(branch *image.Inst) int {
	b := c.a.prog.Bytes(branch.Addr)
	switch {
	case len(b) > 1 && b[0] == 0x0f && b[1]&0xf0 == 0x80:
		return int(b[1] & 0xf)
	case len(b) > 0 && b[0]&0xf0 == 0x70:
		return int(b[0] & 0xf)
	}
	return conditionNone // a loop, or one with prefixes
}
