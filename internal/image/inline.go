package image

import "encoding/binary"

// A Frame is a function that an instruction belongs to, in the source: one that
// the compiler inlined, or the one that it inlined it into.
type Frame struct {
	Func string
	File string // where it goes on to the next frame, or the instruction; "" if unknown
	Line int
}

// Tables of a function's record (internal/abi): which inlined call an address
// belongs to, and the tree of those calls.
const (
	pcdataInlTreeIndex = 2
	funcdataInlTree    = 3
	maxInlined         = 100 // depth; the compiler's budget gives a tenth
)

// Frames returns the functions that the instruction at addr in function i belongs
// to, as the source has them: function i first, each inlined call behind the one
// that makes it. Before Go 1.18 inlined calls are not known.
func (p *Program) Frames(i int, addr uint64) []Frame {
	entry := p.Text + uint64(p.Funcs[i].Entry)
	var inner []Frame // from the instruction outwards
	for len(inner) < maxInlined {
		frame := Frame{Func: p.Name(i)}
		frame.File, frame.Line = p.Line(i, addr)
		name, parent, ok := p.inlined(i, addr)
		if !ok {
			inner = append(inner, frame)
			break
		}
		frame.Func, addr = name, entry+uint64(parent)
		inner = append(inner, frame)
	}
	frames := make([]Frame, len(inner))
	for k, f := range inner {
		frames[len(inner)-1-k] = f
	}
	return frames
}

// inlined returns the inlined function that holds addr in function i, and the
// offset in i of the instruction that stands for its call.
func (p *Program) inlined(i int, addr uint64) (name string, parent uint32, ok bool) {
	if !p.IsGo(i) || p.gofunc == 0 {
		return "", 0, false
	}
	record := p.pcln[p.Funcs[i].record:]
	npcdata, tables := p.field(i, 28), uint64(p.idAt)+4
	if npcdata <= pcdataInlTreeIndex || record[p.idAt+3] <= funcdataInlTree ||
		tables+4*(uint64(npcdata)+funcdataInlTree+1) > uint64(len(record)) {
		return "", 0, false
	}
	index, known := p.valueAtTable(i, binary.LittleEndian.Uint32(record[tables+4*pcdataInlTreeIndex:]), addr)
	off := binary.LittleEndian.Uint32(record[tables+4*(uint64(npcdata)+funcdataInlTree):])
	if !known || index < 0 || off == ^uint32(0) {
		return "", 0, false
	}
	size, nameAt, parentAt := uint64(16), 4, 8
	if p.Build.Minor < 20 {
		size, nameAt, parentAt = 20, 12, 16
	}
	call := p.Bytes(p.gofunc + uint64(off) + size*uint64(index))
	if uint64(len(call)) < size {
		return "", 0, false
	}
	name = cstring(p.names, uint64(binary.LittleEndian.Uint32(call[nameAt:])))
	parent = binary.LittleEndian.Uint32(call[parentAt:])
	return name, parent, name != "" && parent < p.Funcs[i].End-p.Funcs[i].Entry
}
