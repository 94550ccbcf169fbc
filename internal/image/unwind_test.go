package image

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestExpression evaluates what compilers and linkers write into unwind data.
func TestExpression(t *testing.T) {
	memory := map[uint64]uint64{0x1000: 77, 0x1008: 0x2000}
	regs := &Registers{}
	regs.Set(7, 0x1000)
	regs.Set(16, 0x401026)
	e := evaluation{regs: regs, size: 8, read: func(addr uint64) (uint64, bool) { v, ok := memory[addr]; return v, ok }}
	for name, tt := range map[string]struct {
		code string
		want uint64
		bad  bool
	}{
		// The frame address in .plt: rsp + 8, and 8 more behind the first push.
		"plt before":      {code: "\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22", want: 0x1008},
		"signal frame":    {code: "\x77\x08\x06", want: 0x2000},
		"deref":           {code: "\x77\x00\x06", want: 77},
		"negative offset": {code: "\x77\x78", want: 0xff8},
		"constants":       {code: "\x08\xff\x09\xff\x22\x0a\x00\x01\x22", want: 0x1fe},
		"skip":            {code: "\x31\x2f\x01\x00\x00\x32\x22", want: 3},
		"branch":          {code: "\x35\x31\x28\x02\x00\x96\x00\x36\x22", want: 11},
		"unknown memory":  {code: "\x77\x10\x06", bad: true},
		"unknown reg":     {code: "\x76\x00", bad: true},
		"no operand":      {code: "\x22", bad: true},
		"nothing":         {code: "", bad: true},
		"no operation":    {code: "\x31\xff", bad: true},
		"for ever":        {code: "\x2f\xfd\xff", bad: true},
		"backwards":       {code: "\x2f\x00\x80", bad: true},
		"cut off":         {code: "\x0c\x01", bad: true},
	} {
		got, ok := e.value([]byte(tt.code))
		if ok == tt.bad || ok && got != tt.want {
			t.Errorf("%s: %#x, %v; want %#x, %v", name, got, ok, tt.want, !tt.bad)
		}
	}
	regs.Set(16, 0x40102b)
	if got, ok := e.value([]byte("\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22")); !ok || got != 0x1010 {
		t.Errorf("plt behind: %#x, %v", got, ok)
	}
}

// FuzzUnwind steps through whatever unwind data there is.
func FuzzUnwind(f *testing.F) {
	dir := f.TempDir()
	source, object := filepath.Join(dir, "a.c"), filepath.Join(dir, "a")
	if err := os.WriteFile(source, []byte("int g(int); int main(void) { return 0; } int f(int a) { char b[a]; return g((int)b[0]) + 1; } int g(int x) { return x; }"), 0o600); err != nil {
		f.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-Os", "-Wl,-z,noseparate-code", "-o", object, source).CombinedOutput(); err != nil {
		f.Logf("no seed: %v\n%s", err, out)
	} else if data, err := os.ReadFile(object); err == nil {
		f.Add(data, uint64(0x1050))
	}
	f.Fuzz(func(_ *testing.T, data []byte, at uint64) {
		u, err := ParseUnwind("f", data)
		if err != nil {
			return
		}
		defer u.Close()
		for _, frame := range append(u.frames[:min(len(u.frames), 50)], frame{start: at}) {
			regs := &Registers{PC: frame.start}
			for n := range maxUnwindRegisters {
				regs.Set(n, frame.start+uint64(n))
			}
			u.Step(regs, frame.start+at%64, at%2 == 0, func(addr uint64) (uint64, bool) {
				return binary.LittleEndian.Uint64([]byte("abcdefgh")) + addr, addr%8 == 0
			})
		}
	})
}
