package sysgate_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/internal/testkit"
)

// TestScenarios runs testdata/installer, which installs filters in settings that
// are hard on a loader, as programs of the ABIs that this machine runs.
func TestScenarios(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.WaitKillable) // the kernel has everything; TestGuests has older ones
	variants := []variant{{arch: runtime.GOARCH}, {arch: runtime.GOARCH, cgo: true}}
	if runtime.GOARCH == "amd64" {
		variants = append(variants, variant{arch: "386"})
	}
	for _, v := range variants {
		t.Run(v.String(), func(t *testing.T) {
			if v.cgo {
				testkit.Need(t, testkit.CC)
			}
			program := v.installer(t)
			for _, s := range scenarios(t, program) {
				t.Run(s.name, func(t *testing.T) { s.run(t, program) })
			}
		})
	}
}

// A variant says how to build a program.
type variant struct {
	arch string
	cgo  bool // else the program runs on any Linux
}

func (v variant) String() string {
	if v.cgo {
		return v.arch + " with cgo"
	}
	return v.arch
}

// installer variants testdata/installer and returns the program's name.
func (v variant) installer(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "installer") // not t.TempDir: other users run it too
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "installer")
	linker := "-s -w"
	if v.cgo {
		linker += " -linkmode=external -extldflags=-static" // there are no libraries in a chroot
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags="+linker, "-o", program, "./testdata/installer")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+v.arch, "CGO_ENABLED=0")
	if v.cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// A scenario is one of testdata/installer.
type scenario struct {
	name string
	dies bool
}

func scenarios(t *testing.T, program string) []scenario {
	t.Helper()
	list, err := exec.Command(program, "list").Output()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("this kernel does not run programs of this ABI")
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	for line := range strings.Lines(string(list)) {
		name, isOK := strings.CutSuffix(strings.TrimSpace(line), " ok")
		name, dies := strings.CutSuffix(name, " SIGSYS")
		if isOK == dies {
			t.Fatalf("%s", list)
		}
		all = append(all, scenario{name, dies})
	}
	if len(all) < 15 {
		t.Fatalf("%d scenarios:\n%s", len(all), list)
	}
	return all
}

func (s scenario) run(t *testing.T, program string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // threads that wait for each other wait for ever
	defer cancel()
	out, err := exec.CommandContext(ctx, program, s.name).CombinedOutput()
	text := strings.TrimSpace(string(out))
	reason, skipped := strings.CutPrefix(text, "skip: ")
	var ended *exec.ExitError
	switch {
	case skipped:
		t.Skip(reason)
	case !s.dies && (err != nil || text != "ok"):
		t.Errorf("%v: %s", err, text)
	case s.dies && (!errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS || text != "installed"):
		t.Errorf("ended with %v, want SIGSYS after it is installed: %s", err, text)
	}
}
