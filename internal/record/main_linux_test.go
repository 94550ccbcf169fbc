package record

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/supervise"
	"github.com/sysgate/sysgate/internal/testkit"
)

// counterSource makes calls that can be counted: argv[1] times each of getppid
// (amd64), mkdir by the 386 entry (39, with a bad address), number 0x40000000+39
// (x32), number 5000, and socket of two kinds; in argv[2] processes and argv[3]
// threads of each.
const counterSource = `
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <unistd.h>

static long times;

static void *calls(void *unused) {
	(void)unused;
	for (long i = 0; i < times; i++) {
		long r;
		syscall(SYS_getppid);
		__asm__ volatile("int $0x80" : "=a"(r) : "a"(39), "b"(8), "c"(0) : "memory", "r8", "r9", "r10", "r11");
		syscall(0x40000000 + 39);
		syscall(5000);
		syscall(-1);
		close(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
		close(syscall(SYS_socket, AF_UNIX | 0x7700000000, SOCK_DGRAM, 0));
	}
	return 0;
}

int main(int argc, char **argv) {
	if (argc < 4) return 2;
	times = atol(argv[1]);
	for (int p = atoi(argv[2]); p > 0; p--)
		if (fork() == 0) {
			pthread_t t[64];
			int n = atoi(argv[3]);
			for (int i = 0; i < n; i++) pthread_create(&t[i], 0, calls, 0);
			for (int i = 0; i < n; i++) pthread_join(t[i], 0);
			_exit(0);
		}
	while (wait(0) > 0);
	return 7;
}
`

// counter returns the program that counterSource is.
var counter = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sysgate-record")
	if err != nil {
		return "", err
	}
	source, binary := filepath.Join(dir, "counter.c"), filepath.Join(dir, "counter")
	if err := os.WriteFile(source, []byte(counterSource), 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("gcc", "-O1", "-pthread", "-o", binary, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

func counterProgram(t testing.TB) string {
	t.Helper()
	testkit.Need(t, testkit.CC)
	path, err := counter()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// guardArg makes the test binary a guard.
const guardArg = "be-the-guard"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == guardArg {
		if err := supervise.RunGuard(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == ownArg {
		if err := makeCalls(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if path, err := counter(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// recorded records a command that has to work.
func recorded(t *testing.T, r Recorder, target *Target) *Result {
	t.Helper()
	target.Say, target.Filter = t.Logf, tellAll
	if err := r.Usable(target); err != nil {
		t.Skipf("%s: %v", r.Name(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := r.Record(ctx, target)
	if err != nil {
		t.Fatalf("%s: %v", r.Name(), err)
	}
	return result
}

// recordedInTime is recorded for programs that install filters: where the machine was
// too busy for sys_exit to be attached before, the recording says so.
func recordedInTime(t *testing.T, r Recorder, target *Target) *Result {
	t.Helper()
	const tries = 3
	for try := 1; ; try++ {
		result := recorded(t, r, target)
		late := slices.ContainsFunc(result.Run.Doubts, func(d string) bool { return strings.Contains(d, "too busy") })
		if !late || try == tries {
			return result
		}
		t.Logf("try %d: %s", try, result.Run.Doubts)
	}
}

// tellAll returns the filter that leaves everything but the launcher's execve to
// its listener.
func tellAll(execve abi.Call) (bpf.Program, error) {
	var a bpf.Assembler
	tell := a.NewLabel()
	a.Stmt(bpf.LdAbs, bpf.OffsetNR)
	check := func(want uint32) {
		same := a.NewLabel()
		a.If(bpf.JeqK, want, same, tell)
		a.Bind(same)
	}
	check(execve.NR)
	for i := range 3 {
		for _, high := range []bool{true, false} {
			a.Stmt(bpf.LdAbs, bpf.OffsetArg(i, high, abi.Native().BigEndian()))
			want := uint32(execve.Args[i])
			if high {
				want = uint32(execve.Args[i] >> 32)
			}
			check(want)
		}
	}
	a.Stmt(bpf.RetK, uint32(abi.Allow))
	a.Bind(tell)
	a.Stmt(bpf.RetK, uint32(abi.UserNotify))
	return a.Assemble()
}

func command(t testing.TB, args ...string) launch.Command {
	t.Helper()
	path, err := launch.LookPath(args[0], os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	return launch.Command{Path: path, Args: args, KeepPrivileges: os.Geteuid() == 0}
}

// made returns what a run has of a call.
func made(run *observe.Run, a abi.ABI, nr uint32) observe.Made {
	for _, c := range run.Calls {
		if c.ABI == a && c.NR == nr {
			return c
		}
	}
	return observe.Made{ABI: a, NR: nr}
}

func madeName(t *testing.T, run *observe.Run, a abi.ABI, name string) observe.Made {
	t.Helper()
	nr, ok := a.Lookup(name)
	if !ok {
		t.Fatalf("%v has no %s", a, name)
	}
	return made(run, a, nr)
}

// checkTruth holds a run of the counter to what the program does.
func checkTruth(t *testing.T, run *observe.Run, program string, n uint64) {
	t.Helper()
	for _, want := range []struct {
		a  abi.ABI
		nr uint32
	}{
		{abi.AMD64, 110}, {abi.I386, 39}, {abi.X32, abi.X32Bit + 39}, {abi.AMD64, 5000}, {abi.AMD64, ^uint32(0)},
	} {
		if c := made(run, want.a, want.nr); c.Count != n || c.Exe != program && c.Exe != "" {
			t.Errorf("%v:%d: %d times, first by %q; want %d by %s", want.a, want.nr, c.Count, c.Exe, n, program)
		}
	}
	socket := madeName(t, run, abi.AMD64, "socket")
	want := []observe.Value{{Args: [6]uint64{1, 1}, Count: n}, {Args: [6]uint64{1, 2}, Count: n}}
	if socket.Count != 2*n || socket.Open || len(socket.Values) != 2 || socket.Values[0] != want[0] || socket.Values[1] != want[1] {
		t.Errorf("socket: %+v, want values %+v", socket, want)
	}
	if c := madeName(t, run, abi.AMD64, "execve"); c.Count != 0 {
		t.Errorf("the launcher's execve is in the recording: %+v", c)
	}
	if run.Lost != 0 || len(run.Doubts) > 0 {
		t.Errorf("lost %d, doubts %q", run.Lost, run.Doubts)
	}
}

func TestCountsAreTrue(t *testing.T) {
	program := counterProgram(t)
	const processes, threads = 3, 4
	testkit.NeedFilters(t)
	for _, r := range Recorders() {
		t.Run(r.Name(), func(t *testing.T) {
			times := uint64(200)
			if r.Name() == "ebpf" {
				times = 20_000 // some million calls a second
			}
			target := &Target{Command: command(t, program, fmt.Sprint(times), fmt.Sprint(processes), fmt.Sprint(threads))}
			result := recorded(t, r, target)
			checkTruth(t, result.Run, program, times*processes*threads)
			if code := result.Status.ExitCode(); code != 7 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
