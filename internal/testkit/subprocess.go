package testkit

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// subprocessEnv holds the name of the test that a re-executed test binary runs.
const subprocessEnv = "SYSGATE_TEST_SUBPROCESS"

// RunInSubprocess runs f as the test t in a process of its own, so that f can do
// what cannot be undone, such as installing a filter. The test fails with the
// output of the process if f fails or the process dies, and skips if f skips.
// The call must be what the test does first: whatever precedes it runs in both
// processes.
func RunInSubprocess(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if InSubprocess(t) {
		f(t)
		return
	}
	out, err := Subprocess(t).CombinedOutput()
	switch text := string(out); {
	case err != nil:
		t.Fatalf("%v\n%s", err, text)
	case strings.Contains(text, "--- SKIP: "+t.Name()+" "):
		t.Skip(text)
	case !strings.Contains(text, "--- PASS: "+t.Name()+" "):
		t.Fatalf("the subprocess did not run the test:\n%s", text)
	}
}

// InSubprocess reports whether the process is one that [Subprocess] describes,
// for the test t.
func InSubprocess(t *testing.T) bool { return os.Getenv(subprocessEnv) == t.Name() }

// Subprocess returns the command that runs the test t again in a process of its
// own, for tests that look at how it ends; see [InSubprocess].
func Subprocess(t *testing.T) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(t.Name(), "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	cmd := exec.Command(binary, "-test.run="+strings.Join(parts, "/"), "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), subprocessEnv+"="+t.Name())
	return cmd
}
