package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/bpf"
)

const (
	ptraceGetFilter = 0x420c          // PTRACE_SECCOMP_GET_FILTER (Linux 4.4)
	dumpPatience    = 2 * time.Second // how long a task may take to stop
)

// explain says what the errno means here; see ptrace(2) and seccomp_get_filter in
// kernel/seccomp.c.
func (e *DumpError) explain() string {
	switch e.Errno {
	case syscall.ESRCH:
		return "there is no such task"
	case syscall.EPERM:
		return "another tracer has it, or this process may not trace it"
	case syscall.EACCES:
		return "needs CAP_SYS_ADMIN in the initial user namespace, and to be under no filter"
	case syscall.EINVAL, syscall.EIO:
		return "the kernel does not give filters out (CONFIG_CHECKPOINT_RESTORE)"
	case syscall.EMEDIUMTYPE:
		return "the filter is not of classic BPF"
	case syscall.ETIMEDOUT:
		return "the task does not stop, because it waits in the kernel"
	}
	return ""
}

// Filters returns the filters of a task, a process's main thread or another thread by
// its ID, the newest first; none if it is under none. The task is stopped for a moment
// (ptrace(2), PTRACE_SEIZE) and goes on as it was. It takes CAP_SYS_ADMIN in the
// initial user namespace, and a caller that is under no filter itself. The error is a
// *[DumpError].
func Filters(tid int) ([]bpf.Program, error) {
	type result struct {
		filters []bpf.Program
		err     error
	}
	done := make(chan result, 1)
	go func() {
		// A tracer is a thread. This one ends with the goroutine, and the kernel
		// then lets go of whatever it still traces.
		runtime.LockOSThread()
		filters, err := dump(tid)
		done <- result{filters, err}
	}()
	r := <-done
	return r.filters, r.err
}

func dump(tid int) ([]bpf.Program, error) {
	fail := func(step string, errno syscall.Errno) error { return &DumpError{tid, step, errno} }
	if _, errno := ptrace(unix.PTRACE_SEIZE, tid, 0, 0); errno != 0 {
		return nil, fail("seize", errno)
	}
	if _, errno := ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0); errno != 0 {
		return nil, fail("interrupt", errno)
	}
	signal, errno := waitStop(tid)
	if errno != 0 {
		return nil, fail("wait", errno)
	}
	filters, err := dumpStopped(tid, fail)
	if _, errno := ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(signal)); errno != 0 && err == nil {
		err = fail("detach", errno)
	}
	return filters, err
}

// dumpStopped asks for one filter after the other.
func dumpStopped(tid int, fail func(string, syscall.Errno) error) ([]bpf.Program, error) {
	var filters []bpf.Program
	for {
		n, errno := ptrace(ptraceGetFilter, tid, uintptr(len(filters)), 0)
		// Index 0 is the oldest (get_nth_filter in kernel/seccomp.c), whatever
		// ptrace(2) says.
		if errno == syscall.ENOENT || errno == syscall.EINVAL && len(filters) == 0 && !underFilters(tid) {
			slices.Reverse(filters)
			return filters, nil
		}
		if errno != 0 {
			return nil, fail("get_filter", errno)
		}
		if n == 0 || n > bpf.MaxLen {
			return nil, fmt.Errorf("filters of %d: one of %d instructions", tid, n)
		}
		code := make([]unix.SockFilter, n)
		_, _, errno = syscall.Syscall6(syscall.SYS_PTRACE, ptraceGetFilter, uintptr(tid), uintptr(len(filters)), uintptr(unsafe.Pointer(&code[0])), 0, 0)
		if errno != 0 {
			return nil, fail("get_filter", errno)
		}
		program := make(bpf.Program, n)
		for i, in := range code {
			program[i] = bpf.Instruction{Code: in.Code, JT: in.Jt, JF: in.Jf, K: in.K}
		}
		if err := program.Validate(); err != nil {
			return nil, fmt.Errorf("filters of %d: the kernel gave one that is not valid: %w", tid, err)
		}
		filters = append(filters, program)
	}
}

// underFilters reports whether the task has seccomp mode 2: of another one the
// kernel says EINVAL, as where it cannot give filters out at all.
func underFilters(tid int) bool {
	status, err := readFile(fmt.Sprintf("/proc/%d/status", tid))
	return err == nil && parseTask(tid, status).Mode == 2
}

// waitStop waits until the task stops. signal is what it was about to get, for it
// to have after all.
func waitStop(tid int) (signal int, errno syscall.Errno) {
	deadline := time.Now().Add(dumpPatience)
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(tid, &status, unix.WALL|unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err.(syscall.Errno)
		case got == 0 && time.Now().After(deadline):
			return 0, syscall.ETIMEDOUT
		case got == 0:
			time.Sleep(time.Millisecond)
			continue
		case status.Exited() || status.Signaled():
			return 0, syscall.ESRCH
		}
		if uint32(status)>>16 == unix.PTRACE_EVENT_STOP {
			return 0, 0
		}
		return int(status.StopSignal()), 0
	}
}

// ptrace makes the raw call and returns its result.
func ptrace(request, tid int, addr, data uintptr) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	return int(n), errno
}
