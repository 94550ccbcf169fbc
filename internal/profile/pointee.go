package profile

import (
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// A change says what may have become, where it is read, of memory behind a pointer
// that a function was called with or finds in a variable.
type change uint8

const (
	unchanged change = iota // since the function was entered
	perhaps                 // other code may have written there
	changed                 // the function has written there itself, by the same pointer
)

// A pointee is what lies disp bytes behind a pointer, of size bytes, before an
// instruction.
type pointee struct {
	before int
	p      atom
	disp   int64
	size   uint8
}

// changes returns what may have become before instruction j of the size bytes disp
// behind the pointer p. What the function writes to its own frame is never there: the
// pointer was made before. In a loop it can depend on itself, as a value does.
func (s *slicer) changes(j int, p atom, disp int64, size uint8) change {
	at := pointee{j, p, disp, size}
	if s.looked[at] {
		return s.since[at]
	}
	if s.looked == nil {
		s.looked = map[pointee]bool{}
	}
	s.looked[at] = true
	if most := s.changesOf(at); most > s.since[at] {
		s.since[at] = most
		s.changed = true
	}
	return s.since[at]
}

func (s *slicer) changesOf(at pointee) (most change) {
	j, p, disp, size := at.before, at.p, at.disp, at.size
	for _, k := range s.writesBefore(j) {
		in := &s.c.insts[k]
		switch in.Op {
		case image.OpCall, image.OpCallInd, image.OpSyscall, image.OpInt80, image.OpSysenter:
			most = perhaps
			continue
		}
		if in.StoreAny || in.Dst.Base >= image.RegPC {
			most = perhaps
			continue
		}
		v := s.walk(k, register(in.Dst.Base))
		known := v.why == nil && in.Dst.Index == image.RegNone
		apart := known && (in.Dst.Disp >= disp+int64(size) || disp >= in.Dst.Disp+int64(in.Store))
		switch {
		case v.has(p) && !apart:
			return changed
		case !known || slices.ContainsFunc(v.atoms, func(a atom) bool { return a.kind != frame && !(a == p && apart) }):
			most = perhaps
		}
	}
	return most
}

// writesBefore returns the instructions that may run before instruction j, since the
// function was entered, and may write to memory that is not in its frame.
func (s *slicer) writesBefore(j int) (out []int) {
	if found, known := s.writes[j]; known {
		return found
	}
	c := s.c
	look := func(from, end int) {
		for k := from; k < end; k++ {
			switch in := &c.insts[k]; in.Op {
			case image.OpPush:
			case image.OpCall, image.OpCallInd, image.OpSyscall, image.OpInt80, image.OpSysenter:
				out = append(out, k)
			default:
				if in.StoreAny || in.Store > 0 && !c.inFrame(k, &in.Dst) {
					out = append(out, k)
				}
			}
		}
	}
	first := c.block(j)
	look(c.blocks[first].start, j)
	seen := make([]bool, len(c.blocks))
	for todo := []int{first}; len(todo) > 0; {
		b := todo[0]
		todo = todo[1:]
		for _, p := range c.blocks[b].preds {
			if !seen[p] && (c.blocks[p].live || !c.blocks[b].live) {
				seen[p] = true
				todo = append(todo, p)
				look(c.blocks[p].start, c.blocks[p].end)
			}
		}
	}
	if s.writes == nil {
		s.writes = map[int][]int{}
	}
	s.writes[j] = out
	return out
}

// inFrame reports that memory operand o of instruction i lies in the function's frame.
func (c *code) inFrame(i int, o *image.Operand) bool {
	return o.Kind == image.OperandMem && (o.Base == c.sp || o.Base == c.fp && c.frame[i] != noDepth)
}
