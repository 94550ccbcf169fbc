package sysgate_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// TestScenarios runs testdata/installer, which installs filters in settings that
// are hard on a loader, as programs of the ABIs that this machine runs.
func TestScenarios(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.WaitKillable) // the kernel has everything; TestGuests has older ones
	arches := []string{runtime.GOARCH}
	if runtime.GOARCH == "amd64" {
		arches = append(arches, "386")
	}
	for _, arch := range arches {
		t.Run(arch, func(t *testing.T) {
			program := buildInstaller(t, arch)
			for _, s := range scenarios(t, program) {
				t.Run(s.name, func(t *testing.T) { s.run(t, program) })
			}
		})
	}
}

// buildInstaller builds testdata/installer, without cgo and so for any Linux.
func buildInstaller(t *testing.T, arch string) string {
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
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/installer")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
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
	if len(all) < 20 {
		t.Fatalf("%d scenarios:\n%s", len(all), list)
	}
	return all
}

func (s scenario) run(t *testing.T, program string) {
	out, err := exec.Command(program, s.name).CombinedOutput()
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
