package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	if out, err := runc(t, root, container{}); err != nil {
		t.Skipf("runc cannot start a container here, even without a profile: %v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "profile.json")
	if code := Main([]string{"profile", "-q", "--format", "oci", filepath.Join(root, "hello"), "-o", file}, nil, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("profile: exit code %d", code)
	}
	profile, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []container{
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

type container struct {
	profile    json.RawMessage
	noNewPrivs bool
	user       int
}

// runc runs hello in a container.
func runc(t *testing.T, root string, c container) (string, error) {
	t.Helper()
	type m = map[string]any
	linux := m{"namespaces": []m{{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}}}
	if c.profile != nil {
		linux["seccomp"] = c.profile
	}
	spec, err := json.Marshal(m{
		"ociVersion": "1.0.2",
		"process": m{
			"user": m{"uid": c.user, "gid": c.user}, "args": []string{"/hello"}, "env": []string{"PATH=/"}, "cwd": "/",
			"noNewPrivileges": c.noNewPrivs,
		},
		"root":   m{"path": root, "readonly": true},
		"mounts": []m{{"destination": "/proc", "type": "proc", "source": "proc"}},
		"linux":  linux,
	})
	if err != nil {
		t.Fatal(err)
	}
	bundle := t.TempDir()
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), spec, 0o644); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("sysgate-test-%d-%s", os.Getpid(), filepath.Base(bundle))
	cmd := exec.Command("runc", "--root", t.TempDir(), "run", "--bundle", bundle, id)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
