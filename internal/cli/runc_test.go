package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// The profile that is written for containers lets real runc start the program,
// whenever it installs the filter and whoever the program runs as.
func TestRunc(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skipf("needs runc: %v", err)
	}
	root := filepath.Join(t.TempDir(), "rootfs")
	if err := os.MkdirAll(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := buildPrograms(root); err != nil {
		t.Fatal(err)
	}
	if out, err := runc(t, root, startedContainer{}); err != nil {
		testkit.Unable(t, "runc cannot start a container here, even without a profile: %v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "profile.json")
	if code := Main([]string{"profile", "-q", "--format", "oci", filepath.Join(root, "hello"), "-o", file}, nil, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("profile: exit code %d", code)
	}
	profile, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []startedContainer{
		{profile: profile, noNewPrivs: true},
		{profile: profile},
		{profile: profile, user: 1000},
	} {
		out, err := runc(t, root, c)
		if err != nil || strings.TrimSpace(out) != "hello []" {
			t.Errorf("no_new_privs %v, user %d: %v\n%s", c.noNewPrivs, c.user, err, out)
		}
	}
}

// A startedContainer is what a test has a runtime start.
type startedContainer struct {
	profile    json.RawMessage // nil: none
	noNewPrivs bool
	user       int
	args       []string // nil: hello
}

// bundle writes the bundle of c and returns its directory.
func (c startedContainer) bundle(t *testing.T, root string) string {
	t.Helper()
	type m = map[string]any
	linux := m{"namespaces": []m{{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}}}
	if c.profile != nil {
		linux["seccomp"] = c.profile
	}
	args := c.args
	if args == nil {
		args = []string{"/hello"}
	}
	spec, err := json.Marshal(m{
		"ociVersion": "1.0.2",
		"process": m{
			"user": m{"uid": c.user, "gid": c.user}, "args": args, "env": []string{"PATH=/:/bin:/usr/bin"}, "cwd": "/",
			"noNewPrivileges": c.noNewPrivs,
		},
		"root":   m{"path": root, "readonly": true},
		"mounts": []m{{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux":  linux,
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), spec, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runc runs a program in a container.
func runc(t *testing.T, root string, c startedContainer) (string, error) {
	t.Helper()
	cmd := startRuntime(t, "runc", c.bundle(t, root))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// startRuntime returns the command with which a container runtime runs a bundle,
// behind another command if one is given.
func startRuntime(t *testing.T, name, bundle string, behind ...string) *exec.Cmd {
	t.Helper()
	id := fmt.Sprintf("sysgate-test-%d-%s", os.Getpid(), filepath.Base(filepath.Dir(bundle))+filepath.Base(bundle))
	args := append(behind, name, "--root", t.TempDir(), "run", "--bundle", bundle, id)
	if name == "crun" {
		// crun 1.8.1 refuses machines that have both versions of cgroups.
		args = slices.Insert(args, len(behind)+1, "--cgroup-manager=disabled")
		args = append([]string{"unshare", "--mount", "sh", "-c", `umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"`, "sh"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}
