package profile

import (
	"bytes"
	"encoding/binary"
)

// findMethods collects the entries of the method tables of all types. An entry is four 32-bit words: the offsets from the types of the
// method's name and type, and from the text those of the function that
// interfaces call and of the one that direct calls use. No table of these
// tables exists; the name tells entries from other data.
func (a *analysis) findMethods() {
	types := a.prog.Types
	b := a.prog.Bytes(types.Start)
	b = b[:min(uint64(len(b)), types.End-types.Start)]
	size := uint32(a.prog.GoText.End - a.prog.GoText.Start)
	align := uint32(16)
	for _, f := range a.prog.Funcs {
		for f.Entry&(align-1) != 0 {
			align /= 2
		}
	}
	last := -1
	for at := 8; at+4 <= len(b); at += 4 {
		off := binary.LittleEndian.Uint32(b[at:])
		if off&(align-1) != 0 || off >= size {
			continue
		}
		fn, ok := a.entryOf(a.prog.GoText.Start + uint64(off))
		if !ok {
			continue
		}
		starts := [...]int{at - 8, at - 12}
		if last == at-12 { // an entry's second function follows its first
			starts = [...]int{at - 12, at - 8}
		}
		for _, start := range starts {
			if start >= 0 && a.hasMethodName(fn, b, binary.LittleEndian.Uint32(b[start:])) {
				a.methods = append(a.methods, entryWord{types.Start + uint64(start), fn})
				last = start
				break
			}
		}
	}
}

// hasMethodName reports that the name at offset off of the type data b, a flag
// byte, the length as a varint and the bytes, is that of method fn.
func (a *analysis) hasMethodName(fn int, b []byte, off uint32) bool {
	if uint64(off)+2 > uint64(len(b)) {
		return false
	}
	n, size := binary.Uvarint(b[off+1:])
	if size <= 0 {
		return false
	}
	text := b[int(off)+1+size:]
	if n == 0 || n > uint64(len(text)) {
		return false
	}
	name := a.prog.NameBytes(fn)
	return bytes.Equal(name[bytes.LastIndexByte(name, '.')+1:], text[:n])
}
