package image

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// argsUnknown is the argument size of assembly functions that state none.
const argsUnknown = -0x80000000

// field returns the 32-bit field at offset at of the record of function i,
// counted as in the form of Go 1.18; the legacy record starts with an address
// instead of a 4-byte offset.
func (p *Program) field(i int, at uint32) uint32 {
	if p.legacy {
		at += uint32(p.word) - 4
	}
	return binary.LittleEndian.Uint32(p.pcln[p.Funcs[i].record+at:])
}

// Name returns the name of function i as the linker knows it. ABI adapters
// share the name of the function they lead to. Functions that are not Go are
// called by their symbols, those of libraries after the library: "main",
// "libc.so.6:read"; stubs "write@plt"; without a symbol after the file and the
// address in it: "libc.so.6+0x26a90". No name has blanks in it.
func (p *Program) Name(i int) string { return string(p.NameBytes(i)) }

// NameBytes is Name without a copy where it is Go's: valid until the file is
// closed.
func (p *Program) NameBytes(i int) []byte {
	if !p.IsGo(i) {
		return []byte(p.foreignName(i))
	}
	return cbytes(p.names, uint64(p.field(i, 4)))
}

// ArgsSize returns the size in bytes of the arguments and results of function
// i on its caller's stack; ok is false where it is not stated.
func (p *Program) ArgsSize(i int) (size int32, ok bool) {
	if !p.IsGo(i) {
		return 0, false
	}
	n := int32(p.field(i, 8))
	return n, n != argsUnknown
}

// DeferReturn returns the address in function i at which it goes on when one of
// its deferred functions has recovered from a panic; ok is false if it defers
// nothing.
func (p *Program) DeferReturn(i int) (addr uint64, ok bool) {
	if !p.IsGo(i) {
		return 0, false
	}
	off := uint64(p.field(i, 12))
	f := p.Funcs[i]
	return p.Text + uint64(f.Entry) + off, off != 0 && off < uint64(f.End-f.Entry)
}

// WritesSP reports that function i sets the stack pointer in ways that its
// stack table does not follow, or that there is none. Go says so since 1.17, but
// for arm not of instructions that store or load several registers.
func (p *Program) WritesSP(i int) bool {
	switch {
	case !p.IsGo(i):
		return !p.unwound(i)
	case p.Build.Minor >= 17 && p.flag(i)&2 != 0, p.FromObject(i):
		return true
	}
	return (p.Build.Minor < 17 || p.ABI == abi.ARM) && p.IsAsm(i) && !p.followsSP(i)
}

// FromObject reports that function i is in Go's table, but not Go's: Go's own linker
// took it from an object of a C compiler, such as the race detector, of which it knows
// no stack depths, files and lines.
func (p *Program) FromObject(i int) bool {
	return p.IsGo(i) && p.field(i, 16) == 0 && p.field(i, 20) == 0 && p.field(i, 24) == 0
}

// IsAsm reports that function i is assembly. Go says so since 1.18.
func (p *Program) IsAsm(i int) bool {
	if !p.IsGo(i) || p.Build.Minor >= 18 {
		return !p.IsGo(i) || p.flag(i)&4 != 0
	}
	file, _ := p.Line(i, p.Text+uint64(p.Funcs[i].Entry))
	return file == "" || strings.HasSuffix(file, ".s")
}

func (p *Program) flag(i int) byte { return p.pcln[int(p.Funcs[i].record)+p.idAt+1] }

// A Depth says that up to, not including, the address End the stack pointer is
// Depth bytes below its value at the function's entry. Only in functions that
// are not Go may that be Unknown, where frames are found by a register Base
// instead, which is BaseDepth bytes below it; Base is [RegNone] where not even
// that is known. The parts that compilers split off of a function (name.cold)
// start with a depth of their own.
type Depth struct {
	End       uint64
	Depth     int64
	Unknown   bool
	Base      Reg
	BaseDepth int64
}

// Depths returns the stack depth over the range of function i; nil if there is
// no table or it is damaged.
func (p *Program) Depths(i int) []Depth {
	if !p.IsGo(i) {
		return p.unwindDepths(i)
	}
	if p.FromObject(i) {
		return nil
	}
	var out []Depth
	f := p.Funcs[i]
	p.values(p.field(i, 16), func(end uint64, value int32) bool {
		out = append(out, Depth{End: p.Text + uint64(f.Entry) + end, Depth: int64(value), Base: RegNone})
		return end < uint64(f.End-f.Entry)
	})
	return out
}

// Line returns the source position of addr in function i, that of the
// innermost inlined call; empty if unknown.
func (p *Program) Line(i int, addr uint64) (file string, line int) {
	if !p.IsGo(i) {
		return "", 0
	}
	n, ok := p.valueAt(i, 20, addr)
	l, ok2 := p.valueAt(i, 24, addr)
	if !ok || !ok2 {
		return "", 0
	}
	at := 4 * (uint64(p.field(i, 32)) + uint64(uint32(n)))
	if at+4 > uint64(len(p.cus)) {
		return "", 0
	}
	return cstring(p.files, uint64(binary.LittleEndian.Uint32(p.cus[at:]))), int(l)
}

// valueAt reads the table whose offset is in the given field at addr.
func (p *Program) valueAt(i int, field uint32, addr uint64) (value int32, ok bool) {
	return p.valueAtTable(i, p.field(i, field), addr)
}

func (p *Program) valueAtTable(i int, table uint32, addr uint64) (value int32, ok bool) {
	off := addr - p.Text - uint64(p.Funcs[i].Entry)
	p.values(table, func(end uint64, v int32) bool {
		if off < end {
			value, ok = v, true
		}
		return !ok
	})
	return value, ok
}

// values decodes a table of pctab: pairs of a zig-zag value delta and a pc
// delta, from value -1, ended by a zero value delta after the first pair.
func (p *Program) values(table uint32, yield func(end uint64, value int32) bool) {
	if table == 0 || uint64(table) >= uint64(len(p.pctab)) {
		return
	}
	b := p.pctab[table:]
	value, pc := int32(-1), uint64(0)
	for first := true; ; first = false {
		u, n := binary.Uvarint(b)
		if n <= 0 || u == 0 && !first {
			return
		}
		d, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return
		}
		b = b[n+m:]
		value += int32(uint32(u)>>1) ^ -int32(u&1)
		pc += d * p.quantum
		if !yield(pc, value) {
			return
		}
	}
}

func cstring(b []byte, at uint64) string { return string(cbytes(b, at)) }

func cbytes(b []byte, at uint64) []byte {
	if at >= uint64(len(b)) {
		return nil
	}
	b = b[at:][:min(uint64(len(b))-at, 4096)]
	if n := bytes.IndexByte(b, 0); n >= 0 {
		b = b[:n]
	}
	return b
}

// Names yields the names in the function table: of all functions, and of those
// that exist only inlined into others. The bytes are valid until the file is
// closed.
func (p *Program) Names(yield func(name []byte) bool) {
	for rest := p.names; len(rest) > 0; {
		name, more, _ := bytes.Cut(rest, []byte{0})
		if len(name) > 0 && !yield(name) {
			return
		}
		rest = more
	}
}
