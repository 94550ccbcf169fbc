package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/testkit"
)

// A buffer is written by one goroutine and read by another.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// has waits until a line with all the words is there, and returns it.
func (b *buffer) has(t *testing.T, words ...string) string {
	t.Helper()
	for range 300 {
		for line := range strings.Lines(b.String()) {
			all := true
			for _, w := range words {
				all = all && strings.Contains(line, w)
			}
			if all {
				return line
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no line with %q in:\n%s", words, b.String())
	return ""
}

// monitorEnv has a test binary be the monitor with these arguments.
const monitorEnv = "SYSGATE_TEST_MONITOR"

// A watcher is a monitor in a process of its own.
type watcher struct {
	events, messages buffer
	process          *os.Process
	ended            chan error
}

// startMonitor starts a monitor of the running kernel and waits until it hears. The
// test is skipped where nobody can hear the kernel. It is the first thing that a test
// does.
func startMonitor(t *testing.T, args ...string) *watcher {
	t.Helper()
	return startMonitorTo(t, "", args...)
}

// startMonitorTo is startMonitor with a file that events go to, "" for none.
func startMonitorTo(t *testing.T, file string, args ...string) *watcher {
	t.Helper()
	if list := os.Getenv(monitorEnv); list != "" {
		os.Exit(Main(strings.Fields(list), nil, os.Stdout, os.Stderr))
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	l, err := audit.Listen()
	if errors.Is(err, audit.ErrNotAllowed) || errors.Is(err, syscall.EPROTONOSUPPORT) {
		t.Skipf("needs audit multicast: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{ended: make(chan error, 1)}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), monitorEnv+"=monitor "+strings.Join(args, " "))
	cmd.Stdout, cmd.Stderr = &w.events, &w.messages
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.Stdout = f
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.process = cmd.Process
	t.Cleanup(func() { w.process.Kill() })
	go func() { w.ended <- cmd.Wait() }()
	for !strings.Contains(w.messages.String(), "a record of a test arrived") {
		select {
		case <-w.ended:
			if strings.Contains(w.messages.String(), "did not arrive") {
				t.Skipf("needs the initial network namespace: %s", w.messages.String())
			}
			t.Fatalf("the monitor ended:\n%s", w.messages.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return w
}

// stop has the monitor end as by Ctrl-C.
func (w *watcher) stop(t *testing.T) {
	t.Helper()
	if err := w.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-w.ended; err != nil {
		t.Errorf("the monitor, told to stop: %v\n%s", err, w.messages.String())
	}
}

// TestDemonstration is that of "Seccomp for Developers", end to end on the running
// kernel: netcat may not bind and dies of it, the monitor shows the record, and
// explain explains it.
func TestDemonstration(t *testing.T) {
	if _, err := exec.LookPath("nc"); err != nil {
		t.Skipf("needs netcat: %v", err)
	}
	w := startMonitor(t, "--json", "--syscall", "bind")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := testkit.Subprocess(t)
	command.Args = []string{self, "-test.run=^TestRunNetcat$"}
	command.Env = append(os.Environ(), "SYSGATE_TEST_NETCAT=1")
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 128+31 {
		t.Fatalf("run: %v, want exit code 159\n%s", err, out)
	}
	event := w.events.has(t, `"call":"bind"`, `"action":"kill_process"`, `"name":"nc"`)
	if !strings.Contains(event, `"sig":"SIGSYS"`) || !strings.Contains(event, `"type":["denied"]`) {
		t.Errorf("%s", event)
	}
	w.stop(t)
	var explanation bytes.Buffer
	if code := Main([]string{"explain", "-"}, strings.NewReader(event), &explanation, io.Discard); code != 0 {
		t.Fatalf("explain: exit code %d", code)
	}
	if got := explanation.String(); !strings.HasPrefix(got, "nc called bind, and a filter killed the process.\n") {
		t.Errorf("%s", got)
	}
}

// TestRunNetcat is the launcher of TestDemonstration.
func TestRunNetcat(t *testing.T) {
	if os.Getenv("SYSGATE_TEST_NETCAT") == "" {
		t.Skip("is the launcher of TestDemonstration")
	}
	os.Exit(Main([]string{"run", "-q", "--deny", "bind:kill_process", "--", "nc", "-l", "-p", "8000"}, os.Stdin, os.Stdout, os.Stderr))
}

// TestMonitorRunc: the violation of a program in a real container arrives with the
// container's name. A program can be over before anybody has read about it, so that
// several run.
func TestMonitorRunc(t *testing.T) {
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skipf("needs runc: %v", err)
	}
	w := startMonitor(t, "--window", "0", "--json", "--syscall", "nr:9999")
	bundle := t.TempDir()
	if err := os.MkdirAll(bundle+"/rootfs/proc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := goCommand(runtime.GOARCH, "build", "-trimpath", "-o", bundle+"/rootfs/caller", "./testdata/programs/caller"); err != nil {
		t.Fatal(err)
	}
	spec := `{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["/caller","9999"],"env":["PATH=/"],"cwd":"/","noNewPrivileges":true},
"root":{"path":"rootfs","readonly":true},"mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
"linux":{"namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}]%s}}`
	run := func(id, seccomp string) (string, error) {
		if err := os.WriteFile(bundle+"/config.json", fmt.Appendf(nil, spec, seccomp), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("runc", "run", "--bundle", bundle, id)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	id := fmt.Sprintf("sysgate-test-%d", os.Getpid())
	if out, err := run(id, ""); err != nil {
		testkit.Unable(t, "runc cannot start a container here, even without a profile: %v\n%s", err, out)
	}
	// The default action is for a number that no profile can name.
	const profile = `,"seccomp":{"defaultAction":"SCMP_ACT_LOG","syscalls":[]}`
	for range 5 {
		if out, err := run(id, profile); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	event := w.events.has(t, `"exe`, "/caller", `"container":{"id":"`+id+`","runtime":"runc"}`)
	if !strings.Contains(event, `"nr":9999`) {
		t.Errorf("%s", event)
	}
	w.stop(t)
}

// TestPs finds a process under a filter, with its command line, and its filter.
func TestPs(t *testing.T) {
	if os.Getenv("SYSGATE_TEST_SLEEP") != "" {
		os.Exit(Main([]string{"run", "-q", "--deny", "bind", "--", "sleep", "3600.25"}, os.Stdin, os.Stdout, os.Stderr))
	}
	testkit.NeedFilters(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self, "-test.run=^TestPs$")
	command.Env = append(os.Environ(), "SYSGATE_TEST_SLEEP=1")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer command.Wait()
	defer command.Process.Kill()
	for range 300 {
		var out, messages bytes.Buffer
		if code := Main([]string{"ps"}, nil, &out, &messages); code != 0 {
			t.Fatalf("exit code %d: %s", code, messages.String())
		}
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "sleep 3600.25") {
				fields := strings.Fields(line)
				if fields[2] != "filter" || fields[3] == "0" || fields[4] != "yes" || fields[5] != "all" {
					t.Errorf("%s", line)
				}
				showProcess(t, fields[0])
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the process is not listed")
}

// showProcess holds "show pid:N" to the filter that denies bind.
func showProcess(t *testing.T, pid string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return // only root may dump filters
	}
	var out, messages bytes.Buffer
	if code := Main([]string{"show", pid, "--format", "policy"}, nil, &out, &messages); code != 0 {
		t.Fatalf("show: exit code %d: %s", code, messages.String())
	}
	if !strings.Contains(out.String(), "bind") || !strings.Contains(out.String(), "errno(EPERM)") {
		t.Errorf("show:\n%s", out.String())
	}
}
