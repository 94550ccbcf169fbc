package profile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sysgate/sysgate/internal/observe"
)

// built keeps the programs of one test run.
var built struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "profile")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built.dir, built.paths = dir, map[string]string{}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds a package, for linux/amd64 without cgo unless env says
// otherwise, once a test run.
func build(t testing.TB, pkg string, env []string, flags ...string) string {
	t.Helper()
	out, err := tryBuild(pkg, env, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryBuild(pkg string, env []string, flags ...string) (string, error) {
	built.Lock()
	defer built.Unlock()
	key := strings.Join(append(append([]string{pkg}, env...), flags...), " ")
	if p := built.paths[key]; p != "" {
		return p, nil
	}
	out := filepath.Join(built.dir, fmt.Sprintf("%d-%s", len(built.paths), filepath.Base(pkg)))
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), pkg)...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", key, err, msg)
	}
	built.paths[key] = out
	return out, nil
}

const stripped = "-ldflags=-s -w"

// mustProfile profiles a program.
func mustProfile(t testing.TB, path string) *Result {
	t.Helper()
	r, err := File(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// names returns the names of a profile's calls.
func names(r *Result) map[string]bool {
	out := map[string]bool{}
	for _, c := range r.Set.Calls {
		out[c.Name] = true
	}
	return out
}

// requireSound checks that nothing is undetermined, and that every call found
// in the code has a path.
func requireSound(t testing.TB, r *Result) {
	t.Helper()
	for _, s := range r.Undetermined {
		t.Errorf("undetermined: %s at %#x: %s", s.Func, s.Addr, s.Reason)
	}
	if !r.Set.Sound {
		t.Error("not sound")
	}
	for _, c := range r.Set.Calls {
		steps := r.Path(pathKey(c))
		switch {
		case c.Class == observe.Implicit && len(steps) == 0:
		case len(steps) == 0 || steps[0].Edge != EdgeRoot:
			t.Errorf("%s has no path from an entry point: %v", c.Name, steps)
		}
	}
}
