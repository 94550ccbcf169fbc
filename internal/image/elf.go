package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
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

const (
	maxPhdrs = 512 // the linker writes 6 to 12
	// MaxSpan bounds the distance between the first and the last byte of a
	// program: references are kept as 30-bit offsets.
	MaxSpan = 1 << 30
)

// An object is one ELF file as its program headers describe it, at the addresses
// that it was linked for.
type object struct {
	*layout
	path     string
	machine  abi.ABI
	typ      elf.Type
	data     []byte
	file     *os.File // nil: in memory alone
	entry    uint64
	interp   string // the path of the dynamic loader that it names
	segments []Segment
	offsets  []uint64 // of the segments in the file
	headers  []Range  // what is no code in executable segments: see [File.Headers]
	align    uint64   // that its segments ask for
	relro    Range    // writable for the dynamic loader alone
	unwind   uint64   // address of .eh_frame_hdr, if there is one
	dynamic  *dynamic // nil: none
	buildID  string   // hexadecimal
	sections Range    // section headers in the file, if they are all there
	threads  Range    // what each thread's variables start with, as linked
	exidx    Range    // the index of arm's unwind data, as linked
}

// parseObject reads the headers of an ELF file and checks that all of its
// segments are in the file.
func parseObject(path string, data []byte) (*object, error) {
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
	o := &object{layout: e, path: path, machine: machine, typ: elf.Type(le.Uint16(data[16:])), data: data, entry: e.word(data, 24), align: 1}
	if o.typ != elf.ET_EXEC && o.typ != elf.ET_DYN {
		return nil, refuse("", "not an executable: ELF type %v", o.typ)
	}
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
		if end := headers[2].End; int(le.Uint16(data[e.ehdr-6:])) == e.shdr && end <= uint64(len(data)) {
			o.sections = headers[2]
		}
	}
	for i := range phnum {
		p := data[phoff+uint64(i*e.phdr):][:e.phdr]
		flags := elf.ProgFlag(le.Uint32(p[e.flags:]))
		off, addr, filesz, memsz := e.word(p, e.size), e.word(p, 2*e.size), e.word(p, 4*e.size), e.word(p, 5*e.size)
		if off > uint64(len(data)) || filesz > uint64(len(data))-off {
			return nil, refuse(hintTruncated, "truncated: a segment ends at offset %d of a file of %d bytes", off+filesz, len(data))
		}
		content := data[off : off+filesz : off+filesz]
		switch elf.ProgType(le.Uint32(p)) {
		case elf.PT_INTERP:
			o.interp = cstring(content, 0)
			headers = append(headers, Range{off, off + filesz})
		case elf.PT_DYNAMIC:
			o.dynamic = e.parseDynamic(content)
		case elf.PT_GNU_RELRO:
			// The loader protects whole pages, once it has relocated them.
			o.relro = Range{addr, (addr + memsz) &^ 4095}
		case elf.PT_ARM_EXIDX:
			o.exidx = Range{addr, addr + filesz}
		case elf.PT_TLS:
			o.threads = Range{addr, addr + filesz}
		case elf.PT_GNU_EH_FRAME:
			o.unwind = addr
		case elf.PT_NOTE:
			headers = append(headers, Range{off, notesEnd(data, off+filesz)})
			if id := buildID(content); id != "" {
				o.buildID = id
			}
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
			o.segments = append(o.segments, Segment{
				Addr: addr, MemSize: memsz, Data: content,
				Exec: flags&elf.PF_X != 0, Write: flags&elf.PF_W != 0,
			})
			o.offsets = append(o.offsets, off)
			o.align = max(o.align, e.word(p, e.alignAt()))
		}
	}
	if len(o.segments) == 0 {
		return nil, refuse("", "malformed ELF: no loadable segment")
	}
	o.headers = headerAddrs(headers, o.segments, o.offsets)
	sort.Sort((*byAddr)(o))
	for i := 1; i < len(o.segments); i++ {
		if p := o.segments[i-1]; p.Addr+p.MemSize > o.segments[i].Addr {
			return nil, refuse("", "malformed ELF: overlapping segments at %#x", o.segments[i].Addr)
		}
	}
	if base, end := o.span(); end-base > MaxSpan {
		return nil, refuse("", "too large: %d bytes of address space, at most %d are supported", end-base, MaxSpan)
	}
	return o, nil
}

// byAddr sorts the segments of an object with their file offsets.
type byAddr object

func (o *byAddr) Len() int           { return len(o.segments) }
func (o *byAddr) Less(i, j int) bool { return o.segments[i].Addr < o.segments[j].Addr }
func (o *byAddr) Swap(i, j int) {
	o.segments[i], o.segments[j] = o.segments[j], o.segments[i]
	o.offsets[i], o.offsets[j] = o.offsets[j], o.offsets[i]
}

// span returns the first address of the object and the one after its last.
func (o *object) span() (base, end uint64) {
	last := o.segments[len(o.segments)-1]
	return o.segments[0].Addr, last.Addr + last.MemSize
}

// bytes returns what the file holds of the segment of addr from addr on.
func (o *object) bytes(addr uint64) []byte { return bytesAt(o.segments, addr) }

// section returns the contents and the header of the first section that ok
// accepts by its name and type. Sections are hints: they may be missing or lie.
func (o *object) section(ok func(name string, typ elf.SectionType) bool) (s section, found bool) {
	if o.sections.End == 0 {
		return section{}, false
	}
	n := int(o.sections.End-o.sections.Start) / o.shdr
	names, _ := o.sectionAt(int(binary.LittleEndian.Uint16(o.data[o.ehdr-2:])), n)
	for i := range n {
		if s, in := o.sectionAt(i, n); in && ok(cstring(names.data, uint64(s.name)), s.typ) {
			return s, true
		}
	}
	return section{}, false
}

// A section is one section of an object.
type section struct {
	name  uint32 // offset in the section of names
	typ   elf.SectionType
	flags elf.SectionFlag
	addr  uint64
	data  []byte
	link  int // the section of the strings that this one's refer to
}

func (o *object) sectionAt(i, n int) (section, bool) {
	if i < 0 || i >= n {
		return section{}, false
	}
	h := o.data[o.sections.Start+uint64(i*o.shdr):][:o.shdr]
	le := binary.LittleEndian
	s := section{name: le.Uint32(h), typ: elf.SectionType(le.Uint32(h[4:])), flags: elf.SectionFlag(o.word(h, 8)), addr: o.word(h, 8+o.size)}
	off, size := o.word(h, 8+2*o.size), o.word(h, 8+3*o.size)
	s.link = int(le.Uint32(h[8+4*o.size:]))
	if s.typ == elf.SHT_NOBITS || off > uint64(len(o.data)) || size > uint64(len(o.data))-off {
		return section{}, false
	}
	s.data = o.data[off : off+size]
	return s, true
}

// buildID finds the build ID in the contents of a PT_NOTE segment.
func buildID(notes []byte) string {
	const ntGNUBuildID = 3
	le := binary.LittleEndian
	for len(notes) >= 16 {
		name, desc, typ := uint64(le.Uint32(notes)), uint64(le.Uint32(notes[4:])), le.Uint32(notes[8:])
		start := 12 + (name+3)&^3
		if start+desc > uint64(len(notes)) {
			return ""
		}
		if typ == ntGNUBuildID && string(notes[12:16]) == "GNU\x00" && desc <= 64 {
			return hex.EncodeToString(notes[start : start+desc])
		}
		notes = notes[min(start+(desc+3)&^3, uint64(len(notes))):]
	}
	return ""
}

const (
	hintStatic    = "build it with -buildmode=exe or pie, or record what runs call: sysgate record -- COMMAND"
	hintTruncated = "copy or build the file again"
)

// A layout is where the fields of an ELF file of one class are.
type layout struct {
	size             int    // of addresses and offsets, which start at multiples of it
	ehdr, phdr, shdr int    // sizes of the headers
	symSize          int    // of a symbol
	flags            int    // offset in a program header
	space            uint64 // addresses lie below
}

// layouts are those of the machines whose programs are read.
var layouts = map[abi.ABI]*layout{
	abi.AMD64: {8, 64, 56, 64, 24, 4, 1 << 47},
	abi.I386:  {4, 52, 32, 40, 16, 24, 1 << 32},
	abi.ARM64: {8, 64, 56, 64, 24, 4, 1 << 48},
	abi.ARM:   {4, 52, 32, 40, 16, 24, 1 << 32},

	abi.RISCV64: {8, 64, 56, 64, 24, 4, 1 << 56},
}

// alignAt is where the alignment is in a program header, the last field of both.
func (e *layout) alignAt() int { return e.phdr - e.size }

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
	case len(data) == 0:
		return none, &RefusedError{Reason: "an empty file", Hint: hintTruncated}
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
