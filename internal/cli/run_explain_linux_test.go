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

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
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

const everyAction = `version: 1
default_action: allow
syscalls:
- {action: trap(9), names: [mkdir]}
- {action: kill_thread, names: [rmdir]}
- {action: kill_process, names: [unlink]}
- {action: trace, names: [swapon]}
- {action: user_notify, names: [acct]}
- {action: errno(EXDEV), names: [chroot]}
`

// everyActionProgram prints what becomes of its calls.
const everyActionProgram = `
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
static void handler(int s, siginfo_t *i, void *c) {
	greg_t *r = ((ucontext_t *)c)->uc_mcontext.gregs;
	printf("signal %d code %d errno %d call %d arch %x at its instruction %d, registers %lld %llx %llx %llx %llx %llx, blocked %d\n",
		s, i->si_code, i->si_errno, i->si_syscall, i->si_arch, (long)i->si_call_addr == r[REG_RIP], r[REG_RAX],
		r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9], sigismember(&((ucontext_t *)c)->uc_sigmask, SIGUSR1));
	r[REG_RAX] = -77;
}
static void *thread(void *alive) { syscall(SYS_rmdir, "x"); *(int *)alive = 1; return 0; }
static void block(int sig) { sigset_t m; sigemptyset(&m); sigaddset(&m, sig); sigprocmask(SIG_BLOCK, &m, 0); }
static void child(const char *what, int how) {
	int status;
	fflush(stdout);
	if (fork() == 0) {
		if (how == 1) signal(SIGSYS, SIG_DFL);
		if (how == 2) signal(SIGSYS, SIG_IGN);
		if (how == 3) block(SIGSYS);
		syscall(how == 0 ? SYS_unlink : SYS_mkdir, "x");
		_exit(9);
	}
	wait(&status);
	printf("%s: exited %d signal %d\n", what, WIFEXITED(status), WTERMSIG(status));
}
int main(void) {
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	int *alive = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t t;
	sigaction(SIGSYS, &sa, 0);
	for (int i = 0; i < 3; i++) {
		long r = syscall(SYS_mkdir, "x", 2 + i, 3, 4, 5, 6);
		printf("trapped: %ld %d\n", r, errno);
	}
	child("kill_process", 0); child("trap, no handler", 1); child("trap, ignored", 2); child("trap, blocked", 3);
	printf("trace: %ld", syscall(SYS_swapon, "x", 0)); printf(" %d\n", errno);
	printf("user_notify: %ld", syscall(SYS_acct, "x")); printf(" %d\n", errno);
	printf("errno: %ld", syscall(SYS_chroot, "x")); printf(" %d\n", errno);
	pthread_create(&t, 0, thread, alive);
	usleep(200000);
	printf("kill_thread: alive %d\n", *alive);
	fflush(stdout);
	syscall(SYS_unlink, "x");
	return 0;
}
`

// TestExplainedActions: a program that is explained finds what it finds without.
func TestExplainedActions(t *testing.T) {
	if abi.Native() != abi.AMD64 {
		t.Skip("the program prints registers of amd64")
	}
	testkit.Need(t, testkit.CC)
	source := fileWith(t, "a.c", everyActionProgram)
	program := filepath.Join(filepath.Dir(source), "a")
	if out, err := exec.Command("gcc", "-w", "-pthread", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(mode string) (stdout, stderr string, code int) {
		cmd := sysgateCommand(t, "run", "--policy", fileWith(t, "p.yaml", everyAction), "--mode", mode, "--", program)
		var out, messages bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &messages
		watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer watchdog.Stop()
		_ = cmd.Run() // its code is looked at
		return out.String(), messages.String(), cmd.ProcessState.ExitCode()
	}
	want, _, wantCode := run("enforce")
	got, messages, code := run("explain")
	if got != want || code != wantCode || wantCode != 128+31 {
		t.Errorf("explained, it ended with %d and printed\n%s\nwithout with %d and\n%s", code, got, wantCode, want)
	}
	for _, want := range []string{
		"blocked: mkdir(\"x\", 02) → trap(9) by", "rmdir(\"x\") → kill_thread by", "unlink(\"x\") → kill_process by",
		"swapon(\"x\", 0) → trace(0) by", "acct(\"x\") → user_notify by", "chroot(\"x\") → errno(EXDEV) by",
		"blocked 6 times: mkdir", "blocked 2 times: unlink", "blocked: 12 calls, of 6 causes", "< main+",
	} {
		if !strings.Contains(messages, want) {
			t.Errorf("%s\nlacks %q", messages, want)
		}
	}
	if strings.Contains(messages, "warning") {
		t.Error(messages)
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

// TestGuardActions: what the program left gets every action of the policy from the guard,
// and what the kernel alone can do from the kernel.
func TestGuardActions(t *testing.T) {
	for action, want := range map[string]string{"trap(9)": "159", "kill_thread": "159", "kill_process": "159", "trace": "1", "errno(EXDEV)": "1"} {
		t.Run(action, func(t *testing.T) {
			dir := t.TempDir()
			// A shell of its own sees the status that the parent of the denied program does.
			script := `cd "$1"; setsid sh -c 'mkdir first; echo >ready; while [ ! -e go ]; do sleep 0.02; done; mkdir x; echo $? >code; mv code done' </dev/null >/dev/null 2>&1 & exec sleep 60`
			policy := strings.Replace(noDirectories, "errno(EXDEV)", action, 1)
			cmd := sysgateCommand(t, "run", "--policy", fileWith(t, "p.yaml", policy), "--mode", "explain", "--", "sh", "-c", script, "sh", dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, filepath.Join(dir, "ready"))
			time.Sleep(300 * time.Millisecond) // until the guard is there
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			makeFile(t, filepath.Join(dir, "go"))
			waitFor(t, filepath.Join(dir, "done"))
			if code, err := os.ReadFile(filepath.Join(dir, "done")); err != nil || strings.TrimSpace(string(code)) != want {
				t.Errorf("mkdir ended with %s, want %s, %v", code, want, err)
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
		"cd "+dir+`; mkdir a; echo "a: $?"; mkdir e; echo "e: $?"; mkdir -m 755 b; echo "b: $?"; mkdir c; echo "c: $?"; mkdir -m 755 d; echo "d: $?"`)
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
	expect(t, in, `mkdir("e", 0777): deny, allow once, always? `+prompt) // once is once, and it is another
	say("d\n")
	expect(t, in, "e: 1")
	expect(t, in, "b: 1") // the same cause is not asked about again
	expect(t, in, "c: 1")
	expect(t, in, "d: 1")
	expect(t, in, "blocked: 4 calls, of 1 cause")
	expect(t, in, "allowed when asked: 1 call")
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

// TestAskInterrupted: who presses ^C where a question waits, or whose program ends meanwhile,
// has the shell back.
func TestAskInterrupted(t *testing.T) {
	for _, tt := range []struct {
		name, script, keys string
		code               int
	}{
		{"interrupted", `mkdir a; echo "a: $?"`, "\x03", 130},
		{"ended", `mkdir a 2>/dev/null & sleep 0.5; exit 4`, "", 4},
		{"end of file", `mkdir a; exit 5`, "\x04", 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := sysgateCommand(t, "run", "--policy", fileWith(t, "p.yaml", noDirectories), "--ask", "--", "sh", "-c", "cd "+t.TempDir()+"; "+tt.script)
			terminal := startOnTerminal(t, cmd)
			watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer watchdog.Stop()
			expect(t, bufio.NewReader(terminal), "[d/o/a] ")
			if _, err := terminal.WriteString(tt.keys); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
		})
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

// TestCallText writes arguments with the names of their constants.
func TestCallText(t *testing.T) {
	for want, call := range map[string]struct {
		nr   uint32
		args [6]uint64
	}{
		`openat(AT_FDCWD, 0x1000, O_RDONLY)`:                  {257, [6]uint64{0xffffff9c, 0x1000, 0, 0o777}},
		`openat(3, 0x1000, O_RDONLY | O_CLOEXEC)`:             {257, [6]uint64{3, 0x1000, 0x80000}},
		`open(NULL, O_WRONLY | O_CREAT, 0640)`:                {2, [6]uint64{0, 0x41, 0o640}},
		`kill(-1, SIGTERM)`:                                   {62, [6]uint64{0xffffffff, 15}},
		`unlinkat(3, 0x1000, AT_REMOVEDIR)`:                   {263, [6]uint64{3, 0x1000, 0x200}},
		`prctl(PR_SET_DUMPABLE, 0, 0xffffffffffffff80, 7, 0)`: {157, [6]uint64{4, 0, 0xffffffffffffff80, 7}},
		`mprotect(4096, 4096, PROT_READ | PROT_EXEC)`:         {10, [6]uint64{4096, 4096, 5}},
		`amd64:nr:9999(1, ip == 8192)`:                        {9999, [6]uint64{1}},
	} {
		c := abi.Call{Arch: abi.AMD64.AuditArch(), NR: call.nr, Args: call.args, IP: 0x2000}
		a, name := observe.Identify(c.Arch, c.NR)
		var details [6]string
		if call.args[0] == 0xffffff9c {
			details[0] = "AT_FDCWD"
		}
		if got := callText(c, a, name, details); got != want && abi.Native() == abi.AMD64 {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
