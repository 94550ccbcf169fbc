package profile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/cache"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

// cached profiles a program with a cache, or without; everything about it is wanted.
func cached(t testing.TB, program string, c *cache.Cache) *Result {
	t.Helper()
	return cachedIn(t, program, "", c)
}

// cachedIn does so of a program that finds its libraries in root.
func cachedIn(t testing.TB, program, root string, c *cache.Cache) *Result {
	t.Helper()
	r, err := File(program, Options{
		Root: root, NoLibraries: true, Args: true, Sites: true, Inventory: true, Every: []string{"openat", "execve", "socket", "write"}, Cache: c,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Stages = nil // times
	return r
}

// same fails the test unless two profiles are the same to the last step.
func same(t *testing.T, what string, got, want *Result) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	names := func(r *Result) (out []string) {
		for _, c := range r.Set.Calls {
			out = append(out, c.Name)
		}
		return out
	}
	if g, w := names(got), names(want); !slices.Equal(g, w) {
		t.Errorf("%s: calls %v\nwant %v", what, g, w)
		return
	}
	for i, c := range want.Set.Calls {
		if g := got.Set.Calls[i]; !reflect.DeepEqual(g, c) {
			t.Errorf("%s: %+v\nwant %+v", what, g, c)
		}
	}
	t.Errorf("%s: another profile: %d sites, %d functions, want %d and %d", what, got.Sites, got.Functions, want.Sites, want.Functions)
}

func openCache(t testing.TB) (c *cache.Cache, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cache")
	return cache.Open(dir, CacheLimit), dir
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

// TestSummaries profiles programs of this machine without a cache, with one in which
// others left their libraries, and again with one that has all: the profiles are the
// same, paths and arguments too, and the last run finds all that it needs.
func TestSummaries(t *testing.T) {
	programs := []string{
		"/bin/ls", "/usr/bin/curl", "/bin/bash", "/usr/bin/python3", "/bin/cat", "/bin/sort", "/bin/cp", "/usr/bin/find", "/bin/tar", "/bin/dash",
		"/bin/grep", "/bin/sed", "/bin/date", "/usr/bin/id", "/bin/ps", "/bin/mount", "/usr/bin/mawk", "/usr/bin/openssl", "/usr/bin/make", "/usr/bin/strace",
	}
	if testing.Short() {
		programs = programs[:3]
	}
	c, dir := openCache(t)
	tried := 0
	for _, program := range programs {
		if _, err := os.Stat(program); err != nil {
			t.Logf("not here: %v", err)
			continue
		}
		tried++
		want := cached(t, program, nil)
		same(t, program+", first", cached(t, program, c), want)
		before := contents(t, dir)
		same(t, program+", again", cached(t, program, c), want)
		if after := contents(t, dir); len(before) == 0 || !maps.Equal(before, after) {
			t.Errorf("%s: %d entries, then %d: the second run did not find what the first left", program, len(before), len(after))
		}
	}
	if tried < 3 {
		t.Skipf("only %d of the programs are installed", tried)
	}
}

// TestSummariesElsewhere does as much with programs for machines on which a summary
// holds where the library lies the same: the last one lies elsewhere, because it is larger.
func TestSummariesElsewhere(t *testing.T) {
	for _, b := range nativeBuilds {
		if b.on != abi.I386 && b.on != abi.RISCV64 || !strings.Contains(b.name, "dynamic") {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			c, dir := openCache(t)
			const text = nativeHead + "#include <math.h>\nchar space[SPACE] = {1}; int main(int c, char **v) { return (int)cos(c) + (c > 1 ? system(v[1]) : 0) + space[c]; }"
			for k, space := range []string{"1", "100", "1000000"} {
				program := buildC(t, b.cc, strings.Replace(text, "SPACE", space, 1), append(slices.Clone(b.flags), "-lm")...)
				want := cachedIn(t, program, roots[b.on], nil)
				before := contents(t, dir)
				same(t, space+", first", cachedIn(t, program, roots[b.on], c), want)
				after := contents(t, dir)
				if more := len(after) > len(before); more != (k != 1) {
					t.Errorf("%s: %d entries, then %d", space, len(before), len(after))
				}
				same(t, space+", again", cachedIn(t, program, roots[b.on], c), want)
				if again := contents(t, dir); len(again) == 0 || !maps.Equal(again, after) {
					t.Errorf("%s: the second run did not find what the first left", space)
				}
			}
		})
	}
}

// TestSummaryOfChanged gives a library other code under the same build ID: what was
// known of the old one is not taken.
func TestSummaryOfChanged(t *testing.T) {
	dir := t.TempDir()
	library := filepath.Join(dir, "libchanged.so")
	build := func(call string) {
		t.Helper()
		text := "#define KEPT static __attribute__((noinline, used)) long\nKEPT my_sethostname(void) { return raw(SYS_sethostname); } KEPT my_setdomainname(void) { return raw(SYS_setdomainname); }"
		built := buildC(t, "gcc", nativeHead+text+" long changed(void) { return 1 + my_"+call+"(); }", "-shared", "-fPIC", "-O2", "-Wl,--build-id=0x5eed", "-Wl,-soname,libchanged.so")
		b, err := os.ReadFile(built)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(library, b, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	build("sethostname")
	program := buildC(t, "gcc", "long changed(void); int main(void) { return changed(); }", "-O2", "-L"+dir, "-lchanged", "-Wl,-rpath,"+dir)
	c, _ := openCache(t)
	has := func(r *Result, name string) bool {
		return slices.ContainsFunc(r.Set.Calls, func(c observe.Call) bool { return c.Name == name })
	}
	for _, call := range []string{"sethostname", "setdomainname", "sethostname"} {
		build(call)
		for range 2 {
			r := cached(t, program, c)
			same(t, call, r, cached(t, program, nil))
			for _, name := range []string{"sethostname", "setdomainname"} {
				if has(r, name) != (name == call) {
					t.Errorf("the library calls %s now: %s is %v", call, name, has(r, name))
				}
			}
		}
	}
}

// TestSummaryOfBound binds the references of one library in different programs to
// other things: its summary holds where it can, and results are right.
func TestSummaryOfBound(t *testing.T) {
	dir := t.TempDir()
	const text = nativeHead + `__attribute__((weak)) extern long given(void); long own(void) { return raw(SYS_sethostname); }
long (*const table[])(void) = {own}; long bound(int i) { return (given ? given() : 0) + own() + table[i](); }`
	b, err := os.ReadFile(buildC(t, "gcc", text, "-shared", "-fPIC", "-O2", "-fno-plt", "-Wl,-soname,libbound.so"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "libbound.so"), b, 0o700); err != nil {
		t.Fatal(err)
	}
	c, _ := openCache(t)
	const resolver = `static long chosen(void) { return raw(SYS_acct); } static void *choose(void) { return chosen; } long given(void) __attribute__((ifunc("choose")));`
	var first *summary
	bindings := map[[32]byte]bool{}
	for _, tt := range []struct {
		name, more, call string
		bound            bool // it is known where the call of given leads
	}{
		{"not", "", "sethostname", true},
		{"given", "long given(void) { return raw(SYS_swapoff); }", "swapoff", true},
		{"interposed", "long own(void) { return raw(SYS_setdomainname); }", "setdomainname", true},
		{"resolved", resolver, "acct", false},
	} {
		program := buildC(t, "gcc", nativeHead+tt.more+" long bound(int); int main(int c, char **v) { return bound(c); }", "-O2", "-rdynamic", "-L"+dir, "-lbound", "-Wl,-rpath,"+dir)
		want := cached(t, program, nil)
		for range 2 {
			same(t, tt.name, cached(t, program, c), want)
		}
		if !slices.ContainsFunc(want.Set.Calls, func(c observe.Call) bool { return c.Name == tt.call }) && want.Set.Sound {
			t.Errorf("%s: sound without %s", tt.name, tt.call)
		}
		p, err := image.Load(program, image.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		m := p.Named("libbound.so")
		from, to := p.Functions(m)
		layout := slices.Clone(m.Extents())
		found := survey{within: m.Range}
		found.functions(p, from, to, func(int) {})
		s := summarise(p, m, &found)
		if first == nil {
			first = s
		}
		if !s.usable(p, m, layout) || first.usable(p, m, layout) != tt.bound {
			t.Errorf("%s: the first program's summary is taken: %v, want %v", tt.name, !tt.bound, tt.bound)
		}
		layout[0].End--
		if s.usable(p, m, layout) {
			t.Errorf("%s: a summary of other functions is taken", tt.name)
		}
		digest, ok := m.Bindings()
		if bindings[digest] || !ok {
			t.Errorf("%s: bound as another", tt.name)
		}
		bindings[digest] = true
	}
}

// TestSummaryDamaged damages every entry in some place.
func TestSummaryDamaged(t *testing.T) {
	const program = "/bin/ls"
	if _, err := os.Stat(program); err != nil {
		t.Skip(err)
	}
	c, dir := openCache(t)
	want := cached(t, program, c)
	whole := contents(t, dir)
	for at := range 3 {
		for name, b := range whole {
			damaged := []byte(b)
			damaged[len(b)*at/3] ^= 0x55
			if at == 2 {
				damaged = damaged[:len(b)/2]
			}
			if err := os.WriteFile(filepath.Join(dir, name), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		same(t, fmt.Sprint("damaged ", at), cached(t, program, c), want)
		if !maps.Equal(contents(t, dir), whole) {
			t.Error("what was damaged is not replaced")
		}
	}
}

// TestSummaryProcesses profiles with one cache in several processes at once.
func TestSummaryProcesses(t *testing.T) {
	const program = "/bin/ls"
	if _, err := os.Stat(program); err != nil {
		t.Skip(err)
	}
	if dir := os.Getenv("SYSGATE_TEST_SUMMARIES"); dir != "" {
		same(t, program, cached(t, program, cache.Open(dir, CacheLimit)), cached(t, program, nil))
		return
	}
	_, dir := openCache(t)
	var running []*exec.Cmd
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSummaryProcesses$")
		cmd.Env = append(os.Environ(), "SYSGATE_TEST_SUMMARIES="+dir)
		cmd.Stdout = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if len(contents(t, dir)) == 0 {
		t.Error("nothing was kept")
	}
}

// FuzzSummary decodes damaged summaries: what is taken has no number out of range, and
// is what is written again.
func FuzzSummary(f *testing.F) {
	dir := f.TempDir()
	text := nativeHead + "int printf(const char *, ...); static long one(void) { return raw(SYS_getpid); } long (*table[])(void) = {one}; long seed(int i) { return table[i]() + raw(SYS_getppid) + printf(\"a\"); }"
	b, err := os.ReadFile(buildC(f, "gcc", text, "-shared", "-fPIC", "-O1"))
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir, "libseed.so")
	if err := os.WriteFile(path, b, 0o700); err != nil {
		f.Fatal(err)
	}
	p, err := image.Load(buildC(f, "gcc", "long seed(int); int main(int c, char **v) { return seed(c); }", "-L"+dir, "-lseed", "-Wl,-rpath,"+dir), image.LoadOptions{})
	if err != nil {
		f.Fatal(err)
	}
	defer p.Close()
	m := p.Named("libseed.so")
	first, last := p.Functions(m)
	found := survey{within: m.Range}
	found.functions(p, first, last, func(int) {})
	valid := summarise(p, m, &found).encode()
	if s, ok := decodeSummary(valid); !ok || !bytes.Equal(s.encode(), valid) || !s.usable(p, m, m.Extents()) || len(s.sites) < 2 || len(s.slots) == 0 {
		f.Fatalf("the summary is not what was written: %+v", s)
	}
	f.Add(valid)
	for i := 0; i < len(valid); i += 4 {
		damaged := bytes.Clone(valid)
		damaged[i]++
		f.Add(damaged)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := decodeSummary(b)
		if !ok {
			return
		}
		written := s.encode()
		again, ok := decodeSummary(written)
		if !ok || !bytes.Equal(again.encode(), written) {
			t.Fatal("what was read cannot be written")
		}
		if s.usable(p, m, m.Extents()) {
			s.link(&survey{}, p, m, first)
		}
	})
}

// BenchmarkSummaries measures profiles of /bin/ls without a cache, with one that is
// empty, and with one that has its libraries.
func BenchmarkSummaries(b *testing.B) {
	const program = "/bin/ls"
	if _, err := os.Stat(program); err != nil {
		b.Skip(err)
	}
	run := func(b *testing.B, c *cache.Cache) {
		b.Helper()
		if _, err := File(program, Options{Cache: c}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("none", func(b *testing.B) {
		for b.Loop() {
			run(b, nil)
		}
	})
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			c, _ := openCache(b)
			b.StartTimer()
			run(b, c)
		}
	})
	b.Run("warm", func(b *testing.B) {
		c, _ := openCache(b)
		run(b, c)
		for b.Loop() {
			run(b, c)
		}
	})
}

// TestCounts checks that a survey that nothing is said about misses no address.
func TestCounts(t *testing.T) {
	library := survey{within: image.Range{Start: 10, End: 20}}
	for _, addr := range []uint64{0, 9, 10, 19, 20, ^uint64(0)} {
		if !new(survey).counts(addr) {
			t.Errorf("%d does not count", addr)
		}
		if library.counts(addr) != (addr >= 10 && addr < 20) {
			t.Errorf("%d of a library: %v", addr, library.counts(addr))
		}
	}
}
