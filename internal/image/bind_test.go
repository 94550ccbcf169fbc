package image

import (
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// relocated returns a module with a table of one relocation and two words of
// data, and what is to be done to it.
func relocated(typ elf.R_X86_64, addr, sym, addend uint64) *loading {
	const table, symbols, data = 0x1000, 0x2000, 0x3000
	e := layouts[abi.AMD64]
	rela := make([]byte, 24)
	binary.LittleEndian.PutUint64(rela, addr)
	binary.LittleEndian.PutUint64(rela[8:], sym<<32|uint64(typ))
	binary.LittleEndian.PutUint64(rela[16:], addend)
	hash := make([]byte, 8)
	binary.LittleEndian.PutUint32(hash[4:], 4)
	// None, one that is defined, a function that chooses one, one that is not.
	syms := make([]byte, 4*e.symSize+len(hash))
	define := func(i int, typ elf.SymType, value uint64) {
		b := syms[i*e.symSize:]
		b[4] = byte(elf.STB_GLOBAL)<<4 | byte(typ)
		binary.LittleEndian.PutUint32(b, uint32(i))
		if value != 0 {
			binary.LittleEndian.PutUint16(b[6:], 1)
		}
		binary.LittleEndian.PutUint64(b[8:], value)
	}
	define(1, elf.STT_OBJECT, 0x3008)
	define(2, elf.STT_GNU_IFUNC, 0x808)
	define(3, elf.STT_FUNC, 0)
	copy(syms[4*e.symSize:], hash)
	o := &object{
		layout: e, machine: abi.AMD64, typ: elf.ET_DYN, align: 1,
		dynamic: &dynamic{
			rela: table, relaSize: 24, symbols: symbols, hash: symbols + 4*24,
			strings: 0x900, stringsSize: 5, pltGOT: 0x3000,
		},
		segments: []Segment{
			{Addr: 0x800, MemSize: 16, Data: make([]byte, 16), Exec: true},
			{Addr: 0x900, MemSize: 5, Data: []byte("\x00abc\x00")},
			{Addr: table, MemSize: 24, Data: rela},
			{Addr: symbols, MemSize: uint64(len(syms)), Data: syms},
			{Addr: data, MemSize: 32, Data: make([]byte, 16), Write: true},
		},
	}
	l := &loading{space: &File{}}
	l.modules = []*Module{newModule(o, 0, l.space)}
	if err := l.place(); err != nil {
		panic(err)
	}
	return l
}

// TestBind checks each type of relocation, and that the file stays as it is.
func TestBind(t *testing.T) {
	for _, tt := range []struct {
		name              string
		typ               elf.R_X86_64
		addr, sym, addend uint64
		want              uint64
		err               string
	}{
		{"relative", elf.R_X86_64_RELATIVE, 0x3000, 0, 0x3008, 0x3008, ""},
		{"symbol", elf.R_X86_64_64, 0x3000, 1, 4, 0x300c, ""},
		{"global", elf.R_X86_64_GLOB_DAT, 0x3000, 1, 4, 0x3008, ""},
		{"slot", elf.R_X86_64_JMP_SLOT, 0x3000, 1, 4, 0x3008, ""},
		{"none", elf.R_X86_64_NONE, 0x3000, 0, 9, 0, ""},
		{"thread-local", elf.R_X86_64_TPOFF64, 0x3000, 0, 9, 0, ""},
		{"undefined", elf.R_X86_64_64, 0x3000, 3, 4, 0, ""},
		{"no symbol", elf.R_X86_64_64, 0x3000, 7, 4, 0, "names symbol 7 of 4"},
		{"computed", elf.R_X86_64_IRELATIVE, 0x3000, 0, 0x800, 0x800, ""},
		{"chosen", elf.R_X86_64_JMP_SLOT, 0x3000, 2, 0, 0x808, ""},
		{"relative to code", elf.R_X86_64_PC32, 0x3000, 1, 0, 0, "type 2"},
		{"in code", elf.R_X86_64_RELATIVE, 0x800, 0, 0x3008, 0, "no data"},
		{"nowhere", elf.R_X86_64_RELATIVE, 0x5000, 0, 0x3008, 0, "no data"},
		{"across the end", elf.R_X86_64_RELATIVE, 0x300c, 0, 0x3008, 0, "no data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := relocated(tt.typ, tt.addr, tt.sym, tt.addend)
			before := l.space.Segments[4].Data
			err := l.bind()
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if w, _ := l.space.Word(0x3000); w != tt.want {
				t.Errorf("the word is %#x, want %#x", w, tt.want)
			}
			if binary.LittleEndian.Uint64(before) != 0 {
				t.Error("the file's bytes were changed")
			}
			s, isSlot := l.space.Slot(0x3000)
			switch tt.typ {
			case elf.R_X86_64_GLOB_DAT, elf.R_X86_64_JMP_SLOT, elf.R_X86_64_IRELATIVE:
				if !isSlot || s.Target != tt.want || s.Resolver != (tt.name == "computed" || tt.name == "chosen") {
					t.Errorf("the slot is %+v, %v", s, isSlot)
				}
			default:
				if isSlot {
					t.Errorf("a slot: %+v", s)
				}
			}
			if tt.name == "undefined" != (len(l.modules[0].Undefined) == 1) {
				t.Errorf("undefined: %v", l.modules[0].Undefined)
			}
		})
	}
	for _, d := range []dynamic{
		{relaSize: 24, rela: 0x1000, relaEntry: 16},
		{relrSize: 8, relr: 0x9000},
		{rela: 0x1000, relaSize: 48},
		{rela: 0x9000, relaSize: 24},
	} {
		l := relocated(elf.R_X86_64_RELATIVE, 0x3000, 0, 0)
		l.modules[0].object.dynamic = &d
		if err := l.bind(); err == nil {
			t.Errorf("%+v is accepted", d)
		}
	}
}

// TestPacked checks that packed relocations reach the words that their bits stand
// for.
func TestPacked(t *testing.T) {
	o := &object{layout: layouts[abi.AMD64], machine: abi.AMD64}
	var b []byte
	for _, w := range []uint64{0x1000, 1 | 1<<1 | 1<<3 | 1<<63, 1 | 1<<1, 0x4000} {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	var got []uint64
	o.packed(b, func(r relocation) bool { got = append(got, r.addr); return true })
	want := []uint64{0x1000, 0x1008, 0x1018, 0x1008 + 62*8, 0x1008 + 63*8, 0x4000}
	if len(got) != len(want) {
		t.Fatalf("%#x, want %#x", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%#x, want %#x", got, want)
		}
	}
}
