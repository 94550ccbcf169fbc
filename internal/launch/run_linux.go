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

// Run starts the command under filter, passes signals on and waits for its end.
// The filter must let [Prepared.Execve] through. Where the error is nil the
// program ran; else it never did: a *[StepError] or a *[kernel.FilterError] says
// why the kernel refused.
// Run ends p; it can be called once.
func (p *Prepared) Run(filter bpf.Program) (Status, error) {
	if filter == nil {
		return Status{}, errors.Join(errors.New("run: no filter"), p.Close())
	}
	// The parent-death signal is tied to this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	program, err := p.Start(filter)
	if err != nil {
		return Status{}, err
	}
	return program.Wait()
}

// A Program is one that was started.
type Program struct {
	process  *os.Process
	signals  *signals
	listener int
}

// Start is the first half of [Prepared.Run]: it returns once the program runs, and
// [Program.Wait] is the second half. A nil filter is none. The goroutine has to be
// locked to its thread until the program has ended ([runtime.LockOSThread]): the
// thread's end would kill it.
func (p *Prepared) Start(filter bpf.Program) (*Program, error) {
	program, err := p.prepareStart(filter)
	return program, errors.Join(err, p.Close())
}

func (p *Prepared) prepareStart(filter bpf.Program) (*Program, error) {
	if p.pages[0] == nil {
		return nil, errors.New("run: the command has ended")
	}
	if filter != nil {
		if err := filter.Validate(); err != nil {
			return nil, fmt.Errorf("run: %w", err)
		}
		// This filter is the last thing that the launcher controls: find out here
		// that it is shut out, and not from the death of the child.
		switch a := filter.Run(p.Execve(), abi.Native().BigEndian()).Return; a.Kind() {
		case abi.Allow, abi.Log:
		default:
			return nil, fmt.Errorf("run: the filter answers the launcher's own execve with %v", a)
		}
	}
	if err := hide(); err != nil {
		return nil, err
	}
	restoreFileLimit()
	signals := catch()
	program, err := p.start(filter)
	if err != nil {
		signals.stop()
		return nil, err
	}
	program.signals = signals
	signals.forwardTo(program.process)
	return program, nil
}

// PID returns the program's process ID.
func (p *Program) PID() int { return p.process.Pid }

// Listener returns the descriptor of the filter's listener, which is the caller's
// from now on; -1 if [Command.Flags] did not ask for one.
func (p *Program) Listener() int { return p.listener }

// Signal sends the program a signal. It is no error that it has ended.
func (p *Program) Signal(sig syscall.Signal) error {
	if err := p.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal the program: %w", err)
	}
	return nil
}

// Wait waits for the program's end and stops passing signals on.
//
// Other threads of this process may trace the program meanwhile ([os.Process.Wait] takes
// its stops for its end).
func (p *Program) Wait() (Status, error) {
	defer p.signals.stop()
	for {
		var wait syscall.WaitStatus
		_, err := syscall.Wait4(p.PID(), &wait, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return Status{}, fmt.Errorf("wait: %w", err)
		case wait.Exited() || wait.Signaled():
			return statusOf(p.PID(), wait), nil
		}
	}
}

// Ended takes the place of Wait where a tracer has waited for the program itself.
func (p *Program) Ended(wait syscall.WaitStatus) Status {
	p.signals.stop()
	return statusOf(p.PID(), wait)
}

func statusOf(pid int, wait syscall.WaitStatus) Status {
	if wait.Signaled() {
		return Status{PID: pid, Signal: wait.Signal()}
	}
	return Status{PID: pid, Code: wait.ExitStatus()}
}

// start returns once the program runs.
func (p *Prepared) start(filter bpf.Program) (*Program, error) {
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
	c.traced = p.command.Traced
	flags := kernel.Log | p.command.Flags
	if p.command.NoLog {
		flags &^= kernel.Log
	}
	listens := filter != nil && flags&kernel.NewListener != 0
	if listens {
		c.listen()
	}
	c.filterFlags = uintptr(flags)
	if filter != nil {
		c.filter = &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	}
	c.report = (*report)(unsafe.Pointer(&shared[0]))

	// No other thread may hold a descriptor that is not close-on-exec yet.
	syscall.ForkLock.Lock()
	pid, errno := c.forkExec()
	syscall.ForkLock.Unlock()
	if errno != 0 {
		return nil, &StepError{Step: stepNone.String(), Errno: errno}
	}
	program := &Program{listener: -1}
	errno = syscall.Errno(c.report.errno)
	if listens && (errno == 0 || c.report.step == stepExecve) {
		program.listener = int(c.report.listener)
	}
	program.process, err = os.FindProcess(int(pid))
	if err != nil {
		return nil, fmt.Errorf("find the child: %w", err)
	}
	if errno != 0 {
		if program.listener >= 0 {
			unix.Close(program.listener)
		}
		_, err := program.process.Wait()
		return nil, errors.Join(p.explain(c.report.step, errno, flags, len(filter)), err)
	}
	return program, nil
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
