package kernel_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/testkit"
)

var allowAll = bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}

// answer returns a filter that takes action on one call.
func answer(nr uint32, action abi.Action) bpf.Program {
	return bpf.Program{
		bpf.Stmt(bpf.LdAbs, bpf.OffsetNR),
		bpf.Jump(bpf.JeqK, nr, 0, 1),
		bpf.Stmt(bpf.RetK, uint32(action)),
		bpf.Stmt(bpf.RetK, uint32(abi.Allow)),
	}
}

// threads returns how many threads the process has and how many of them have a
// filter and no_new_privs.
func threads(t *testing.T) (all, filtered, noNewPrivs int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		all++
		if strings.Contains(string(status), "\nSeccomp:\t2\n") {
			filtered++
		}
		if strings.Contains(string(status), "\nNoNewPrivs:\t1\n") {
			noNewPrivs++
		}
	}
	return all, filtered, noNewPrivs
}

func TestSetFilter(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		if err := kernel.NoNewPrivs(); err != nil {
			t.Fatal(err)
		}
		if err := kernel.SetFilter(answer(unix.SYS_GETPPID, abi.Errno.WithData(77)), 0); err != nil {
			t.Fatal(err)
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); errno != 77 {
			t.Errorf("getppid: errno %d, want 77", errno)
		}
		if all, filtered, _ := threads(t); filtered != 1 {
			t.Errorf("%d of %d threads have the filter, want 1", filtered, all)
		}
	})
}

func TestSetFilterOnEveryThread(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		for range 4 { // threads beside this one
			started := make(chan bool)
			go func() {
				runtime.LockOSThread()
				started <- true
				select {}
			}()
			<-started
		}
		runtime.LockOSThread()
		if err := kernel.NoNewPrivs(); err != nil {
			t.Fatal(err)
		}
		if err := kernel.SetFilter(answer(unix.SYS_GETPPID, abi.Errno.WithData(77)), kernel.TSync|kernel.Log); err != nil {
			t.Fatal(err)
		}
		runtime.UnlockOSThread()
		all, filtered, noNewPrivs := threads(t)
		if all < 5 || filtered != all || noNewPrivs != all {
			t.Errorf("%d threads, %d with the filter, %d with no_new_privs", all, filtered, noNewPrivs)
		}
		if _, _, errno := unix.Syscall(unix.SYS_GETPPID, 0, 0, 0); errno != 77 {
			t.Errorf("getppid: errno %d, want 77", errno)
		}
	})
}

// ownFilter gives another thread a filter of its own and returns its ID.
func ownFilter(t *testing.T) int {
	t.Helper()
	tid := make(chan int)
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(allowAll, 0)); err != nil {
			failed <- err
			return
		}
		tid <- unix.Gettid()
		select {}
	}()
	select {
	case err := <-failed:
		t.Fatal(err)
		return 0
	case id := <-tid:
		return id
	}
}

func TestThreadError(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.TSyncESRCH)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		tid := ownFilter(t)
		if err := kernel.NoNewPrivs(); err != nil {
			t.Fatal(err)
		}
		err := kernel.SetFilter(allowAll, kernel.TSync)
		var thread *kernel.ThreadError
		if !errors.As(err, &thread) || thread.TID != tid {
			t.Errorf("tsync: %v, want an error about thread %d", err, tid)
		}
		err = kernel.SetFilter(allowAll, kernel.TSync|kernel.TSyncESRCH)
		if !errors.Is(err, unix.ESRCH) {
			t.Errorf("tsync_esrch: %v", err)
		}
		if _, err = kernel.SetFilterListener(allowAll, kernel.TSync); err == nil {
			t.Error("listener with tsync alone: no error")
		}
		if _, filtered, _ := threads(t); filtered != 1 {
			t.Errorf("%d threads have a filter, want 1", filtered)
		}
	})
}

func TestSetFilterWithoutRight(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Root)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		const nobody = 65534
		if err := unix.Setresuid(nobody, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		err := kernel.SetFilter(allowAll, 0)
		var refused *kernel.FilterError
		if !errors.As(err, &refused) || refused.Errno != unix.EACCES || refused.Instructions != 1 {
			t.Fatalf("SetFilter = %v, want EACCES", err)
		}
		if !strings.Contains(err.Error(), "no_new_privs") {
			t.Errorf("%q does not say what is needed", err)
		}
		if err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(allowAll, 0)); err != nil {
			t.Errorf("with no_new_privs: %v", err)
		}
	})
}

// TestFilterBudget fills the budget of a thread's stack of filters.
func TestFilterBudget(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Filter)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		if err := kernel.NoNewPrivs(); err != nil {
			t.Fatal(err)
		}
		p := make(bpf.Program, bpf.MaxLen)
		for pc := range p {
			p[pc] = allowAll[0]
		}
		for n := 1; ; n++ {
			err := kernel.SetFilter(p, 0)
			switch {
			case errors.Is(err, unix.ENOMEM):
				if n < 2 || !strings.Contains(err.Error(), "budget") {
					t.Errorf("filter %d: %v", n, err)
				}
				return
			case err != nil || n > 10:
				t.Fatalf("filter %d: %v, want ENOMEM in the end", n, err)
			}
		}
	})
}

func TestSetFilterErrors(t *testing.T) {
	var invalid *bpf.InvalidError
	if err := kernel.SetFilter(bpf.Program{bpf.Stmt(bpf.LdAbs, 1), allowAll[0]}, 0); !errors.As(err, &invalid) {
		t.Errorf("invalid program: %v", err)
	}
	if err := kernel.SetFilter(nil, 0); !errors.Is(err, bpf.ErrEmpty) {
		t.Errorf("empty program: %v", err)
	}
	if err := kernel.SetFilter(allowAll, 1<<31); !errors.Is(err, unix.EINVAL) {
		t.Errorf("unknown flag: %v", err)
	}
	if err := kernel.SetFilter(allowAll, kernel.NewListener); err == nil {
		t.Error("listener without a place for it: no error")
	}
}

func TestSetFilterListener(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.Notify)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		if err := kernel.NoNewPrivs(); err != nil {
			t.Fatal(err)
		}
		p := answer(unix.SYS_GETPPID, abi.UserNotify)
		fd, err := kernel.SetFilterListener(p, 0)
		if err != nil {
			t.Fatal(err)
		}
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil || !strings.Contains(link, "seccomp notify") {
			t.Errorf("descriptor %d is %q, %v", fd, link, err)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x, %v: not closed on exec", flags, err)
		}
		if _, err := kernel.SetFilterListener(p, 0); !errors.Is(err, unix.EBUSY) {
			t.Errorf("second listener: %v, want EBUSY", err)
		}
	})
}

// TestKillProcess looks at how a process ends whose filter kills it.
func TestKillProcess(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.Need(t, testkit.KillProcess)
	if testkit.InSubprocess(t) {
		runtime.LockOSThread()
		err := errors.Join(kernel.NoNewPrivs(), kernel.SetFilter(answer(unix.SYS_GETPPID, abi.KillProcess), kernel.TSync))
		if err != nil {
			t.Fatal(err)
		}
		_, _, errno := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		t.Fatalf("survived, errno %d", errno)
	}
	cmd := testkit.Subprocess(t)
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGSYS {
		t.Errorf("ended with %v, want SIGSYS\n%s", err, out)
	}
}

func TestNoNewPrivs(t *testing.T) {
	testkit.RunInSubprocess(t, func(t *testing.T) {
		runtime.LockOSThread()
		before, err := kernel.HasNoNewPrivs()
		if err != nil || before {
			t.Skipf("no_new_privs is set from the start: %v, %v", before, err)
		}
		if err := kernel.NoNewPrivs(); err != nil {
			t.Fatal(err)
		}
		if after, err := kernel.HasNoNewPrivs(); err != nil || !after {
			t.Errorf("HasNoNewPrivs = %v, %v", after, err)
		}
	})
}

func TestFlagsAvailable(t *testing.T) {
	testkit.Need(t, testkit.WaitKillable)
	tests := []struct {
		flags kernel.Flags
		want  bool
	}{
		{0, true},
		{kernel.TSync | kernel.Log | kernel.SpecAllow, true},
		{kernel.NewListener | kernel.WaitKillableRecv, true},
		{kernel.TSync | kernel.NewListener | kernel.TSyncESRCH, true},
		{kernel.TSync | kernel.NewListener, false},
		{kernel.WaitKillableRecv, false},
		{1 << 30, false},
	}
	for _, tt := range tests {
		if got, err := kernel.FlagsAvailable(tt.flags); err != nil || got != tt.want {
			t.Errorf("FlagsAvailable(%v) = %v, %v, want %v", tt.flags, got, err, tt.want)
		}
	}
}

func TestActionAvailable(t *testing.T) {
	testkit.Need(t, testkit.Notify)
	for _, a := range []abi.Action{
		abi.KillProcess, abi.KillThread, abi.Trap, abi.Errno.WithData(1), abi.UserNotify, abi.Trace, abi.Log, abi.Allow,
	} {
		if ok, err := kernel.ActionAvailable(a); err != nil || !ok {
			t.Errorf("ActionAvailable(%v) = %v, %v", a, ok, err)
		}
	}
	if ok, err := kernel.ActionAvailable(0x00010000); err != nil || ok {
		t.Errorf("unknown action: %v, %v", ok, err)
	}
}

func TestFlagsString(t *testing.T) {
	for flags, want := range map[kernel.Flags]string{
		0:                                 "none",
		kernel.TSync | kernel.Log:         "tsync|log",
		kernel.WaitKillableRecv | 1<<6:    "wait_killable_recv|0x40",
		kernel.NewListener | kernel.TSync: "tsync|new_listener",
	} {
		if got := flags.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint32(flags), got, want)
		}
	}
}

func TestRelease(t *testing.T) {
	got, err := kernel.Release()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), got.String()+".") {
		t.Errorf("Release() = %v, /proc has %s", got, text)
	}
}
