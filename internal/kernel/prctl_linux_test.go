package kernel_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

func TestSetFilterPrctl(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		if mode, err := kernel.Mode(); err != nil || mode != 0 {
			t.Fatalf("mode %d, %v at the start", mode, err)
		}
		if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilterPrctl(answer(unix.SYS_GETPPID, abi.Errno.WithData(77)), false)); err != nil {
			t.Fatal(err)
		}
		if mode, err := kernel.Mode(); err != nil || mode != 2 {
			t.Errorf("mode %d, %v under a filter", mode, err)
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); errno != 77 {
			t.Errorf("getppid: errno %d, want 77", errno)
		}
		if all, filtered, _ := threads(t); filtered != 1 {
			t.Errorf("%d of %d threads have the filter, want 1", filtered, all)
		}
	})
}

func TestSetFilterPrctlOnEveryThread(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		for range 4 {
			started := make(chan bool)
			go func() {
				runtime.LockOSThread()
				started <- true
				select {}
			}()
			<-started
		}
		err := kernel.NoNewPrivsEveryThread()
		if errors.Is(err, errors.ErrUnsupported) {
			// Tests with the race detector use cgo.
			if !strings.Contains(err.Error(), "cgo") {
				t.Errorf("%v does not say why", err)
			}
			err = kernel.SetFilterPrctl(allowAll, true)
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "cgo") {
				t.Errorf("SetFilterPrctl = %v, want an error about cgo", err)
			}
			return
		}
		if err := errors.Join(err, kernel.SetFilterPrctl(answer(unix.SYS_GETPPID, abi.Errno.WithData(77)), true)); err != nil {
			t.Fatal(err)
		}
		if all, filtered, noNewPrivs := threads(t); all < 5 || filtered != all || noNewPrivs != all {
			t.Errorf("%d threads, %d with the filter, %d with no_new_privs", all, filtered, noNewPrivs)
		}
		tasks, err := kernel.Tasks(true)
		if err != nil || len(tasks) < 5 {
			t.Errorf("%d tasks, %v", len(tasks), err)
		}
		for _, task := range tasks {
			if task.Mode != 2 || task.NoNewPrivs != 1 || task.Filters != 1 {
				t.Errorf("%+v", task)
			}
		}
	})
}

func TestSetFilterPrctlErrors(t *testing.T) {
	var invalid *bpf.InvalidError
	if err := kernel.SetFilterPrctl(bpf.Program{bpf.Stmt(bpf.LdAbs, 1), allowAll[0]}, false); !errors.As(err, &invalid) {
		t.Errorf("invalid program: %v", err)
	}
	testkit.Need(t, testkit.Root)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		if err := unix.Setresuid(65534, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		err := kernel.SetFilterPrctl(allowAll, false)
		if !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "by prctl(2)") || !strings.Contains(err.Error(), "no_new_privs") {
			t.Errorf("SetFilterPrctl without a right = %v", err)
		}
	})
}

func TestPrctlFilterAvailable(t *testing.T) {
	if ok, err := kernel.PrctlFilterAvailable(); err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
}

// TestAnswered has a filter report success for calls that the kernel refuses.
func TestAnswered(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		if err := errors.Join(
			kernel.NoNewPrivs(),
			kernel.SetFilter(answer(unix.SYS_PRCTL, abi.Errno), 0),
			kernel.SetFilter(answer(unix.SYS_SECCOMP, abi.Errno), 0),
		); err != nil {
			t.Fatal(err)
		}
		if _, err := kernel.FlagsAvailable(0); !errors.Is(err, kernel.ErrAnswered) {
			t.Errorf("FlagsAvailable: %v", err)
		}
		if _, err := kernel.PrctlFilterAvailable(); !errors.Is(err, kernel.ErrAnswered) {
			t.Errorf("PrctlFilterAvailable: %v", err)
		}
	})
}

func TestEveryThreadCalls(t *testing.T) {
	tests := []struct {
		abi    abi.ABI
		kernel abi.Kernel
		futex  string
	}{
		{abi.AMD64, abi.Kernel{Major: 6, Minor: 1}, "futex"},
		{abi.I386, abi.Kernel{Major: 5, Minor: 1}, "futex_time64"},
		{abi.I386, abi.Kernel{Major: 5, Minor: 0}, "futex"},
		{abi.ARM, abi.Kernel{}, "futex"},
	}
	for _, tt := range tests {
		calls := kernel.EveryThreadCalls(tt.abi, tt.kernel)
		for _, name := range calls {
			if _, ok := tt.abi.Lookup(name); !ok {
				t.Errorf("%v has no %s", tt.abi, name)
			}
		}
		if !slices.Contains(calls, tt.futex) {
			t.Errorf("%v, %v: %v lacks %s", tt.abi, tt.kernel, calls, tt.futex)
		}
	}
}

// TestEveryThreadCallsExist: a name that an ABI lacks would never pass.
func TestEveryThreadCallsExist(t *testing.T) {
	for _, a := range abi.All() {
		for _, name := range append(kernel.EveryThreadCalls(a, abi.Latest), kernel.TasksCalls()...) {
			if _, ok := a.Lookup(name); !ok {
				t.Errorf("%v has no %s", a, name)
			}
		}
	}
}

// TestTasksCalls has calls fail that reading a directory and its files usually takes
// beside those that Tasks says it makes; all must be of those.
func TestTasksCalls(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		var a bpf.Assembler
		deny := a.NewLabel()
		a.Stmt(bpf.LdAbs, bpf.OffsetNR)
		for _, name := range []string{
			"open", "openat2", "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "newfstatat", "fstatat64", "statx", "statfs", "fstatfs",
			"access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd", "lseek", "_llseek", "fcntl", "fcntl64", "ioctl",
			"getdents", "readv", "pread64", "preadv", "dup", "dup3", "epoll_create1", "epoll_ctl", "eventfd2", "poll", "ppoll", "uname",
		} {
			if slices.Contains(kernel.TasksCalls(), name) {
				t.Errorf("%s is both", name)
			}
			if nr, ok := abi.Native().Lookup(name); ok {
				a.If(bpf.JeqK, nr, deny, bpf.Next)
			}
		}
		a.Stmt(bpf.RetK, uint32(abi.Allow))
		a.Bind(deny)
		a.Stmt(bpf.RetK, uint32(abi.Errno.WithData(uint16(unix.EUCLEAN))))
		p, err := a.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(p, kernel.TSync)); err != nil {
			t.Fatal(err)
		}
		every, err := kernel.Tasks(true)
		if err != nil || len(every) < 2 || every[0].Mode != 2 {
			t.Errorf("every thread: %+v, %v", every, err)
		}
		own, err := kernel.Tasks(false)
		if err != nil || len(own) != 1 || own[0].Mode != 2 || own[0].TID != 0 {
			t.Errorf("the calling thread: %+v, %v", own, err)
		}
	})
}

func TestCapabilities(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	got, err := kernel.Capabilities()
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("\nCapEff:\t%016x\n", got); !strings.Contains(string(status), want) {
		t.Errorf("Capabilities = %x, /proc says\n%s", got, status)
	}
}
