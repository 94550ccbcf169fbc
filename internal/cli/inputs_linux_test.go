package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysgate/sysgate/internal/testkit"
)

// violate makes calls that are denied and logged, until a condition holds: the kernel
// prints ten records in five seconds, and others make some too.
func violate(t *testing.T, until func() bool) bool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		cmd := exec.Command(self, "-test.run=^TestMonitorLoad$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=1 0 %d", loadEnv, loadCall))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for range 10 {
			if until() {
				return true
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return false
}

// TestMonitorKmsg reads records as the kernel prints them.
func TestMonitorKmsg(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		startCommand(t)
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	if f, err := os.Open("/dev/kmsg"); err != nil {
		t.Skipf("needs /dev/kmsg: %v", err)
	} else {
		f.Close()
	}
	if pid := auditDaemon(t); pid != "0" {
		t.Skipf("needs records in the kernel's log, which an audit daemon takes: process %s", pid)
	}
	w := startCommand(t, "monitor", "--input", "kmsg", "--json", "--syscall", fmt.Sprint("nr:", loadCall))
	if !violate(t, func() bool { return strings.Contains(w.events.String(), fmt.Sprint(`"nr":`, loadCall)) }) {
		t.Errorf("no record in the kernel's log\n%s\n%s", w.events.String(), w.messages.String())
	}
	w.stop(t)
}

// auditDaemon returns the process ID of the audit daemon, "0" for none.
func auditDaemon(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(have(t, "auditctl", "auditd"), "-s").CombinedOutput()
	if err != nil {
		t.Skipf("needs the audit system: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if pid, ok := strings.CutPrefix(line, "pid "); ok {
			return strings.TrimSpace(pid)
		}
	}
	return "0"
}

// TestMonitorAuditd: an audit daemon and the monitor hear the same records, each the
// other's friend, and the monitor reads the daemon's log.
func TestMonitorAuditd(t *testing.T) {
	if os.Getenv(monitorEnv) != "" {
		startMonitor(t)
	}
	daemon := have(t, "auditd", "auditd")
	auditctl := have(t, "auditctl", "auditd")
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	if pid := auditDaemon(t); pid != "0" {
		t.Skipf("there is an audit daemon already: process %s", pid)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	// The daemon reads its files only where nobody else can write.
	writeFile(t, filepath.Join(dir, "auditd.conf"), "log_file = "+log+"\nlog_format = ENRICHED\nwrite_logs = yes\nflush = NONE\nspace_left = 2\nadmin_space_left = 1\n"+
		"space_left_action = IGNORE\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\n")
	if err := os.Mkdir(filepath.Join(dir, "plugins.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, filepath.Join(dir, "auditd.conf")} {
		mode := os.FileMode(0o640)
		if name == dir {
			mode = 0o750
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	auditd := exec.Command(daemon, "-n", "-c", dir)
	auditd.Stdout, auditd.Stderr = &said, &said
	if err := auditd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = auditd.Process.Signal(os.Interrupt)
		_ = auditd.Process.Kill()
		_ = auditd.Wait()
		// The daemon has switched auditing on; nobody had.
		_ = exec.Command(auditctl, "-e", "0").Run()
	}()
	for i := 0; auditDaemon(t) == "0"; i++ {
		if i == 100 {
			testkit.Unable(t, "auditd does not start here: %s", said.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
	w := startMonitor(t, "--window", "0", "--syscall", fmt.Sprint("nr:", loadCall))
	both := func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), fmt.Sprint("syscall=", loadCall)) && strings.Contains(w.events.String(), fmt.Sprint("nr:", loadCall))
	}
	if !violate(t, both) {
		text, _ := os.ReadFile(log)
		t.Fatalf("auditd has\n%s\nthe monitor has\n%s%s", text, w.events.String(), w.messages.String())
	}
	w.stop(t)
	first, _, _ := strings.Cut(w.events.String(), "\n")
	var out, messages bytes.Buffer
	code := Main([]string{"monitor", "--once", "--input", log, "--syscall", fmt.Sprint("nr:", loadCall)}, nil, &out, &messages)
	// The daemon's log has what the kernel said, and names: the same line.
	if code != exitFindings || !strings.Contains(out.String(), first[:strings.Index(first, " →")]) {
		t.Errorf("exit code %d: the log has\n%swhere the monitor had\n%s\n%s", code, out.String(), first, messages.String())
	}
}

// TestMonitorJournal follows the real journal, in a mount namespace of its own where
// it is nobody's: the kernel's records reach it through its audit socket.
func TestMonitorJournal(t *testing.T) {
	const inside = "SYSGATE_TEST_JOURNAL"
	if os.Getenv(monitorEnv) != "" {
		startCommand(t)
	}
	const daemon = "/lib/systemd/systemd-journald"
	if os.Getenv(inside) != "" {
		journalInside(t, daemon)
		return
	}
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	unshare := have(t, "unshare", "util-linux")
	have(t, "journalctl", "systemd")
	have(t, daemon, "systemd")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(unshare, "--mount", "--propagation", "private", self, "-test.run=^TestMonitorJournal$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	switch out, err := cmd.CombinedOutput(); {
	case err != nil && strings.Contains(string(out), "unshare failed"):
		t.Skipf("needs namespaces: %s", out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip(string(out))
	case err != nil || !strings.Contains(string(out), "--- PASS"):
		t.Errorf("%v\n%s", err, out)
	}
}

func journalInside(t *testing.T, daemon string) {
	for _, command := range [][]string{
		{"mount", "-t", "tmpfs", "tmpfs", "/run"},
		{"mkdir", "-p", "/run/systemd/journal", "/run/systemd/journald.conf.d", "/run/log/journal"},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	// Whether the machine audits is not this test's to say.
	writeFile(t, "/run/systemd/journald.conf.d/test.conf", "[Journal]\nAudit=\nReadKMsg=no\nForwardToSyslog=no\nRateLimitBurst=0\n")
	var said bytes.Buffer
	journald := exec.Command(daemon)
	journald.Stdout, journald.Stderr = &said, &said
	if err := journald.Start(); err != nil {
		t.Fatal(err)
	}
	defer journald.Wait()
	defer journald.Process.Kill()
	for range 200 {
		if _, err := os.Stat("/run/systemd/journal/socket"); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	w := startCommand(t, "monitor", "--input", "journal", "--json", "--syscall", fmt.Sprint("nr:", loadCall))
	if !violate(t, func() bool { return strings.Contains(w.events.String(), fmt.Sprint(`"nr":`, loadCall)) }) {
		out, _ := exec.Command("journalctl", "-o", "short", "-n", "5").CombinedOutput()
		t.Errorf("no record from the journal\n%s\n%s\n%s\n%s", w.events.String(), w.messages.String(), out, said.String())
	}
	w.stop(t)
}
