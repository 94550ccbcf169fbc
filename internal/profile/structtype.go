package profile

import (
	"bytes"
	"encoding/binary"
)

// More kinds of types (abi.Kind).
const (
	kindBool   = 1
	kindString = 24
)

const (
	// flagStar says that a type's name has a star in front which is not its own:
	// a type and its pointer type share the text.
	flagStar = 2
	// maxName bounds the names of fields that are read.
	maxName = 200
)

// A structType is the descriptor of a struct type, which a stripped program has
// too.
type structType struct {
	addr    uint64
	pointer uint64 // the descriptor of the pointer to it; 0 if the program has none
	size    uint64
	fields  []structField
	// holders are the offsets at which other struct types of the program hold a
	// pointer to one. embedded reports that some type holds one itself.
	holders  []int64
	embedded bool
	// outer are the descriptors of the holders' types, where they are known.
	outer []uint64
}

type structField struct {
	name string
	off  uint64
	kind byte
}

// at returns the field that holds the byte at offset off.
func (t *structType) at(off int64) (structField, bool) {
	for i := len(t.fields) - 1; i >= 0; i-- {
		if f := t.fields[i]; off >= int64(f.off) && off < int64(t.size) {
			return f, true
		}
	}
	return structField{}, false
}

// structType finds the descriptor of the struct type called name, as in
// "syscall.SysProcAttr". Several types of one name are not told apart: then, and
// where there is none, ok is false; found says which.
func (a *analysis) structType(name string) (t *structType, found int) {
	types := a.prog.Types
	b := a.prog.Bytes(types.Start)
	b = b[:min(uint64(len(b)), types.End-types.Start)]
	text := a.encodeName("*" + name)
	size := a.prog.WordSize()
	common := 4*size + 16
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], text)
		if i <= 0 {
			break
		}
		at += i
		str := uint32(at - 1) // the flag byte comes first
		for k := uint64(0); k+common+4*size <= uint64(len(b)); k += size {
			if binary.LittleEndian.Uint32(b[k+common-8:]) != str || b[k+2*size+7]&kindMask != kindStruct || b[k+2*size+4]&flagStar == 0 {
				continue
			}
			found++
			t = a.readStruct(types.Start + k)
		}
	}
	if found != 1 || t == nil {
		return nil, found
	}
	a.findHolders(t)
	return t, found
}

// readStruct reads the descriptor at addr; nil if it is damaged.
func (a *analysis) readStruct(addr uint64) *structType {
	word := func(at uint64) uint64 { w, _ := a.prog.Word(at); return w }
	size := a.prog.WordSize()
	common := 4*size + 16
	b := a.prog.Bytes(addr)
	t := &structType{addr: addr, size: word(addr)}
	if off := binary.LittleEndian.Uint32(b[common-4:]); off != 0 {
		t.pointer = a.prog.Types.Start + uint64(off)
	}
	fields, n := word(addr+common+size), word(addr+common+2*size)
	if n > maxFields {
		return nil
	}
	for i := range n {
		at := fields + 3*i*size
		name, ok := a.typeName(word(at))
		typ := word(at + size)
		if !ok || typ < a.prog.Types.Start || typ+common > a.prog.Types.End {
			return nil
		}
		t.fields = append(t.fields, structField{name, a.fieldOffset(word(at + 2*size)), a.prog.Bytes(typ)[2*size+7] & kindMask})
	}
	return t
}

// fieldOffset reads the third word of a field: before Go 1.19 its lowest bit
// said whether it is embedded.
func (a *analysis) fieldOffset(w uint64) uint64 {
	if a.prog.Build.Minor < 19 {
		return w >> 1
	}
	return w
}

// typeName reads a name of type data.
func (a *analysis) typeName(addr uint64) (string, bool) {
	text := a.nameText(a.prog.Bytes(addr))
	return string(text), text != nil && len(text) <= maxName
}

// findHolders looks for the types that hold t or pointers to it: their fields
// are words of the type data that name it.
func (a *analysis) findHolders(t *structType) {
	types, size := a.prog.Types, a.prog.WordSize()
	common := 4*size + 16
	b := a.prog.Bytes(types.Start)
	b = b[:min(uint64(len(b)), types.End-types.Start)]
	kind := func(addr uint64) byte {
		if addr < types.Start || addr+common > types.End {
			return 0
		}
		return b[addr-types.Start+2*size+7] & kindMask
	}
	each := func(target uint64, f func(at uint64)) {
		for k := uint64(0); k+size <= uint64(len(b)); k += size {
			if a.prog.ReadWord(b[k:]) == target {
				f(types.Start + k)
			}
		}
	}
	if t.pointer == 0 {
		a.findPointer(t)
	}
	each(t.addr, func(at uint64) {
		if at-common != t.pointer || t.pointer == 0 {
			t.embedded = true
		}
	})
	if t.pointer == 0 {
		return
	}
	each(t.pointer, func(at uint64) {
		name, _ := a.prog.Word(at - size)
		if _, ok := a.typeName(name); !ok || kind(at-common) == kindPointer {
			return // an element, not a field
		}
		off, _ := a.prog.Word(at + size)
		t.holders = append(t.holders, int64(a.fieldOffset(off)))
		a.ownersOf(at-size, func(owner uint64) { t.outer = append(t.outer, owner) })
	})
}

// ownersOf finds the struct types whose fields include the one described at
// addr.
func (a *analysis) ownersOf(addr uint64, yield func(uint64)) {
	types, size := a.prog.Types, a.prog.WordSize()
	common := 4*size + 16
	b := a.prog.Bytes(types.Start)
	b = b[:min(uint64(len(b)), types.End-types.Start)]
	for k := uint64(0); k+common+4*size <= uint64(len(b)); k += size {
		if b[k+2*size+7]&kindMask != kindStruct {
			continue
		}
		fields, n := a.prog.ReadWord(b[k+common+size:]), a.prog.ReadWord(b[k+common+2*size:])
		if n <= maxFields && addr >= fields && addr < fields+3*n*size && (addr-fields)%(3*size) == 0 {
			yield(types.Start + k)
		}
	}
}

// findPointer looks for the pointer type of t, which not every descriptor names.
func (a *analysis) findPointer(t *structType) {
	types, size := a.prog.Types, a.prog.WordSize()
	common := 4*size + 16
	b := a.prog.Bytes(types.Start)
	b = b[:min(uint64(len(b)), types.End-types.Start)]
	for k := common; k+size <= uint64(len(b)); k += size {
		if a.prog.ReadWord(b[k:]) == t.addr && b[k-common+2*size+7]&kindMask == kindPointer {
			t.pointer = types.Start + k - common
			return
		}
	}
}
