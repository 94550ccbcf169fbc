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
		for at := addr + 24; ; at += 8 {
			fn, ok := g.entryAt(at)
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
	for at := (addr + 7) &^ 7; at+8 <= end && g.scanned < maxScanned; at += 8 {
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

// isItab recognises an interface table: interface type, type, hash, methods.
func (g *graph) isItab(addr uint64) (typ uint64, ok bool) {
	inter, _ := g.a.prog.Word(addr)
	typ, _ = g.a.prog.Word(addr + 8)
	if !g.inTypes(inter) || !g.inTypes(typ) {
		return 0, false
	}
	_, ok = g.entryAt(addr + 24)
	return typ, ok
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
	kindArray     = 17
	kindChan      = 18
	kindFunc      = 19
	kindInterface = 20
	kindMap       = 21
	kindPointer   = 22
	kindSlice     = 23
	kindStruct    = 25
	kindMask      = 31
	flagUncommon  = 1
	typeSize      = 48 // of abi.Type: flags at byte 20, kind at 23, the pointer type at 44
)

// descriptor relaxes the methods of the type at addr and its element and
// pointer types, which reflection can reach. What follows abi.Type depends on
// the kind; behind it lies abi.UncommonType.
func (g *graph) descriptor(node int32, dist uint32, addr uint64, to func(uint64)) {
	b := g.a.prog.Bytes(addr)
	if len(b) < typeSize {
		return
	}
	word := func(off int) uint64 { w, _ := g.a.prog.Word(addr + uint64(off)); return w }
	follow := func(typ uint64) {
		if g.inTypes(typ) {
			to(typ)
		}
	}
	size := typeSize
	switch b[23] & kindMask {
	case kindArray:
		size = 72
		follow(word(typeSize))
	case kindChan:
		size = 64
		follow(word(typeSize))
	case kindFunc:
		size = 56
	case kindPointer, kindSlice:
		size = 56
		follow(word(typeSize))
	case kindInterface:
		size = 80
	case kindMap:
		size = 88
		if g.a.prog.Build.Minor >= 24 {
			size = 104
		}
		follow(word(typeSize))
		follow(word(typeSize + 8))
	case kindStruct:
		size = 80
		fields, n := word(56), min(word(64), maxFields)
		for i := range n {
			typ, _ := g.a.prog.Word(fields + 24*i + 8)
			follow(typ)
		}
	}
	if off := binary.LittleEndian.Uint32(b[44:]); off != 0 {
		follow(g.a.prog.Types.Start + uint64(off))
	}
	if b[20]&flagUncommon == 0 || len(b) < size+16 {
		return
	}
	start := addr + uint64(size) + uint64(binary.LittleEndian.Uint32(b[size+8:]))
	end := start + 16*uint64(binary.LittleEndian.Uint16(b[size+4:]))
	table := g.a.methods
	k := sort.Search(len(table), func(k int) bool { return table[k].addr >= start })
	for ; k < len(table) && table[k].addr < end; k++ {
		g.relax(int32(table[k].fn), node, dist+costData)
	}
}
