package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/observe"
)

// ptraceRecorder stops each thread at each call (ptrace(2)).
type ptraceRecorder struct{}

func (ptraceRecorder) Name() string { return "ptrace" }

func (ptraceRecorder) Usable(t *Target) error {
	release, err := kernel.Release()
	if err != nil {
		return err
	}
	switch needs := (abi.Kernel{Major: 5, Minor: 3}); { // PTRACE_GET_SYSCALL_INFO
	case t.Based:
		return errors.New("cannot leave out what a base policy knows")
	case release.Before(needs):
		return fmt.Errorf("needs Linux %v, this is %v", needs, release)
	}
	return nil
}

const (
	ptraceGetSyscallInfo = 0x420e
	ptraceInfoEntry      = 1 // PTRACE_SYSCALL_INFO_ENTRY

	ptraceOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
		unix.PTRACE_O_TRACEEXEC
)

// syscallInfo is struct ptrace_syscall_info of include/uapi/linux/ptrace.h, as it is
// at the entry of a call.
type syscallInfo struct {
	op     uint8
	_      [3]uint8
	arch   uint32
	ip, sp uint64
	nr     uint64
	args   [6]uint64
	_      [2]uint64 // of later kernels
}

// A ptraceSession is one thread that traces others. All of it but stop and victim
// belongs to that thread.
type ptraceSession struct {
	tally   observe.Tally
	traced  map[int]bool
	tracer  int  // this thread
	main    int  // the process that is waited for
	started bool // it has been seized, and told to go on
	stop    atomic.Bool
	victim  atomic.Int64 // the thread that has a SIGSTOP of this process's own, while stop

	program *launch.Program // nil: attached
	status  launch.Status
	ended   chan struct{} // the main process has ended
	end     time.Time     // when it did
}

func (r ptraceRecorder) Record(ctx context.Context, t *Target) (*Result, error) {
	begun := time.Now()
	result := &Result{Run: &observe.Run{Recorder: r.Name()}}
	s := &ptraceSession{traced: map[int]bool{}, main: t.PID, ended: make(chan struct{})}
	ready, done := make(chan error, 1), make(chan error, 1)
	go func() {
		// The thread is the tracer: it ends with the goroutine, and with it the
		// kernel lets go of whatever it still traces.
		runtime.LockOSThread()
		s.tracer = unix.Gettid()
		if err := s.begin(t); err != nil {
			ready <- err
			return
		}
		result.Setup, result.Run.Start = time.Since(begun), time.Now()
		ready <- nil
		done <- s.loop()
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	late := make(chan bool, 1)
	if s.program != nil {
		go func() { late <- stopAt(ctx, t, s.program, s.ended) }()
	} else {
		result.Run.Doubts = append(result.Run.Doubts, "the program ran before the recording began, and what it had started is not in it")
		late <- false
	}
	err := s.waitForRest(ctx, t, result, done)
	result.Ended = <-late
	result.Status = s.status
	if s.program != nil {
		result.Took = s.end.Sub(result.Run.Start)
	}
	result.Run.Calls = s.tally.Calls()
	return result, err
}

// waitForRest waits for the end of all that is traced, and lets go of it when the time
// is over.
func (s *ptraceSession) waitForRest(ctx context.Context, t *Target, result *Result, done <-chan error) error {
	if s.program != nil {
		select {
		case err := <-done:
			return err
		case <-s.ended:
		}
	}
	rest, stop := restOf(ctx, t, result)
	defer stop()
	var said <-chan time.Time
	if s.program != nil {
		said = time.After(200 * time.Millisecond)
	}
	for {
		select {
		case err := <-done:
			return err
		case <-said:
			t.say("the program has ended and left others: recording goes on until they end; interrupt to stop it")
		case <-rest.Done():
			select {
			case err := <-done:
				return err
			case <-time.After(grace):
			}
			result.Run.Doubts = append(result.Run.Doubts, "the recording ended before the program")
			s.wake()
			return <-done
		}
	}
}

// wake asks the tracer to let go of everything. It waits in the kernel, where only a
// thread that stops wakes it: one gets SIGSTOP, which is not delivered.
func (s *ptraceSession) wake() {
	for {
		pid, tid, ok := s.findVictim()
		s.victim.Store(int64(tid))
		s.stop.Store(true)
		if !ok || unix.Tgkill(pid, tid, unix.SIGSTOP) == nil {
			return // if there is none, nothing is traced any more
		}
	}
}

// findVictim returns a thread that is traced: rather one that does not stand still.
func (s *ptraceSession) findVictim() (pid, tid int, ok bool) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		process, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		tids, _ := threads(process) // it may have ended
		for _, candidate := range tids {
			if tracer, err := tracerOf(candidate); err != nil || tracer != s.tracer {
				continue
			}
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", candidate))
			switch {
			case err != nil || strings.Contains(string(stat), ") Z "): // it has ended
			case strings.Contains(string(stat), ") t "):
				pid, tid, ok = process, candidate, true
			default:
				return process, candidate, true
			}
		}
	}
	return pid, tid, ok
}

// tracerOf returns the thread that traces another, 0 for none.
func tracerOf(tid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0, err
	}
	return statusField(data, "TracerPid")
}

// begin starts the command, or seizes the process.
func (s *ptraceSession) begin(t *Target) error {
	if t.attaches() {
		return s.seizeProcess(t.PID)
	}
	command := t.Command
	command.Traced = true
	prepared, err := launch.Prepare(command)
	if err != nil {
		return err
	}
	program, err := prepared.Start(nil)
	if err != nil {
		return err
	}
	s.program, s.main = program, program.PID()
	// It has stopped behind its execve. A tracer that was asked for
	// (PTRACE_TRACEME) cannot tell stops of the whole process from others, one that
	// seized can: leave the program stopped, and seize it.
	var wait syscall.WaitStatus
	if _, err := wait4(s.main, &wait, unix.WALL); err != nil {
		return fmt.Errorf("ptrace: wait for the program: %w", err)
	}
	if !wait.Stopped() {
		s.status = program.Ended(wait)
		return fmt.Errorf("ptrace: the program ended before it began: exit code %d", s.status.ExitCode())
	}
	if err := unix.Tgkill(s.main, s.main, unix.SIGSTOP); err != nil {
		return fmt.Errorf("ptrace: stop the program: %w", err)
	}
	if err := unix.PtraceDetach(s.main); err != nil {
		return fmt.Errorf("ptrace: detach: %w", err)
	}
	return s.seize(s.main, ptraceOptions)
}

// seize has a thread traced, which goes on.
func (s *ptraceSession) seize(tid, options int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, uintptr(options), 0, 0)
	if errno != 0 {
		return fmt.Errorf("ptrace: seize thread %d: %w", tid, errno)
	}
	s.traced[tid] = true
	return nil
}

// seizeProcess seizes all threads of a process. Those that start meanwhile are seized
// as children of others, or by the next look.
func (s *ptraceSession) seizeProcess(pid int) error {
	for {
		tids, err := threads(pid)
		if err != nil {
			return err
		}
		more := false
		for _, tid := range tids {
			if s.traced[tid] {
				continue
			}
			if tracer, err := tracerOf(tid); err != nil || tracer == s.tracer {
				continue // it has ended, or came as a child
			}
			if err := s.seize(tid, ptraceOptions); err != nil {
				if errors.Is(err, unix.ESRCH) {
					continue
				}
				return err
			}
			more = true
			if err := ptrace(unix.PTRACE_INTERRUPT, tid, 0); err != nil {
				return err
			}
		}
		if !more {
			s.started = true
			return nil
		}
	}
}

// ptrace makes a request that takes a signal. That the thread has ended is no error:
// its end is reported elsewhere.
func ptrace(request, tid int, signal syscall.Signal) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, uintptr(signal), 0, 0)
	if errno != 0 && errno != unix.ESRCH {
		return fmt.Errorf("ptrace: request %#x of thread %d: %w", request, tid, errno)
	}
	return nil
}

func wait4(pid int, status *syscall.WaitStatus, options int) (int, error) {
	for {
		got, err := syscall.Wait4(pid, status, options, nil)
		if err != syscall.EINTR {
			return got, err
		}
	}
}

// loop handles stops until nothing is traced any more.
func (s *ptraceSession) loop() error {
	detaching := false
	for {
		var status syscall.WaitStatus
		// Of this thread's own children and tracees only.
		options := unix.WALL | unix.WNOTHREAD
		if detaching && len(s.traced) == 0 {
			options |= unix.WNOHANG // what is left is a child of this thread, and is let go
		}
		tid, err := wait4(-1, &status, options)
		switch {
		case err == nil && tid == 0:
			return nil
		case err == syscall.ECHILD:
			return nil // nothing is traced any more, and nothing is left that could be
		case err != nil:
			return fmt.Errorf("ptrace: wait: %w", err)
		}
		stop := s.stop.Load()
		if stop && !detaching {
			detaching = true
			for other := range s.traced {
				if err := ptrace(unix.PTRACE_INTERRUPT, other, 0); err != nil {
					return err
				}
			}
		}
		switch {
		case status.Exited() || status.Signaled():
			s.forget(tid, status)
			continue
		case !status.Stopped():
			continue
		}
		s.traced[tid] = true
		// The victim is not let go before its SIGSTOP is taken from it: it would stop.
		if stop && (int64(tid) != s.victim.Load() || status.StopSignal() == syscall.SIGSTOP && event(status) == 0) {
			err = s.letGo(tid, status)
		} else {
			err = s.stopped(tid, status)
		}
		if err != nil {
			return err
		}
	}
}

// forget takes note of a thread's end.
func (s *ptraceSession) forget(tid int, status syscall.WaitStatus) {
	delete(s.traced, tid)
	if tid == s.main && s.program != nil {
		s.status = s.program.Ended(status)
		s.end = time.Now()
		close(s.ended)
	}
}

// event returns the PTRACE_EVENT of a stop, 0 for none.
func event(status syscall.WaitStatus) int { return int(uint32(status) >> 16) }

// letGo detaches a thread that has stopped; it gets the signal that it was about to
// get, but not the victim's.
func (s *ptraceSession) letGo(tid int, status syscall.WaitStatus) error {
	delete(s.traced, tid)
	signal := syscall.Signal(0)
	if sig := status.StopSignal(); event(status) == 0 && sig != syscall.SIGTRAP|0x80 && int64(tid) != s.victim.Load() {
		signal = sig
	}
	return ptrace(unix.PTRACE_DETACH, tid, signal)
}

// stopped handles one stop and has the thread go on.
func (s *ptraceSession) stopped(tid int, status syscall.WaitStatus) error {
	sig := status.StopSignal()
	switch {
	case sig == syscall.SIGTRAP|0x80:
		if err := s.count(tid); err != nil {
			return err
		}
		return ptrace(unix.PTRACE_SYSCALL, tid, 0)
	case event(status) == unix.PTRACE_EVENT_STOP:
		switch sig {
		case syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
			if !s.started { // the stop that begin asked for
				s.started = true
				if err := unix.Kill(tid, unix.SIGCONT); err != nil {
					return fmt.Errorf("ptrace: continue the program: %w", err)
				}
				return ptrace(unix.PTRACE_SYSCALL, tid, 0)
			}
			return ptrace(unix.PTRACE_LISTEN, tid, 0) // it stays stopped
		}
		return ptrace(unix.PTRACE_SYSCALL, tid, 0)
	case event(status) != 0:
		return ptrace(unix.PTRACE_SYSCALL, tid, 0)
	}
	return ptrace(unix.PTRACE_SYSCALL, tid, sig)
}

// count counts the call that a thread enters. At the entry no filter has looked at it
// yet, so that those which one denies are counted too.
func (s *ptraceSession) count(tid int) error {
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, ptraceGetSyscallInfo, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno == unix.ESRCH { // killed meanwhile
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("ptrace: what thread %d calls: %w", tid, errno)
	}
	if info.op != ptraceInfoEntry {
		return nil
	}
	nr := uint32(info.nr)
	a, _ := observe.Identify(info.arch, nr)
	m, isNew := s.tally.Add(a, nr, info.args, 1)
	if isNew {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", tid)); err == nil {
			m.Exe = exe
		}
	}
	return nil
}
