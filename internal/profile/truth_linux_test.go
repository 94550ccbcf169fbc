package profile

import (
	"bufio"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// The runs whose calls, as strace sees them, must be in the profile.
var truths = []struct {
	pkg    string
	starts bool
	args   []string
}{
	{pkg: "./testdata/hello"},
	{pkg: "./testdata/files"},
	{pkg: "./testdata/serve"},
	{pkg: "./testdata/fetch"},
	{pkg: "./testdata/children", starts: true},
	{pkg: "./testdata/setid"},
	{pkg: "cmd/gofmt", args: []string{"-l", "testdata"}},
}

// targets are the machines whose programs run here, some of them in qemu.
var targets = []target{
	{"amd64", abi.AMD64, nil, "exe", false},
	{"amd64 PIE", abi.AMD64, nil, "pie", false},
	{"386", abi.I386, []string{"GOARCH=386"}, "exe", false},
	{"arm64", abi.ARM64, []string{"GOARCH=arm64"}, "exe", false},
	{"arm", abi.ARM, []string{"GOARCH=arm"}, "exe", false},
	{"riscv64", abi.RISCV64, []string{"GOARCH=riscv64"}, "exe", false},
	{"386 softfloat", abi.I386, []string{"GOARCH=386", "GO386=softfloat"}, "exe", true},
	{"arm softfloat", abi.ARM, []string{"GOARCH=arm", "GOARM=5"}, "exe", true},
	{"riscv64 rva23", abi.RISCV64, []string{"GOARCH=riscv64", "GORISCV64=rva23u64"}, "exe", true},
}

type target struct {
	name string
	abi  abi.ABI
	env  []string
	mode string // -buildmode
	long bool   // only in make test-long
}

// TestTruth compares profiles, of plain and stripped programs, with what the
// programs do.
func TestTruth(t *testing.T) {
	needStrace(t)
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			if target.long && os.Getenv("SYSGATE_LONG") == "" {
				t.Skip("compiles the standard library again: make test-long runs it")
			}
			needEmulator(t, target.abi)
			testTruth(t, target)
		})
	}
}

func testTruth(t *testing.T, on target) {
	for _, tt := range truths {
		t.Run(filepath.Base(tt.pkg), func(t *testing.T) {
			bin := build(t, tt.pkg, on.env, "-buildmode="+on.mode, stripped)
			r := mustProfile(t, bin)
			if r.Set.ABI != on.abi {
				t.Fatalf("a profile of %v", r.Set.ABI)
			}
			requireSound(t, r)
			// Builds take time: one program of each machine shows it.
			if on.name == "amd64" || tt.pkg == "./testdata/files" {
				plain := mustProfile(t, build(t, tt.pkg, on.env, "-buildmode="+on.mode))
				requireSound(t, plain)
				requireSame(t, plain, r)
			}
			if r.StartsPrograms != tt.starts {
				t.Errorf("starts programs: %v (%v)", r.StartsPrograms, r.Starts)
			}
			seen := trace(t, on.abi, bin, tt.args...)
			for _, name := range slices.Sorted(maps.Keys(seen)) {
				if !names(r)[name] {
					t.Errorf("missed: %s", name)
				}
			}
			t.Logf("found %d, seen %d", len(r.Set.Calls), len(seen))
		})
	}
}

// TestTruthElsewhere is TestTruth for a position-independent program of another
// machine, whose dynamic loader lies under a folder of its own.
func TestTruthElsewhere(t *testing.T) {
	const root = "/usr/aarch64-linux-gnu"
	if _, err := os.Stat(root + "/lib/ld-linux-aarch64.so.1"); err != nil {
		t.Skip("no dynamic loader of arm64: libc6-arm64-cross is not installed")
	}
	needEmulator(t, abi.ARM64)
	t.Setenv("QEMU_LD_PREFIX", root)
	for _, pkg := range []string{"./testdata/hello", "./testdata/serve"} {
		bin := build(t, pkg, []string{"GOARCH=arm64"}, "-buildmode=pie", stripped)
		r, err := File(bin, Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		requireSound(t, r)
		for name := range trace(t, abi.ARM64, bin) {
			if !names(r)[name] {
				t.Errorf("%s: missed: %s", pkg, name)
			}
		}
	}
}

// requireSame checks that two profiles have the same calls.
func requireSame(t *testing.T, plain, stripped *Result) {
	t.Helper()
	if a, b := slices.Sorted(maps.Keys(names(plain))), slices.Sorted(maps.Keys(names(stripped))); !slices.Equal(a, b) {
		t.Errorf("plain and stripped differ:\n%v\n%v", a, b)
	}
}

// emulators run programs for other machines, and show their system calls.
var emulators = map[abi.ABI]string{
	abi.ARM64:   "qemu-aarch64-static",
	abi.ARM:     "qemu-arm-static",
	abi.RISCV64: "qemu-riscv64-static",
}

func needEmulator(t *testing.T, on abi.ABI) {
	t.Helper()
	emulator := emulators[on]
	if _, err := exec.LookPath(emulator); emulator != "" && err != nil {
		t.Skipf("%s (qemu-user-static) is not installed: there is no truth of %v to compare with", emulator, on)
	}
}

func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: there is no truth to compare with")
	}
}

var (
	callLine   = regexp.MustCompile(`^(\d+) +\[ *(\d+)\] ([a-z0-9_]+)\(`)
	executed   = regexp.MustCompile(`^(\d+) +\[ *\d+\] (execve\(.* = 0$|<\.\.\. execve resumed>.* = 0$)`)
	clonedLine = regexp.MustCompile(`^(\d+) +\[ *\d+\] (?:(?:v?fork|clone3?)\(|<\.\.\. (?:v?fork|clone3?) resumed>).* = (\d+)$`)
)

// trace runs a program for an ABI under strace and returns the calls it makes:
// not its own start, and not those of the programs that it executes. Their
// numbers count: strace names what a socketcall is for.
func trace(t *testing.T, on abi.ABI, bin string, args ...string) map[string]bool {
	t.Helper()
	if emulators[on] != "" {
		return emulate(t, on, bin, args...)
	}
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command("strace", append([]string{"-f", "-n", "-qq", "-o", log, bin}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", bin, err, out)
	}
	return traced(t, on, log)
}

// traced returns the calls in a log of strace, of the program that was started first.
func traced(t *testing.T, on abi.ABI, log string) map[string]bool {
	t.Helper()
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen, foreign := map[string]bool{}, map[string]bool{}
	started := false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if m := executed.FindStringSubmatch(line); m != nil {
			if started {
				foreign[m[1]] = true
				seen["execve"] = true
			}
			started = true
			continue
		}
		if m := clonedLine.FindStringSubmatch(line); m != nil && foreign[m[1]] {
			foreign[m[2]] = true
		}
		// syscall_0x… is what strace prints when it takes an exit for an entry.
		if m := callLine.FindStringSubmatch(line); started && m != nil && !foreign[m[1]] && !strings.HasPrefix(m[3], "syscall_0x") {
			nr, err := strconv.ParseUint(m[2], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			seen[on.SyscallName(uint32(nr))] = true
		}
	}
	if len(seen) < 10 {
		t.Fatalf("strace saw only %v", slices.Sorted(maps.Keys(seen)))
	}
	return seen
}

var (
	emulatedLine = regexp.MustCompile(`\b\d+ ([a-z0-9_]+)\(`)
	unnamedLine  = regexp.MustCompile(`\b\d+ Unknown syscall (\d+)`) // newer than qemu
)

// emulate is trace in qemu, which starts the program itself.
func emulate(t *testing.T, on abi.ABI, bin string, args ...string) map[string]bool {
	t.Helper()
	log := filepath.Join(t.TempDir(), "qemu")
	cmd := exec.Command(emulators[on], append([]string{"-strace", "-D", log, bin}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", bin, err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range unnamedLine.FindAllStringSubmatch(string(text), -1) {
		nr, err := strconv.ParseUint(m[1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		seen[on.SyscallName(uint32(nr))] = true
	}
	for _, m := range emulatedLine.FindAllStringSubmatch(string(text), -1) {
		if nr, ok := on.Lookup(m[1]); ok { // else a word in a string
			seen[on.SyscallName(nr)] = true
		}
	}
	if len(seen) < 10 {
		t.Fatalf("qemu saw only %v", slices.Sorted(maps.Keys(seen)))
	}
	return seen
}

// TestToolchain profiles the programs of the Go distribution.
func TestToolchain(t *testing.T) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(out))
	bins, _ := filepath.Glob(filepath.Join(root, "bin", "*"))
	tools, _ := filepath.Glob(filepath.Join(root, "pkg", "tool", "*", "*"))
	for _, bin := range append(bins, tools...) {
		t.Run(filepath.Base(bin), func(t *testing.T) {
			r := mustProfile(t, bin)
			requireSound(t, r)
			if len(r.Set.Calls) < 40 {
				t.Errorf("only %d calls", len(r.Set.Calls))
			}
		})
	}
}

// TestReleases builds programs with older Go releases.
func TestReleases(t *testing.T) {
	if os.Getenv("SYSGATE_LONG") == "" {
		t.Skip("builds with other Go releases: make test-long runs it")
	}
	needStrace(t)
	for _, release := range []string{"go1.16.15", "go1.17.13", "go1.18.10", "go1.19.13", "go1.20.14", "go1.21.13", "go1.22.12", "go1.23.12", "go1.24.11", "go1.25.5", "go1.27.0"} {
		for _, on := range targets {
			if on.name == "riscv64 rva23" && (release == "go1.23.12" || release == "go1.24.11") {
				continue // they know profiles of riscv64, but not this one
			}
			t.Run(release+"/"+on.name, func(t *testing.T) {
				needEmulator(t, on.abi)
				testRelease(t, release, on)
			})
		}
	}
}

func testRelease(t *testing.T, release string, on target) {
	for _, pkg := range []string{"./testdata/hello", "./testdata/files", "./testdata/serve", "./testdata/fetch", "./testdata/children", "./testdata/setid"} {
		t.Run(filepath.Base(pkg), func(t *testing.T) {
			bin := buildWith(t, release, on, pkg)
			r := mustProfile(t, bin)
			if !strings.HasPrefix(r.Build.Version, release) {
				t.Fatalf("built with %s", r.Build.Version)
			}
			requireSound(t, r)
			if release == "go1.27.0" && on.name == "riscv64 rva23" {
				return // with instructions that Debian's emulator does not have
			}
			for name := range trace(t, on.abi, bin) {
				if !names(r)[name] {
					t.Errorf("missed: %s", name)
				}
			}
		})
	}
}

// buildWith builds the package with another Go release, outside this module,
// which asks for a newer one.
func buildWith(t *testing.T, release string, on target, pkg string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(pkg, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	minor := strings.Join(strings.Split(strings.TrimPrefix(release, "go"), ".")[:2], ".")
	for name, text := range map[string]string{"main.go": string(src), "go.mod": "module m\n\ngo " + minor + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", stripped, "-buildmode="+on.mode, "-o", "m", ".")
	cmd.Dir = dir
	// go test sets these for the release that runs it.
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GOROOT=") && !strings.HasPrefix(e, "GOTOOLDIR=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	// Old releases do not know all flags that the user may have set for good, and the
	// index of Go 1.19 does not know its own library where modules lie.
	cmd.Env = append(append(cmd.Env, "CGO_ENABLED=0", "GOENV=off", "GOFLAGS=", "GODEBUG=goindex=0", "GOTOOLCHAIN="+release), on.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "download") {
			t.Skipf("%s cannot be had: %s", release, out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "m")
}

// TestAdversary runs the program that hides its numbers: each call that it
// makes is in the profile, or an undetermined site in the function that makes it
// says that the profile is not whole.
func TestAdversary(t *testing.T) {
	needStrace(t)
	for _, flags := range [][]string{nil, {stripped}, {"-gcflags=all=-N -l"}} {
		bin := build(t, "./testdata/adversary", nil, flags...)
		r := adversary(t, bin)
		for _, tt := range adversaries {
			t.Run(strings.Join(append(flags, tt.way), "/"), func(t *testing.T) {
				tt.check(t, r)
				for name := range trace(t, abi.AMD64, bin, tt.way) {
					if !names(r)[name] && tt.fn == "" {
						t.Errorf("%s was made and is not in the profile", name)
					}
				}
			})
		}
	}
}

// TestAdversaryElsewhere is TestAdversary for the same numbers on other
// machines, where they are other calls: it does not run them.
func TestAdversaryElsewhere(t *testing.T) {
	for _, on := range targets {
		if on.long || on.name == "amd64" {
			continue
		}
		for _, flags := range [][]string{nil, {stripped}} {
			r := adversary(t, build(t, "./testdata/adversary", on.env, append(flags, "-buildmode="+on.mode)...))
			for _, tt := range adversaries {
				t.Run(strings.Join(append(append([]string{on.name}, flags...), tt.way), "/"), func(t *testing.T) { tt.check(t, r) })
			}
		}
	}
}

func adversary(t *testing.T, bin string) *Result {
	t.Helper()
	r := mustProfile(t, bin)
	if r.Set.Sound || len(r.Undetermined) == 0 {
		t.Fatal("the profile claims to be sound")
	}
	for _, s := range r.Undetermined {
		if len(s.Path) == 0 || s.Path[len(s.Path)-1].Func == "" {
			t.Errorf("%s has no path", s.Func)
		}
	}
	return r
}

// A hidden number is what the adversary does with one of its arguments.
type hidden struct {
	way  string
	call string // of amd64
	fn   string // of the undetermined site; "" if the number must be found
	// result says that the number is a function's result: undetermined in main.main
	// where these are on the stack.
	result bool
}

func (h hidden) check(t *testing.T, r *Result) {
	t.Helper()
	nr, _ := abi.AMD64.Lookup(h.call)
	if on := r.Set.ABI; h.result && (on == abi.I386 || on == abi.ARM) {
		h.fn = "main.main"
	}
	if h.fn == "" && !slices.ContainsFunc(r.Set.Calls, func(c observe.Call) bool { return c.NR == nr }) {
		t.Errorf("%s is missing", h.call)
	}
	if h.fn != "" && !slices.ContainsFunc(r.Undetermined, func(s Site) bool { return s.Func == h.fn }) {
		t.Errorf("%s has no undetermined site", h.fn)
	}
}

var adversaries = []hidden{
	{way: "global", call: "getpgrp", fn: "main.main"},
	{way: "field", call: "getgroups", fn: "main.main"},
	{way: "table", call: "getuid", fn: "main.main"},
	{way: "map", call: "getppid", fn: "main.main"},
	{way: "iface", call: "getresuid", fn: "main.one.call"},
	{way: "value", call: "getresgid", fn: "syscall.Syscall"},
	{way: "closure", call: "getpriority", fn: "main.main.func1"},
	{way: "reflect", call: "sched_setparam", fn: "main.direct"},
	{way: "direct", call: "sched_getparam"},
	{way: "small", call: "sched_setscheduler"},
	{way: "computed", call: "sched_getscheduler", fn: "main.computed"},
	{way: "result", call: "personality", result: true},
	{way: "chosen", call: "getitimer", result: true},
	{way: "chosen", call: "alarm", result: true},
	{way: "chosen", call: "pause", result: true},
	{way: "far", call: "setpriority", fn: "main.far"},
	{way: "indexed", call: "getpriority", fn: "main.indexed"},
	{way: "overridden", call: "getrlimit", fn: "main.overridden"},
	{way: "recursive", call: "umask", fn: "main.recursive"},
	{way: "spill", call: "statfs", fn: "main.spill"},
	{way: "defer", call: "sched_get_priority_max"},
	{way: "go", call: "sched_get_priority_min"},
	{way: "loop", call: "sched_rr_get_interval", fn: "main.main"},
	{way: "unsafe", call: "modify_ldt", fn: "main.main"},
	{way: "method", call: "_sysctl", fn: "main.one.call-fm"},
	{way: "generic", call: "pivot_root"},
	{way: "recover", call: "setrlimit"},
	{way: "recover", call: "adjtimex"},
	{way: "yield", call: "ioperm"},
	{way: "yield", call: "iopl"},
}
