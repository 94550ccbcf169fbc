package profile

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

// TestResult checks what a profile says about a program as a whole.
func TestResult(t *testing.T) {
	bin := build(t, "./testdata/hello", nil)
	var mu sync.Mutex
	stages := map[string]int{}
	r, err := File(bin, Options{Progress: func(stage string, done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if done < 0 || done > total {
			t.Errorf("%s: %d of %d", stage, done, total)
		}
		stages[stage] = max(stages[stage], done)
	}})
	if err != nil {
		t.Fatal(err)
	}
	requireSound(t, r)
	if stages["sweep"] != r.Functions || r.Functions < 1000 {
		t.Errorf("progress %v of %d functions", stages, r.Functions)
	}
	if r.Set.ABI != abi.AMD64 || r.Sites < 30 || r.StartsPrograms || len(r.Set.Assumptions) == 0 {
		t.Errorf("ABI %v, %d sites, starts %v, assumptions %v", r.Set.ABI, r.Sites, r.Starts, r.Set.Assumptions)
	}
	if len(r.Set.Sources) != 1 || !strings.Contains(r.Set.Sources[0], "sha256:") || !strings.Contains(r.Set.Sources[0], r.Build.Version) {
		t.Errorf("sources %q", r.Set.Sources)
	}
	if !slices.IsSortedFunc(r.Set.Calls, func(a, b observe.Call) int { return int(a.NR) - int(b.NR) }) {
		t.Error("the calls are not in order")
	}
	for _, c := range r.Set.Calls {
		if c.Evidence == "" || c.Class == 0 || c.Name != abi.AMD64.SyscallName(c.NR) {
			t.Errorf("incomplete: %+v", c)
		}
	}
	for _, name := range []string{"restart_syscall", "rt_sigreturn", "clock_gettime", "gettimeofday", "getrandom", "write", "exit_group", "mmap"} {
		if !names(r)[name] {
			t.Errorf("%s is missing", name)
		}
	}
	// The largest set that hello may have: more would be noise.
	if len(r.Set.Calls) > 46 {
		t.Errorf("%d calls: %v", len(r.Set.Calls), slices.Sorted(maps.Keys(names(r))))
	}
	again := mustProfile(t, bin)
	for i, c := range again.Set.Calls {
		if !cmp.Equal(c, r.Set.Calls[i]) || !slices.Equal(again.Path(c.Name), r.Path(c.Name)) {
			t.Errorf("%s differs the second time", c.Name)
		}
	}
}

// TestPath checks that a path starts at an entry point, that each direct call
// of it is one in the code, and that it ends in a system call instruction.
func TestPath(t *testing.T) {
	for _, on := range targets {
		if !on.long {
			t.Run(on.name, func(t *testing.T) { testPath(t, build(t, "./testdata/files", on.env, "-buildmode="+on.mode)) })
		}
	}
}

func testPath(t *testing.T, bin string) {
	a := analysed(t, bin)
	r := mustProfile(t, bin)
	sites := map[uint64]bool{}
	for _, s := range a.survey.sites {
		sites[s.addr] = true
	}
	checked := 0
	for _, c := range r.Set.Calls {
		steps := r.Path(c.Name)
		if c.Class != observe.Certain {
			continue
		}
		if !sites[steps[len(steps)-1].Addr] {
			t.Errorf("%s: the path ends at %#x, no system call", c.Name, steps[len(steps)-1].Addr)
		}
		for i, s := range steps {
			fn, ok := a.prog.Find(s.Addr)
			named := slices.ContainsFunc(a.prog.Frames(fn, s.Addr), func(f image.Frame) bool { return f.Func == s.Func })
			if !ok || !named || s.Edge != EdgeInlined && a.prog.Name(fn) != s.Func || s.File == "" || s.Line == 0 {
				t.Errorf("%s: step %d: %+v is in %s", c.Name, i, s, a.nameAt(s.Addr))
			}
			if i == 0 || s.Edge != EdgeCall && s.Edge != EdgeNumber {
				continue
			}
			caller := must(a.prog.Find(steps[i-1].Addr))
			from, code := a.prog.Code(caller)
			off := steps[i-1].Addr - from
			in := a.prog.Decode(code[off:], steps[i-1].Addr)
			if in.Op == image.OpCallInd { // on arm, of an address that was loaded just before
				for sw := sweepOf(a.prog, caller, code, from); in.Target == 0 && sw.Next(&in) && in.Addr <= steps[i-1].Addr; {
					if in.Addr < steps[i-1].Addr {
						in.Target = 0
					}
				}
			}
			if a.nameAt(in.Target) != s.Func {
				t.Errorf("%s: step %d: %s does not call %s at %#x", c.Name, i, steps[i-1].Func, s.Func, steps[i-1].Addr)
			}
			checked++
		}
	}
	if checked < 100 {
		t.Errorf("only %d calls checked", checked)
	}
	mkdir := r.Path("mkdirat")
	if mkdir[0].Func != "main.main" || !slices.ContainsFunc(mkdir, func(s Step) bool {
		return s.Func == "syscall.Mkdirat" || s.Func == "syscall.mkdirat" || s.Func == "os.Mkdir"
	}) {
		t.Errorf("the path to mkdirat is %v", mkdir)
	}
}

func must(i int, ok bool) int {
	if !ok {
		panic("no such function")
	}
	return i
}

// TestAssume checks that assumptions settle sites, and only those.
func TestAssume(t *testing.T) {
	bin := build(t, "./testdata/adversary", nil)
	r := mustProfile(t, bin)
	assume := map[string][]string{}
	for _, s := range r.Undetermined {
		assume[s.Func] = []string{"vhangup"}
	}
	settled, err := File(bin, Options{Assume: assume})
	if err != nil {
		t.Fatal(err)
	}
	if !settled.Set.Sound || len(settled.Undetermined) != 0 || len(settled.Assumed) != len(r.Undetermined) {
		t.Errorf("sound %v, %d undetermined, %d assumed", settled.Set.Sound, len(settled.Undetermined), len(settled.Assumed))
	}
	i := slices.IndexFunc(settled.Set.Calls, func(c observe.Call) bool { return c.Name == "vhangup" })
	if i < 0 || settled.Set.Calls[i].Class != observe.Assumed || len(settled.Set.Assumptions) <= len(r.Set.Assumptions) {
		t.Errorf("vhangup is %+v, %d assumptions, %d before", settled.Set.Calls[max(i, 0)], len(settled.Set.Assumptions), len(r.Set.Assumptions))
	}
	delete(assume, "main.spill")
	partly, err := File(bin, Options{Assume: assume})
	if err != nil {
		t.Fatal(err)
	}
	if partly.Set.Sound || len(partly.Undetermined) == 0 {
		t.Error("an unsettled site is forgotten")
	}
	for _, tt := range []struct {
		fn, name, want string
	}{
		{"main.nobody", "read", "no undetermined"},
		{"main.spill", "raed", "did you mean read?"},
		{"main.spill", "socketcall", "amd64 has no"},
	} {
		if _, err := File(bin, Options{Assume: map[string][]string{tt.fn: {tt.name}}}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("assume %s=%s: %v", tt.fn, tt.name, err)
		}
	}
}

// TestShrunk checks that a file that is cut short while it is mapped is an
// error and no crash.
func TestShrunk(t *testing.T) {
	data, err := os.ReadFile(build(t, "./testdata/hello", nil))
	if err != nil {
		t.Fatal(err)
	}
	path := written(t, data)
	if _, err = File(path, Options{Progress: func(stage string, _, _ int) {
		if stage == "sweep" {
			os.Truncate(path, 4096)
		}
	}}); err == nil {
		t.Error("no error")
	}
}

// BenchmarkProfile measures whole profiles: of gofmt, and of the program that
// SYSGATE_BIG names.
func BenchmarkProfile(b *testing.B) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	bins := []string{filepath.Join(strings.TrimSpace(string(root)), "bin", "gofmt")}
	if big := os.Getenv("SYSGATE_BIG"); big != "" {
		bins = append(bins, big)
	}
	for _, bin := range bins {
		b.Run(filepath.Base(bin), func(b *testing.B) {
			st, err := os.Stat(bin)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(st.Size())
			for b.Loop() {
				mustProfile(b, bin)
			}
		})
	}
}

// TestVariants checks that the way a program is built does not change what it
// can do.
func TestVariants(t *testing.T) {
	want := slices.Sorted(maps.Keys(names(mustProfile(t, build(t, "./testdata/children", nil)))))
	for _, tt := range []struct {
		env   []string
		flags []string
	}{
		{[]string{"GOAMD64=v3"}, nil},
		{[]string{"GOAMD64=v4"}, []string{stripped}},
		{nil, []string{"-trimpath"}},
		{nil, []string{"-gcflags=all=-N -l"}},
		{nil, []string{"-gcflags=all=-l", stripped}},
		{nil, []string{"-gcflags=all=-spectre=all"}},
		{nil, []string{"-ldflags=-B none -compressdwarf=false"}},
		{[]string{"GOEXPERIMENT=nogreenteagc"}, nil},
	} {
		t.Run(strings.Join(append(tt.env, tt.flags...), " "), func(t *testing.T) {
			if (len(tt.flags) == 0 || !strings.HasPrefix(tt.flags[0], "-ldflags")) && os.Getenv("SYSGATE_LONG") == "" {
				t.Skip("compiles the standard library again: make test-long runs it")
			}
			r := mustProfile(t, build(t, "./testdata/children", tt.env, tt.flags...))
			requireSound(t, r)
			got := slices.Sorted(maps.Keys(names(r)))
			if len(tt.flags) > 0 && strings.HasPrefix(tt.flags[0], "-gcflags=all=-N") {
				// Branches that are never taken stay without optimisation.
				got = slices.DeleteFunc(got, func(name string) bool { return name == "fchmodat" || name == "fchmodat2" })
			}
			if !slices.Equal(got, want) {
				t.Errorf("calls\n%v, want\n%v", got, want)
			}
		})
	}
}
