package image

import (
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"
)

// relocated returns a file with a table of one relocation and two words of data.
func relocated(typ elf.R_X86_64, addr, sym, addend uint64) (*File, *dynamic) {
	const table, symbols, data = 0x1000, 0x2000, 0x3000
	rela := make([]byte, relaSize)
	binary.LittleEndian.PutUint64(rela, addr)
	binary.LittleEndian.PutUint64(rela[8:], sym<<32|uint64(typ))
	binary.LittleEndian.PutUint64(rela[16:], addend)
	syms := make([]byte, 2*symSize) // none, one that is defined
	binary.LittleEndian.PutUint16(syms[symSize+6:], 1)
	binary.LittleEndian.PutUint64(syms[symSize+8:], 0x3008)
	f := &File{word: 8, Segments: []Segment{
		{Addr: 0x800, MemSize: 16, Data: make([]byte, 16), Exec: true},
		{Addr: table, MemSize: relaSize, Data: rela},
		{Addr: symbols, MemSize: 2 * symSize, Data: syms},
		{Addr: data, MemSize: 32, Data: make([]byte, 16), Write: true},
	}}
	return f, &dynamic{rela: table, relaSize: relaSize, relaEnt: relaSize, symbols: symbols, symbEnt: symSize}
}

// TestRelocate checks each type of relocation, and that the file stays as it is.
func TestRelocate(t *testing.T) {
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
		{"undefined", elf.R_X86_64_64, 0x3000, 0, 4, 0, "symbol of a library"},
		{"no symbol", elf.R_X86_64_64, 0x3000, 7, 4, 0, "symbol of a library"},
		{"computed", elf.R_X86_64_IRELATIVE, 0x3000, 0, 0x800, 0, "R_X86_64_IRELATIVE"},
		{"in code", elf.R_X86_64_RELATIVE, 0x800, 0, 0x3008, 0, "no data"},
		{"nowhere", elf.R_X86_64_RELATIVE, 0x5000, 0, 0x3008, 0, "no data"},
		{"across the end", elf.R_X86_64_RELATIVE, 0x300c, 0, 0x3008, 0, "no data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, d := relocated(tt.typ, tt.addr, tt.sym, tt.addend)
			before := f.Segments[3].Data
			err := f.relocate(d)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if w, _ := f.Word(0x3000); w != tt.want {
				t.Errorf("the word is %#x, want %#x", w, tt.want)
			}
			if binary.LittleEndian.Uint64(before) != 0 {
				t.Error("the file's bytes were changed")
			}
		})
	}
	for _, d := range []dynamic{
		{relaEnt: 16, symbEnt: symSize},
		{relaEnt: relaSize, symbEnt: symSize, other: true},
		{relaEnt: relaSize, symbEnt: symSize, relrSize: 8},
		{relaEnt: relaSize, symbEnt: symSize, rela: 0x1000, relaSize: 48},
		{relaEnt: relaSize, symbEnt: symSize, rela: 0x9000, relaSize: 24},
	} {
		f, _ := relocated(elf.R_X86_64_RELATIVE, 0x3000, 0, 0)
		if err := f.relocate(&d); err == nil {
			t.Errorf("%+v is accepted", d)
		}
	}
}
