package image

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// compile builds C source with gcc, or what CC names, in dir.
func compile(t testing.TB, dir, out, source string, flags ...string) string {
	t.Helper()
	return compileWith(t, "gcc", dir, out, source, flags...)
}

func compileWith(t testing.TB, cc, dir, out, source string, flags ...string) string {
	t.Helper()
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("%s is not installed", cc)
	}
	src := filepath.Join(dir, strings.ReplaceAll(out, "/", "_")+".c")
	if err := os.WriteFile(src, []byte(source+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, out)
	cmd := exec.Command(cc, append([]string{"-o", to, src}, flags...)...)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return to
}

func load(t testing.TB, path string, o LoadOptions) *Program {
	t.Helper()
	p, err := Load(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	checkFuncs(t, p)
	for _, m := range p.Modules {
		for s := range m.Symbols {
			seg := p.Segment(s.Addr)
			if s.Kind != SymbolFunc && s.Kind != SymbolResolver || seg == nil || !seg.Exec || s.Addr >= p.GoText.Start && s.Addr < p.GoText.End {
				continue
			}
			if nameOf(p, s.Addr) == "" {
				t.Errorf("%s: %s at %#x is no function", path, s.Name, s.Addr-m.Base)
			}
		}
	}
	return p
}

// checkFuncs checks what holds for the functions of every program.
func checkFuncs(t testing.TB, p *Program) {
	t.Helper()
	end := uint32(0)
	for i, f := range p.Funcs {
		if f.Entry < end || f.End <= f.Entry {
			t.Fatalf("function %d is %#x to %#x, behind %#x", i, f.Entry, f.End, end)
		}
		end = f.End
		addr, code := p.Code(i)
		if len(code) != int(f.End-f.Entry) || p.Segment(addr) == nil || !p.Segment(addr).Exec {
			t.Fatalf("function %d at %#x is no code", i, addr)
		}
		if k, ok := p.Find(addr); !ok || k != i {
			t.Fatalf("function %d at %#x is found as %d, %v", i, addr, k, ok)
		}
		if p.Module(i) == nil {
			t.Fatalf("function %d at %#x is in no module", i, addr)
		}
		if last := uint64(0); !p.IsGo(i) {
			for _, d := range p.Depths(i) {
				if d.End <= last || d.End > addr+uint64(len(code)) {
					t.Fatalf("the depths of function %d: %v", i, p.Depths(i))
				}
				last = d.End
			}
		}
		if name := p.Name(i); name == "" || strings.ContainsAny(name, " \t\n") && !p.IsGo(i) {
			t.Fatalf("function %d is called %q", i, name)
		}
	}
}

const systemLoader = "/lib64/ld-linux-x86-64.so.2"

// systemPrograms are those of this system that are linked dynamically.
func systemPrograms(t testing.TB) []string {
	t.Helper()
	needAMD64(t)
	var out []string
	for _, p := range []string{"/bin/ls", "/bin/bash", "/usr/bin/tar", "/usr/bin/python3", "/usr/bin/curl", "/usr/bin/git", "/usr/bin/perl"} {
		if exists(p) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		t.Skip("none of the programs is here")
	}
	return out
}

// TestClosure compares the modules of programs with those that the dynamic loader
// loads, in its order.
func TestClosure(t *testing.T) {
	line := regexp.MustCompile(`(\S+) \(0x[0-9a-f]+\)$`)
	for _, path := range systemPrograms(t) {
		list, err := exec.Command(systemLoader, "--list", path).Output()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var want []string
		for l := range strings.Lines(string(list)) {
			if m := line.FindStringSubmatch(strings.TrimSpace(l)); m != nil && !strings.HasPrefix(m[1], "linux-vdso") {
				want = append(want, m[1])
			}
		}
		p := load(t, path, LoadOptions{})
		var got []string
		for _, m := range p.Modules[1:] {
			got = append(got, m.Path)
			if len(m.Undefined) > 0 {
				t.Errorf("%s: %s has no definition of %v", path, m.Path, m.Undefined)
			}
		}
		// --list puts the loader behind the libraries.
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\nhave %v\nwant %v", path, got, want)
		}
	}
}

// TestBindings compares the modules in which symbols are found with what the
// dynamic loader says.
// TestFrames compares function starts and stack depths with the unwind data as
// readelf reads it.
// function returns the index of the function called name.
func function(t testing.TB, p *Program, name string) int {
	t.Helper()
	for i := range p.Funcs {
		if p.Name(i) == name {
			return i
		}
	}
	t.Fatalf("no function is called %s", name)
	return 0
}

// slotOf returns the slot of a symbol in the executable.
// nameOf returns the name of the function that starts at addr.
// TestVersions checks that a reference gets the version that it asks for.
// TestReferences checks weak symbols, chosen functions, copied objects, pointers
// to functions and constructors against what a run of the program says.
// TestStatic checks that the slots and functions of programs without a dynamic
// loader are found, stripped or not, with unwind data or not.
func TestStatic(t *testing.T) {
	needAMD64(t)
	const program = `
#include <string.h>
static int __attribute__((noinline)) helper(const char *s) { return (int)strlen(s); }
int (*volatile indirect)(const char *) = helper;
int main(int n, char **v) { return indirect(v[0]); }
`
	for _, tt := range []struct {
		name, cc string
		flags    []string
		slots    bool
	}{
		{"glibc", "gcc", []string{"-static"}, true},
		{"glibc pie", "gcc", []string{"-static-pie"}, true},
		{"musl", "musl-gcc", []string{"-static"}, false},
		{"no unwind data", "gcc", []string{"-static", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := compileWith(t, tt.cc, dir, "program", program, append(tt.flags, "-O1")...)
			whole := load(t, path, LoadOptions{})
			slots := 0
			for _, s := range whole.Slots {
				if !s.Resolver || nameOf(whole, s.Target) == "" {
					t.Errorf("%+v", s)
				}
				slots++
			}
			if tt.slots != (slots > 10) {
				t.Errorf("%d slots", slots)
			}
			want := map[uint64]string{}
			for _, name := range []string{"main", "helper"} {
				i := function(t, whole, name)
				want[whole.entryAt(i)] = name
			}
			if out, err := exec.Command("strip", "-o", path+".stripped", path).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			stripped := load(t, path+".stripped", LoadOptions{})
			for addr, name := range want {
				if nameOf(stripped, addr) == "" {
					t.Errorf("stripped, %s is not found", name)
				}
			}
			n := 0
			for range stripped.Slots {
				n++
			}
			if n != slots {
				t.Errorf("stripped, there are %d slots of %d", n, slots)
			}
			// Section headers are not needed.
			data, err := os.ReadFile(path + ".stripped")
			if err != nil {
				t.Fatal(err)
			}
			copy(data[40:48], make([]byte, 8)) // e_shoff
			copy(data[60:64], make([]byte, 4)) // e_shnum, e_shstrndx
			bare, err := LoadBytes("bare", data, LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkFuncs(t, bare)
			if got, want := len(bare.Modules[0].frames()), len(stripped.Modules[0].frames()); got != want {
				t.Errorf("without section headers there is unwind data for %d functions of %d", got, want)
			}
			for addr, name := range want {
				if nameOf(bare, addr) == "" {
					t.Errorf("without section headers, %s is not found", name)
				}
			}
			// Whatever is a function by its symbol and is called, or jumped to last, is
			// one without it.
			missing := 0
			for i := range whole.Funcs {
				addr, code := whole.Code(i)
				for at := 0; at < len(code) && !whole.Unknown(i); {
					in := whole.Decode(code[at:], addr+uint64(at))
					at += int(in.Len)
					if (in.Op == OpCall || in.Op == OpJmp && in.Target != addr) && in.Target != 0 && nameOf(whole, in.Target) != "" && nameOf(stripped, in.Target) == "" {
						if missing++; missing < 10 {
							t.Errorf("%s, called by %s, is not found without symbols", nameOf(whole, in.Target), whole.Name(i))
						}
					}
				}
			}
			for i := range stripped.Funcs {
				if stripped.Unknown(i) {
					t.Errorf("%#x is not understood: %x", stripped.entryAt(i), stripped.Bytes(stripped.entryAt(i))[:stripped.Funcs[i].End-stripped.Funcs[i].Entry])
				}
			}
		})
	}
}

// TestSites checks that functions have all system calls that objdump shows, but
// for those in bytes that are not known to be code.
// TestStubs checks that each slot of a procedure linkage table has its stub.
// TestARM64 checks programs of another machine: their closure in a root of their
// own, stubs, slots and functions.
// TestLoad386 checks a 32-bit program: REL relocations, stubs through EBX.

// TestDigest takes the digest of a program in a file and in memory, which stays as it is.
func TestDigest(t *testing.T) {
	path := compile(t, t.TempDir(), "digested", `char data[1 << 18] = {1}; int main(void) { return data[0]; }`)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(data)
	inMemory, err := LoadBytes(path, data, LoadOptions{Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]*Program{"in a file": load(t, path, LoadOptions{Alone: true}), "in memory": inMemory} {
		for range 2 {
			if got := p.Modules[0].Digest(); got != want {
				t.Errorf("%s: the digest is %x, want %x", what, got, want)
			}
		}
	}
	if sha256.Sum256(data) != want {
		t.Error("the program in memory has changed")
	}
}
