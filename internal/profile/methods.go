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

// isDescriptor reports that there is the descriptor of a type at addr (abi.Type: size,
// part with pointers, hash, flags, alignment of values and fields, kind, equality, data
// of the collector, offsets of the name and of the pointer type), and how long it is with
// the methods of an interface, which are offsets, too, and lie behind it.
func (a *analysis) isDescriptor(addr uint64) (size uint64, ok bool) {
	types, word := a.prog.Types, a.prog.WordSize()
	common := 4*word + 16
	if addr < types.Start || addr+common > types.End {
		return 0, false
	}
	b := a.prog.Bytes(addr)
	if uint64(len(b)) < common {
		return 0, false
	}
	at := func(i uint64) uint64 { return a.prog.ReadWord(b[i*word:]) }
	align, kind := b[2*word+5:2*word+7], b[2*word+7]&kindMask
	name := types.Start + uint64(binary.LittleEndian.Uint32(b[common-8:]))
	if at(1) > at(0) || kind < kindBool || kind > kindUnsafePointer || name >= types.End || !isAlign(align[0]) || !isAlign(align[1]) {
		return 0, false
	}
	for _, p := range [...]uint64{a.prog.ReadWord(b[2*word+8:]), a.prog.ReadWord(b[3*word+8:])} {
		if p != 0 && a.prog.Segment(p) == nil {
			return 0, false
		}
	}
	text := a.nameText(a.prog.Bytes(name))
	if len(text) == 0 || len(text) > maxTypeName || text[0] < ' ' || b[2*word+4]&flagStar != 0 && text[0] != '*' {
		return 0, false
	}
	size = common + kindWords(kind, word, a.prog.Build.Minor)*word
	if b[2*word+4]&flagUncommon != 0 {
		size += 16
	}
	if kind == kindInterface { // the package, and a slice of pairs of offsets
		first, _ := a.prog.Word(addr + common + word)
		n, _ := a.prog.Word(addr + common + 2*word)
		if first == addr+size && n <= maxDescriptor/8 {
			size += 8 * n
		}
	}
	return size, true
}

// maxTypeName bounds the names of types that are looked at.
const maxTypeName = 1 << 12

func isAlign(n byte) bool { return n > 0 && n <= 16 && n&(n-1) == 0 }

// inDescriptor reports that the word at addr, of type data, is part of a descriptor: of
// what is in one, offsets look like addresses where programs lie at low ones.
func (a *analysis) inDescriptor(addr uint64) bool {
	word := a.prog.WordSize()
	if addr < a.prog.Types.Start || addr >= a.prog.Types.End {
		return false
	}
	for n := uint64(0); n < maxDescriptor && n <= addr-a.prog.Types.Start; n += word {
		if size, ok := a.isDescriptor(addr - n); ok && n < size {
			return true
		}
	}
	return false
}

// maxDescriptor is more than most descriptors have, in bytes.
const maxDescriptor = 1024

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
