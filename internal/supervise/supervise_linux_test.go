package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

func compile(t *testing.T, source string) string {
	t.Helper()
	testkit.Need(t, testkit.CC)
	dir := t.TempDir()
	file := filepath.Join(dir, "a.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-w", "-O1", "-o", filepath.Join(dir, "a"), file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "a")
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

// TestDo gives calls each kind of action.
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
	mkdir("/", 0);                                          /* kill_process */
	return 5;
}
`)
	actions := []abi.Action{abi.Errno.WithData(uint16(unix.EXDEV)), abi.Errno, abi.Log, abi.Errno.WithData(60000), abi.KillProcess}
	next := 0
	status := supervised(t, tell(t, "mkdir", "mkdirat"), func(l *kernel.Listener, n kernel.Notification) kernel.Reply {
		next++
		return Do(l, n, actions[next-1])
	}, program)
	if status.Signal != unix.SIGKILL || next != len(actions) {
		t.Errorf("status %+v after %d calls", status, next)
	}
	for action, want := range map[abi.Action]bool{abi.Errno: true, abi.KillProcess: true, abi.KillThread: false, abi.Trap: false, abi.Trace: false} {
		if Explainable(action) != want {
			t.Errorf("explainable: %v is %v", action, !want)
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

// TestStackOfGo: every frame of a stripped program, and no other.
func TestStackOfGo(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []string{"exe", "pie"} {
		t.Run(mode, func(t *testing.T) {
			source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, mode)
			if err := os.WriteFile(source, []byte(goProgram), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("go", "build", "-buildmode="+mode, "-ldflags=-s -w", "-o", program, source)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("%v\n%s", err, out)
			}
			var stacks Stacks
			defer stacks.Close()
			var got []string
			supervised(t, tell(t, "mkdir", "mkdirat"), func(_ *kernel.Listener, n kernel.Notification) kernel.Reply {
				got = stacks.Of(n)
				return kernel.Reply{Errno: unix.EPERM}
			}, program)
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

func TestStackOfC(t *testing.T) {
	program := compile(t, fmt.Sprintf(`
#include <sys/stat.h>
__attribute__((noinline)) int deeper(void) { return mkdir("/", 0) + 1; }
__attribute__((noinline)) int deep(void) { return deeper() + 1; }
int main(void) { return deep() != %d; }
`, 1))
	var stacks Stacks
	defer stacks.Close()
	var got []string
	supervised(t, tell(t, "mkdir", "mkdirat"), func(_ *kernel.Listener, n kernel.Notification) kernel.Reply {
		got = stacks.Of(n)
		return kernel.Reply{Errno: unix.EPERM}
	}, program)
	text := strings.Join(got, " < ")
	for _, want := range []string{"mkdir+", "? deeper+", "? deep+", "? main+"} {
		if !strings.Contains(text, want) {
			t.Errorf("stack %s lacks %s", text, want)
		}
	}
}
