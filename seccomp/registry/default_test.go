package registry

import (
	"errors"
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
	"github.com/sysgate/sysgate/seccomp"
)

var update = flag.Bool("update", false, "write the allow-lists of the default policies")

// buildApp builds testdata/app.
func buildApp(t *testing.T, a abi.ABI, environment string, flags ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app")
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", file}, flags, []string{"./testdata/app"})...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+a.String(), environment)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// TestDefaultLists holds the allow-lists to the profile of testdata/app, without
// what is denied and with what is added.
func TestDefaultLists(t *testing.T) {
	allow, deny := readList(t, "defaults/allow.txt"), readList(t, "defaults/deny.txt")
	deny = append(deny, refine.Item{Name: "clone3"})
	for _, a := range []abi.ABI{abi.AMD64, abi.I386} {
		t.Run(a.String(), func(t *testing.T) {
			result, err := profile.File(buildApp(t, a, "CGO_ENABLED=0"), profile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Undetermined) > 0 || !result.Set.Sound {
				t.Fatalf("the profile is not sound: %v", result.Undetermined)
			}
			p, _ := refine.FromSet(&result.Set, refine.Options{Allow: allow, Deny: deny})
			want := refine.Allowed(p)
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
				if !slices.Contains(want, name) {
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

// TestDeniedList holds the list to whole services: where one call of several
// that do the same is denied, all are.
func TestDeniedList(t *testing.T) {
	for _, a := range []abi.ABI{abi.AMD64, abi.I386, abi.ARM, abi.ARM64} {
		denied := names(deniedList, a)
		if !slices.Contains(denied, "execve") || !slices.Contains(denied, "mount") {
			t.Errorf("%v: denied are %v", a, denied)
		}
		for _, name := range denied {
			for _, same := range a.Group(name) {
				if !slices.Contains(denied, same) {
					t.Errorf("%v: %s is denied, %s does the same", a, name, same)
				}
			}
		}
	}
}

// TestDefaultActions looks at each default policy through the model.
func TestDefaultActions(t *testing.T) {
	const eperm, enosys = abi.Errno | 1, abi.Errno | 38
	for _, a := range []abi.ABI{abi.AMD64, abi.I386, abi.ARM, abi.ARM64} {
		other := abi.Allow
		if a == abi.AMD64 || a == abi.I386 {
			other = enosys
		}
		for _, test := range []struct {
			call string
			want abi.Action
		}{
			{"read()", abi.Allow},
			{"openat()", abi.Allow},
			{"clone(0x3d0f00)", abi.Allow},    // a thread of glibc
			{"clone(0x50f00)", abi.Allow},     // one of the Go runtime
			{"clone(0x10000000)", eperm},      // a user namespace
			{"clone(0x02000000 | 17)", eperm}, // a cgroup namespace
			{"clone3()", enosys},              //
			{"execve()", eperm},               //
			{"ptrace()", eperm},               //
			{"setuid()", eperm},               //
			{"io_uring_setup()", other},       //
			{"nr:4000()", other},              //
		} {
			if got := verdict(t, a, builtin(a), test.call); got != test.want {
				t.Errorf("%v: %s gets %v, want %v", a, test.call, got, test.want)
			}
		}
	}
	for _, a := range abi.All() {
		if p := builtin(a); p == nil && (a == abi.AMD64 || a == abi.I386 || a == abi.ARM || a == abi.ARM64) {
			t.Errorf("%v has no default policy", a)
		}
	}
	if builtin(abi.RISCV64) != nil {
		t.Error("riscv64 has a default policy")
	}
}

// programs are the ways to build testdata/app.
var programs = []struct {
	name  string
	abi   abi.ABI
	cgo   bool
	flags []string
}{
	{"amd64", abi.AMD64, false, nil},
	{"386", abi.I386, false, nil},
	{"cgo", abi.AMD64, true, nil},
	{"race", abi.AMD64, true, []string{"-race"}},
}

func eachProgram(t *testing.T, run func(t *testing.T, a abi.ABI, file string)) {
	if runtime.GOARCH != "amd64" {
		t.Skipf("runs programs for amd64 and 386, not on %s", runtime.GOARCH)
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			environment := "CGO_ENABLED=0"
			if p.cgo {
				testkit.Need(t, testkit.CC)
				environment = "CGO_ENABLED=1"
			}
			run(t, p.abi, buildApp(t, p.abi, environment, p.flags...))
		})
	}
}

// TestDefaultPolicies runs a program that does what services do under the default
// policy. It denies itself other programs, and fails if it can start one.
func TestDefaultPolicies(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	eachProgram(t, func(t *testing.T, _ abi.ABI, file string) {
		cmd := exec.Command(file)
		cmd.Env = append(os.Environ(), "GODEBUG=netdns=cgo") // of no effect without cgo
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasSuffix(string(out), "\nok\n") {
			t.Fatalf("%v\n%s", err, out)
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
	eachProgram(t, func(t *testing.T, a abi.ABI, file string) {
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.Command(strace, "-f", "-qq", "-o", trace, file, "-unfiltered")
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
			if got := verdict(t, a, builtin(a), name+"()"); got != abi.Allow {
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
