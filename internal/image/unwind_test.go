package image

import (
	"errors"
	"os"
	"strings"
	"testing"
)

const systemLoader = "/lib64/ld-linux-x86-64.so.2"

func loaderBytes(t testing.TB) []byte {
	t.Helper()
	needAMD64(t)
	data, err := os.ReadFile(systemLoader)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no glibc here")
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestCompiled checks that the functions of the dynamic loader cover its code
// without gaps, that they decode, and that their system calls are those that
// objdump shows.
func TestCompiled(t *testing.T) {
	f, err := parse(systemLoader, loaderBytes(t), true)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Compiled()
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Funcs) < 100 || !p.Foreign() {
		t.Fatalf("%d functions, foreign: %v", len(p.Funcs), p.Foreign())
	}
	sites := map[uint64]bool{}
	next := uint32(0)
	for i, fn := range p.Funcs {
		if fn.Entry != next || fn.End < fn.Entry {
			t.Fatalf("function %d is %#x to %#x, want it from %#x", i, fn.Entry, fn.End, next)
		}
		next = fn.End
		addr, code := p.Code(i)
		for at := 0; at < len(code); {
			in := p.Decode(code[at:], addr+uint64(at))
			if in.Op == OpBad {
				t.Errorf("%s: no instruction at %#x", p.Name(i), in.Addr)
			}
			if in.Op == OpSyscall {
				sites[in.Addr] = true
			}
			at += int(in.Len)
		}
	}
	if p.Text+uint64(next) != p.Etext {
		t.Errorf("the functions end at %#x, the code at %#x", p.Text+uint64(next), p.Etext)
	}
	needObjdump(t)
	disassemble(t, systemLoader, func(l listing) {
		if strings.HasPrefix(l.text, "syscall") && !sites[l.addr] {
			t.Errorf("the system call at %#x is in no function", l.addr)
		}
		if !strings.HasPrefix(l.text, "syscall") && sites[l.addr] {
			t.Errorf("objdump has %q at %#x", l.text, l.addr)
		}
	})
}

// FuzzCompiled damages a dynamic loader.
func FuzzCompiled(f *testing.F) {
	data := loaderBytes(f)
	whole, err := parse(systemLoader, data, true)
	if err != nil {
		f.Fatal(err)
	}
	table := uint32(len(data) - len(whole.Bytes(whole.unwind)))
	for _, off := range []uint32{0, 16, 40, 64, 100, 200, table, table + 8, table + 12, table + 400} {
		f.Add(off, []byte{0xff, 0xff, 0xff, 0xff})
		f.Add(off, []byte{1})
	}
	f.Fuzz(func(t *testing.T, off uint32, patch []byte) {
		damaged := append([]byte(nil), data...)
		copy(damaged[off%uint32(len(data)):], patch)
		im, err := parse("damaged", damaged, true)
		if err != nil {
			return
		}
		p, err := im.Compiled()
		if err != nil {
			return
		}
		for i, fn := range p.Funcs {
			if fn.End < fn.Entry || p.Text+uint64(fn.End) > p.Etext {
				t.Fatalf("function %d is %#x to %#x of %#x", i, fn.Entry, fn.End, p.Etext-p.Text)
			}
			p.Name(i)
		}
	})
}
