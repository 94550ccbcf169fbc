package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

// monitorAs starts a monitor of the kernel in a process that attributes and a command
// before it describe.
func monitorAs(t *testing.T, attributes *syscall.SysProcAttr, before ...string) (*watcher, *exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Where another user can run it.
	dir := t.TempDir()
	data, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "monitor"), data, 0o755)
	}
	for parent := dir; err == nil && parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
		err = os.Chmod(parent, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := append(before, filepath.Join(dir, "monitor"), "-test.run=^"+t.Name()+"$")
	w := &watcher{ended: make(chan error, 1)}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), fmt.Sprint(monitorEnv, "=monitor --syscall nr:", loadCall))
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &w.events, &w.messages, attributes
	if err := cmd.Start(); err != nil {
		t.Skipf("cannot start it: %v", err)
	}
	w.process = cmd.Process
	t.Cleanup(func() { w.process.Kill() })
	go func() { w.ended <- cmd.Wait() }()
	return w, cmd
}

// TestMonitorRights: CAP_AUDIT_READ is enough to hear the kernel. What takes more is
// missing, and said to be.
func TestMonitorRights(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		startCommand(t)
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	const nobody = 65534
	w, _ := monitorAs(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: []uintptr{unix.CAP_AUDIT_READ}})
	for !strings.Contains(w.messages.String(), "a record of a test arrived") {
		select {
		case <-w.ended:
			testkit.Unable(t, "needs the initial namespaces: %s", w.messages.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	w.messages.has(t, "warning", "the receive buffer has", "CAP_NET_ADMIN")
	// Processes as they start are for everybody from Linux 6.6 on.
	if before := (abi.Kernel{Major: 6, Minor: 6}); release(t).Before(before) {
		w.messages.has(t, "warning", "the command line and the container will often not be known", "CAP_NET_ADMIN")
	}
	if !violate(t, func() bool { return strings.Contains(w.events.String(), fmt.Sprint("nr:", loadCall)) }) {
		t.Errorf("no record\n%s", w.messages.String())
	}
	w.stop(t)
}

func release(t *testing.T) abi.Kernel {
	t.Helper()
	r, err := kernel.Release()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMonitorDeaf: who cannot hear the kernel is told so and what to do, and does not
// wait for ever: another user, another network namespace, another user namespace.
func TestMonitorDeaf(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		startCommand(t)
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	unshare := have(t, "unshare", "util-linux")
	for _, tt := range []struct {
		name       string
		attributes *syscall.SysProcAttr
		before     []string
		want       []string
	}{
		{"another user", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, nil, []string{"needs CAP_AUDIT_READ in the initial user namespace", "hint: sudo sysgate monitor"}},
		{"a network namespace", nil, []string{unshare, "--net"}, []string{"did not arrive", "initial network namespace", "hint: run it in the host's network namespace"}},
		{"a user namespace", nil, []string{unshare, "--user", "--map-root-user"}, []string{"needs CAP_AUDIT_READ in the initial user namespace"}},
	} {
		w, cmd := monitorAs(t, tt.attributes, tt.before...)
		select {
		case <-w.ended:
		case <-time.After(time.Minute):
			t.Fatalf("%s: it waits\n%s", tt.name, w.messages.String())
		}
		if strings.Contains(w.messages.String(), "unshare failed") {
			continue // no such namespaces here
		}
		if code := cmd.ProcessState.ExitCode(); code != exitError {
			t.Errorf("%s: exit code %d", tt.name, code)
		}
		for _, want := range tt.want {
			if !strings.Contains(w.messages.String(), want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, w.messages.String())
			}
		}
	}
}

// TestMonitorNumbers: in another PID namespace the numbers of records are those of other
// processes, which are not taken for them.
func TestMonitorNumbers(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		startCommand(t)
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	w, _ := monitorAs(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID})
	for !strings.Contains(w.messages.String(), "a record of a test arrived") {
		select {
		case <-w.ended:
			testkit.Unable(t, "needs the initial namespaces: %s", w.messages.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	w.messages.has(t, "warning", "only what records have will be known", "--pid=host")
	if !violate(t, func() bool { return strings.Contains(w.events.String(), fmt.Sprint("nr:", loadCall)) }) {
		t.Errorf("no record\n%s", w.messages.String())
	}
	if text := w.events.String(); strings.Contains(text, "-test.run") || strings.Contains(text, "unit ") {
		t.Errorf("what no record has:\n%s", text)
	}
	w.stop(t)
}
