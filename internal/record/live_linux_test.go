package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// each runs a test with every recorder.
func each(t *testing.T, test func(t *testing.T, r Recorder)) {
	testkit.NeedFilters(t)
	for _, r := range Recorders() {
		t.Run(r.Name(), func(t *testing.T) { test(t, r) })
	}
}

// TestTree: a shell, what it starts, and what that becomes.
func TestTree(t *testing.T) {
	each(t, func(t *testing.T, r Recorder) {
		file := filepath.Join(t.TempDir(), "f")
		result := recorded(t, r, &Target{Command: command(t, "sh", "-c", "ls / >"+file+"; exec cat "+file+" >/dev/null")})
		if code := result.Status.ExitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if c := madeName(t, result.Run, abi.AMD64, "getdents64"); c.Count == 0 || filepath.Base(c.Exe) != "ls" {
			t.Errorf("getdents64: %+v, want some, first by ls", c)
		}
		if c := madeName(t, result.Run, abi.AMD64, "execve"); c.Count < 2 {
			t.Errorf("execve: %+v, want those of ls and cat", c)
		}
		if len(result.Run.Doubts) > 0 {
			t.Errorf("doubts %q", result.Run.Doubts)
		}
	})
}

// TestThreadsExec: a thread that is not the first executes another program.
func TestThreadsExec(t *testing.T) {
	testkit.Need(t, testkit.CC)
	program := compile(t, `
#include <pthread.h>
#include <unistd.h>
static void *run(void *arg) { execl(arg, arg, "1", "1", "1", (char *)0); return 0; }
int main(int argc, char **argv) { pthread_t t; pthread_create(&t, 0, run, argv[1]); for (;;) pause(); }
`)
	counter := counterProgram(t)
	each(t, func(t *testing.T, r Recorder) {
		result := recorded(t, r, &Target{Command: command(t, program, counter)})
		if c := madeName(t, result.Run, abi.AMD64, "getppid"); c.Count != 1 || c.Exe != counter {
			t.Errorf("getppid: %+v, want one by %s", c, counter)
		}
		if code := result.Status.ExitCode(); code != 7 {
			t.Errorf("exit code %d", code)
		}
	})
}

func compile(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-w", "-pthread", "-o", filepath.Join(dir, "a"), file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "a")
}

// TestDenied: calls that a filter denies are made all the same.
func TestDenied(t *testing.T) {
	testkit.Need(t, testkit.CC)
	// The program installs a filter of its own: mkdir is errno(EPERM), rmdir trap,
	// and the signal is ignored by its handler.
	program := compile(t, `
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static void handler(int n) { (void)n; }
int main(void) {
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rmdir, 1, 2),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {sizeof f / sizeof f[0], f};
	signal(SIGSYS, handler);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
	for (int i = 0; i < 3; i++) syscall(SYS_mkdir, 0, 0);
	socket(AF_NETLINK, SOCK_RAW, 5);
	syscall(SYS_rmdir, 0);
	syscall(SYS_getppid);
	return 0;
}
`)
	testkit.NeedFilters(t)
	for _, r := range []Recorder{ebpfRecorder{}, ptraceRecorder{}} { // a stricter action hides the call from notify
		t.Run(r.Name(), func(t *testing.T) {
			result := recordedInTime(t, r, &Target{Command: command(t, program)})
			knows := r.Name() == "ebpf"
			for name, want := range map[string]uint64{"mkdir": 3, "rmdir": 1, "socket": 1} {
				denied := want
				if !knows {
					denied = 0
				}
				if c := madeName(t, result.Run, abi.AMD64, name); c.Count != want || c.Denied != denied || c.Exe != program {
					t.Errorf("%s: %+v, want %d", name, c, want)
				}
			}
			if c := madeName(t, result.Run, abi.AMD64, "socket"); len(c.Values) != 1 || c.Values[0].Args != [6]uint64{16, 3, 5} {
				t.Errorf("socket: %+v", c)
			}
			if c := madeName(t, result.Run, abi.AMD64, "getppid"); c.Count != 1 || c.Denied != 0 {
				t.Errorf("getppid: %+v", c)
			}
			for _, c := range result.Run.Calls {
				if c.Denied > 0 && !slices.Contains([]string{"mkdir", "rmdir", "socket"}, c.Name) {
					t.Errorf("denied: %+v", c)
				}
			}
		})
	}
}

// TestDeniedElsewhere: calls that a filter denies are seen from the first one on, of the
// thread that installs it, of another one that is in no call meanwhile, and of processes
// that nobody waits for, in a session of their own.
func TestDeniedElsewhere(t *testing.T) {
	testkit.Need(t, testkit.CC)
	program := compile(t, `
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static volatile int ready, filtered;
static void *other(void *unused) {
	syscall(SYS_getppid);
	ready = 1;
	while (!filtered);
	syscall(SYS_mkdir, 0, 0);
	syscall(SYS_getppid);
	return 0;
}
int main(void) {
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = {sizeof f / sizeof f[0], f};
	pthread_t t;
	if (fork()) return 0;
	setsid();
	if (fork()) return 0;
	pthread_create(&t, 0, other, 0);
	while (!ready);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p);
	syscall(SYS_mkdir, 0, 0);
	filtered = 1;
	pthread_join(t, 0);
	return 0;
}
`)
	testkit.NeedFilters(t)
	result := recordedInTime(t, ebpfRecorder{}, &Target{Command: command(t, program)})
	if len(result.Run.Doubts) > 0 {
		t.Errorf("doubts %q", result.Run.Doubts)
	}
	if c := madeName(t, result.Run, abi.AMD64, "mkdir"); c.Count != 2 || c.Denied != 2 {
		t.Errorf("mkdir: %+v, want 2 denied", c)
	}
	if c := madeName(t, result.Run, abi.AMD64, "getppid"); c.Count != 2 || c.Denied != 0 {
		t.Errorf("getppid: %+v, want 2", c)
	}
}

// TestOutliving: a process that goes on after the program is waited for.
func TestOutliving(t *testing.T) {
	each(t, func(t *testing.T, r Recorder) {
		result := recorded(t, r, &Target{Command: command(t, "sh", "-c", "(sleep 0.5; ls / >/dev/null) & exit 5")})
		if c := madeName(t, result.Run, abi.AMD64, "getdents64"); c.Count == 0 {
			t.Error("what the program left was not waited for")
		}
		if code := result.Status.ExitCode(); code != 5 {
			t.Errorf("exit code %d", code)
		}
	})
}

// TestEnd: the recording of what a program left ends with the context, and they go on.
// notify, without a guard, has to end them.
func TestEnd(t *testing.T) {
	each(t, func(t *testing.T, r Recorder) {
		testEnd(t, r, []string{guardArg}, true)
	})
	t.Run("notify without a guard", func(t *testing.T) { testEnd(t, notifyRecorder{}, nil, false) })
}

func testEnd(t *testing.T, r Recorder, guard []string, goOn bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := make(chan string, 10)
	target := &Target{Command: command(t, "sh", "-c", "(sleep 1; exec sleep 61.25) & exit 5"), Filter: tellAll, Guard: guard, Say: func(format string, args ...any) {
		said <- fmt.Sprintf(format, args...)
	}}
	if err := r.Usable(target); err != nil {
		testkit.Unable(t, "%v", err)
	}
	go func() {
		<-said
		cancel()
	}()
	result, err := r.Record(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	if code := result.Status.ExitCode(); code != 5 {
		t.Errorf("exit code %d", code)
	}
	if doubts := strings.Join(result.Run.Doubts, "; "); !strings.Contains(doubts, "ended before the program") {
		t.Errorf("doubts %q", doubts)
	}
	time.Sleep(1500 * time.Millisecond) // it makes calls meanwhile, of execve among them
	left, _ := exec.Command("pgrep", "-fx", "sleep 61.25").Output()
	if alive := len(left) > 0; alive != goOn {
		t.Errorf("the process that was left is alive: %v", alive)
	}
	for _, pid := range strings.Fields(string(left)) {
		var n int
		if _, err := fmt.Sscan(pid, &n); err == nil {
			if tracer, err := tracerOf(n); err != nil || tracer != 0 {
				t.Errorf("process %d is traced by %d, %v", n, tracer, err)
			}
			_ = unix.Kill(n, unix.SIGKILL)
		}
	}
}

// TestLimitIgnored: a program that ends in its own time after its limit left nothing.
func TestLimitIgnored(t *testing.T) {
	each(t, func(t *testing.T, r Recorder) {
		target := &Target{
			Command: command(t, "sh", "-c", `trap "" TERM; sleep 0.5; exit 6`), Filter: tellAll, Guard: []string{guardArg},
			Limit: 100 * time.Millisecond, Say: func(string, ...any) {},
		}
		if err := r.Usable(target); err != nil {
			testkit.Unable(t, "%v", err)
		}
		result, err := r.Record(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if code, doubts := result.Status.ExitCode(), strings.Join(result.Run.Doubts, "; "); code != 6 || strings.Contains(doubts, "ended before") {
			t.Errorf("exit code %d, doubts %q", code, doubts)
		}
	})
}

func TestLimit(t *testing.T) {
	each(t, func(t *testing.T, r Recorder) {
		begun := time.Now()
		result := recorded(t, r, &Target{Command: command(t, "sleep", "60"), Limit: 300 * time.Millisecond})
		if result.Status.Signal != syscall.SIGTERM || !result.Ended {
			t.Errorf("status %+v, ended %v", result.Status, result.Ended)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestAttach records a process that runs already, and lets go of it.
func TestAttach(t *testing.T) {
	for _, r := range []Recorder{ebpfRecorder{}, ptraceRecorder{}} {
		t.Run(r.Name(), func(t *testing.T) {
			cmd := exec.Command("sh", "-c", "while :; do ls / >/dev/null; sleep 0.02; done")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			time.Sleep(100 * time.Millisecond)
			result := recorded(t, r, &Target{PID: cmd.Process.Pid, Limit: 500 * time.Millisecond})
			if c := madeName(t, result.Run, abi.AMD64, "getdents64"); c.Count == 0 {
				t.Errorf("nothing of what it starts is in %v", result.Run.Calls)
			}
			for _, c := range result.Run.Calls {
				if c.Denied > 0 {
					t.Errorf("denied: %+v", c)
				}
			}
			if tracer, err := tracerOf(cmd.Process.Pid); err != nil || tracer != 0 {
				t.Errorf("traced by %d, %v", tracer, err)
			}
			if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("the process did not survive: %v", err)
			}
		})
	}
}

// TestAttachToTree: what a process has started before is recorded too.
func TestAttachToTree(t *testing.T) {
	// Only the grandchild makes calls.
	cmd := exec.Command("sh", "-c", "sh -c '(while :; do ls / >/dev/null; sleep 0.02; done) & wait' & wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	}()
	time.Sleep(200 * time.Millisecond)
	result := recorded(t, ebpfRecorder{}, &Target{PID: cmd.Process.Pid, Limit: 500 * time.Millisecond})
	if c := madeName(t, result.Run, abi.AMD64, "getdents64"); c.Count == 0 {
		t.Errorf("nothing of what it had started is in %v", result.Run.Calls)
	}
	for _, c := range result.Run.Calls {
		if c.Denied > 0 {
			t.Errorf("denied: %+v", c)
		}
	}
}

func TestAttachToNothing(t *testing.T) {
	for _, r := range []Recorder{ebpfRecorder{}, ptraceRecorder{}} {
		target := &Target{PID: 1 << 22}
		if r.Usable(target) != nil {
			continue
		}
		if _, err := r.Record(t.Context(), target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: error %v", r.Name(), err)
		}
	}
}

// TestNotifyStack: against a base, a call is recorded with who made it.
func TestNotifyStack(t *testing.T) {
	testkit.NeedFilters(t)
	program := counterProgram(t)
	result := recorded(t, notifyRecorder{}, &Target{Command: command(t, program, "1", "1", "1"), Based: true})
	c := madeName(t, result.Run, abi.AMD64, "getppid")
	if len(c.Stack) == 0 || !strings.HasPrefix(c.Stack[0], "syscall+") || !strings.Contains(strings.Join(c.Stack, " "), " calls+") {
		t.Errorf("stack %q, want syscall, called by calls", c.Stack)
	}
}

func TestChoose(t *testing.T) {
	target := &Target{Command: command(t, "true"), Filter: tellAll, Based: true}
	r, why, err := Choose("", target)
	if err != nil || r.Name() != "notify" || !strings.Contains(why, "not ebpf: cannot leave out") {
		t.Errorf("with a base: %v, %q, %v", r, why, err)
	}
	if _, _, err := Choose("ptrace", target); !errors.Is(err, ErrUnusable) {
		t.Errorf("ptrace with a base: %v", err)
	}
	if _, _, err := Choose("strace", target); err == nil || !strings.Contains(err.Error(), "one of ebpf, notify, ptrace") {
		t.Errorf("an unknown one: %v", err)
	}
}

// TestSetUserID: a set-user-ID program has its privileges while root records it.
func TestSetUserID(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.Need(t, testkit.CC)
	program := compile(t, "#include <unistd.h>\nint main(void) { return geteuid() == 12345 ? 3 : 4; }")
	if err := errors.Join(os.Chown(program, 12345, 12345), os.Chmod(program, 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, r Recorder) {
		result := recorded(t, r, &Target{Command: command(t, "sh", "-c", program+"; exit $?")})
		want := 3
		if r.Name() == "ptrace" && !capable(unix.CAP_SYS_PTRACE) {
			want = 4 // ptrace(2)
		}
		if code := result.Status.ExitCode(); code != want {
			t.Errorf("exit code %d, want %d", code, want)
		}
		if c := madeName(t, result.Run, abi.AMD64, "geteuid"); c.Count == 0 {
			t.Error("geteuid was not recorded")
		}
	})
}

// TestWithoutRoot: the recorders that need no root work without.
func TestWithoutRoot(t *testing.T) {
	if !testkit.InSubprocess(t) {
		testkit.Need(t, testkit.Root)
		cmd := testkit.Subprocess(t)
		// A binary and a directory that another user can reach.
		dir, err := os.MkdirTemp("", "sysgate-record")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		data, err := os.ReadFile(cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		binary := filepath.Join(dir, "test")
		if err := errors.Join(os.WriteFile(binary, data, 0o755), os.Chmod(dir, 0o777)); err != nil {
			t.Fatal(err)
		}
		cmd.Path, cmd.Dir = binary, dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Env = append(cmd.Env, "TMPDIR="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestWithoutRoot") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if (ebpfRecorder{}).Usable(&Target{}) == nil {
		t.Error("ebpf takes itself for usable")
	}
	testkit.NeedFilters(t)
	for _, r := range []Recorder{notifyRecorder{}, ptraceRecorder{}} {
		result := recorded(t, r, &Target{Command: command(t, "sh", "-c", "ls / >/dev/null")})
		if c := madeName(t, result.Run, abi.AMD64, "getdents64"); c.Count == 0 || filepath.Base(c.Exe) != "ls" {
			t.Errorf("%s: getdents64: %+v", r.Name(), c)
		}
	}
}
