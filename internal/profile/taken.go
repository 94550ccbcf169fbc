package profile

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// takenBy says where the address of function g is taken other than by calls:
// then it can be called from anywhere, with any argument. It returns "" if it
// is not.
func (a *analysis) takenBy(g int) string {
	entry := a.entry(g)
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			if to, _ := a.survey.ref(r); to == entry {
				return "in " + a.prog.Name(i)
			}
		}
	}
	for _, w := range a.words {
		if w.fn == g {
			return a.dataUser(w.addr)
		}
	}
	if t, ok := a.methodTable(g); ok {
		return fmt.Sprintf("by the method table at %#x", t)
	}
	return ""
}

// dataUser names a function that refers to the data word at addr.
func (a *analysis) dataUser(addr uint64) string {
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			if to, _ := a.survey.ref(r); to == addr {
				return "in " + a.prog.Name(i)
			}
		}
	}
	return fmt.Sprintf("by data at %#x", addr)
}

// methodTable finds function g in the method table of a type: entries of four
// 32-bit words: name, type, and the offsets from the text of the function that
// interfaces call and of the one that direct calls use. The name tells entries
// from other data.
func (a *analysis) methodTable(g int) (addr uint64, ok bool) {
	name := a.prog.Name(g)
	method := name[strings.LastIndexByte(name, '.')+1:]
	offset := a.prog.Funcs[g].Entry
	types := a.prog.Types
	b := a.prog.Bytes(types.Start)
	b = b[:min(uint64(len(b)), types.End-types.Start)]
	for at := 8; at+4 <= len(b); at += 4 {
		if binary.LittleEndian.Uint32(b[at:]) != offset {
			continue
		}
		for _, start := range [...]int{at - 8, at - 12} {
			if start >= 0 && a.typeName(b, binary.LittleEndian.Uint32(b[start:])) == method {
				return types.Start + uint64(start), true
			}
		}
	}
	return 0, false
}

// typeName reads the name at offset off of the type data b: a flag byte, the
// length as a varint, the bytes.
func (a *analysis) typeName(b []byte, off uint32) string {
	if uint64(off)+2 > uint64(len(b)) {
		return ""
	}
	n, size := binary.Uvarint(b[off+1:])
	rest := b[min(uint64(len(b)), uint64(off)+1+uint64(max(size, 0))):]
	if size <= 0 || n > uint64(len(rest)) {
		return ""
	}
	return string(rest[:n])
}
