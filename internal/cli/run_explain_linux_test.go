package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/internal/testkit"
)

// sysgateCommand returns the command that is sysgate with arguments.
func sysgateCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	testkit.NeedFilters(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), sysgateVar+"=1", "NO_COLOR=1")
	return cmd
}

// fileWith makes a file of its own directory.
func fileWith(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

const noDirectories = `version: 1
default_action: allow
syscalls:
# none
- action: errno(EXDEV)
  names: [mkdir, mkdirat]
`

// TestNoDenialIsLost: whatever the rate, each denied call is counted.
func TestNoDenialIsLost(t *testing.T) {
	testkit.Need(t, testkit.CC)
	const each, threads = 5000, 4
	source := fileWith(t, "a.c", fmt.Sprintf(`
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *run(void *unused) {
	(void)unused;
	for (int i = 0; i < %d; i++) if (syscall(SYS_mkdir, "x", 0) != -1 || errno != EXDEV) abort();
	return 0;
}
int main(void) { pthread_t t[%d]; for (int i = 0; i < %d; i++) pthread_create(&t[i], 0, run, 0);
	for (int i = 0; i < %d; i++) pthread_join(t[i], 0); return 0; }
`, each, threads, threads, threads))
	program := filepath.Join(filepath.Dir(source), "a")
	if out, err := exec.Command("gcc", "-pthread", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	begun := time.Now()
	out, err := sysgateCommand(t, "run", "--policy", fileWith(t, "p.yaml", noDirectories), "--mode", "explain", "--", program).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%d denials in %v", each*threads, time.Since(begun))
	if want := fmt.Sprintf("blocked %d times: mkdir(\"x\", 00)", each*threads); !strings.Contains(string(out), want) {
		t.Errorf("%s\nwant %q", out, want)
	}
}

// TestSupervisorDies: what the program left is denied as the policy says, also the call
// that the supervisor had when it died.
func TestSupervisorDies(t *testing.T) {
	for _, tt := range []struct {
		name string
		kill func(t *testing.T, sysgate *os.Process, dir string)
	}{
		{"between calls", func(t *testing.T, p *os.Process, dir string) {
			_ = p.Kill()
			makeFile(t, filepath.Join(dir, "go"))
		}},
		{"with a call that it has not received", func(t *testing.T, p *os.Process, dir string) {
			if err := p.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			makeFile(t, filepath.Join(dir, "go"))
			waitFor(t, filepath.Join(dir, "calling"))
			time.Sleep(100 * time.Millisecond)
			_ = p.Kill()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			// The program itself ends with sysgate; what it started in a session of its
			// own does not.
			script := `cd "$1"; setsid sh -c 'echo $$ >ready; while [ ! -e go ]; do sleep 0.02; done; : >calling; mkdir x 2>text; echo $? >code; mv code done' </dev/null >/dev/null 2>&1 & exec sleep 60`
			cmd := sysgateCommand(t, "run", "--policy", fileWith(t, "p.yaml", noDirectories), "--mode", "explain", "--", "sh", "-c", script, "sh", dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, filepath.Join(dir, "ready"))
			time.Sleep(300 * time.Millisecond) // until the guard is there
			tt.kill(t, cmd.Process, dir)
			_ = cmd.Wait()
			waitFor(t, filepath.Join(dir, "done"))
			text, err := os.ReadFile(filepath.Join(dir, "text"))
			if err != nil || !strings.Contains(string(text), "cross-device") {
				t.Errorf("mkdir said %q, %v; want the policy's EXDEV", text, err)
			}
		})
	}
}

func makeFile(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, name string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%s does not appear", name)
		}
	}
}

// startOnTerminal starts cmd in a session with a terminal of its own, and returns the
// other side of it.
func startOnTerminal(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return master
}

// expect reads from the terminal up to what is expected.
func expect(t *testing.T, in *bufio.Reader, want string) {
	t.Helper()
	var got bytes.Buffer
	for !strings.Contains(got.String(), want) {
		b, err := in.ReadByte()
		if err != nil {
			t.Fatalf("the terminal has %q, and %v; want %q", got.String(), err, want)
		}
		got.WriteByte(b)
	}
}

func TestAsk(t *testing.T) {
	policy := fileWith(t, "p.yaml", noDirectories)
	dir := t.TempDir()
	cmd := sysgateCommand(t, "run", "--policy", policy, "--ask", "--", "sh", "-c",
		"cd "+dir+`; mkdir a; echo "a: $?"; mkdir a; echo "a again: $?"; mkdir -m 755 b; echo "b: $?"; mkdir c; echo "c: $?"; mkdir -m 755 d; echo "d: $?"`)
	terminal := startOnTerminal(t, cmd)
	watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	in := bufio.NewReader(terminal)
	say := func(text string) {
		if _, err := terminal.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	const prompt = "[d/o/a] "
	expect(t, in, "blocked: ")
	expect(t, in, `mkdir("a", 0777): deny, allow once, always? `+prompt)
	say("what\n")
	expect(t, in, prompt)
	say("o\n")
	expect(t, in, "a: 0")
	expect(t, in, prompt) // once is once
	say("d\n")
	expect(t, in, "a again: 1")
	expect(t, in, "b: 1") // the same cause is not asked about again
	expect(t, in, "c: 1")
	expect(t, in, "d: 1")
	if err := cmd.Wait(); err == nil {
		t.Log("ended well")
	}
	data, err := os.ReadFile(policy)
	if err != nil || string(data) != noDirectories {
		t.Errorf("the policy was changed: %s, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err != nil {
		t.Error(err)
	}
}

func TestAskAlways(t *testing.T) {
	policy := fileWith(t, "p.yaml", noDirectories)
	dir := t.TempDir()
	cmd := sysgateCommand(t, "run", "--policy", policy, "--ask", "--", "sh", "-c", "cd "+dir+`; mkdir a; echo "a: $?"; mkdir b; echo "b: $?"`)
	terminal := startOnTerminal(t, cmd)
	watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	in := bufio.NewReader(terminal)
	expect(t, in, "[d/o/a] ")
	if _, err := terminal.WriteString("a\n"); err != nil {
		t.Fatal(err)
	}
	expect(t, in, "added mkdir")
	expect(t, in, "a: 0")
	expect(t, in, "b: 0")
	_ = cmd.Wait()
	data, err := os.ReadFile(policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# none\n", "- action: allow\n", "mkdir # seen once", "names: [mkdir, mkdirat]"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the policy lacks %q:\n%s", want, data)
		}
	}
}

// TestAskerDies: the call about which somebody was asked gets the policy's action.
func TestAskerDies(t *testing.T) {
	dir := t.TempDir()
	script := `cd "$1"; setsid sh -c 'mkdir x 2>text; mv text done' </dev/null >/dev/null 2>&1 & exec sleep 60`
	cmd := sysgateCommand(t, "run", "--policy", fileWith(t, "p.yaml", noDirectories), "--ask", "--", "sh", "-c", script, "sh", dir)
	in := bufio.NewReader(startOnTerminal(t, cmd))
	expect(t, in, "[d/o/a] ")
	time.Sleep(300 * time.Millisecond) // until the guard is there
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	waitFor(t, filepath.Join(dir, "done"))
	text, err := os.ReadFile(filepath.Join(dir, "done"))
	if err != nil || !strings.Contains(string(text), "cross-device") {
		t.Errorf("mkdir said %q, %v; want the policy's EXDEV", text, err)
	}
}
