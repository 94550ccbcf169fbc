package sysgate_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// libbeatNames are the 117 calls that libbeat's built-in policy for amd64 allows.
const libbeatNames = `accept accept4 access arch_prctl bind brk capget chmod chown clock_gettime clock_nanosleep clone clone3 close
connect dup dup2 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_wait execve exit exit_group fchdir fchmod fchmodat fchown
fchownat fcntl fdatasync flock fstat fstatfs fsync ftruncate futex getcwd getdents getdents64 geteuid getgid getpeername getpid
getppid getrandom getrlimit getrusage getsockname getsockopt gettid gettimeofday getuid inotify_add_watch inotify_init1
inotify_rm_watch ioctl kill listen lseek lstat madvise mincore mkdirat mmap mprotect munmap nanosleep newfstatat open openat pipe
pipe2 poll ppoll pread64 pselect6 pwrite64 read readlink readlinkat recvfrom recvmmsg recvmsg rename renameat rseq rt_sigaction
rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield sendfile sendmmsg sendmsg sendto set_robust_list setitimer setsockopt
shutdown sigaltstack socket splice stat statfs sysinfo tgkill time tkill uname unlink unlinkat wait4 waitid write writev`

// libbeatPolicy is libbeat's built-in policy in its documented form. On ABIs that
// lack some of the calls they are left out, for the benchmark.
func libbeatPolicy() []byte {
	return fmt.Appendf(nil, "seccomp:\n  default_action: errno\n  syscalls:\n  - action: allow\n    optional: true\n    names: [%s]\n",
		strings.Join(strings.Fields(libbeatNames), ", "))
}

// BenchmarkCompileLibbeat is what a program pays at its start to read, compile and
// prove a list of libbeat's size.
func BenchmarkCompileLibbeat(b *testing.B) {
	data := libbeatPolicy()
	b.ReportAllocs()
	for b.Loop() {
		p, err := policy.Parse("seccomp.yml", data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := sysgate.Compile(p, sysgate.CompileOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestInstallCost measures Install of a list of libbeat's size in fresh processes,
// the loading included: at most 5 ms of CPU and 8 MB. Of the times only the best one
// counts, because other tests run beside.
func TestInstallCost(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	if runtime.GOARCH != "amd64" {
		t.Skip("the list is for amd64: elsewhere Go's runtime needs other calls")
	}
	if testkit.InSubprocess(t) {
		installCost(t)
		return
	}
	const (
		runs    = 7
		maxTime = 5 * time.Millisecond
		maxHeap = 8 << 20
	)
	bestWall, bestCPU, most := time.Hour, time.Hour, uint64(0)
	for range runs {
		out, err := testkit.Subprocess(t).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, cost, _ := strings.Cut(string(out), "cost: ")
		var wall, cpu time.Duration
		var allocated uint64
		if _, err := fmt.Sscanf(cost, "%d ns, %d ns of CPU, %d bytes", &wall, &cpu, &allocated); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		bestWall, bestCPU, most = min(bestWall, wall), min(bestCPU, cpu), max(most, allocated)
	}
	t.Logf("best of %d processes: %v, %v of CPU; most allocated: %.1f MB", runs, bestWall, bestCPU, float64(most)/(1<<20))
	if bestCPU > maxTime && os.Getenv("SYSGATE_LONG") != "" {
		t.Errorf("%v of CPU, want at most %v", bestCPU, maxTime)
	}
	if most > maxHeap {
		t.Errorf("%d bytes allocated, want at most %d", most, maxHeap)
	}
}

func installCost(t *testing.T) {
	data := libbeatPolicy()
	runtime.LockOSThread() // for the CPU time
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, startCPU := time.Now(), threadCPU(t)
	p, err := policy.Parse("seccomp.yml", data)
	if err != nil {
		t.Fatal(err)
	}
	in, err := sysgate.Install(p, sysgate.Options{})
	wall, cpu := time.Since(start), threadCPU(t)-startCPU
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	fmt.Printf("cost: %d ns, %d ns of CPU, %d bytes; compiled in %v, proved in %v, %d instructions, %q\n",
		wall, cpu, after.TotalAlloc-before.TotalAlloc, in.Filter.CompileTime, in.Filter.ProofTime, len(in.Filter.Program), in.Verified)
}

// threadCPU returns the CPU time of the calling thread.
func threadCPU(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}
