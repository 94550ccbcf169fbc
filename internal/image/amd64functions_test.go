package image

import (
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAMD64Functions checks that the instructions of every function of Go
// binaries end exactly where the function ends, and that a Sweep stops at the
// same instructions as decoding one by one would.
func TestAMD64Functions(t *testing.T) {
	needAMD64(t)
	paths := []string{goTool(t, "gofmt")}
	if os.Getenv("SYSGATE_LONG") != "" {
		paths = append(paths, goTool(t, "go"))
	}
	for _, path := range paths {
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		pclntab, err := f.Section(".gopclntab").Data()
		if err != nil {
			t.Fatal(err)
		}
		code, addr := textOf(t, path)
		table, err := gosym.NewTable(nil, gosym.NewLineTable(pclntab, addr))
		if err != nil {
			t.Fatal(err)
		}
		for _, fn := range table.Funcs {
			if fn.Entry < addr || fn.End > addr+uint64(len(code)) {
				t.Errorf("%s lies outside the text", fn.Name)
				continue
			}
			if strings.HasPrefix(fn.Name, "crypto/internal/boring/sig.") {
				continue // a signature: bytes that a jump skips
			}
			checkFunction(t, fn.Name, DecodeAMD64, NewSweep(code[fn.Entry-addr:fn.End-addr], fn.Entry))
		}
		t.Logf("%s: %d functions", path, len(table.Funcs))
		if len(table.Funcs) < 1000 {
			t.Errorf("%s: only %d functions", path, len(table.Funcs))
		}
	}
}

func checkFunction(t *testing.T, name string, decode func([]byte, uint64) Inst, sweep *Sweep) {
	code, addr := sweep.code, sweep.addr
	for i := 0; i < len(code); {
		in := decode(code[i:], addr+uint64(i))
		if in.Op == OpBad {
			t.Errorf("%s: % x at %x is no instruction", name, code[i:min(i+15, len(code))], in.Addr)
			return
		}
		i += int(in.Len)
		if sweep.stops(&in) {
			checkNext(t, sweep, in)
		}
	}
	var in Inst
	if sweep.Next(&in) {
		t.Errorf("%s: the sweep stops at %+v besides", name, in)
	}
}

// checkNext checks that the sweep stops at want next.
func checkNext(t *testing.T, sweep *Sweep, want Inst) {
	t.Helper()
	var in Inst
	if !sweep.Next(&in) {
		t.Errorf("the sweep misses %+v", want)
		return
	}
	if in != want {
		t.Errorf("the sweep: (-want +got)\n%s", cmp.Diff(want, in))
	}
}

// FuzzAMD64 decodes arbitrary bytes: every instruction has a length, at least
// one byte, at most fifteen, at most what is there; it does not depend on what
// follows it; a sweep stops at the same instructions.
func FuzzAMD64(f *testing.F) {
	f.Add([]byte{0x0F, 0x05, 0xE8, 1, 2, 3, 4, 0xC3})
	f.Add([]byte{0x62, 0xF1, 0x7C, 0x48, 0x11, 0x44, 0x24, 0x01, 0xC4, 0xE2, 0x7B, 0xF7, 0xC0})
	f.Add([]byte{0x66, 0x66, 0x2E, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0, 0x48, 0x8D, 0x05, 0, 0, 0, 0})
	f.Add([]byte{0xF3, 0x48, 0xAB, 0x48, 0xB8, 1, 2, 3, 4, 5, 6, 7, 8, 0xA1, 1})
	f.Fuzz(func(t *testing.T, code []byte) {
		const addr = 0x400000
		checkDecoding(t, DecodeAMD64, NewSweep(code, addr))
	})
}

// checkDecoding decodes the code of a sweep by decode, and sweeps over it.
func checkDecoding(t *testing.T, decode func([]byte, uint64) Inst, sweep *Sweep) {
	code, addr := sweep.code, sweep.addr
	for i := 0; i < len(code); {
		at := addr + uint64(i)
		in := decode(code[i:], at)
		n := int(in.Len)
		if n < 1 || n > maxX86 || i+n > len(code) {
			t.Fatalf("% x: length %d", code[i:], n)
		}
		if in.Op == OpBad && (in.Writes != allRegisters || !in.StoreAny) {
			t.Fatalf("% x: OpBad with effects left out: %+v", code[i:i+n], in)
		}
		if n > 1 || in.Op != OpBad {
			if again := decode(code[i:i+n], at); again != in {
				t.Fatalf("% x: depends on what follows: %s", code[i:i+n], cmp.Diff(in, again))
			}
		}
		i += n
		if sweep.stops(&in) {
			checkNext(t, sweep, in)
		}
	}
	var in Inst
	if sweep.Next(&in) {
		t.Fatalf("% x: the sweep stops at %+v besides", code, in)
	}
}

// TestAMD64Random is FuzzAMD64 on fixed noise.
func TestAMD64Random(t *testing.T) {
	code := noise()
	for ; len(code) > 0; code = code[min(len(code), 1000):] {
		checkDecoding(t, DecodeAMD64, NewSweep(code[:min(len(code), 1003)], 0x7FFFFFFFF000))
	}
}

// noise returns a megabyte of it, always the same.
func noise() []byte {
	code := make([]byte, 1<<20)
	x := uint64(88172645463325252)
	for i := 0; i < len(code); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(code[i:], x)
	}
	return code
}
