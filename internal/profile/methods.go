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

// hasMethodName reports that the name at offset off of the type data b is that of
// method fn.
func (a *analysis) hasMethodName(fn int, b []byte, off uint32) bool {
	if uint64(off) > uint64(len(b)) {
		return false
	}
	text := a.nameText(b[off:])
	name := a.prog.NameBytes(fn)
	return len(text) > 0 && bytes.Equal(name[bytes.LastIndexByte(name, '.')+1:], text)
}

// nameText returns the text of the name that b, type data, starts with: a flag
// byte, the length, the text. It returns nil if there is none.
func (a *analysis) nameText(b []byte) []byte {
	if len(b) < 3 {
		return nil
	}
	n, size := binary.Uvarint(b[1:])
	if a.prog.Build.Minor < 17 {
		n, size = uint64(binary.BigEndian.Uint16(b[1:])), 2
	}
	if size <= 0 || n > uint64(len(b)-1-size) {
		return nil
	}
	return b[1+size:][:n]
}

// encodeName returns a name as type data has it, without its flag byte.
func (a *analysis) encodeName(name string) []byte {
	if a.prog.Build.Minor < 17 {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(name))), name...)
	}
	return append(binary.AppendUvarint(nil, uint64(len(name))), name...)
}
