package image

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The encodings of .eh_frame_hdr (Linux Standard Base, "Exception Frames") that
// every linker uses: relative to the field, a count, relative to the table.
const unwindHeader = "\x01\x1b\x03\x3b"

// Compiled finds the functions of a program that is not Go, by the sorted table
// of its unwind data. It establishes that they cover the one executable segment:
// code without unwind data belongs to the function before it. A start inside a
// no-operation, as glibc has one before a signal's return, moves behind it.
func (f *File) Compiled() (*Program, error) {
	refuse := func(format string, args ...any) error {
		return &RefusedError{Path: f.Path, Reason: fmt.Sprintf(format, args...), Hint: hintStatic}
	}
	p := &Program{File: f}
	for _, s := range f.Segments {
		switch {
		case !s.Exec:
		case p.Etext != 0 || len(s.Data) == 0:
			return nil, refuse("has code in several segments")
		default:
			p.Text, p.Etext = s.Addr, s.Addr+uint64(len(s.Data))
		}
	}
	table := f.Bytes(f.unwind)
	if p.Etext == 0 || f.unwind == 0 || len(table) < 12 || string(table[:4]) != unwindHeader {
		return nil, refuse("has no table of unwind data to find its functions by")
	}
	n := uint64(binary.LittleEndian.Uint32(table[8:]))
	if n == 0 || n > maxFuncs || 12+8*n > uint64(len(table)) {
		return nil, refuse("has a damaged table of unwind data")
	}
	starts := []uint64{p.Text}
	for i := range n {
		start := f.unwind + uint64(int64(int32(binary.LittleEndian.Uint32(table[12+8*i:]))))
		if start < p.Text || start >= p.Etext {
			return nil, refuse("has unwind data for %#x, which is no code", start)
		}
		starts = append(starts, start)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	for i := range starts {
		end := p.Etext
		if i+1 < len(starts) {
			end = f.behindNop(starts[i], starts[i+1])
			if i+2 < len(starts) && end >= starts[i+2] || end >= p.Etext {
				end = starts[i+1]
			}
			starts[i+1] = end
		}
		p.Funcs = append(p.Funcs, Func{Entry: uint32(starts[i] - p.Text), End: uint32(end - p.Text), record: foreign})
	}
	p.index()
	return p, nil
}

// behindNop returns end, or where a no-operation ends that reaches beyond it;
// it decodes from start.
func (f *File) behindNop(start, end uint64) uint64 {
	for at := start; at < end; {
		in := f.Decode(f.Bytes(at), at)
		next := at + uint64(in.Len)
		if next > end && in.Op == OpNop {
			return next
		}
		at = next
	}
	return end
}
