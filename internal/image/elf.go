package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"sort"

	"github.com/sysgate/sysgate/abi"
)

// A RefusedError says why a file cannot be analysed, and what would help.
type RefusedError struct {
	Path   string
	Reason string
	Hint   string
}

// Error returns the path and the reason.
func (e *RefusedError) Error() string { return e.Path + ": " + e.Reason }

// A Segment is one PT_LOAD program header.
type Segment struct {
	Addr, MemSize uint64
	Data          []byte // what the file holds; the rest up to MemSize is zero
	Exec, Write   bool
}

// A File is an ELF executable mapped for reading.
type File struct {
	Path  string
	ABI   abi.ABI // AMD64, I386, ARM64, ARM or RISCV64
	Entry uint64
	// Loader is the path of the dynamic loader that a position-independent
	// program names, which runs first in its process; "" for the others.
	Loader string
	// Segments are the loaded parts, ascending by address, not overlapping.
	Segments []Segment
	// Headers are the address ranges of the ELF, program and section headers and
	// the notes, which share an executable segment with the code but are none.
	Headers []Range

	word   uint64 // size of an address
	pltGOT uint64 // what a position-independent program's PLT jumps through
	unwind uint64 // address of the sorted table of unwind data, if there is one
	relro  Range  // writable for the dynamic loader alone
	data   []byte
	unmap  func() error
	file   *os.File
}

// A Range is the addresses from Start up to, not including, End.
type Range struct{ Start, End uint64 }

const (
	maxPhdrs = 512 // the linker writes 6 to 12
	// MaxSpan bounds the distance between the first and the last byte of a
	// program: references are kept as 30-bit offsets.
	MaxSpan = 1 << 30
)

// Open maps the executable at path. It establishes that the file is a complete
// executable for amd64, 386, arm64, arm or riscv64 that needs no library: static with a fixed load
// address, or on amd64 position-independent and then relocated to the addresses
// it was linked for. Any other file is a *RefusedError. Close it after use; a
// file that shrinks meanwhile faults.
func Open(path string) (*File, error) { return open(path, false) }

// OpenLoader is Open for a dynamic loader: position-independent, without one of
// its own. Its data is as in the file, not relocated.
func OpenLoader(path string) (*File, error) { return open(path, true) }

func open(path string, loader bool) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, unmap, err := mapFile(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	im, err := parse(path, data, loader)
	if err != nil {
		unmap()
		f.Close()
		return nil, err
	}
	im.unmap, im.file = unmap, f
	return im, nil
}

// Parse is Open for bytes in memory; path only names them in errors.
func Parse(path string, data []byte) (*File, error) { return parse(path, data, false) }

// Close unmaps the file. Nothing that refers to its bytes may be used after.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	err := f.unmap()
	if e := f.file.Close(); err == nil {
		err = e
	}
	f.unmap, f.file, f.data, f.Segments = nil, nil, nil, nil
	return err
}

// Size returns the length of the file in bytes.
func (f *File) Size() int64 { return int64(len(f.data)) }

// Contents returns the whole file.
func (f *File) Contents() []byte { return f.data }

func parse(path string, data []byte, loader bool) (*File, error) {
	refuse := func(hint, format string, args ...any) error {
		return &RefusedError{Path: path, Reason: fmt.Sprintf(format, args...), Hint: hint}
	}
	machine, refused := identify(data)
	if refused != nil {
		refused.Path = path
		return nil, refused
	}
	e := layouts[machine]
	le := binary.LittleEndian
	typ := elf.Type(le.Uint16(data[16:]))
	switch {
	case typ == elf.ET_DYN && machine != abi.AMD64:
		return nil, refuse(hintStatic, "a position-independent executable or shared library for %v, which is not supported yet", machine)
	case typ == elf.ET_EXEC && !loader, typ == elf.ET_DYN:
	default:
		return nil, refuse("", "not an executable: ELF type %v", typ)
	}
	f := &File{Path: path, ABI: machine, Entry: e.word(data, 24), data: data, word: uint64(e.size)}
	phoff, phsize, phnum := e.word(data, 24+e.size), int(le.Uint16(data[e.ehdr-10:])), int(le.Uint16(data[e.ehdr-8:]))
	if phsize != e.phdr || phnum == 0 || phnum > maxPhdrs {
		return nil, refuse("", "malformed ELF: %d program headers of %d bytes", phnum, phsize)
	}
	if phoff > uint64(len(data)) || uint64(len(data))-phoff < uint64(phnum*e.phdr) {
		return nil, refuse(hintTruncated, "truncated: the program headers lie past the end of the file")
	}
	headers := []Range{{0, uint64(e.ehdr)}, {phoff, phoff + uint64(phnum*e.phdr)}}
	if shoff, shnum := e.word(data, 24+2*e.size), uint64(le.Uint16(data[e.ehdr-4:])); shoff < uint64(len(data)) {
		headers = append(headers, Range{shoff, shoff + shnum*uint64(e.shdr)})
	}
	var offsets []uint64
	var dyn *dynamic
	var relro Range
	for i := range phnum {
		p := data[phoff+uint64(i*e.phdr):][:e.phdr]
		flags := elf.ProgFlag(le.Uint32(p[e.flags:]))
		off, addr, filesz, memsz := e.word(p, e.size), e.word(p, 2*e.size), e.word(p, 4*e.size), e.word(p, 5*e.size)
		if off > uint64(len(data)) || filesz > uint64(len(data))-off {
			return nil, refuse(hintTruncated, "truncated: a segment ends at offset %d of a file of %d bytes", off+filesz, len(data))
		}
		switch elf.ProgType(le.Uint32(p)) {
		case elf.PT_INTERP:
			f.Loader = cstring(data[off:off+filesz], 0)
			headers = append(headers, Range{off, off + filesz})
		case elf.PT_DYNAMIC:
			d := parseDynamic(data[off : off+filesz])
			dyn = &d
		case elf.PT_GNU_RELRO:
			relro = Range{addr, addr + memsz}
		case elf.PT_GNU_EH_FRAME:
			f.unwind = addr
		case elf.PT_NOTE:
			headers = append(headers, Range{off, notesEnd(data, off+filesz)})
		case elf.PT_LOAD:
			if memsz < filesz || addr+memsz < addr || addr+memsz > e.space {
				return nil, refuse("", "malformed ELF: a segment of %#x bytes at %#x", memsz, addr)
			}
			if memsz == 0 {
				continue
			}
			if flags&elf.PF_X != 0 && flags&elf.PF_W != 0 {
				return nil, refuse("", "has a segment that is both writable and executable (packed, or self-modifying)")
			}
			f.Segments = append(f.Segments, Segment{
				Addr: addr, MemSize: memsz, Data: data[off : off+filesz : off+filesz],
				Exec: flags&elf.PF_X != 0, Write: flags&elf.PF_W != 0,
			})
			offsets = append(offsets, off)
		}
	}
	switch {
	case typ == elf.ET_EXEC && f.Loader != "", dyn != nil && dyn.needed:
		return nil, refuse(hintStatic, "dynamically linked (cgo or C), which is not supported yet: libraries make system calls of their own")
	case typ == elf.ET_EXEC && dyn != nil:
		return nil, refuse(hintStatic, "has dynamic relocations at a fixed address, which are not supported yet")
	case typ == elf.ET_DYN && !loader && f.Loader == "":
		return nil, refuse(hintStatic, "a shared library or a static position-independent executable, which is not supported yet")
	case typ == elf.ET_DYN && dyn == nil || loader && f.Loader != "":
		return nil, refuse("", "malformed ELF: no dynamic section, or a loader that names another")
	}
	f.Headers = headerAddrs(headers, f.Segments, offsets)
	sort.Slice(f.Segments, func(i, j int) bool { return f.Segments[i].Addr < f.Segments[j].Addr })
	if len(f.Segments) == 0 {
		return nil, refuse("", "malformed ELF: no loadable segment")
	}
	for i := 1; i < len(f.Segments); i++ {
		if p := f.Segments[i-1]; p.Addr+p.MemSize > f.Segments[i].Addr {
			return nil, refuse("", "malformed ELF: overlapping segments at %#x", f.Segments[i].Addr)
		}
	}
	if base, end := f.Span(); end-base > MaxSpan {
		return nil, refuse("", "too large: %d bytes of address space, at most %d are supported", end-base, MaxSpan)
	}
	if dyn != nil && !loader {
		f.pltGOT = dyn.pltGOT
		if err := f.relocate(dyn); err != nil {
			return nil, refuse(hintStatic, "%v", err)
		}
		// The loader protects whole pages, once it has relocated them.
		f.relro = Range{relro.Start, relro.End &^ 4095}
	}
	return f, nil
}

const (
	hintStatic    = "build it with CGO_ENABLED=0 and -buildmode=exe, or write its policy by hand: strace -f -c shows what a run calls"
	hintTruncated = "copy or build the file again"
)

// A layout is where the fields of an ELF file of one class are.
type layout struct {
	size             int    // of addresses and offsets, which start at multiples of it
	ehdr, phdr, shdr int    // sizes of the headers
	flags            int    // offset in a program header
	space            uint64 // addresses lie below
}

// layouts are those of the machines whose programs are read.
var layouts = map[abi.ABI]layout{
	abi.AMD64: {8, 64, 56, 64, 4, 1 << 47},
	abi.I386:  {4, 52, 32, 40, 24, 1 << 32},
	abi.ARM64: {8, 64, 56, 64, 4, 1 << 48},
	abi.ARM:   {4, 52, 32, 40, 24, 1 << 32},

	abi.RISCV64: {8, 64, 56, 64, 4, 1 << 56},
}

// word reads the address or offset at off.
func (e *layout) word(b []byte, off int) uint64 {
	if e.size == 4 {
		return uint64(binary.LittleEndian.Uint32(b[off:]))
	}
	return binary.LittleEndian.Uint64(b[off:])
}

// identify tells the kinds of files apart by their first bytes.
func identify(data []byte) (abi.ABI, *RefusedError) {
	const none = abi.ABI(0)
	switch {
	case bytes.HasPrefix(data, []byte("#!")):
		line, _, _ := bytes.Cut(data[2:min(len(data), 200)], []byte("\n"))
		return none, &RefusedError{Reason: "a script, not an ELF executable", Hint: fmt.Sprintf("its interpreter is %q", bytes.TrimSpace(line))}
	case bytes.HasPrefix(data, []byte("MZ")):
		return none, &RefusedError{Reason: "a Windows program, not an ELF executable", Hint: "build it with GOOS=linux"}
	case bytes.HasPrefix(data, []byte("\xcf\xfa\xed\xfe")), bytes.HasPrefix(data, []byte("\xca\xfe\xba\xbe")):
		return none, &RefusedError{Reason: "a macOS program, not an ELF executable", Hint: "build it with GOOS=linux"}
	case !bytes.HasPrefix(data, []byte(elf.ELFMAG)):
		return none, &RefusedError{Reason: "not an ELF executable"}
	case len(data) < layouts[abi.AMD64].ehdr:
		return none, &RefusedError{Reason: "truncated: shorter than an ELF header", Hint: hintTruncated}
	}
	big := elf.Data(data[elf.EI_DATA]) == elf.ELFDATA2MSB
	machine := elf.Machine(binary.LittleEndian.Uint16(data[18:]))
	if big {
		machine = elf.Machine(binary.BigEndian.Uint16(data[18:]))
	}
	class := elf.Class(data[elf.EI_CLASS])
	switch {
	case machine == elf.EM_X86_64 && class == elf.ELFCLASS64 && !big:
		return abi.AMD64, nil
	case machine == elf.EM_386 && class == elf.ELFCLASS32 && !big:
		return abi.I386, nil
	case machine == elf.EM_AARCH64 && class == elf.ELFCLASS64 && !big:
		return abi.ARM64, nil
	case machine == elf.EM_ARM && class == elf.ELFCLASS32 && !big:
		return abi.ARM, nil
	case machine == elf.EM_RISCV && class == elf.ELFCLASS64 && !big:
		return abi.RISCV64, nil
	}
	return none, &RefusedError{
		Reason: fmt.Sprintf("a program for %v (%v), of which the static profile is not supported yet", machine, class),
		Hint:   "only linux/amd64, 386, arm64, arm and riscv64 are: build it with GOARCH=amd64",
	}
}

// notesEnd steps over the notes at off: the Go linker's PT_NOTE covers only the
// first of them.
func notesEnd(data []byte, off uint64) uint64 {
	le := binary.LittleEndian
	for off+16 <= uint64(len(data)) {
		note := data[off:]
		name, desc := le.Uint32(note), le.Uint32(note[4:])
		if owner := note[12:16]; name != 4 || desc > 256 || string(owner) != "GNU\x00" && string(owner) != "Go\x00\x00" {
			break
		}
		off += 16 + uint64(desc+3)&^3
	}
	return min(off, uint64(len(data)))
}

// headerAddrs translates file ranges into the addresses they are loaded at.
func headerAddrs(files []Range, segments []Segment, offsets []uint64) []Range {
	var out []Range
	for i, s := range segments {
		for _, r := range files {
			start, end := max(r.Start, offsets[i]), min(r.End, offsets[i]+uint64(len(s.Data)))
			if start < end {
				out = append(out, Range{s.Addr + start - offsets[i], s.Addr + end - offsets[i]})
			}
		}
	}
	return out
}

// Span returns the first address of the program and the one after its last.
func (f *File) Span() (base, end uint64) {
	last := f.Segments[len(f.Segments)-1]
	return f.Segments[0].Addr, last.Addr + last.MemSize
}

// Segment returns the segment that holds addr, or nil.
func (f *File) Segment(addr uint64) *Segment {
	for i := range f.Segments {
		if s := &f.Segments[i]; addr-s.Addr < s.MemSize {
			return s
		}
	}
	return nil
}

// Writable reports that the program can write to addr.
func (f *File) Writable(addr uint64) bool {
	s := f.Segment(addr)
	return s != nil && s.Write && (addr < f.relro.Start || addr >= f.relro.End)
}

// Bytes returns the bytes from addr to the end of what the file holds of its
// segment; nil if the file holds none there.
func (f *File) Bytes(addr uint64) []byte {
	s := f.Segment(addr)
	if s == nil || addr-s.Addr >= uint64(len(s.Data)) {
		return nil
	}
	return s.Data[addr-s.Addr:]
}

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
// the program's machine does.
func (f *File) Decode(code []byte, addr uint64) Inst {
	if m := machineRISC(f.ABI); m != nil {
		return m.decode(code, addr)
	}
	return decodeX86(code, addr, f.ABI == abi.I386)
}

// Sweep returns a [Sweep] over code of the program that lies at addr.
func (f *File) Sweep(code []byte, addr uint64) *Sweep {
	base, end := f.Span()
	switch f.ABI {
	case abi.ARM64:
		return NewSweepARM64(code, addr)
	case abi.ARM:
		return NewSweepARM(code, addr, Range{base, end})
	case abi.RISCV64:
		return NewSweepRISCV64(code, addr)
	case abi.I386:
		return NewSweep386(code, addr, Range{base, end})
	}
	return NewSweep(code, addr)
}
