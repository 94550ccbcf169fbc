package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

// These tests hold sysgate to real programs that use filters.

// have skips the test if a program is not there. It returns its path.
func have(t *testing.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed (Debian: %s)", program, pkg)
	}
	return path
}

// sysgateOK runs a command in this process, which has to succeed.
func sysgateOK(t *testing.T, args ...string) string {
	t.Helper()
	var out, messages bytes.Buffer
	if code := Main(args, nil, &out, &messages); code != 0 {
		t.Fatalf("sysgate %s: exit code %d\n%s", strings.Join(args, " "), code, messages.String())
	}
	return out.String()
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// noMkdir denies mkdir, and lets all else through. A kill is logged whatever the
// filter's flags, which runc 1.1 does not know.
const noMkdir = `version: 1
default_action: allow
syscalls:
- action: %s
  names: [mkdir, mkdirat]
`

// busyboxRoot makes a root directory with a shell.
func busyboxRoot(t *testing.T) string {
	t.Helper()
	busybox := have(t, "busybox", "busybox-static")
	root := filepath.Join(t.TempDir(), "rootfs")
	for _, dir := range []string{"bin", "proc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "bin/busybox"), data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, applet := range []string{"sh", "mkdir", "sleep", "echo"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestRuncMkdir: a container with a profile that sysgate wrote runs; its mkdir is
// denied, and the violation arrives in the monitor with the container's name.
func TestRuncMkdir(t *testing.T) {
	have(t, "runc", "runc")
	w := startMonitor(t, "--window", "0", "--json", "--syscall", "mkdir,mkdirat", "--exe", "/bin/busybox")
	root := busyboxRoot(t)
	policy := writeFile(t, filepath.Join(t.TempDir(), "policy.yaml"), fmt.Sprintf(noMkdir, "kill_process"))
	profile := json.RawMessage(sysgateOK(t, "convert", "-q", policy, "--to", "oci"))
	id := fmt.Sprintf("sysgate-mkdir-%d", os.Getpid())
	run := func(c startedContainer) (string, error) {
		cmd := exec.Command("runc", "run", "--bundle", c.bundle(t, root), id)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(startedContainer{args: []string{"/bin/sh", "-c", "echo up"}}); err != nil {
		testkit.Unable(t, "runc cannot start a container here, even without a profile: %v\n%s", err, out)
	}
	if out, err := run(startedContainer{profile: profile, args: []string{"/bin/sh", "-c", "echo up"}}); err != nil || out != "up\n" {
		t.Fatalf("under the profile: %v\n%s", err, out)
	}
	// A program can be over before anybody has read about it, so that several try.
	for range 5 {
		out, err := run(startedContainer{profile: profile, args: []string{"/bin/sh", "-c", "sleep 0.1; mkdir /tmp/x; echo $?"}})
		if err != nil || !strings.Contains(out, strconv.Itoa(128+31)+"\n") {
			t.Fatalf("mkdir: %v\n%s", err, out)
		}
	}
	event := w.events.has(t, `"call":"mkdir"`, `"action":"kill_process"`, `"container":{"id":"`+id+`","runtime":"runc"}`)
	if !strings.Contains(event, `"executable":"/bin/busybox"`) {
		t.Errorf("%s", event)
	}
	w.stop(t)
}

// TestPsContainer proves the filter that runc made of a profile equal to the profile,
// which is declared for the container by its name, and another one not.
func TestPsContainer(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	have(t, "runc", "runc")
	root := busyboxRoot(t)
	policy := writeFile(t, filepath.Join(t.TempDir(), "policy.yaml"), fmt.Sprintf(noMkdir, "errno(EPERM)"))
	profile := sysgateOK(t, "convert", "-q", policy, "--to", "oci")
	id := fmt.Sprintf("sysgate-ps-%d", os.Getpid())
	c := startedContainer{args: []string{"/bin/sh", "-c", "echo up"}}
	if out, err := runc(t, root, c); err != nil {
		testkit.Unable(t, "runc cannot start a container here, even without a profile: %v\n%s", err, out)
	}
	c = startedContainer{profile: json.RawMessage(profile), args: []string{"/bin/sleep", "3600"}}
	container := exec.Command("runc", "run", "--bundle", c.bundle(t, root), id)
	if err := container.Start(); err != nil {
		t.Fatal(err)
	}
	defer container.Wait()
	defer exec.Command("runc", "kill", id, "KILL").Run()
	descendant(t, container.Process.Pid, "sleep")
	for want, text := range map[string]string{
		stateEqual:   profile,
		stateDrifted: strings.Replace(profile, `"mkdirat"`, `"mkdirat", "bind"`, 1),
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, id+".json"), text)
		var got psProcess
		for i := 0; i < 100 && got.State != want; i++ {
			var out, messages bytes.Buffer
			Main([]string{"ps", "--json", "--against", dir}, nil, &out, &messages)
			var all []psProcess
			if err := json.Unmarshal(out.Bytes(), &all); err != nil {
				t.Fatalf("%v\n%s", err, messages.String())
			}
			for _, p := range all {
				if p.Container == id {
					got = p
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		if got.State != want || got.Runtime != "runc" || want == stateDrifted && (len(got.Differences) == 0 || !strings.Contains(got.Differences[0], "bind: declared errno(EPERM), live allow")) {
			t.Errorf("%q, want %q: %+v", got.State, want, got)
		}
	}
}

// TestBubblewrap gives bwrap a filter that sysgate compiled, and finds it again in the
// process.
func TestBubblewrap(t *testing.T) {
	testkit.NeedFilters(t)
	bwrap := have(t, "bwrap", "bubblewrap")
	dir := t.TempDir()
	policy := writeFile(t, filepath.Join(dir, "policy.yaml"), fmt.Sprintf(noMkdir, "errno(EDOM)"))
	filter := filepath.Join(dir, "filter.bpf")
	sysgateOK(t, "compile", "-q", policy, "--emit", "bpf", "-o", filter)
	command := func(with bool, args ...string) *exec.Cmd {
		f, err := os.Open(filter)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		arguments := []string{"--bind", "/", "/", "--dev", "/dev", "--die-with-parent"}
		if with {
			arguments = append(arguments, "--seccomp", "3")
		}
		cmd := exec.Command(bwrap, append(arguments, args...)...)
		cmd.ExtraFiles = []*os.File{f}
		return cmd
	}
	if out, err := command(false, "true").CombinedOutput(); err != nil {
		testkit.Unable(t, "bwrap cannot start a program here, even without a filter: %v\n%s", err, out)
	}
	out, err := command(true, "mkdir", filepath.Join(dir, "new")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Numerical argument out of domain") {
		t.Errorf("mkdir: %v\n%s", err, out)
	}
	if os.Geteuid() != 0 {
		return // only root may dump filters
	}
	sleeping := command(true, "sleep", "3600.5")
	if err := sleeping.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleeping.Wait()
	defer sleeping.Process.Kill()
	pid := descendant(t, sleeping.Process.Pid, "sleep")
	var text, messages bytes.Buffer
	if code := Main([]string{"diff", policy, "pid:" + strconv.Itoa(pid)}, nil, &text, &messages); code != 0 {
		t.Errorf("the live filter and the policy: exit code %d\n%s%s", code, text.String(), messages.String())
	}
}

// descendant waits for a process called name below another one, and returns its ID.
func descendant(t *testing.T, of int, name string) int {
	t.Helper()
	for range 300 {
		for pids := []int{of}; len(pids) > 0; pids = pids[1:] {
			if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pids[0])); err == nil && strings.TrimSpace(string(comm)) == name {
				return pids[0]
			}
			tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[0]))
			for _, task := range tasks {
				text, _ := os.ReadFile(task)
				for child := range strings.FieldsSeq(string(text)) {
					if pid, err := strconv.Atoi(child); err == nil {
						pids = append(pids, pid)
					}
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("no process %s below %d", name, of)
	return 0
}

// TestFirejailShow dumps the filters that firejail installs: each, and what they do
// together.
func TestFirejailShow(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	firejail := have(t, "firejail", "firejail")
	cmd := exec.Command(firejail, "--quiet", "--noprofile", "--seccomp.drop=bind", "sleep", "3600.5")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	pid := strconv.Itoa(descendant(t, cmd.Process.Pid, "sleep"))
	var filters int
	for range 300 { // it is called sleep before it is under filters
		var out bytes.Buffer
		Main([]string{"ps", "--json"}, nil, &out, io.Discard)
		var all []psProcess
		if err := json.Unmarshal(out.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if strconv.Itoa(p.PID) == pid && p.Filters != nil {
				filters = *p.Filters
			}
		}
		if filters > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if filters == 0 {
		testkit.Unable(t, "firejail installs no filter here: %s", said.String())
	}
	policy := sysgateOK(t, "show", "-q", "--format", "policy", pid)
	if !strings.Contains(policy, "bind") {
		t.Errorf("%d filters together:\n%s", filters, policy)
	}
	for i := range filters {
		if asm := sysgateOK(t, "show", "-q", "--format", "asm", fmt.Sprintf("pid:%s/%d", pid, i)); !strings.Contains(asm, "ret") {
			t.Errorf("filter %d:\n%s", i, asm)
		}
	}
	if out := sysgateOK(t, "eval", "-q", "pid:"+pid, "bind"); strings.Contains(out, "allow") {
		t.Errorf("bind: %s", out)
	}
}

// TestListenerPath is the agent of an OCI profile: runc hands it the descriptor over
// the profile's socket, and it answers the container's calls.
func TestListenerPath(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.Need(t, testkit.Notify)
	testkit.NeedFilters(t)
	have(t, "runc", "runc")
	root := busyboxRoot(t)
	dir := t.TempDir()
	policy := writeFile(t, filepath.Join(dir, "policy.yaml"), fmt.Sprintf(noMkdir, "user_notify"))
	socket := filepath.Join(dir, "agent")
	var profile map[string]any
	if err := json.Unmarshal([]byte(sysgateOK(t, "convert", "-q", policy, "--to", "oci")), &profile); err != nil {
		t.Fatal(err)
	}
	profile["listenerPath"], profile["listenerMetadata"] = socket, "hello"
	data, err := json.Marshal(profile)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := runc(t, root, startedContainer{args: []string{"/bin/sh", "-c", "echo up"}}); err != nil {
		testkit.Unable(t, "runc cannot start a container here, even without a profile: %v\n%s", err, out)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	type result struct {
		state string
		paths []string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.state, r.paths, r.err = answerContainer(l)
		done <- r
	}()
	out, err := runc(t, root, startedContainer{profile: data, args: []string{"/bin/sh", "-c", "mkdir /tmp/secret; mkdir /proc/self/other; echo done"}})
	if err != nil || !strings.Contains(out, "done") {
		t.Fatalf("%v\n%s", err, out)
	}
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	if !strings.Contains(r.state, `"metadata":"hello"`) || !strings.Contains(r.state, "seccompFd") || !strings.Contains(r.state, `"id":"sysgate-test-`) {
		t.Errorf("the state is %s", r.state)
	}
	if strings.Join(r.paths, " ") != "/tmp/secret /proc/self/other" {
		t.Errorf("asked about %q", r.paths)
	}
	// The agent's errno, and the kernel's own where it let the call go on.
	for _, want := range []string{"/tmp/secret': Numerical argument out of domain", "/proc/self/other': No such file or directory"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// answerContainer takes the descriptor that runc sends, and answers calls until the
// container is gone: those about /tmp/secret with an error, others by letting them go
// on. It returns the state that runc sent with it, and the paths of the calls.
func answerContainer(l *net.UnixListener) (state string, paths []string, err error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return "", nil, err
	}
	defer c.Close()
	text, oob := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4*8))
	n, oobn, _, _, err := c.ReadMsgUnix(text, oob)
	if err != nil {
		return "", nil, err
	}
	state = string(text[:n])
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return state, nil, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return state, nil, fmt.Errorf("%d descriptors: %w", len(fds), err)
	}
	sizes, err := kernel.Notifications()
	if err != nil {
		return state, nil, err
	}
	listener := kernel.ListenOn(fds[0], sizes)
	defer listener.Close()
	err = listener.Serve(nil, func(n kernel.Notification) kernel.Reply {
		memory := make([]byte, 32)
		address := n.Call.Args[0]
		if abi.Native().SyscallName(n.Call.NR) == "mkdirat" {
			address = n.Call.Args[1]
		}
		if _, err := kernel.ReadMemory(n.TID, address, memory); err != nil {
			return kernel.Reply{Errno: syscall.EIO}
		}
		path, _, _ := bytes.Cut(memory, []byte{0})
		paths = append(paths, string(path))
		if string(path) == "/tmp/secret" {
			return kernel.Reply{Errno: syscall.EDOM}
		}
		return kernel.Reply{Continue: true}
	})
	if err != nil && !errors.Is(err, os.ErrClosed) {
		return state, paths, err
	}
	return state, paths, nil
}
