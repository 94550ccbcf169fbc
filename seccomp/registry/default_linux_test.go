package registry

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/internal/testkit"
)

// listsOf is the Go release that the lists were written with.
const listsOf = "go1.26"

var update = flag.Bool("update", false, "write the allow-lists of the default policies")

// A build is a way to build testdata/app.
type build struct {
	name  string
	abi   abi.ABI
	cgo   bool
	flags []string
}

// builds are the programs that run under a default policy; the first two are
// those that the allow-lists are made of.
var builds = []build{
	{"amd64", abi.AMD64, false, nil},
	{"386", abi.I386, false, nil},
	{"cgo", abi.AMD64, true, nil},
	{"race", abi.AMD64, true, []string{"-race"}},
}

// file returns the program, which is built once for all tests.
func (b build) file(t *testing.T) string {
	t.Helper()
	environment := "CGO_ENABLED=0"
	if b.cgo {
		testkit.Need(t, testkit.CC)
		environment = "CGO_ENABLED=1"
	}
	file := filepath.Join(programs, b.name)
	if _, err := os.Stat(file); err == nil {
		return file
	}
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", file}, b.flags, []string{"./testdata/app"})...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+b.abi.String(), environment)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// programs is the directory of what builds are.
var programs string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "registry-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	return m.Run()
}

// TestDefaultLists holds the allow-lists to the profile of testdata/app, without
// what is denied and with what is added.
func TestDefaultLists(t *testing.T) {
	allow, deny := readList(t, "defaults/allow.txt"), readList(t, "defaults/deny.txt")
	deny = append(deny, refine.Item{Name: "clone3"})
	for _, b := range builds[:2] {
		a := b.abi
		t.Run(b.name, func(t *testing.T) {
			result, err := profile.File(b.file(t), profile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Undetermined) > 0 || !result.Set.Sound {
				t.Fatalf("the profile is not sound: %v", result.Undetermined)
			}
			p, _ := refine.FromSet(&result.Set, refine.Options{Allow: allow, Deny: deny})
			want := refine.Allowed(p)
			want = slices.DeleteFunc(want, func(name string) bool {
				_, ok := a.Lookup(name)
				return !ok // inside socketcall alone
			})
			file := "defaults/" + a.String() + ".txt"
			if *update {
				if err := os.WriteFile(file, []byte(strings.Join(want, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := names(string(data), a)
			for _, name := range want {
				if !slices.Contains(got, name) {
					t.Errorf("%s lacks %s; -update writes it", file, name)
				}
			}
			for _, name := range got {
				// Other releases of Go need less, or more: more is an error on any.
				if !slices.Contains(want, name) && strings.HasPrefix(runtime.Version(), listsOf) {
					t.Errorf("%s has %s, which is not needed (%s); -update writes it", file, name, runtime.Version())
				}
			}
		})
	}
}

func readList(t *testing.T, file string) []refine.Item {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	items, err := refine.ParseList(file, string(data))
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func eachBuild(t *testing.T, run func(t *testing.T, b build)) {
	if runtime.GOARCH != "amd64" {
		t.Skipf("runs programs for amd64 and 386, not on %s", runtime.GOARCH)
	}
	for _, b := range builds {
		t.Run(b.name, func(t *testing.T) { run(t, b) })
	}
}

// TestDefaultPolicies runs a program that does what services do under the default
// policy. It denies itself other programs, and fails if it can start one.
func TestDefaultPolicies(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	eachBuild(t, func(t *testing.T, b build) {
		cmd := exec.Command(b.file(t))
		cmd.Env = append(os.Environ(), "GODEBUG=netdns=cgo") // of no effect without cgo
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasSuffix(string(out), "\nok\n") {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "level=WARN") {
			t.Errorf("the policy has warnings:\n%s", out)
		}
		for _, want := range []string{"Syscall filter successfully installed", "\n" + string(Default) + "\n"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	})
}

// TestDefaultsAdmitWhatIsSeen holds the allow-lists to what strace sees of
// programs that no filter keeps from anything.
func TestDefaultsAdmitWhatIsSeen(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("needs strace: %v", err)
	}
	eachBuild(t, func(t *testing.T, b build) {
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(strace, "-f", "-qq", "-o", trace, b.file(t), "-unfiltered")
		cmd.Env = append(os.Environ(), "GODEBUG=netdns=cgo")
		if out, err := cmd.CombinedOutput(); err != nil {
			if strings.Contains(string(out), "PTRACE_") {
				t.Skipf("strace cannot trace here: %s", out)
			}
			t.Fatalf("%v\n%s", err, out)
		}
		seen, err := seenCalls(trace)
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) < 50 {
			t.Fatalf("strace saw %v alone", seen)
		}
		for _, name := range seen {
			if name == "execve" || name == "clone3" {
				continue // denied, and done without
			}
			call := name + "()"
			if mux, sub, ok := b.abi.Multiplexed(name); ok {
				// strace does not say which of the two it saw.
				call = fmt.Sprintf("nr:%d(%d)", mux, sub)
			}
			if got := verdict(t, b.abi, builtin(b.abi), call); got != abi.Allow {
				t.Errorf("%s gets %v", name, got)
			}
		}
	})
}

// seenCalls returns the names in a log of strace: lines "PID name(…".
func seenCalls(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, match := range regexp.MustCompile(`(?m)^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)`).FindAllStringSubmatch(string(data), -1) {
		all = append(all, match[1])
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
