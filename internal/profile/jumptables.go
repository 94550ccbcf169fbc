package profile

import (
	"encoding/binary"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// jumpTable returns the targets of the computed jump at instruction i if it
// goes through a table of addresses: LEA table, r; JMP (r)(index*8), or in
// 32-bit code JMP table(index*4), or in that of arm64 with the word loaded into
// a register before. It takes every entry that points into the function; the
// table cannot be longer.
func (c *code) jumpTable(a *analysis, i int) []int {
	var out []int
	for _, to := range c.tableTargets(i) {
		t := c.at(to)
		switch {
		case t >= 0:
			out = append(out, t)
		case c.native:
			return out // the next table
		default:
			return nil
		}
	}
	return out
}

// tableTargets returns where the entries of the table of the computed jump at
// instruction i point, as long as that is in the function.
func (c *code) tableTargets(i int) []uint64 {
	if c.native && c.a.prog.ABI == abi.ARM {
		if t, ok := c.a.prog.JumpTable(c.insts[max(0, i-24):i], &c.insts[i], image.Range{Start: c.entry, End: c.end}); ok {
			return t.Targets
		}
		return nil
	}
	if c.native {
		if table, origin, ok := c.offsetTable(i); ok {
			return c.offsetTargets(table, origin)
		}
	}
	src := &c.insts[i].Src
	if c.pushed == 0 && i > 0 && c.insts[i-1].Op == image.OpMov && c.insts[i-1].Dst.Reg == src.Reg {
		i--
		src = &c.insts[i].Src
	}
	if src.Kind != image.OperandMem {
		return nil
	}
	table := uint64(src.Disp)
	switch {
	case src.Index == image.RegNone && src.Base < 32 && c.insts[i].Op == image.OpMov: // of riscv64, added before
		base, _, ok := c.sum(i, src.Base)
		if !ok {
			return nil
		}
		table += base
	case src.Index == image.RegNone || int64(src.Scale) != c.word:
		return nil
	case src.Base != image.RegNone:
		base, ok := c.takenInto(i, src.Base)
		if !ok && c.word == 4 {
			base, ok = c.linkage()
		}
		if !ok {
			return nil
		}
		table += base
		if c.word == 4 {
			table = uint64(uint32(table))
		}
	}
	p := c.a.prog
	if p.Segment(table) == nil || p.Writable(table) {
		return nil
	}
	var out []uint64
	end := ^uint64(0)
	if c.native {
		end = c.a.nextTaken(table)
	}
	for ; table < end; table += uint64(c.word) {
		if c.a.steps++; c.a.steps > maxSteps {
			return nil
		}
		w, ok := p.Word(table)
		if !ok || !c.holds(w) {
			break
		}
		out = append(out, w)
	}
	return out
}

// takenInto returns the address that a LEA closely before instruction i leaves in
// register r.
func (c *code) takenInto(i int, r image.Reg) (uint64, bool) {
	for j := i - 1; j >= 0 && j > i-24; j-- {
		in := &c.insts[j]
		call := in.Op == image.OpCall || in.Op == image.OpCallInd
		if in.Writes&(1<<r) == 0 && !(call && !c.keeps(r)) {
			continue
		}
		if in.Op != image.OpLea || !fixed(&in.Src) || in.Dst.Reg != r {
			return 0, false
		}
		return uint64(in.Src.Disp), true
	}
	return 0, false
}

// sum returns the address that instruction at, closely before instruction i, adds to
// another register to make register r.
func (c *code) sum(i int, r image.Reg) (table uint64, at int, ok bool) {
	for at = i - 1; at >= 0 && at > i-16; at-- {
		in := &c.insts[at]
		if in.Writes&(1<<r) == 0 {
			continue
		}
		if in.Op != image.OpLea || in.Src.Index == image.RegNone || in.Src.Scale != 1 || in.Src.Disp != 0 {
			return 0, 0, false
		}
		if table, ok = c.takenInto(at, in.Src.Base); !ok {
			table, ok = c.takenInto(at, in.Src.Index)
		}
		return table, at, ok
	}
	return 0, 0, false
}

// offsetTable returns the table of the jump at instruction i if that is of the
// form that compilers give position-independent code: LEA table, b; MOVSLQ
// (b)(index*4), r; ADD b, r; JMP r. The offsets are from origin: of 386, where b
// holds the address of the table of the linker, from there.
func (c *code) offsetTable(i int) (table, origin uint64, ok bool) {
	to := c.insts[i].Src
	if to.Kind != image.OperandReg {
		return 0, 0, false
	}
	if table, at, ok := c.sum(i, to.Reg); ok {
		// Of riscv64, which adds the table's address twice: to the index, and to what
		// it loads from there.
		for j := at - 1; j >= 0 && j > at-16; j-- {
			if load := &c.insts[j]; c.loadsOffset(load) && load.Src.Base < 32 {
				again, _, ok := c.sum(j, load.Src.Base)
				return table, table, ok && again == table
			}
		}
	}
	add := -1
	for j := i - 1; j >= 0 && j > i-16; j-- {
		in := &c.insts[j]
		if in.Writes&(1<<to.Reg) == 0 {
			continue
		}
		switch {
		case add < 0 && in.Op == image.OpAdd && c.word == 4 && in.Src.Kind == image.OperandMem && in.Src.Scale == 4: // of clang
			origin, ok = c.linkage()
			return uint64(uint32(int64(origin) + in.Src.Disp)), origin, ok
		case add < 0 && in.Op == image.OpAdd && in.Src.Kind == image.OperandReg && in.Dst.Kind == image.OperandReg:
			add = j
			continue
		case add >= 0 && c.loadsOffset(in) && in.Src.Scale == 4 && in.Src.Index != image.RegNone:
			base := c.insts[add].Src.Reg
			if in.Src.Base != base {
				return 0, 0, false
			}
			if c.word == 4 {
				origin, ok = c.linkage()
				return uint64(uint32(int64(origin) + in.Src.Disp)), origin, ok
			}
			table, ok = c.takenInto(j, base)
			return table, table, ok
		case add >= 0 && in.Op == image.OpLea && fixed(&in.Src): // the offset is added to the table's address
			offset := c.insts[add].Src.Reg
			for k := add - 1; k >= 0 && k > add-16; k-- {
				load := &c.insts[k]
				if load.Writes&(1<<offset) == 0 {
					continue
				}
				if !c.loadsOffset(load) || load.Src.Base != to.Reg || load.Src.Scale != 4 {
					return 0, 0, false
				}
				return uint64(in.Src.Disp), uint64(in.Src.Disp), true
			}
			return 0, 0, false
		}
		return 0, 0, false
	}
	return 0, 0, false
}

// loadsOffset reports that in loads 4 bytes, as a number with a sign.
func (c *code) loadsOffset(in *image.Inst) bool {
	extends := in.Op == image.OpMovSX && in.SrcSize == 4
	return in.Src.Kind == image.OperandMem && (extends || c.word == 4 && in.Op == image.OpMov && in.Size == 4)
}

// linkage returns the address that code of 386 names things by, that of the
// linker's table, if the function finds it out.
func (c *code) linkage() (addr uint64, ok bool) {
	for i := range c.insts {
		here := c.insts[i].Src.Imm
		switch {
		case c.insts[i].Op == image.OpPage:
		case i > 0 && c.insts[i].Op == image.OpPop && c.insts[i-1].Op == image.OpPush && c.insts[i-1].Src.Imm == int64(c.insts[i].Addr):
			here = int64(c.insts[i].Addr) // of clang
		default:
			continue
		}
		for j := i + 1; j < len(c.insts) && j < i+8; j++ {
			in := &c.insts[j]
			if in.Op == image.OpAdd && in.Dst == c.insts[i].Dst && in.Src.Kind == image.OperandImm {
				return uint64(uint32(here + in.Src.Imm)), true
			}
		}
	}
	return 0, false
}

// offsetTargets returns where the entries of a table of offsets from origin lead, as long as that is in the function.
func (c *code) offsetTargets(table, origin uint64) []uint64 {
	p := c.a.prog
	if p.Segment(table) == nil || p.Writable(table) {
		return nil
	}
	b := p.Bytes(table)
	b = b[:min(uint64(len(b)), c.a.nextTaken(table)-table)]
	var out []uint64
	for ; len(b) >= 4; b = b[4:] {
		if c.a.steps++; c.a.steps > maxSteps {
			return nil
		}
		to := origin + uint64(int64(int32(binary.LittleEndian.Uint32(b))))
		if !c.holds(to) {
			break
		}
		out = append(out, to)
	}
	return out
}
