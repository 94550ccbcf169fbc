package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
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

// TestDemonstration is that of "Seccomp for Developers", end to end on the running
// kernel: netcat may not bind and dies of it, the monitor shows the record, and
// explain explains it.
func TestDemonstration(t *testing.T) {
	const inside = "SYSGATE_TEST_MONITOR"
	if os.Getenv(inside) != "" {
		os.Exit(Main([]string{"monitor", "--json", "--syscall", "bind"}, nil, os.Stdout, os.Stderr))
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	if _, err := exec.LookPath("nc"); err != nil {
		t.Skipf("needs netcat: %v", err)
	}
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
	var events, messages buffer
	watcher := exec.Command(self, "-test.run=^TestDemonstration$")
	watcher.Env = append(os.Environ(), inside+"=1")
	watcher.Stdout, watcher.Stderr = &events, &messages
	if err := watcher.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- watcher.Wait() }()
	defer watcher.Process.Kill()
	for range 300 {
		if strings.Contains(messages.String(), "a record of a test arrived") {
			break
		}
		select {
		case <-ended:
			if strings.Contains(messages.String(), "did not arrive") {
				t.Skipf("needs the initial network namespace: %s", messages.String())
			}
			t.Fatalf("the monitor ended:\n%s", messages.String())
		case <-time.After(50 * time.Millisecond):
		}
	}

	command := testkit.Subprocess(t)
	command.Args = []string{self, "-test.run=^TestRunNetcat$"}
	command.Env = append(os.Environ(), "SYSGATE_TEST_NETCAT=1")
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 128+31 {
		t.Fatalf("run: %v, want exit code 159\n%s", err, out)
	}
	event := events.has(t, `"call":"bind"`, `"action":"kill_process"`, `"name":"nc"`)
	if !strings.Contains(event, `"sig":"SIGSYS"`) || !strings.Contains(event, `"type":["denied"]`) {
		t.Errorf("%s", event)
	}
	if err := watcher.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the monitor, told to stop: %v\n%s", err, messages.String())
	}
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
	if code := Main([]string{"show", "pid:" + pid, "--format", "policy"}, nil, &out, &messages); code != 0 {
		t.Fatalf("show: exit code %d: %s", code, messages.String())
	}
	if !strings.Contains(out.String(), "bind") || !strings.Contains(out.String(), "errno(EPERM)") {
		t.Errorf("show:\n%s", out.String())
	}
}
