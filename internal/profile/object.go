package profile

import (
	"encoding/binary"
	"sort"
)

const (
	// maxVariable bounds a variable that no other one follows closely, in bytes.
	maxVariable = 4096
	// maxFields bounds the fields of a struct type that are looked at.
	maxFields = 4096
)

// object relaxes what the data at addr leads to: a function value to its
// function, an interface table and a type to their methods and types, a
// variable to whatever of these it holds from the start.
func (g *graph) object(node int32, dist uint32, addr uint64) {
	to := func(addr uint64) { g.relax(g.node(addr), node, dist+costData) }
	if fn, ok := g.entryAt(addr); ok {
		g.relax(int32(fn), node, dist+costValue)
		return
	}
	if g.inTypes(addr) {
		g.descriptor(node, dist, addr, to)
		return
	}
	if typ, ok := g.isItab(addr); ok {
		for i := range g.methodsOf(addr) {
			fn, ok := g.entryAt(addr + g.itabMethods() + i*g.size)
			if !ok {
				break
			}
			g.relax(int32(fn), node, dist+costData)
		}
		to(typ)
		return
	}
	seg := g.a.prog.Segment(addr)
	if seg == nil || !seg.Write {
		return
	}
	end := g.end(addr)
	for at := (addr + g.size - 1) &^ (g.size - 1); at+g.size <= end && g.scanned < maxScanned; at += g.size {
		g.scanned++
		w, _ := g.a.prog.Word(at)
		if s := g.a.prog.Segment(w); s != nil && !s.Exec {
			to(w)
		}
	}
}

// end returns where the variable at addr ends at the latest: where the next one
// that code refers to starts.
func (g *graph) end(addr uint64) uint64 {
	k := sort.Search(len(g.objects), func(k int) bool { return g.objects[k] > addr })
	if k < len(g.objects) {
		return min(addr+maxVariable, g.objects[k])
	}
	return addr + maxVariable
}

func (g *graph) inTypes(addr uint64) bool {
	t := g.a.prog.Types
	return addr >= t.Start && addr < t.End
}

// itabMethods returns where in an interface table the methods start, behind
// interface type, type and hash. Before Go 1.23 they left out 4 bytes on 386.
func (g *graph) itabMethods() uint64 {
	if g.size == 4 && g.a.prog.Build.Minor >= 23 {
		return 12
	}
	return 2*g.size + 8
}

// isItab recognises an interface table.
func (g *graph) isItab(addr uint64) (typ uint64, ok bool) {
	inter, _ := g.a.prog.Word(addr)
	typ, _ = g.a.prog.Word(addr + g.size)
	if !g.inTypes(inter) || !g.inTypes(typ) {
		return 0, false
	}
	_, ok = g.entryAt(addr + g.itabMethods())
	return typ, ok
}

// methodsOf returns how many methods the interface of the table at addr has: what
// follows the table is another's. An interface type is an abi.Type, a package and a
// slice of methods.
func (g *graph) methodsOf(addr uint64) uint64 {
	inter, _ := g.a.prog.Word(addr)
	n, _ := g.a.prog.Word(inter + 4*g.size + 16 + 2*g.size)
	return n
}

// entryAt returns the function whose entry the data word at addr holds.
func (g *graph) entryAt(addr uint64) (fn int, ok bool) {
	words := g.a.words
	k := sort.Search(len(words), func(k int) bool { return words[k].addr >= addr })
	if k < len(words) && words[k].addr == addr {
		return words[k].fn, true
	}
	return 0, false
}

// Kinds of types (abi.Kind) whose descriptors are longer than abi.Type.
const (
	kindArray         = 17
	kindChan          = 18
	kindFunc          = 19
	kindInterface     = 20
	kindMap           = 21
	kindPointer       = 22
	kindSlice         = 23
	kindStruct        = 25
	kindUnsafePointer = 26
	kindMask          = 31
	flagUncommon      = 1
)

// kindWords returns how many words a descriptor of a kind has behind abi.Type, for words
// of a size, in a minor release of Go.
func kindWords(kind byte, size uint64, minor int) uint64 {
	switch kind {
	case kindArray: // element, slice, length
		return 3
	case kindChan: // element, direction
		return 2
	case kindFunc, kindPointer, kindSlice: // two 2-byte counts; the element
		return 1
	case kindInterface, kindStruct: // package, methods or fields
		return 4
	case kindMap:
		if minor >= 24 { // key, element, group, hash function, three sizes and 4 bytes of flags
			return 8
		}
		return 4 + 8/size // key, element, bucket, hash function, 8 bytes of small fields
	}
	return 0
}

// descriptor relaxes the methods of the type at addr and its element and
// pointer types, which reflection can reach. A descriptor is an abi.Type (two
// words, the hash, flags and kind in 4 bytes, two words, two 4-byte offsets of
// which the second is the pointer type's), what its kind needs besides, and an
// abi.UncommonType.
func (g *graph) descriptor(node int32, dist uint32, addr uint64, to func(uint64)) {
	b := g.a.prog.Bytes(addr)
	common := 4*g.size + 16
	if uint64(len(b)) < common {
		return
	}
	word := func(i uint64) uint64 { w, _ := g.a.prog.Word(addr + common + i*g.size); return w }
	follow := func(typ uint64) {
		if g.inTypes(typ) {
			to(typ)
		}
	}
	kind := b[2*g.size+7] & kindMask
	switch kind {
	case kindArray, kindChan, kindPointer, kindSlice: // the element first
		follow(word(0))
	case kindMap: // key, element
		follow(word(0))
		follow(word(1))
	case kindStruct: // package, fields of three words
		fields, n := word(1), min(word(2), maxFields)
		for i := range n {
			typ, _ := g.a.prog.Word(fields + (3*i+1)*g.size)
			follow(typ)
		}
	}
	more := kindWords(kind, g.size, g.a.prog.Build.Minor)
	size := common + more*g.size
	if off := binary.LittleEndian.Uint32(b[common-4:]); off != 0 {
		follow(g.a.prog.Types.Start + uint64(off))
	}
	if b[2*g.size+4]&flagUncommon == 0 || uint64(len(b)) < size+16 {
		return
	}
	start := addr + size + uint64(binary.LittleEndian.Uint32(b[size+8:]))
	end := start + 16*uint64(binary.LittleEndian.Uint16(b[size+4:]))
	table := g.a.methods
	k := sort.Search(len(table), func(k int) bool { return table[k].addr >= start })
	for ; k < len(table) && table[k].addr < end; k++ {
		g.relax(int32(table[k].fn), node, dist+costData)
	}
}
