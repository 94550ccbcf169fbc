package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/supervise"
)

// notifyRecorder hears of calls through a filter's listener, and lets them go on.
type notifyRecorder struct{}

func (notifyRecorder) Name() string { return "notify" }

// NotifyFlags are the flags that a listener's filter is best installed with: calls
// that were received are not taken back by signals, or else a program whose signals
// come faster than the answers never gets on (Linux 5.19).
func NotifyFlags() (kernel.Flags, error) {
	ok, err := kernel.FlagsAvailable(kernel.NewListener | kernel.WaitKillableRecv)
	if err != nil {
		return 0, err
	}
	if ok {
		return kernel.NewListener | kernel.WaitKillableRecv, nil
	}
	return kernel.NewListener, nil
}

func (notifyRecorder) Usable(t *Target) error {
	if t.attaches() {
		return errors.New("cannot attach to a process that runs: a filter is for those that it is installed in")
	}
	if t.Filter == nil {
		return errors.New("has no filter")
	}
	// Continue is of Linux 5.5, and no flag tells of it.
	release, err := kernel.Release()
	if err != nil {
		return err
	}
	if needs := (abi.Kernel{Major: 5, Minor: 5}); release.Before(needs) {
		return fmt.Errorf("needs Linux %v, this is %v", needs, release)
	}
	if _, err := kernel.Notifications(); err != nil {
		return err
	}
	_, err = NotifyFlags()
	return err
}

func (r notifyRecorder) Record(ctx context.Context, t *Target) (*Result, error) {
	begun := time.Now()
	sizes, err := kernel.Notifications()
	if err != nil {
		return nil, err
	}
	flags, err := NotifyFlags()
	if err != nil {
		return nil, err
	}
	result := &Result{Run: &observe.Run{Recorder: r.Name()}}
	doubts, err := ownFilters()
	if err != nil {
		return nil, err
	}
	result.Run.Doubts = doubts
	command := t.Command
	command.Flags, command.NoLog = flags, true
	prepared, err := launch.Prepare(command)
	if err != nil {
		return nil, err
	}
	filter, err := t.Filter(prepared.Execve())
	if err != nil {
		return nil, errors.Join(err, prepared.Close())
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	result.Run.Start = time.Now()
	program, err := prepared.Start(filter)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	result.Setup = started.Sub(begun)
	listener := kernel.ServeOn(program.Listener(), sizes)
	s := &notifySession{listener: listener, alive: map[int]bool{}, abis: map[uint32]abi.ABI{}, again: map[int]abi.Call{}}
	if t.Based {
		s.stacks = &supervise.Stacks{}
		defer s.closeStacks()
	}
	if t.Guard != nil {
		everything := bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}
		if s.guard, err = supervise.StartGuard(program.Listener(), everything, nil, t.Guard...); err != nil {
			t.say("if sysgate is killed, what the program started ends: %v", err)
		}
	}
	served := make(chan error, 1)
	go func() { served <- errors.Join(supervise.Serve(listener, s.guard, s.answer), listener.Close()) }()
	result.Status, result.Ended, err = wait(ctx, t, program)
	result.Took = time.Since(started)
	if err == nil {
		err = s.waitForRest(ctx, t, result, served)
	} else {
		err = errors.Join(err, <-served)
	}
	result.Run.Calls = s.calls()
	return result, err
}

// ownFilters says what this process's own filters hide: a call that they deny is
// decided before a listener hears of it.
func ownFilters() (doubts []string, err error) {
	mode, err := kernel.Mode()
	if err != nil || mode == 0 {
		return nil, err
	}
	return []string{"sysgate is under a seccomp filter itself: calls that it denies are not in the recording"}, nil
}

// A notifySession counts what a listener hears of.
type notifySession struct {
	listener *kernel.Listener
	guard    *supervise.Guard  // nil: none
	stacks   *supervise.Stacks // nil: not wanted

	mu    sync.Mutex
	tally observe.Tally
	alive map[int]bool // threads that made calls
	abis  map[uint32]abi.ABI
	again map[int]abi.Call // calls that were counted, and are made again by the threads
}

// answer counts the call and lets it go on: on nothing is decided.
func (s *notifySession) answer(n kernel.Notification) kernel.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	counted, ok := s.again[n.TID]
	delete(s.again, n.TID)
	if ok && counted == n.Call {
		return kernel.Reply{Continue: true}
	}
	m, isNew := s.tally.Add(s.abiOf(n.Call), n.Call.NR, n.Call.Args, 1)
	s.alive[n.TID] = true
	if isNew && s.describe(m, n) {
		s.again[n.TID] = n.Call
	}
	return kernel.Reply{Continue: true} // to nobody, of a call that is made again
}

// abiOf returns the ABI of a call: of each pair of architecture and x32 bit it is
// looked for once.
func (s *notifySession) abiOf(c abi.Call) abi.ABI {
	key := c.Arch
	if c.IsX32() {
		key ^= abi.X32Bit // the bit that says little-endian: no architecture of x86 lacks it
	}
	a, ok := s.abis[key]
	if !ok {
		a, _ = observe.Identify(c.Arch, c.NR)
		s.abis[key] = a
	}
	return a
}

// describe notes who made a call that is new. For its stack the thread is held, and makes
// the call again.
func (s *notifySession) describe(m *observe.Made, n kernel.Notification) (again bool) {
	var held *supervise.Held
	if s.stacks != nil {
		held, _ = supervise.Hold(s.listener, n) // what its registers tell is missing then
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", n.TID))
	var stack []string
	if s.stacks != nil {
		stack = s.stacks.Of(n, held)
	}
	if held != nil {
		defer func() { _ = held.Release() }() // if it fails the thread has ended
	} else if s.listener.Valid(n.ID) != nil {
		return false // by now the number may be another thread's
	}
	if err == nil {
		m.Exe = exe
	}
	m.Stack = stack
	return held != nil
}

// closeStacks lets go of the files that stacks were read from. Calls may still come.
func (s *notifySession) closeStacks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stacks.Close() // they were only read
	s.stacks = nil
}

func (s *notifySession) calls() []observe.Made {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally.Calls()
}

// left returns the threads that were heard of and are still there.
func (s *notifySession) left() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tids []int
	for tid := range s.alive {
		if unix.Kill(tid, 0) == nil {
			tids = append(tids, tid)
		} else {
			delete(s.alive, tid)
		}
	}
	return tids
}

// waitForRest serves what the program left. Where a listener is closed, every call that
// it would hear of fails with ENOSYS: whoever asks this process to end leaves them to
// the guard, or without one ends them.
func (s *notifySession) waitForRest(ctx context.Context, t *Target, result *Result, served <-chan error) error {
	rest, stop := restOf(ctx, t, result)
	defer stop()
	select {
	case err := <-served:
		return err
	case <-rest.Done():
	case <-time.After(200 * time.Millisecond):
		t.sayLeft(s.left())
		select {
		case err := <-served:
			return err
		case <-rest.Done():
		}
	}
	select {
	case err := <-served:
		return err
	case <-time.After(grace):
	}
	left := s.left()
	if s.guard != nil {
		result.Run.Doubts = append(result.Run.Doubts, fmt.Sprintf("the recording ended before the program: %d of its threads went on", len(left)))
		return nil // until this process ends, it serves them itself
	}
	result.Run.Doubts = append(result.Run.Doubts, fmt.Sprintf("the recording ended before the program: %d of its threads were ended", len(left)))
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, tid := range s.left() {
			_ = unix.Kill(tid, sig) // if it cannot be reached it has ended
		}
		select {
		case err := <-served:
			return err
		case <-time.After(patience):
		}
	}
	return errors.New("processes that the program left do not end")
}
