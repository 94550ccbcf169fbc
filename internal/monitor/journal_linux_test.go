package monitor

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/proc"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestJournalProtocol receives entries as journald does: in datagrams, and large ones
// in a sealed file.
func TestJournalProtocol(t *testing.T) {
	path := t.TempDir() + "/socket"
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	j := NewJournal(path, abi.AMD64)
	defer j.Close()
	large := seen(49, 1)
	large.Violation.Comm = "two\nlines"
	large.Process = &proc.Process{Args: []string{strings.Repeat("x", 4<<20)}}
	if n, err := j.Send(t.Context(), []Event{nasty(), large}); n != 2 || err != nil {
		t.Fatalf("%d sent, %v", n, err)
	}
	first := receiveEntry(t, c)
	for _, line := range []string{"MESSAGE_ID=" + journalViolation, "PRIORITY=3", "SYSLOG_IDENTIFIER=sysgate", "SECCOMP_CALL=bind", "SECCOMP_COUNT=3", "PROCESS_PID=12", "OBJECT_PID=12"} {
		if !strings.Contains(first, line+"\n") {
			t.Errorf("no %s in %q", line, first)
		}
	}
	if want := "PROCESS_EXECUTABLE\n\x0c\x00\x00\x00\x00\x00\x00\x00/x\n<0>1 evil\n"; !strings.Contains(first, want) {
		t.Errorf("no field of two lines in %q", first)
	}
	if second := receiveEntry(t, c); len(second) < 4<<20 || !strings.Contains(second, "PROCESS_NAME\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\n") {
		t.Errorf("a large entry of %d bytes: %.300q", len(second), second)
	}
}

// receiveEntry receives one entry.
func receiveEntry(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf, oob := make([]byte, 1<<20), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	if oobn == 0 {
		return string(buf[:n])
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 || n != 0 {
		t.Fatalf("%d messages with %d bytes: %v", len(messages), n, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	f := os.NewFile(uintptr(fds[0]), "entry")
	defer f.Close()
	// journald takes a file only with these seals.
	const want = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&want != want {
		t.Errorf("seals %#x, %v", seals, err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, info.Size())
	if _, err := f.ReadAt(text, 0); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestJournald has the real journald take entries, in a mount and network namespace
// of its own where it is nobody's journal, and reads them by journalctl.
func TestJournald(t *testing.T) {
	const daemon, inside = "/lib/systemd/systemd-journald", "SYSGATE_TEST_JOURNALD"
	if os.Getenv(inside) != "" {
		journaldInside(t, daemon)
		return
	}
	testkit.Need(t, testkit.Root)
	for _, name := range []string{daemon, "journalctl", "unshare", "mount"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s (Debian: systemd): %v", name, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--propagation", "private", self, "-test.run=^TestJournald$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err != nil && strings.Contains(text, "unshare failed"):
		t.Skipf("needs namespaces: %s", text)
	case err != nil || !strings.Contains(text, "--- PASS"):
		t.Errorf("%v\n%s", err, text)
	}
}

func journaldInside(t *testing.T, daemon string) {
	for _, command := range [][]string{{"mount", "-t", "tmpfs", "tmpfs", "/run"}, {"mkdir", "-p", "/run/systemd/journal", "/run/systemd/journald.conf.d", "/run/log/journal"}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	// The machine's auditing and its kernel's log are not this test's.
	if err := os.WriteFile("/run/systemd/journald.conf.d/test.conf", []byte("[Journal]\nAudit=\nReadKMsg=no\nForwardToSyslog=no\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	journald := exec.Command(daemon)
	var said strings.Builder
	journald.Stdout, journald.Stderr = &said, &said
	if err := journald.Start(); err != nil {
		t.Fatal(err)
	}
	defer journald.Wait()
	defer journald.Process.Kill()
	j := NewJournal("", abi.AMD64)
	defer j.Close()
	large := seen(41, 1)
	large.Process = &proc.Process{Args: []string{strings.Repeat("y", 400<<10)}}
	events := []Event{nasty(), {Event: audit.Event{Problem: errors.New("no record")}}, large}
	waitFor(t, "journald's socket", func() bool {
		n, err := j.Send(t.Context(), events)
		events = events[n:]
		return err == nil
	})
	var entries []map[string]any
	waitFor(t, "the entries", func() bool {
		out, err := exec.Command("journalctl", "--output", "json", "--all", "--quiet", "SYSLOG_IDENTIFIER=sysgate").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s%s", err, out, said.String())
		}
		entries = nil
		for line := range strings.Lines(string(out)) {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, entry)
		}
		return len(entries) == 3
	})
	first := entries[0]
	for key, want := range map[string]string{
		"_TRANSPORT": "journal", "MESSAGE_ID": journalViolation, "PRIORITY": "3", "SECCOMP_CALL": "bind", "SECCOMP_ACTION": "kill_process",
		"SECCOMP_COUNT": "3", "EVENT_ACTION": "violated-seccomp-policy",
	} {
		if first[key] != want {
			t.Errorf("%s is %v, want %s", key, first[key], want)
		}
	}
	if exe, ok := first["PROCESS_EXECUTABLE"].(string); ok && exe != "/x\n<0>1 evil" {
		t.Errorf("executable %q", exe)
	}
	if got := entries[1]["EVENT_ACTION"]; got != "unread-record" {
		t.Errorf("the second entry is %v", got)
	}
	if got, _ := entries[2]["PROCESS_COMMAND_LINE"].(string); len(got) != 400<<10 {
		t.Errorf("the large entry has a command line of %d bytes", len(got))
	}
}
