package sysgate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// A language is a program in which numbers get to the kernel in every way that the
// language has, and how it is built.
type language struct {
	source   string
	want     string   // what it prints
	not      []string // calls that it has no use for
	compiler []string
	builds   [][]string // flags of the compiler; all but the first two only in long tests
}

var languages = []language{
	{"testdata/languages/ways.cc", `(?m)^what$`, []string{"execve", "ptrace", "mount", "chroot", "reboot", "socket"}, []string{"g++", "-std=c++20", "-pthread"}, [][]string{
		{"-O2"},
		{"-O2", "-static", "-s"},
		{"-O2", "-s", "-no-pie", "-fno-pie"},
		{"-O3", "-flto", "-s"},
		{"-O2", "-static-pie", "-s"},
	}},
	{"testdata/languages/ways.cc", `(?m)^what$`, []string{"execve", "ptrace", "mount", "chroot", "reboot", "socket"}, []string{"clang++", "-std=c++20", "-pthread"}, [][]string{
		{"-O2", "-s"},
		{"-std=c++17", "-stdlib=libc++", "-O2", "-s"},
		{"-O2", "-static", "-s"},
		{"-O3", "-flto", "-fuse-ld=lld", "-Wl,--icf=all", "-s"},
	}},
	{"testdata/languages/ways.rs", `(?m)^hello$`, []string{"ptrace", "mount", "reboot"}, []string{"rustc", "--edition", "2021"}, [][]string{
		{"-C", "opt-level=2", "-C", "strip=symbols"},
		{"-C", "opt-level=2", "-C", "target-feature=+crt-static", "-C", "strip=symbols"},
		{"-C", "opt-level=0"},
		{"-C", "opt-level=3", "-C", "lto=fat", "-C", "codegen-units=1"},
		{"-C", "opt-level=s", "-C", "panic=abort", "-C", "strip=symbols"},
	}},
}

// way is what a source says of a call that it makes in one place.
var way = regexp.MustCompile(`// .*: ([a-z0-9_]+)(?m:$)`)

// TestLanguages is the main job on programs of C++ and Rust: the profile has each
// call that strace sees, each way to make one among them, and the program does the
// same under the filter, where a denied call kills.
func TestLanguages(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the programs are built for amd64")
	}
	if err := exec.Command("strace", "-V").Run(); err != nil {
		t.Skip("strace is not installed: no truth to compare with")
	}
	sysgate := filepath.Join(t.TempDir(), "sysgate")
	build(t, ".", sysgate, "./cmd/sysgate")
	for _, l := range languages {
		for i, flags := range l.builds {
			t.Run(strings.Join(append(l.compiler[:1:1], flags...), " "), func(t *testing.T) {
				if i >= 2 && os.Getenv("SYSGATE_LONG") == "" {
					t.Skip("compiles once more: make test-long runs it")
				}
				l.test(t, sysgate, flags)
			})
		}
	}
}

func (l language) test(t *testing.T, sysgate string, flags []string) {
	compiler := l.compiler[0]
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("%s is not installed: no such program can be built", compiler)
	}
	source, err := os.ReadFile(l.source)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "ways")
	args := append(append(l.compiler[1:len(l.compiler):len(l.compiler)], flags...), "-o", binary, l.source)
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", compiler, err, out)
	}
	found := profile(t, sysgate, binary)
	r := run{name: "ways", want: l.want}
	seen := strace(t, abi.AMD64, r, binary)
	for name := range seen {
		if !found[name] {
			t.Errorf("not in the profile: %s", name)
		}
	}
	ways := 0
	for _, m := range way.FindAllSubmatch(source, -1) {
		if seen[string(m[1])] {
			ways++
		}
	}
	if ways < 20 { // aborting, Rust has no ways that a panic takes
		t.Errorf("only %d of the ways in %s were gone", ways, l.source)
	}
	for _, name := range l.not {
		if found[name] {
			t.Errorf("%s is in the profile", name)
		}
	}
	t.Logf("found %d, seen %d, ways %d", len(found), len(seen), ways)
	testkit.NeedFilters(t)
	r.check(t, sysgate, "run", "-q", "--policy", "auto", "--default-action", "kill_process", "--", binary)
}
