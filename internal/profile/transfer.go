package profile

import (
	"math/bits"

	"github.com/sysgate/sysgate/internal/image"
)

const resultOf = "the result of a call of "

// registerSet returns what instruction j leaves in the register loc, if it changes
// it.
func (s *slicer) registerSet(j int, loc location) (v value, set bool) {
	r := loc.reg
	in := &s.c.insts[j]
	switch in.Op {
	case image.OpCall:
		if s.c.keeps(r) || s.c.native && s.c.a.leavesAlone(in.Target, r) {
			return v, false
		}
		if v, ok := s.result(j, r); ok {
			return v, true
		}
		return s.lost(j, resultOf+"%s", s.c.a.nameAt(in.Target)), true
	case image.OpCallInd:
		if s.c.keeps(r) {
			return v, false
		}
		return s.lost(j, "the result of a call through a function value"), true
	case image.OpSyscall, image.OpInt80:
		if in.Writes&(1<<r) != 0 && (r == s.c.number || s.c.pushed == 0) {
			return s.lost(j, "the result of another system call"), true
		}
	case image.OpLoadMany:
		if r < 16 && in.List>>r&1 != 0 {
			cell := in.Src
			cell.Disp += int64(4 * bits.OnesCount16(in.List&(1<<r-1)))
			return s.load(j, &cell, 4), true
		}
	case image.OpLoadPair:
		if int64(r) == in.Imm2 {
			behind := in.Src
			behind.Disp += int64(in.Size)
			return s.extend(s.load(j, &behind, in.Size), in.Size, s.why(j, partOfWider)), true
		}
	}
	if in.Writes&(1<<r) == 0 {
		return v, false
	}
	if in.Op == image.OpXchg {
		return s.exchange(j, in, r), true
	}
	if in.Dst.Kind != image.OperandReg || in.Dst.Reg != r || in.Dst.High {
		return s.lost(j, "set by an instruction that is not followed"), true
	}
	switch in.Op {
	case image.OpMov, image.OpMovZX, image.OpMovSX, image.OpLea, image.OpPop, image.OpCmov, image.OpSetcc,
		image.OpPage, image.OpSelect, image.OpLoadPair:
		v = s.moved(j, in)
	default:
		v = s.computed(j, in)
	}
	why := s.why(j, partOfWider)
	switch in.Size {
	case 4:
		return s.extend(v, 4, why), true
	case 1, 2:
		if loc.size != 0 && loc.size <= in.Size {
			return v, true
		}
		mask := int64(1)<<(8*in.Size) - 1
		return s.walk(j, loc).combine(v, why, func(old, low int64) int64 { return old&^mask | low&mask }), true
	}
	return v, true
}

func (s *slicer) exchange(j int, in *image.Inst, r image.Reg) value {
	d, o := &in.Dst, &in.Src
	if o.Kind == image.OperandReg && o.Reg == r && !o.High {
		d, o = o, d
	}
	if d.Kind != image.OperandReg || d.Reg != r || d.High || in.Size < 4 {
		return s.lost(j, "set by an exchange of parts")
	}
	return s.operand(j, o, in.Size)
}

func (s *slicer) moved(j int, in *image.Inst) value {
	why := s.why(j, partOfWider)
	switch in.Op {
	case image.OpMovZX:
		return s.operand(j, &in.Src, in.SrcSize)
	case image.OpMovSX:
		return s.operand(j, &in.Src, in.SrcSize).signExtend(in.SrcSize, in.Size, why)
	case image.OpLea:
		return s.address(j, &in.Src)
	case image.OpPop:
		if !s.c.exact || s.c.depth[j] == noDepth || int64(in.Size) != s.c.word {
			return s.lost(j, "popped from a stack whose depth is not known")
		}
		return s.walk(j, slot(-s.c.depth[j], in.Size))
	case image.OpCmov:
		if k, ok := s.c.otherwise(j); ok {
			return s.operand(k, &s.c.insts[k].Src, in.Size).join(s.operand(j, &in.Src, in.Size))
		}
		return s.walk(j, register(in.Dst.Reg)).join(s.operand(j, &in.Src, in.Size))
	case image.OpSelect:
		return s.operand(j, &in.Src, in.Size).join(s.second(j, in))
	case image.OpSetcc:
		return constants(0, 1)
	}
	return s.operand(j, &in.Src, in.Size)
}

// otherwise returns the instruction closely before instruction j, an OpCmov, that sets
// the same register where j does not.
func (c *code) otherwise(j int) (k int, ok bool) {
	in := &c.insts[j]
	for k = j - 1; in.Condition > 0 && k >= c.blocks[c.block(j)].start && k >= j-4; k-- {
		switch before := &c.insts[k]; {
		case before.Op == image.OpCmov && before.Dst == in.Dst:
			return k, (before.Condition-1)^1 == in.Condition-1
		case before.Writes&(1<<in.Dst.Reg) != 0, before.Op == image.OpCmp, before.Op == image.OpTest, before.Condition == 0:
			return 0, false
		}
	}
	return 0, false
}

// computed folds arithmetic on constants.
func (s *slicer) computed(j int, in *image.Inst) value {
	why := s.why(j, "the result of arithmetic")
	size := in.Size
	width := int64(8 * size)
	low := int64(-1)
	if size < 8 {
		low = 1<<width - 1
	}
	same := in.Src.Kind == image.OperandReg && in.Src.Reg == in.Dst.Reg && !in.Src.High
	dst := func() value { return s.walk(j, register(in.Dst.Reg)) }
	src := func() value { return s.operand(j, &in.Src, size) }
	signed := func(a int64) int64 { return a << (64 - width) >> (64 - width) }
	switch in.Op {
	case image.OpXor:
		if same {
			return constants(0)
		}
		return dst().combine(src(), why, func(a, b int64) int64 { return a ^ b })
	case image.OpSub:
		if same {
			return constants(0)
		}
		if in.Src.Kind == image.OperandImm && int64(size) == s.c.word {
			return s.add(dst(), constants(-in.Src.Imm), why)
		}
		return dst().combine(src(), why, func(a, b int64) int64 { return a - b })
	case image.OpAdd:
		return s.add(dst(), src(), why)
	case image.OpAnd:
		return dst().combine(src(), why, func(a, b int64) int64 { return a & b })
	case image.OpOr:
		if v, ok := s.or(dst, src, why); ok {
			return v
		}
		return dst().combine(src(), why, func(a, b int64) int64 { return a | b })
	case image.OpMovTop:
		return dst().combine(src(), why, func(a, b int64) int64 { return a&0xFFFF | b<<16 })
	case image.OpInc:
		return s.add(dst(), constants(1), why)
	case image.OpDec:
		return s.add(dst(), constants(-1), why)
	case image.OpNeg:
		return dst().combine(constants(0), why, func(a, _ int64) int64 { return -a })
	case image.OpNot:
		return dst().combine(constants(0), why, func(a, _ int64) int64 { return ^a })
	case image.OpImul:
		return dst().combine(src(), why, func(a, b int64) int64 { return a * b })
	case image.OpImul3:
		return src().combine(constants(in.Imm2), why, func(a, b int64) int64 { return a * b })
	case image.OpShl, image.OpShr, image.OpSar:
		if in.Src.Kind != image.OperandImm {
			return value{why: why}
		}
		n := uint64(in.Src.Imm) & 31
		if size == 8 {
			n = uint64(in.Src.Imm) & 63
		}
		return dst().combine(constants(0), why, func(a, _ int64) int64 {
			switch in.Op {
			case image.OpShl:
				return a << n
			case image.OpShr:
				return int64(uint64(a&low) >> n)
			}
			return signed(a) >> n
		})
	}
	return s.lost(j, "set by an instruction that is not followed")
}
