package image

import (
	"encoding/binary"
	"errors"
	"sort"

	"github.com/sysgate/sysgate/abi"
)

// A Segment is one PT_LOAD program header.
type Segment struct {
	Addr, MemSize uint64
	Data          []byte // what the file holds; the rest up to MemSize is zero
	Exec, Write   bool
}

// A Range is the addresses from Start up to, not including, End.
type Range struct{ Start, End uint64 }

// Holds reports that addr is one of them.
func (r Range) Holds(addr uint64) bool { return addr >= r.Start && addr < r.End }

// A File is the address space of a program: the executable, and where [Load]
// made it the dynamic loader and the libraries behind it, mapped for reading.
type File struct {
	Path  string  // of the executable
	ABI   abi.ABI // AMD64, I386, ARM64, ARM or RISCV64
	Entry uint64  // of the executable
	// Loader is the path of the dynamic loader that the executable names, which
	// runs first in its process; "" for the others.
	Loader string
	// Segments are the loaded parts, ascending by address, not overlapping.
	Segments []Segment
	// Headers are the address ranges of the ELF, program and section headers, the
	// notes, the dynamic symbols and the relocations, which share segments with the
	// code and the data but are none.
	Headers []Range

	word   uint64  // size of an address
	global uint64  // what the global pointer of riscv64 holds; 0: not known
	relro  []Range // writable for the dynamic loader alone
	data   []byte
	close  []func() error
	placed []*Module // ascending by address
	slots  []slot    // the same
	scope  *scope
}

// Close unmaps all files. Nothing that refers to their bytes may be used after.
func (f *File) Close() error {
	var errs []error
	for _, c := range f.close {
		errs = append(errs, c())
	}
	*f = File{}
	return errors.Join(errs...)
}

// Size returns the length of the executable in bytes.
func (f *File) Size() int64 { return int64(len(f.data)) }

// Contents returns the whole executable, as it is on disk.
func (f *File) Contents() []byte { return f.data }

// Span returns the first address of the program and the one after its last.
func (f *File) Span() (base, end uint64) {
	last := f.Segments[len(f.Segments)-1]
	return f.Segments[0].Addr, last.Addr + last.MemSize
}

// Segment returns the segment that holds addr, or nil.
func (f *File) Segment(addr uint64) *Segment { return segmentAt(f.Segments, addr) }

func segmentAt(segments []Segment, addr uint64) *Segment {
	if len(segments) > 8 {
		i := sort.Search(len(segments), func(i int) bool { return segments[i].Addr > addr })
		segments = segments[max(i-1, 0):i]
	}
	for i := range segments {
		if s := &segments[i]; addr-s.Addr < s.MemSize {
			return s
		}
	}
	return nil
}

func bytesAt(segments []Segment, addr uint64) []byte {
	s := segmentAt(segments, addr)
	if s == nil || addr-s.Addr >= uint64(len(s.Data)) {
		return nil
	}
	return s.Data[addr-s.Addr:]
}

// Writable reports that the program can write to addr. The slots that only the
// dynamic loader writes ([File.Slot]) are, unless it protects them.
func (f *File) Writable(addr uint64) bool {
	s := f.Segment(addr)
	if s == nil || !s.Write {
		return false
	}
	i := sort.Search(len(f.relro), func(i int) bool { return f.relro[i].End > addr })
	return i == len(f.relro) || addr < f.relro[i].Start
}

// Bytes returns the bytes from addr to the end of what the file holds of its
// segment; nil if the file holds none there.
func (f *File) Bytes(addr uint64) []byte { return bytesAt(f.Segments, addr) }

// WordSize returns the size of an address in bytes: 8 or 4.
func (f *File) WordSize() uint64 { return f.word }

// Word returns the word at addr, an address's size wide, as it is when the
// program starts: zero in the part of a segment that the file does not hold. It
// reports false for addresses outside the program.
func (f *File) Word(addr uint64) (uint64, bool) {
	s := f.Segment(addr)
	if s == nil || s.MemSize-(addr-s.Addr) < f.word {
		return 0, false
	}
	if d := f.Bytes(addr); uint64(len(d)) >= f.word {
		return f.ReadWord(d), true
	} else {
		var b [8]byte
		copy(b[:], d)
		return f.ReadWord(b[:]), true
	}
}

// ReadWord returns the word that b starts with.
func (f *File) ReadWord(b []byte) uint64 {
	if f.word == 4 {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// Decode decodes the instruction at the start of code, which lies at addr, as
// the program's machine does. What code of riscv64 names by the global pointer is
// at a constant address.
func (f *File) Decode(code []byte, addr uint64) (in Inst) {
	f.DecodeTo(&in, code, addr)
	return in
}

// DecodeTo is Decode for loops: it builds the instruction where it stays, in, since
// it is copies that would take the time.
func (f *File) DecodeTo(in *Inst, code []byte, addr uint64) {
	switch f.ABI {
	case abi.ARM:
		*in = f.decodeARM(code, addr)
	case abi.ARM64, abi.RISCV64:
		*in = machineRISC(f.ABI).decode(code, addr)
		in.global(f.global)
	case abi.I386:
		decodeX86(in, code, addr, true)
		f.place(in)
	default:
		decodeX86(in, code, addr, false)
	}
}

// Sweep returns a [Sweep] over code of the program that lies at addr.
func (f *File) Sweep(code []byte, addr uint64) *Sweep {
	base, end := f.Span()
	switch f.ABI {
	case abi.ARM64:
		return NewSweepARM64(code, addr)
	case abi.ARM:
		if m := f.ModuleAt(addr); m != nil && m.arm.holds(addr) {
			return &Sweep{code: code, addr: addr, arm: f}
		}
		return NewSweepARM(code, addr, Range{base, end})
	case abi.RISCV64:
		s := NewSweepRISCV64(code, addr)
		s.global = f.global
		return s
	case abi.I386:
		return NewSweep386(code, addr, Range{base, end})
	}
	return NewSweep(code, addr)
}
