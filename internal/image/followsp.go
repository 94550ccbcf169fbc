package image

import "github.com/sysgate/sysgate/abi"

// stackPointer returns the stack pointer of a machine.
func stackPointer(a abi.ABI) Reg {
	switch a {
	case abi.ARM64:
		return SP
	case abi.ARM:
		return ARMSP
	case abi.RISCV64:
		return RVSP
	}
	return RSP
}

// followsSP reports that the stack table of function i has every move of the
// stack pointer. A move is by a constant, the one that the table has there; of an
// access that moves its base the table only has to say that it does.
func (p *Program) followsSP(i int) bool {
	depths := p.Depths(i)
	if len(depths) == 0 {
		return false
	}
	at := func(addr uint64) (depth int64, ok bool) {
		for _, d := range depths {
			if addr < d.End {
				return d.Depth, true
			}
		}
		return 0, false
	}
	sp := stackPointer(p.ABI)
	for in := range p.Walk(i) {
		if in.Writes&(1<<sp) == 0 || in.Op == OpRet {
			continue
		}
		before, ok := at(in.Addr)
		after, ok2 := at(in.Addr + uint64(in.Len))
		if !ok || !ok2 {
			return false
		}
		moved := after - before
		switch {
		case in.Op == OpPush:
			ok = moved == int64(in.Size)
		case in.Op == OpPop && in.Dst.Reg != sp:
			ok = moved == -int64(in.Size)
		case in.Op == OpLea && in.Src.Base == sp && in.Src.Index == RegNone:
			ok = moved == -in.Src.Disp
		case (in.Op == OpAdd || in.Op == OpSub) && in.Src.Kind == OperandImm:
			ok = moved == in.Src.Imm && in.Op == OpSub || moved == -in.Src.Imm && in.Op == OpAdd
		case in.Dst.Kind == OperandMem && in.Dst.Base == sp, in.Src.Kind == OperandMem && in.Src.Base == sp && in.Dst.Reg != sp:
			ok = moved != 0 // with its base moved
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}
