package seccomp_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate"
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/seccomp"
)

// denies returns a filter that lets all calls through but for some.
func denies(action seccomp.Action, names ...string) seccomp.Filter {
	return seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionAllow,
			Syscalls:      []seccomp.SyscallGroup{{Action: action, Names: names}},
		},
	}
}

// The documented example holds on every thread: no process can be started.
func TestExample(t *testing.T) {
	testkit.NeedFilters(t)
	if _, ok := abi.Native().Lookup("fork"); !ok {
		t.Skip("the documented example names fork and vfork, which " + runtime.GOARCH + " does not have")
	}
	testkit.RunInSubprocess(t, func(t *testing.T) {
		if out, err := exec.Command("true").CombinedOutput(); err != nil {
			t.Fatalf("before: %v\n%s", err, out)
		}
		Example()
		for range 3 {
			if err := exec.Command("true").Run(); !errors.Is(err, syscall.EPERM) {
				t.Errorf("a process was started: %v", err)
			}
		}
		onThreads(t, 16, func() error {
			if err := unix.Exec("/bin/true", []string{"true"}, nil); !errors.Is(err, unix.EPERM) {
				return fmt.Errorf("execve: %v", err)
			}
			return nil
		})
		tasks(t, "NoNewPrivs:\t1", "Seccomp:\t2")
	})
}

// onThreads runs f on n threads at once.
func onThreads(t *testing.T, n int, f func() error) {
	t.Helper()
	var all, done sync.WaitGroup
	all.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
			if err := f(); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
}

// tasks checks lines of the status of every thread.
func tasks(t *testing.T, lines ...string) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d threads, %v", len(files), err)
	}
	for _, name := range files {
		status, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains(string(status), line+"\n") {
				t.Errorf("%s: no line %q", name, line)
			}
		}
	}
}

// Data of an action reaches the program.
func TestErrnoData(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		f := denies(seccomp.ActionErrno|seccomp.Action(unix.EHOSTDOWN), "getpriority")
		if err := seccomp.LoadFilter(f); err != nil {
			t.Fatal(err)
		}
		onThreads(t, 4, func() error {
			if _, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != unix.EHOSTDOWN {
				return fmt.Errorf("getpriority: %v", err)
			}
			return nil
		})
	})
}

// A thread that cannot follow is an error that names it, and no thread has the
// filter: the documented package took the kernel's answer for success.
func TestThreadThatCannotFollow(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		tids, stop := make(chan int), make(chan bool)
		go func() {
			runtime.LockOSThread()
			own := denies(seccomp.ActionErrno, "getpriority")
			own.Flag = 0 // this thread alone
			if err := seccomp.LoadFilter(own); err != nil {
				t.Error(err)
			}
			tids <- unix.Gettid()
			<-stop
		}()
		tid := <-tids
		defer close(stop)
		runtime.LockOSThread()
		err := seccomp.LoadFilter(denies(seccomp.ActionErrno, "execve"))
		var thread *sysgate.ThreadError
		if !errors.Is(err, sysgate.ErrThread) || !errors.As(err, &thread) || thread.TID != tid {
			t.Fatalf("%v, want thread %d", err, tid)
		}
		if !strings.HasPrefix(err.Error(), "failed loading seccomp filter: ") {
			t.Error(err)
		}
		if out, err := exec.Command("true").CombinedOutput(); err != nil {
			t.Errorf("the filter is in force: %v\n%s", err, out)
		}
	})
}

// Without FilterFlagTSync a filter is the calling thread's, and the goroutine
// stays on it.
func TestOneThread(t *testing.T) {
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		others, stop := make(chan error), make(chan bool)
		go func() {
			runtime.LockOSThread()
			defer close(others)
			<-stop
			_, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
			others <- err
		}()
		f := denies(seccomp.ActionErrno, "getpriority")
		f.Flag = 0
		if err := seccomp.LoadFilter(f); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			runtime.Gosched()
			if _, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != unix.EPERM {
				t.Fatalf("this thread: %v", err)
			}
		}
		close(stop)
		if err := <-others; err != nil {
			t.Errorf("another thread: %v", err)
		}
	})
}

// Without no_new_privs and without privileges there is no filter, and no success.
func TestNoPrivileges(t *testing.T) {
	testkit.Need(t, testkit.Root)
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		if err := syscall.Setuid(65534); err != nil {
			t.Fatal(err)
		}
		f := denies(seccomp.ActionErrno, "getpriority")
		f.NoNewPrivs = false
		err := seccomp.LoadFilter(f)
		if !errors.Is(err, sysgate.ErrPrivileges) || !errors.Is(err, syscall.EACCES) || !strings.HasPrefix(err.Error(), "failed loading seccomp filter: ") {
			t.Errorf("%v", err)
		}
		runtime.LockOSThread()
		if err := seccomp.SetNoNewPrivs(); err != nil {
			t.Fatal(err)
		}
		f.Flag = 0 // SetNoNewPrivs is the calling thread's
		if err := seccomp.LoadFilter(f); err != nil {
			t.Errorf("with no_new_privs: %v", err)
		}
	})
}

// A filter that is there denies what the next one takes. Without seccomp(2) it is
// installed by prctl(2).
func TestSecondFilter(t *testing.T) {
	testkit.NeedFilters(t)
	for _, test := range []struct {
		name   string
		denied []string
		want   string // how the error begins
	}{
		{"nothing", []string{"getpriority"}, ""},
		{"seccomp", []string{"seccomp"}, ""},
		{"prctl", []string{"prctl"}, "failed to set no_new_privs with prctl: "},
		{"both", []string{"seccomp", "prctl"}, "failed loading seccomp filter: seccomp is not supported by the kernel: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			testkit.RunInSubprocess(t, func(t *testing.T) {
				if err := seccomp.LoadFilter(denies(seccomp.ActionErrno, test.denied...)); err != nil {
					t.Fatal(err)
				}
				err := seccomp.LoadFilter(denies(seccomp.ActionErrno, "getpriority"))
				_, denied := unix.Getpriority(unix.PRIO_PROCESS, 0)
				if test.want == "" {
					if err != nil || denied != unix.EPERM {
						t.Errorf("%v; then getpriority: %v", err, denied)
					}
				} else if err == nil || !strings.HasPrefix(err.Error(), test.want) || denied != nil {
					t.Errorf("%v, want %s; then getpriority: %v", err, test.want, denied)
				}
			})
		})
	}
}

func TestUnknownFlags(t *testing.T) {
	f := denies(seccomp.ActionErrno, "getpriority")
	f.Flag |= 0x8
	if err := seccomp.LoadFilter(f); err == nil || err.Error() != "failed loading seccomp filter: invalid flag value 0x8: the flags are tsync and log" {
		t.Error(err)
	}
}

func TestSupported(t *testing.T) {
	testkit.Need(t, testkit.Filter)
	if !seccomp.Supported() {
		t.Error("seccomp(2) is not supported")
	}
	testkit.NeedFilters(t)
	testkit.RunInSubprocess(t, func(t *testing.T) {
		if err := seccomp.LoadFilter(denies(seccomp.ActionErrno|seccomp.Action(unix.ENOSYS), "seccomp")); err != nil {
			t.Fatal(err)
		}
		if seccomp.Supported() {
			t.Error("seccomp(2) is supported where a filter denies it")
		}
	})
}

// The running kernel decides as documented on calls of other architectures and
// on bits that it does not read.
func TestKernelDecides(t *testing.T) {
	o := testkit.NewOracle(t)
	allow := seccomp.ActionAllow
	for _, test := range []struct {
		name    string
		badArch *seccomp.Action
		want    map[abi.Call]seccomp.Action
	}{
		{"default", nil, map[abi.Call]seccomp.Action{
			{NR: 59, Arch: abi.AMD64.AuditArch()}:                               seccomp.ActionErrno | 13, // execve
			{NR: 59 | abi.X32Bit, Arch: abi.AMD64.AuditArch()}:                  seccomp.ActionErrno | 38,
			{NR: 11, Arch: abi.I386.AuditArch()}:                                seccomp.ActionKillProcess, // execve
			{NR: 3, Arch: abi.AMD64.AuditArch(), Args: [6]uint64{7}}:            seccomp.ActionTrap,
			{NR: 3, Arch: abi.AMD64.AuditArch(), Args: [6]uint64{1<<32 | 7}}:    seccomp.ActionTrap,
			{NR: 3, Arch: abi.AMD64.AuditArch(), Args: [6]uint64{8}}:            seccomp.ActionAllow,
			{NR: 91, Arch: abi.AMD64.AuditArch(), Args: [6]uint64{0, 0o104000}}: seccomp.ActionTrap, // fchmod
			{NR: 91, Arch: abi.AMD64.AuditArch(), Args: [6]uint64{0, 1 << 16}}:  seccomp.ActionAllow,
		}},
		{"the documented rule", &allow, map[abi.Call]seccomp.Action{
			{NR: 59, Arch: abi.AMD64.AuditArch()}: seccomp.ActionErrno | 13,
			{NR: 11, Arch: abi.I386.AuditArch()}:  seccomp.ActionAllow,
		}},
	} {
		p := seccomp.Policy{DefaultAction: allow, BadArchAction: test.badArch, Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionErrno | 13, Names: []string{"execve"}},
			{Action: seccomp.ActionTrap, NamesWithCondtions: []seccomp.NameWithConditions{
				{Name: "close", Conditions: seccomp.ArgumentConditions{{Operation: seccomp.Equal, Value: 7}}},
				{Name: "fchmod", Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.BitsSet, Value: 0o4000}}},
			}},
		}}
		all, err := p.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		var calls []abi.Call
		for c := range test.want {
			calls = append(calls, c)
		}
		fired, got, err := o.Eval(seccomp.RawProgram(t, all), calls)
		if err != nil {
			t.Fatal(err)
		}
		if len(fired) != len(calls) {
			t.Fatalf("%d of %d calls were fired", len(fired), len(calls))
		}
		for i, c := range fired {
			c.IP = 0
			if want := test.want[c]; seccomp.Action(got[i]) != want {
				t.Errorf("%s: %+v: got %v, want %v", test.name, c, got[i], want)
			}
		}
	}
}
