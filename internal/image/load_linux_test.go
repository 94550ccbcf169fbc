package image

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
		t.Skipf("no %s here", cc)
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
func TestBindings(t *testing.T) {
	line := regexp.MustCompile("binding file (\\S+) \\[0\\] to (\\S+) \\[0\\]: \\S+ symbol `([^']+)'(?: \\[(.*)\\])?")
	for _, path := range systemPrograms(t) {
		cmd := exec.Command(path, "--version")
		cmd.Env = []string{"LD_DEBUG=bindings", "LD_BIND_NOW=1", "LC_ALL=C"}
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		// The same name may be bound again for a library that is loaded later.
		type reference struct{ from, name string }
		want := map[reference][]string{}
		for l := range strings.Lines(said.String()) {
			if m := line.FindStringSubmatch(l); m != nil {
				name := m[3]
				if m[4] != "" {
					name += "@" + m[4]
				}
				r := reference{m[1], name}
				want[r] = append(want[r], m[2])
			}
		}
		p := load(t, path, LoadOptions{})
		n := 0
		for addr, s := range p.Slots {
			from, to := p.ModuleAt(addr), p.ModuleAt(s.Target)
			if s.Name == "" || s.Target == 0 {
				continue
			}
			files := want[reference{from.Path, s.Name}]
			if files == nil {
				continue
			}
			n++
			if !slices.Contains(files, to.Path) {
				t.Errorf("%s: %s of %s is in %s, the loader takes %v", path, s.Name, from.Path, to.Path, files)
			}
		}
		if n < 50 {
			t.Errorf("%s: only %d slots compared", path, n)
		}
	}
}

// TestFrames compares function starts and stack depths with the unwind data as
// readelf reads it.
func TestFrames(t *testing.T) {
	needObjdump(t)
	fde := regexp.MustCompile(`^[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)`)
	row := regexp.MustCompile(`^([0-9a-f]{16}) (\S+)`)
	const libc = "/lib/x86_64-linux-gnu/libc.so.6"
	if !exists(libc) {
		t.Skip("no libc of Debian here")
	}
	p := load(t, "/bin/ls", LoadOptions{})
	i := slices.IndexFunc(p.Modules, func(m *Module) bool { return m.Path == libc })
	base := p.Modules[i].Base
	cmd := exec.Command("readelf", "--debug-dump=frames-interp", libc)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, _ := cmd.Output() // it fails where it has warned
	var fn int
	var end, early uint64
	functions, rows, relative := 0, 0, 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if m := fde.FindStringSubmatch(lines.Text()); m != nil {
			start, _ := strconv.ParseUint(m[1], 16, 64)
			end, _ = strconv.ParseUint(m[2], 16, 64)
			at := base + start
			var ok bool
			if fn, ok = p.Find(at); !ok || p.entryAt(fn) != at {
				// __restore_rt's starts a byte early.
				if fn, ok = p.Find(at + 1); !ok || p.entryAt(fn) != at+1 || p.Name(fn) != "libc.so.6:__restore_rt" && !strings.Contains(p.Name(fn), "libc.so.6+") {
					t.Errorf("no function at %#x of libc", start)
				}
				early = start
			}
			functions++
			continue
		}
		m := row.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, _ := strconv.ParseUint(m[1], 16, 64)
		if at == 0 || at == end || at == early { // a common part; compilers leave an empty row there
			continue
		}
		fn, ok := p.Find(base + at)
		if !ok {
			t.Errorf("no function holds %#x", at)
			continue
		}
		depths := p.Depths(fn)
		k := slices.IndexFunc(depths, func(d Depth) bool { return base+at < d.End })
		if k < 0 {
			t.Errorf("no depth at %#x", at)
			continue
		}
		d := depths[k]
		var said string
		switch {
		case !d.Unknown:
			said = "rsp+" + strconv.FormatInt(d.Depth+8, 10)
		case d.Base == RBP:
			said = "rbp+" + strconv.FormatInt(d.BaseDepth+8, 10)
			relative++
		case d.Base != RegNone:
			said = m[2] // its name is not at hand
		default:
			said = "exp"
		}
		if said != m[2] {
			t.Errorf("at %#x the frame address is %s, readelf has %s", at, said, m[2])
		}
		rows++
	}
	if functions < 3000 || rows < 10000 || relative < 50 {
		t.Errorf("only %d functions, %d rows, %d with a frame pointer compared", functions, rows, relative)
	}
}

func (p *Program) entryAt(i int) uint64 { return p.Text + uint64(p.Funcs[i].Entry) }

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
func slotOf(t testing.TB, p *Program, name string) Slot {
	t.Helper()
	for addr, s := range p.Slots {
		if s.Name == name && p.ModuleAt(addr) == p.Modules[0] {
			return s
		}
	}
	t.Fatalf("no slot for %s", name)
	return Slot{}
}

// nameOf returns the name of the function that starts at addr.
func nameOf(p *Program, addr uint64) string {
	i, ok := p.Find(addr)
	if !ok || p.entryAt(i) != addr {
		return ""
	}
	return p.Name(i)
}

// TestVersions checks that a reference gets the version that it asks for.
func TestVersions(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "map")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("V1 { global: v; local: *; };\n")
	compile(t, dir, "libv.so", `__asm__(".symver v_one, v@@V1"); int v_one(void) { return 1; }`, "-shared", "-fPIC", "-Wl,--version-script=map")
	const program = `int v(void); int main(void) { return v(); }`
	old := compile(t, dir, "old", program, "libv.so", "-Wl,-rpath,$ORIGIN")
	write("V1 { global: v; local: *; }; V2 { global: v; } V1;\n")
	compile(t, dir, "libv.so", `__asm__(".symver v_one, v@V1"); int v_one(void) { return 1; }
__asm__(".symver v_two, v@@V2"); int v_two(void) { return 2; }`, "-shared", "-fPIC", "-Wl,--version-script=map")
	current := compile(t, dir, "current", program, "libv.so", "-Wl,-rpath,$ORIGIN")
	for path, want := range map[string]int{old: 1, current: 2} {
		err := exec.Command(path).Run()
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Fatalf("%s: %v, want exit code %d", path, err, want)
		}
		p := load(t, path, LoadOptions{})
		version := "v@V" + strconv.Itoa(want)
		s := slotOf(t, p, version)
		lib := p.ModuleAt(s.Target)
		if lib == nil || lib.Soname != "libv.so" {
			t.Fatalf("%s: %+v is in %+v", path, s, lib)
		}
		var versions []string
		for _, d := range p.Lookup("v") {
			versions = append(versions, d.Version)
			if d.Version == "V"+strconv.Itoa(want) && d.Addr != s.Target {
				t.Errorf("%s: %s is bound to %#x, not %#x", path, version, s.Target, d.Addr)
			}
		}
		slices.Sort(versions)
		if !slices.Equal(versions, []string{"V1", "V2"}) {
			t.Errorf("versions %v", versions)
		}
	}
}

// TestReferences checks weak symbols, chosen functions, copied objects, pointers
// to functions and constructors against what a run of the program says.
func TestReferences(t *testing.T) {
	needAMD64(t)
	dir := t.TempDir()
	lib := `
static int one(void) { return 1; }
int (*chooser(void))(void) { return one; }
int chosen(void) __attribute__((ifunc("chooser")));
int called(void) { return 3; }
int (*table[2])(void) = { called, 0 };
static void start(void) __attribute__((constructor));
static void stop(void) __attribute__((destructor));
static void start(void) { table[1] = called; }
static void stop(void) { table[1] = 0; }
`
	compile(t, dir, "libr.so", lib, "-shared", "-fPIC", "-O1", "-Wl,-soname,libr.so.1")
	if err := os.Symlink("libr.so", filepath.Join(dir, "libr.so.1")); err != nil {
		t.Fatal(err)
	}
	program := `
int chosen(void), called(void), absent(void) __attribute__((weak));
extern int (*table[2])(void);
int (*pointer)(void) = called;
int main(void) { return absent ? 99 : chosen() + called() + (table[0] == pointer ? 10 : 0) + (table[1] == pointer ? 20 : 0); }
`
	for _, flags := range [][]string{
		{"-no-pie", "-fno-pie"},
		{"-pie", "-fPIE"},
		{"-no-pie", "-fno-pie", "-Wl,-z,now"},
		{"-pie", "-fPIE", "-fno-plt"},
		{"-no-pie", "-fno-pie", "-mno-direct-extern-access"},
		{"-pie", "-fPIE", "-Wl,-z,pack-relative-relocs"},
		{"-pie", "-fPIE", "-fcf-protection", "-Wl,-z,ibtplt"},
		{"-pie", "-fPIE", "-Wl,-z,ibtplt", "-Wl,-z,lazy"},
		{"-pie", "-fPIE", "-fuse-ld=gold"},
		{"-no-pie", "-fno-pie", "-fuse-ld=gold"},
		{"-pie", "-fPIE", "-fuse-ld=lld"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			if _, linker, found := strings.Cut(flags[len(flags)-1], "-fuse-ld="); found {
				if _, err := exec.LookPath("ld." + linker); err != nil {
					t.Skipf("no ld.%s here", linker)
				}
			}
			path := compile(t, dir, "program", program, append(flags, "-O1", "libr.so", "-Wl,-rpath,$ORIGIN")...)
			err := exec.Command(path).Run()
			if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 34 {
				t.Fatalf("%v, want exit code 34", err)
			}
			p := load(t, path, LoadOptions{})
			m := p.Modules[0]
			r := p.Modules[slices.IndexFunc(p.Modules, func(m *Module) bool { return m.Soname == "libr.so.1" })]
			if s := slotOf(t, p, "chosen"); !s.Resolver || nameOf(p, s.Target) != "libr.so.1:chooser" {
				t.Errorf("chosen: %+v, %s", s, nameOf(p, s.Target))
			}
			for addr, s := range p.Slots {
				if s.Name == "absent" && (s.Target != 0 || s.Resolver) {
					t.Errorf("absent at %#x: %+v", addr, s)
				}
			}
			if len(m.Undefined) > 0 {
				t.Errorf("undefined: %v", m.Undefined)
			}
			// All pointers to called are the same, in the program or in the library.
			word := func(m *Module, name string) uint64 {
				for s := range m.Symbols {
					if s.Name == name {
						w, _ := p.Word(s.Addr)
						return w
					}
				}
				t.Fatalf("%s is not in %s", name, m.Path)
				return 0
			}
			pointer := word(m, "pointer")
			if n := nameOf(p, pointer); n != "libr.so.1:called" && n != "called@plt" {
				t.Errorf("pointer leads to %#x, %s", pointer, n)
			}
			owner := r
			if slices.ContainsFunc(slices.Collect(m.Symbols), func(s Symbol) bool { return s.Name == "table" }) {
				owner = m // a copy
			}
			if w := word(owner, "table"); w != pointer {
				t.Errorf("table in %s leads to %#x %s, pointer to %#x", owner.Path, w, nameOf(p, w), pointer)
			}
			var init []string
			for _, a := range r.Init {
				init = append(init, nameOf(p, a))
			}
			if !slices.Contains(init, "libr.so.1:start") || !slices.ContainsFunc(r.Fini, func(a uint64) bool { return nameOf(p, a) == "libr.so.1:stop" }) {
				t.Errorf("constructors %v, destructors %#x", init, r.Fini)
			}
			stub := false
			for i := range p.Funcs {
				if slot, ok := p.Stub(i); ok && p.Module(i) == m && slot != 0 {
					s, ok := p.Slot(slot)
					stub = stub || ok && strings.HasPrefix(s.Name, "called") && p.Name(i) == "called@plt"
				}
			}
			if !stub && !slices.Contains(flags, "-fno-plt") && !slices.Contains(flags, "-mno-direct-extern-access") {
				t.Error("called has no stub")
			}
		})
	}
}

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
			if got, want := len(bare.Modules[0].frames), len(stripped.Modules[0].frames); got != want {
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
func TestSites(t *testing.T) {
	needObjdump(t)
	p := load(t, systemPrograms(t)[0], LoadOptions{})
	for _, m := range p.Modules {
		sites := map[uint64]bool{}
		for i := range p.Funcs {
			if p.Module(i) != m || p.Unknown(i) {
				continue
			}
			addr, code := p.Code(i)
			for at := 0; at < len(code); {
				in := p.Decode(code[at:], addr+uint64(at))
				switch in.Op {
				case OpBad:
					t.Errorf("%s: no instruction at %#x", p.Name(i), in.Addr)
				case OpSyscall:
					sites[in.Addr-m.Base] = true
				}
				at += int(in.Len)
			}
		}
		n := 0
		disassemble(t, "objdump", m.Path, func(l listing) {
			if strings.HasPrefix(l.text, "syscall") != sites[l.addr] {
				t.Errorf("%s: objdump has %q at %#x", m.Path, l.text, l.addr)
			}
			if sites[l.addr] {
				n++
			}
		})
		if n != len(sites) {
			t.Errorf("%s: %d system calls, objdump has %d of them", m.Path, len(sites), n)
		}
	}
}

// TestStubs checks that each slot of a procedure linkage table has its stub.
func TestStubs(t *testing.T) {
	for _, path := range systemPrograms(t) {
		p := load(t, path, LoadOptions{})
		jumps := map[uint64]string{}
		for i := range p.Funcs {
			if slot, ok := p.Stub(i); ok && slot != 0 {
				jumps[slot] = p.Name(i)
			}
		}
		n := 0
		for _, m := range p.Modules {
			m.object.relocations(func(r relocation) bool {
				if r.kind != relSlot {
					return true
				}
				n++
				slot, ok := p.Slot(m.Base + r.addr)
				name, _, _ := strings.Cut(slot.Name, "@")
				if stub := jumps[m.Base+r.addr]; !ok || !strings.HasSuffix(stub, name+"@plt") {
					t.Errorf("%s: %s: the slot of %s at %#x has the stub %q", path, m.Path, slot.Name, r.addr, stub)
				}
				return true
			})
		}
		if n < 50 {
			t.Errorf("%s: %d slots", path, n)
		}
	}
}

// TestARM64 checks programs of another machine: their closure in a root of their
// own, stubs, slots and functions.
func TestARM64(t *testing.T) {
	const root = "/usr/aarch64-linux-gnu"
	if !exists(root + "/lib/libc.so.6") {
		t.Skip("no libc for arm64: libc6-dev-arm64-cross is not installed")
	}
	const program = `
#include <stdio.h>
#include <string.h>
extern char **environ;
int main(int n, char **v) { puts(v[0]); return strlen(v[0]) > 0 && environ != 0; }
`
	for _, flags := range [][]string{{"-pie", "-fPIE"}, {"-no-pie", "-fno-pie"}, {"-static"}, {"-static-pie"}, {"-mbranch-protection=standard", "-Wl,-z,force-bti"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			dir := t.TempDir()
			path := compileWith(t, "aarch64-linux-gnu-gcc", dir, "program", program, append(flags, "-O1")...)
			p := load(t, path, LoadOptions{Root: root})
			static := strings.HasPrefix(flags[0], "-static")
			if got := len(p.Modules); static && got != 1 || !static && got != 3 {
				t.Fatalf("%d modules", got)
			}
			if _, err := Load(path, LoadOptions{}); !static && (err == nil || !strings.Contains(err.Error(), "dynamic loader")) {
				t.Errorf("without its root: %v", err)
			}
			main := p.Depths(function(t, p, "main"))
			if len(main) < 3 || main[0].Depth != 0 || main[1].Depth < 16 {
				t.Errorf("the depths of main: %v", main)
			}
			bad, svc := 0, 0
			for i := range p.Funcs {
				if p.Unknown(i) {
					t.Errorf("%s is not understood", p.Name(i))
				}
				addr, code := p.Code(i)
				for at := 0; at < len(code); at += 4 {
					switch p.Decode(code[at:], addr+uint64(at)).Op {
					case OpBad:
						bad++
					case OpSyscall:
						svc++
					}
				}
			}
			if bad > 0 || svc < 50 {
				t.Errorf("%d bad instructions, %d system calls", bad, svc)
			}
			if static {
				return
			}
			s := slotOf(t, p, "puts@GLIBC_2.17")
			if n := nameOf(p, s.Target); n != "libc.so.6:puts" {
				t.Errorf("puts is %s", n)
			}
			if i := function(t, p, "puts@plt"); true {
				if slot, ok := p.Stub(i); !ok {
					t.Error("puts@plt is no stub")
				} else if got, _ := p.Slot(slot); got != s {
					t.Errorf("puts@plt goes through %+v, not %+v", got, s)
				}
			}
		})
	}
}

// TestLoad386 checks a 32-bit program: REL relocations, stubs through EBX.
func TestLoad386(t *testing.T) {
	if !exists("/lib32/libc.so.6") || !exists("/lib/ld-linux.so.2") {
		t.Skip("no 32-bit libc: libc6-dev-i386 is not installed")
	}
	needAMD64(t)
	const program = `
int puts(const char *);
int (*pointer)(const char *) = puts;
int main(int n, char **v) { puts(v[0]); return pointer(v[0]) < 0; }
void _start(void) { main(0, 0); }
`
	for _, flags := range [][]string{{"-pie", "-fPIC"}, {"-no-pie", "-fno-pie"}, {"-pie", "-fPIC", "-Wl,-z,now"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			path := compile(t, t.TempDir(), "program", program, append(flags, "-m32", "-O1", "-nostartfiles", "-nostdlib", "/lib32/libc.so.6")...)
			p := load(t, path, LoadOptions{})
			s := slotOf(t, p, "puts@GLIBC_2.0")
			if n := nameOf(p, s.Target); n != "libc.so.6:puts" {
				t.Errorf("puts is %s", n)
			}
			slot, ok := p.Stub(function(t, p, "puts@plt"))
			if got, _ := p.Slot(slot); !ok || got != s {
				t.Errorf("puts@plt goes through %+v, not %+v", got, s)
			}
			for sym := range p.Modules[0].Symbols {
				if sym.Name == "pointer" {
					if w, _ := p.Word(sym.Addr); nameOf(p, w) != "libc.so.6:puts" && nameOf(p, w) != "puts@plt" {
						t.Errorf("pointer leads to %#x", w)
					}
				}
			}
			for i := range p.Funcs {
				if p.Unknown(i) {
					t.Errorf("%s is not understood", p.Name(i))
				}
			}
		})
	}
}
