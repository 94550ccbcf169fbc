package image

import (
	"debug/buildinfo"
	"debug/elf"
	"debug/gosym"
	"os"
	"runtime"
	"testing"
)

// self opens the running test program, which holds its own truth.
func self(t testing.TB) (*File, *Program) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Load(path, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p.File, p
}

// TestFunctions compares the function table with debug/gosym's reading of it.
func TestFunctions(t *testing.T) {
	f, p := self(t)
	want, err := buildinfo.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if p.Build.Version != want.GoVersion || p.Build.Path != want.Path {
		t.Errorf("build %+v, want %s %s", p.Build, want.GoVersion, want.Path)
	}
	for _, s := range want.Settings {
		if p.Build.Settings[s.Key] != s.Value {
			t.Errorf("%s is %q, want %q", s.Key, p.Build.Settings[s.Key], s.Value)
		}
	}
	e, err := elf.Open(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	data, err := e.Section(".gopclntab").Data()
	if err != nil {
		t.Fatal(err)
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, p.Text))
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Funcs) != len(p.Funcs) {
		t.Fatalf("%d functions, want %d", len(p.Funcs), len(table.Funcs))
	}
	for i, fn := range table.Funcs {
		addr, code := p.Code(i)
		if addr != fn.Entry || addr+uint64(len(code)) != fn.End || p.Name(i) != fn.Name {
			t.Fatalf("function %d is %s %#x to %#x, want %s %#x to %#x", i, p.Name(i), addr, addr+uint64(len(code)), fn.Name, fn.Entry, fn.End)
		}
		for _, at := range []uint64{fn.Entry, fn.Entry + (fn.End-fn.Entry)/2, fn.End - 1} {
			if k, ok := p.Find(at); !ok || k != i {
				t.Fatalf("Find(%#x) = %d, %v, want %d", at, k, ok, i)
			}
			wantFile, wantLine, _ := table.PCToLine(at)
			if file, line := p.Line(i, at); wantLine > 0 && (file != wantFile || line != wantLine) {
				t.Fatalf("%#x of %s is at %s:%d, want %s:%d", at, fn.Name, file, line, wantFile, wantLine)
			}
		}
	}
	if k, ok := p.Find(p.Text - 1); ok {
		t.Errorf("the address before the text is in function %d", k)
	}
	if k, ok := p.Find(p.Etext); ok {
		t.Errorf("the address behind the text is in function %d", k)
	}
}

// TestDepths checks the stack depth where the instructions show it: nothing at
// the entry and before each return, plus what pushes and subtractions take.
func TestDepths(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("decodes its own amd64 code")
	}
	_, p := self(t)
	checked := 0
	for i := range p.Funcs {
		if p.WritesSP(i) || p.IsAsm(i) {
			continue
		}
		depths := p.Depths(i)
		addr, code := p.Code(i)
		k := 0
		for at := 0; at < len(code) && k < len(depths); {
			in := DecodeAMD64(code[at:], addr+uint64(at))
			for k < len(depths) && depths[k].End <= in.Addr {
				k++
			}
			if k == len(depths) {
				break
			}
			if (in.Op == OpRet || at == 0) && depths[k].Depth != 0 {
				t.Fatalf("%s at %#x: depth %d", p.Name(i), in.Addr, depths[k].Depth)
			}
			if in.Op == OpRet {
				checked++
			}
			at += int(in.Len)
		}
	}
	if checked < 1000 {
		t.Errorf("only %d returns checked", checked)
	}
}

// TestWord checks reads at the ends of segments and in the zeroed part.
func TestWord(t *testing.T) {
	f := &File{word: 8, Segments: []Segment{{Addr: 0x1000, MemSize: 32, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}}
	for _, tt := range []struct {
		addr, want uint64
		ok         bool
	}{
		{0x1000, 0x0807060504030201, true},
		{0x1008, 0x0c0b0a09, true},
		{0x100c, 0, true},
		{0x1018, 0, true},
		{0x1019, 0, false},
		{0xfff, 0, false},
		{0x1020, 0, false},
	} {
		if w, ok := f.Word(tt.addr); w != tt.want || ok != tt.ok {
			t.Errorf("Word(%#x) = %#x, %v, want %#x, %v", tt.addr, w, ok, tt.want, tt.ok)
		}
	}
}
