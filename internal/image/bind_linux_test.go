package image

import (
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

func nameOf(p *Program, addr uint64) string {
	i, ok := p.Find(addr)
	if !ok || p.entryAt(i) != addr {
		return ""
	}
	return p.Name(i)
}

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
					t.Skipf("ld.%s is not installed", linker)
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
