package image

import (
	"encoding/binary"
	"slices"
)

// maxBefore is how many instructions before a jump say where its table is.
const maxBefore = 24

// A JumpTable is what a computed jump of arm goes by: where the table lies, and where
// it leads.
type JumpTable struct {
	Table   Range // empty: of branches
	Targets []uint64
}

// JumpTable returns the table of the computed jump in of arm code, behind the
// instructions before, in the order of the code. Targets lie in within.
func (f *File) JumpTable(before []Inst, in *Inst, within Range) (t JumpTable, ok bool) {
	switch {
	case in.Op != OpJmpInd || f.word != 4:
		return t, false
	case in.Src.Kind == OperandMem && in.Src.Base == RegPC && in.Src.Index != RegNone && in.Size < 4: // TBB, TBH
		return f.distances(before, in, within)
	case in.Src.Kind == OperandMem && in.Src.Index != RegNone && in.Src.Scale == 4 && in.Src.Disp >= 0: // words
		table := uint64(in.Src.Disp)
		if in.Src.Base != RegPC {
			base, found := lastTaken(before, in.Src.Base)
			if !found {
				return t, false
			}
			table += base
		}
		return f.words(before, table, 0, in.Src.Index, within)
	case in.Src.Kind == OperandReg:
		return f.offsets(before, in.Src.Reg, within)
	}
	return t, false
}

// lastTaken returns the constant address that the last of the instructions that set
// register r leaves there.
func lastTaken(before []Inst, r Reg) (addr uint64, ok bool) {
	for i := len(before) - 1; i >= 0; i-- {
		switch in := &before[i]; {
		case in.Writes&(1<<r) == 0:
		case in.Op == OpLea && in.Dst.Reg == r && in.Src.Base == RegPC && in.Src.Index == RegNone:
			return uint64(in.Src.Disp), true
		case in.Op == OpAdd && in.Dst.Reg == r && in.Src.Kind == OperandImm: // LDR r, constant; ADD r, PC
			if i > 0 {
				for k := i - 1; k >= 0; k-- {
					if at := &before[k]; at.Writes&(1<<r) != 0 {
						return uint64(uint32(at.Src.Imm + in.Src.Imm)), at.Op == OpMov && at.Src.Kind == OperandImm
					}
				}
			}
			return 0, false
		default:
			return 0, false
		}
	}
	return 0, false
}

// bound returns how many values register r can have, by the comparison closely
// before a jump that goes on with it; 0 if there is none.
func bound(before []Inst, r Reg) int {
	for i := len(before) - 1; i >= 0; i-- {
		in := &before[i]
		if in.Op == OpCmp && in.Dst.Kind == OperandReg && in.Dst.Reg == r && in.Src.Kind == OperandImm && in.Src.Imm >= 0 && in.Src.Imm < 4096 {
			return int(in.Src.Imm) + 1
		}
		if in.Writes&(1<<r) != 0 {
			if in.Op == OpMov && in.Src.Kind == OperandReg && in.Src.Reg < 16 { // of what was compared
				r = in.Src.Reg
				continue
			}
			return 0
		}
	}
	return 0
}

// distances reads the table of TBB or TBH: twice the distance from the instruction
// behind. It ends where the comparison says, or where the first target is.
func (f *File) distances(before []Inst, in *Inst, within Range) (t JumpTable, ok bool) {
	size := uint64(in.Size)
	t.Table = Range{uint64(in.Src.Disp), uint64(in.Src.Disp)}
	n := bound(before, in.Src.Index)
	first := within.End
	b := f.Bytes(t.Table.Start)
	for k := 0; (n == 0 || k < n) && uint64(len(b)) >= size && t.Table.End+size <= first; k++ {
		d := uint64(b[0])
		if size == 2 {
			d = uint64(binary.LittleEndian.Uint16(b))
		}
		to := t.Table.Start + 2*d
		if to < t.Table.Start+size || to >= within.End {
			break
		}
		first = min(first, to)
		t.Targets = append(t.Targets, to)
		t.Table.End, b = t.Table.End+size, b[size:]
	}
	t.Table.End = (t.Table.End + 1) &^ 1
	return t, len(t.Targets) > 0
}

// words reads a table of addresses, or of distances from origin if that is not 0.
func (f *File) words(before []Inst, table, origin uint64, index Reg, within Range) (t JumpTable, ok bool) {
	t.Table = Range{table, table}
	n := bound(before, index)
	if s := f.Segment(table); s == nil || f.Writable(table) || table&3 != 0 {
		return t, false
	}
	b := f.Bytes(table)
	for k := 0; (n == 0 || k < n) && len(b) >= 4; k++ {
		to := uint64(uint32(origin)+binary.LittleEndian.Uint32(b)) &^ 1
		if !within.Holds(to) {
			break
		}
		if n == 0 && slices.Contains(t.Targets, t.Table.End) {
			break // code
		}
		t.Targets = append(t.Targets, to)
		t.Table.End, b = t.Table.End+4, b[4:]
	}
	return t, len(t.Targets) > 0
}

// offsets reads the table of LDR d, [b, index]; ADD r, b, d; BX r.
func (f *File) offsets(before []Inst, r Reg, within Range) (t JumpTable, ok bool) {
	base, add := RegNone, -1
	for i := len(before) - 1; i >= 0; i-- {
		in := &before[i]
		if add < 0 {
			switch {
			case in.Writes&(1<<r) == 0:
			case in.Op == OpLea && in.Src.Index != RegNone && in.Src.Scale == 1 && in.Src.Disp == 0 && in.Src.Base < 16:
				add = i
			default:
				return t, false
			}
			continue
		}
		sum := &before[add].Src
		for _, pair := range [...][2]Reg{{sum.Base, sum.Index}, {sum.Index, sum.Base}} {
			if in.Op == OpMov && in.Dst.Kind == OperandReg && in.Dst.Reg == pair[0] && in.Src.Kind == OperandMem && in.Src.Index != RegNone && in.Src.Scale == 4 && in.Src.Base == pair[1] {
				base = pair[1]
				table, found := lastTaken(before[:i], base)
				if !found {
					return t, false
				}
				return f.words(before[:i], table, table, in.Src.Index, within)
			}
		}
	}
	return t, false
}
