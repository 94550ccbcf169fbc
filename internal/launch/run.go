package launch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A Status is how a program ended.
type Status struct {
	PID    int            // that it had
	Code   int            // of exit(2), 0 to 255; meaningless where Signal is set
	Signal syscall.Signal // that killed it; 0: none
}

// ExitCode returns the code that a launcher ends with: the program's own, or
// 128 + n where signal n killed it.
func (s Status) ExitCode() int {
	if s.Signal != 0 {
		return 128 + int(s.Signal)
	}
	return s.Code
}

// Run starts the command under filter, passes signals on and waits for its end.
// The filter must let [Prepared.Execve] through. Where the error is nil the
// program ran; else it never did: a *[StepError] or a *[kernel.FilterError] says
// why the kernel refused.
// Run ends p; it can be called once.
func (p *Prepared) Run(filter bpf.Program) (Status, error) {
	status, err := p.run(filter)
	return status, errors.Join(err, p.Close())
}

func (p *Prepared) run(filter bpf.Program) (Status, error) {
	if p.pages[0] == nil {
		return Status{}, errors.New("run: the command has ended")
	}
	if err := filter.Validate(); err != nil {
		return Status{}, fmt.Errorf("run: %w", err)
	}
	// This filter is the last thing that the launcher controls: find out here
	// that it is shut out, and not from the death of the child.
	switch a := filter.Run(p.Execve(), abi.Native().BigEndian()).Return; a.Kind() {
	case abi.Allow, abi.Log:
	default:
		return Status{}, fmt.Errorf("run: the filter answers the launcher's own execve with %v", a)
	}
	if err := hide(); err != nil {
		return Status{}, err
	}
	restoreFileLimit()

	// The parent-death signal is tied to this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := catch()
	defer signals.stop()
	process, err := p.start(filter)
	if err != nil {
		return Status{}, err
	}
	signals.forwardTo(process)
	state, err := process.Wait()
	if err != nil {
		return Status{}, fmt.Errorf("wait: %w", err)
	}
	wait := state.Sys().(syscall.WaitStatus)
	if wait.Signaled() {
		return Status{PID: process.Pid, Signal: wait.Signal()}, nil
	}
	return Status{PID: process.Pid, Code: wait.ExitStatus()}, nil
}

// start returns once the program runs.
func (p *Prepared) start(filter bpf.Program) (*os.Process, error) {
	code := make([]unix.SockFilter, len(filter))
	for i, in := range filter {
		code[i] = unix.SockFilter{Code: in.Code, Jt: in.JT, Jf: in.JF, K: in.K}
	}
	shared, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	defer unix.Munmap(shared)

	c := newChild()
	c.parent = uintptr(os.Getpid())
	c.path, c.argv, c.envp = p.pages[0].addr, p.pages[1].addr, p.pages[2].addr
	c.noNewPrivs = !p.command.KeepPrivileges
	flags := kernel.Log
	if p.command.NoLog {
		flags = 0
	}
	c.filterFlags = uintptr(flags)
	c.filter = &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	c.report = (*report)(unsafe.Pointer(&shared[0]))

	// No other thread may hold a descriptor that is not close-on-exec yet.
	syscall.ForkLock.Lock()
	pid, errno := c.forkExec()
	syscall.ForkLock.Unlock()
	if errno != 0 {
		return nil, &StepError{Step: stepNone.String(), Errno: errno}
	}
	process, err := os.FindProcess(int(pid))
	if err != nil {
		return nil, fmt.Errorf("find the child: %w", err)
	}
	if errno := syscall.Errno(c.report.errno); errno != 0 {
		_, err := process.Wait()
		return nil, errors.Join(p.explain(c.report.step, errno, flags, len(filter)), err)
	}
	return process, nil
}

func (p *Prepared) explain(at step, errno syscall.Errno, flags kernel.Flags, instructions int) error {
	switch at {
	case stepFilter:
		return &kernel.FilterError{Errno: errno, Flags: flags, Instructions: instructions}
	case stepExecve:
		return &StepError{Step: at.String(), Path: p.command.Path, Errno: errno}
	}
	return &StepError{Step: at.String(), Errno: errno}
}

// hide keeps programs of the same user from tracing this process and from
// opening its memory, where the addresses of the launcher's execve are. The
// execve makes the program itself dumpable again.
func hide() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl(PR_SET_DUMPABLE): %w", err)
	}
	return nil
}

// restoreFileLimit gives this process back the soft RLIMIT_NOFILE that it was
// started with. Go raises it at start and keeps the old one to itself, but
// syscall.Exec restores it before its execve, which cannot succeed here.
func restoreFileLimit() {
	_ = syscall.Exec("", nil, nil)
}
