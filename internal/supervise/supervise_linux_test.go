package supervise

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/testkit"
)

// tell returns a filter that leaves the named calls to its listener.
func tell(t *testing.T, names ...string) bpf.Program {
	t.Helper()
	var a bpf.Assembler
	told := a.NewLabel()
	a.Stmt(bpf.LdAbs, bpf.OffsetNR)
	for _, name := range names {
		nr, ok := abi.Native().Lookup(name)
		if !ok {
			continue // an older name, of another machine
		}
		next := a.NewLabel()
		a.If(bpf.JeqK, nr, told, next)
		a.Bind(next)
	}
	a.Stmt(bpf.RetK, uint32(abi.Allow))
	a.Bind(told)
	a.Stmt(bpf.RetK, uint32(abi.UserNotify))
	p, err := a.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// supervised runs a command and has its calls answered.
func supervised(t *testing.T, filter bpf.Program, answer func(*kernel.Listener, kernel.Notification) kernel.Reply, args ...string) launch.Status {
	t.Helper()
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Notify)
	sizes, err := kernel.Notifications()
	if err != nil {
		t.Fatal(err)
	}
	path, err := launch.LookPath(args[0], os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := launch.Prepare(launch.Command{Path: path, Args: args, Flags: kernel.NewListener, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	program, err := prepared.Start(filter)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = program.Signal(unix.SIGKILL) })()
	l := kernel.ListenOn(program.Listener(), sizes)
	defer l.Close()
	served := make(chan error, 1)
	go func() { served <- Serve(l, nil, func(n kernel.Notification) kernel.Reply { return answer(l, n) }) }()
	status, err := program.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return status
}

func compile(t *testing.T, source string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "a")
	compileTo(t, program, source, flags...)
	return program
}

func compileTo(t *testing.T, program, source string, flags ...string) {
	t.Helper()
	testkit.Need(t, testkit.CC)
	file := filepath.Join(t.TempDir(), "a.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cc := cmp.Or(os.Getenv("CC"), "gcc")
	if out, err := exec.Command(cc, append(flags, "-w", "-o", program, file)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// built returns a program that build writes to a file. Where nothing can be built, on the
// machine of TestStackGuest, it is in the directory of SYSGATE_PROGRAMS: SYSGATE_BUILD has
// the tests put their programs into one, and no more (built for SYSGATE_BUILD_GOARCH, by CC).
func built(t *testing.T, build func(to string)) string {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	if dir := os.Getenv("SYSGATE_PROGRAMS"); dir != "" {
		return filepath.Join(dir, name)
	}
	if dir := os.Getenv("SYSGATE_BUILD"); dir != "" {
		build(filepath.Join(dir, name))
		t.Skip("is built for another machine")
	}
	program := filepath.Join(t.TempDir(), name)
	build(program)
	return program
}

func TestDetails(t *testing.T) {
	program := compile(t, `
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
int main(void) {
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/tmp/a\033b"}, hidden = {.sun_family = AF_UNIX, .sun_path = "\0name"};
	struct sockaddr odd = {.sa_family = 17};
	char *args[] = {"prog", "a \"b\"", 0}, *many[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", 0};
	char lengthy[400], *edge = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int dir = open("/", O_PATH);
	inet_aton("127.0.0.1", &in.sin_addr);
	connect(99, (void *)&in, sizeof in);
	connect(-1, (void *)&in6, sizeof in6);
	connect(99, (void *)&un, sizeof un);
	connect(99, (void *)&hidden, offsetof(struct sockaddr_un, sun_path) + 5);
	connect(99, &odd, sizeof odd);
	connect(99, (void *)8, 16);
	syscall(SYS_execveat, AT_FDCWD, "/none", args, 0, 0);
	syscall(SYS_execveat, AT_FDCWD, "/none", many, 0, 0);
	mkdirat(dir, "x\n", 0750);
	mkdirat(AT_FDCWD, (char *)8, 0);
	memset(lengthy, 'y', sizeof lengthy - 1); lengthy[399] = 0;
	mkdirat(AT_FDCWD, lengthy, 0);
	munmap(edge + 4096, 4096);
	strcpy(edge + 4092, "end");
	mkdirat(AT_FDCWD, edge + 4092, 0);
	return 0;
}
`)
	var got []string
	supervised(t, tell(t, "connect", "execveat", "mkdirat"), func(l *kernel.Listener, n kernel.Notification) kernel.Reply {
		details := Details(n, abi.Native())
		if err := l.Valid(n.ID); err != nil {
			t.Error(err)
		}
		got = append(got, strings.TrimRight(strings.Join(details[:], "|"), "|"))
		return kernel.Reply{Errno: unix.EPERM}
	}, program)
	want := []string{
		"|127.0.0.1:80", "|[::1]:443", `|unix:/tmp/a\x1bb`, "|unix:@name", "|address of family 17", "",
		`AT_FDCWD|"/none"|["prog", "a \"b\""]`, `AT_FDCWD|"/none"|["1", "2", "3", "4", "5", "6", "7", "8", …]`,
		`3</>|"x\n"`, "AT_FDCWD", `AT_FDCWD|"` + strings.Repeat("y", 256) + `"…`, `AT_FDCWD|"end"`,
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("details:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestDo gives calls each kind of action that a supervisor gives itself.
func TestDo(t *testing.T) {
	program := compile(t, `
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
	if (mkdir("/", 0) != -1 || errno != EXDEV) return 1;    /* errno(EXDEV) */
	if (mkdir("/", 0) != 0) return 2;                       /* fake_success */
	if (mkdir("/", 0) != -1 || errno != EEXIST) return 3;   /* log: the kernel's own answer */
	if (mkdir("/", 0) != -1 || errno != 4095) return 4;     /* capped as the kernel does */
	if (mkdir("/", 0) != -1 || errno != ENOSYS) return 5;   /* trace, without a tracer */
	mkdir("/", 0);                                          /* kill_process, without marks */
	return 6;
}
`)
	actions := []abi.Action{abi.Errno.WithData(uint16(unix.EXDEV)), abi.Errno, abi.Log, abi.Errno.WithData(60000), abi.Trace, abi.KillProcess}
	next := 0
	status := supervised(t, tell(t, "mkdir", "mkdirat"), func(l *kernel.Listener, n kernel.Notification) kernel.Reply {
		next++
		reply, err := (&Marks{}).Do(l, n, actions[next-1])
		if otherwise := errors.Is(err, ErrOtherwise); otherwise != (next == len(actions)) {
			t.Errorf("%v: %v", actions[next-1], err)
		}
		return reply
	}, program)
	if status.Signal != unix.SIGKILL || next != len(actions) {
		t.Errorf("status %+v after %d calls", status, next)
	}
}

// holdVar makes the test binary a program that makes a call.
const holdVar = "SYSGATE_TEST_HOLD"

// TestLeave: on every machine that can hold threads, the kernel kills and traps calls that
// were heard of. It takes no compiler, so that it runs in guests.
func TestLeave(t *testing.T) {
	nr, _ := abi.Native().Lookup("mkdirat")
	if os.Getenv(holdVar) != "" {
		unix.RawSyscall6(uintptr(nr), 1, 2, 3, 4, 5, 6)
		os.Exit(7)
	}
	if !canHold {
		t.Skip("threads are held on amd64 and arm64")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for how, action := range map[string]abi.Action{"trap": abi.Trap.WithData(5), "kill": abi.KillProcess} {
		t.Run(how, func(t *testing.T) {
			t.Setenv(holdVar, how)
			m, err := NewMarks([]abi.Action{action})
			if err != nil {
				t.Fatal(err)
			}
			filter, err := m.Filter(tell(t, "mkdirat"))
			if err != nil {
				t.Fatal(err)
			}
			calls := 0
			status := supervised(t, filter, func(l *kernel.Listener, n kernel.Notification) kernel.Reply {
				if calls++; n.Call.Args != [6]uint64{1, 2, 3, 4, 5, 6} {
					t.Errorf("call %+v", n.Call)
				}
				reply, err := m.Do(l, n, action)
				if err != nil {
					t.Error(err)
				}
				return reply
			}, self, "-test.run=^TestLeave$")
			switch {
			case calls == 0 || calls > 100: // a signal of Go's runtime may take one back, which is made again
				t.Errorf("heard of %d calls", calls)
			// Go's handler of the signal prints where it came and ends with 2.
			case how == "trap" && (status.Code != 2 || status.Signal != 0), how == "kill" && status.Signal != unix.SIGSYS:
				t.Errorf("status %+v", status)
			}
		})
	}
}

// TestMarks: a marked filter is the filter itself, but for calls with the marks.
func TestMarks(t *testing.T) {
	filter := tell(t, "mkdir", "mkdirat", "read")
	m, err := NewMarks([]abi.Action{abi.Errno, abi.Trap.WithData(7), abi.KillThread, abi.Trap.WithData(7), abi.KillProcess, abi.Trace})
	if err != nil {
		t.Fatal(err)
	}
	want := []abi.Action{abi.Trap.WithData(7), abi.KillThread, abi.KillProcess}
	if !slices.Equal(m.actions, want) {
		t.Fatalf("marks for %v, want %v", m.actions, want)
	}
	marked, err := m.Filter(filter)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decodeMarks(bytes.NewReader(m.encode()))
	if err != nil || !slices.Equal(again.actions, m.actions) || again.words != m.words {
		t.Errorf("read again: %+v, %v", again, err)
	}
	big := abi.Native().BigEndian()
	given := func(i int) (args [6]uint64) {
		for j, word := range m.words {
			args[firstMarked+j] = uint64(word)
		}
		args[firstMarked+markedArgs-1] += uint64(i)
		return args
	}
	for nr := range uint32(300) {
		c := abi.Call{Arch: abi.Native().AuditArch(), NR: nr}
		plain := filter.Run(c, big).Return
		if got := marked.Run(c, big).Return; got != plain {
			t.Fatalf("%d: %v, want %v", nr, got, plain)
		}
		for i := range len(want) + 1 {
			c.Args = given(i)
			action := plain
			if plain == abi.UserNotify && i < len(want) {
				action = want[i]
			}
			if got := marked.Run(c, big).Return; got != action {
				t.Fatalf("%d marked for %d: %v, want %v", nr, i, got, action)
			}
			for j := range markedArgs {
				other := c
				other.Args[firstMarked+j] ^= 1 << 31
				if got := marked.Run(other, big).Return; got != plain {
					t.Fatalf("%d with a wrong mark: %v, want %v", nr, got, plain)
				}
			}
		}
	}
	if plain, err := (&Marks{}).Filter(filter); err != nil || !slices.Equal(plain, filter) {
		t.Errorf("without actions: %v", err)
	}
	for _, data := range [][]byte{nil, make([]byte, 16), append(make([]byte, 16), 1, 0, 0, 0), bytes.Repeat([]byte{255}, 100)} {
		if m, err := decodeMarks(bytes.NewReader(data)); err == nil {
			t.Errorf("marks from %d bytes: %+v", len(data), m)
		}
	}
}

const goProgram = `package main

import "syscall"

//go:noinline
func outer(depth int) { if depth > 0 { var pad [100]int; pad[depth] = depth; outer(depth - pad[depth]/depth); return }; inner() }

//go:noinline
func inner() { syscall.Mkdir("/", 0) }

func main() { outer(2) }
`

// TestEnded: where no descriptor is free, a thread that is alive is not taken for one that
// ended, which would leave it stopped for good.
func TestEnded(t *testing.T) {
	cmd := exec.Command("sleep", "3600.25")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	without := func(want bool) {
		t.Helper()
		if got := ended(cmd.Process.Pid); got != want {
			t.Errorf("ended: %v", got)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
		got := ended(cmd.Process.Pid)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("ended, without descriptors: %v", got)
		}
	}
	without(false)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); !ended(cmd.Process.Pid) && time.Since(begun) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	without(true) // not waited for
	_ = cmd.Wait()
	without(true)
}

// TestCodeOf: files are opened by what is mapped, at low addresses as at high ones: a
// name leads elsewhere from another root.
func TestCodeOf(t *testing.T) {
	regions, err := codeOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, r := range regions {
		if r.path == "" {
			continue
		}
		own++
		if _, err := os.Stat(r.path); err != nil {
			t.Error(err)
		}
		if os.Geteuid() == 0 && !strings.Contains(r.path, "/map_files/") {
			t.Errorf("%s at %#x is opened as %s", r.name, r.start, r.path)
		}
	}
	if own == 0 {
		t.Errorf("no files: %+v", regions)
	}
}

// TestStackOfGo: every frame of a stripped program, and no other.
func TestStackOfGo(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []string{"exe", "pie"} {
		t.Run(mode, func(t *testing.T) {
			source := filepath.Join(dir, "main.go")
			if err := os.WriteFile(source, []byte(goProgram), 0o600); err != nil {
				t.Fatal(err)
			}
			program := built(t, func(to string) {
				cmd := exec.Command("go", "build", "-buildmode="+mode, "-ldflags=-s -w", "-o", to, source)
				cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+cmp.Or(os.Getenv("SYSGATE_BUILD_GOARCH"), runtime.GOARCH))
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			})
			got := stackOf(t, program)
			text := strings.Join(got, " < ")
			var names []string
			for _, frame := range got {
				name, _, _ := strings.Cut(frame, " ")
				names = append(names, name)
			}
			want := "main.inner main.outer main.outer main.outer main.main runtime.main runtime.goexit"
			if !strings.HasSuffix(strings.Join(names, " "), want) || strings.Contains(text, "?") {
				t.Errorf("stack %s\nwant it to end in %s", text, want)
			}
			if !strings.Contains(text, "main.main (main.go:11)") {
				t.Errorf("stack %s: main.main has no line", text)
			}
		})
	}
}

// deepProgram makes a call from functions that find their frames in every way, and from
// a signal handler.
const deepProgram = `
#define _GNU_SOURCE
#include <alloca.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#define STEP __attribute__((noinline, noclone)) int
static volatile int sink;
STEP deepest(void) { return mkdir("/", 0) + sink; }
STEP sized(int n) { char *p = alloca(n + 16); memset(p, n, n); sink += p[n / 2]; return deepest() + p[0]; }  /* its frame has no constant size */
STEP aligned(int n) { char p[64] __attribute__((aligned(64))); memset(p, n, sizeof p); sink += p[n % 64]; return sized(n) + p[1]; }
static void handler(int s) { sink += aligned(s * 100); }
STEP raiser(int n) { char big[3000]; memset(big, n, sizeof big); raise(SIGUSR1); return big[n]; }
static int compare(const void *a, const void *b) { (void)a; (void)b; static int once; return once++ ? 0 : raiser(7) + 1; }
int main(void) {
	int list[2] = {2, 1};
	static char own[65536];
	stack_t other = {.ss_sp = own, .ss_size = sizeof own};
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
	sigaltstack(&other, 0);
	sigaction(SIGUSR1, &sa, 0);
	qsort(list, 2, sizeof list[0], compare);
	return 0;
}
`

// TestStackOfC: every frame, by unwind data, through the C library and a handler on a
// stack of its own.
func TestStackOfC(t *testing.T) {
	if !canHold {
		t.Skip("the registers of threads are read on amd64 and arm64")
	}
	for name, flags := range map[string][]string{
		"unoptimised":   {"-O0"},
		"frameless":     {"-O2", "-fomit-frame-pointer"},
		"frames":        {"-O2", "-fno-omit-frame-pointer"},
		"not PIE":       {"-O2", "-no-pie"},
		"static":        {"-O2", "-static"},
		"static PIE":    {"-O2", "-static-pie"},
		"section order": {"-O2", "-ffunction-sections", "-Wl,--gc-sections"},
	} {
		t.Run(name, func(t *testing.T) {
			program := built(t, func(to string) { compileTo(t, to, deepProgram, flags...) })
			text := strings.Join(stackOf(t, program), " < ")
			at := 0
			for _, want := range []string{"mkdir", "deepest", "sized", "aligned", "handler", "<signal>", "raiser", "compare", "qsort_r", "main", "_start"} {
				i := strings.Index(text[at:], want)
				if i < 0 {
					t.Fatalf("stack %s lacks %s", text, want)
				}
				at += i
			}
			if strings.Contains(text, "?") {
				t.Errorf("stack %s is guessed", text)
			}
		})
	}
}

// stackOf returns the stack of a program's mkdir, of which it makes one.
func stackOf(t *testing.T, program string) []string {
	t.Helper()
	var stacks Stacks
	t.Cleanup(func() { _ = stacks.Close() })
	var got []string
	calls := 0
	supervised(t, tell(t, "mkdir", "mkdirat"), func(l *kernel.Listener, n kernel.Notification) kernel.Reply {
		if calls++; calls > 1 { // the call that was held
			return kernel.Reply{Errno: unix.EPERM}
		}
		held, err := Hold(l, n)
		if err != nil {
			t.Error(err)
			return kernel.Reply{Errno: unix.EPERM}
		}
		got = stacks.Of(n, held)
		if err := held.Release(); err != nil {
			t.Error(err)
		}
		return kernel.Reply{}
	}, program)
	if calls != 2 {
		t.Errorf("heard of %d calls, want that it is made again", calls)
	}
	return got
}

// TestStackWithoutRegisters: of a thread that cannot be held, what its stack pointer tells.
func TestStackWithoutRegisters(t *testing.T) {
	program := compile(t, `
#include <sys/stat.h>
__attribute__((noinline)) int deeper(void) { return mkdir("/", 0) + 1; }
__attribute__((noinline)) int deep(void) { return deeper() + 1; }
int main(void) { return deep() != 1; }
`, "-O1")
	var stacks Stacks
	defer stacks.Close()
	var got []string
	supervised(t, tell(t, "mkdir", "mkdirat"), func(_ *kernel.Listener, n kernel.Notification) kernel.Reply {
		got = stacks.Of(n, nil)
		return kernel.Reply{Errno: unix.EPERM}
	}, program)
	text := strings.Join(got, " < ")
	for _, want := range []string{"mkdir+", "deeper+", "deep+", "main+"} {
		if !strings.Contains(text, want) {
			t.Errorf("stack %s lacks %s", text, want)
		}
	}
}
