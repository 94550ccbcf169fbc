package supervise

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/internal/kernel"
)

// errRestart is the errno that has the kernel make a call again (ERESTARTNOINTR of
// include/linux/errno.h). No program comes to see it: it holds for a thread with a
// signal or a tracer that waits for it, and a tracer does.
const errRestart = 513

// A Held is a thread that was about to make a call, and is stopped before it makes it
// again: its registers and memory can be read, and it can be given another call. It is
// for the thread of the system that made it, which [Serve] gives to its answers.
type Held struct {
	tid  int
	regs threadRegs
}

// Hold takes a call back and stops its thread. There is no answer to give to the call any
// more: the thread makes it again once [Held.Release] lets it, and everything is as if it
// had not made it before. If this process ends meanwhile, that happens by itself. The
// right to trace the thread is needed (ptrace(2)), which is the right to read its memory.
// The error wraps [kernel.ErrNotifyGone] where the call does not wait any more.
func Hold(l *kernel.Listener, n kernel.Notification) (*Held, error) {
	if !canHold {
		return nil, fmt.Errorf("hold a thread: %w on this machine", errors.ErrUnsupported)
	}
	if n.TID <= 0 {
		return nil, fmt.Errorf("hold a thread: it is not visible in this PID namespace: %w", unix.ESRCH)
	}
	if err := ptrace(unix.PTRACE_SEIZE, n.TID, 0, 0); err != nil {
		return nil, fmt.Errorf("hold thread %d: %w", n.TID, err)
	}
	h := &Held{tid: n.TID}
	// While the call waits its number is nobody else's.
	gone := l.Valid(n.ID)
	if err := ptrace(unix.PTRACE_INTERRUPT, n.TID, 0, 0); err != nil {
		h.reap()
		return nil, fmt.Errorf("hold thread %d: %w", n.TID, errors.Join(kernel.ErrNotifyGone, err))
	}
	if gone == nil {
		err := l.Send(n.ID, kernel.Reply{Errno: errRestart})
		switch {
		case err == nil, errors.Is(err, kernel.ErrNotifyGone): // a signal took the call back: it is made again as well
		case errors.Is(err, kernel.ErrNotifyAnswered):
			gone = err
		default:
			return nil, fmt.Errorf("hold thread %d: %w", n.TID, err) // it waits, and does not stop
		}
	}
	if err := h.stopped(); err != nil {
		return nil, err
	}
	if gone != nil {
		return nil, errors.Join(fmt.Errorf("hold thread %d: %w", n.TID, gone), h.Release())
	}
	return h, nil
}

// Release lets the thread make its call again.
func (h *Held) Release() error { return h.detach(0) }

func (h *Held) detach(signal syscall.Signal) error {
	if err := ptrace(unix.PTRACE_DETACH, h.tid, 0, uintptr(signal)); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("release thread %d: %w", h.tid, err)
	}
	return nil
}

// stopped waits for the thread to stop, and reads its registers. It asks again and again:
// a wait for it would compete with this process's wait for its child. It does not give
// up before the thread has stopped or ended, since only a stopped one can be released.
func (h *Held) stopped() error {
	for pause := 10 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		err := getRegs(h.tid, &h.regs)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.ESRCH):
			return errors.Join(fmt.Errorf("hold thread %d: %w", h.tid, err), h.Release())
		case ended(h.tid):
			h.reap()
			return fmt.Errorf("hold thread %d: %w", h.tid, kernel.ErrNotifyGone)
		}
		time.Sleep(pause)
	}
}

// ended reports whether a traced thread is gone, or dead and waited for.
func ended(tid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH):
		return true
	case err != nil: // no descriptor is free: what takes none knows less, of a leader that threads outlive
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, tid, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL|unix.WNOHANG, nil)
		return errors.Is(err, unix.ECHILD) || info.Signo != 0
	}
	state := statusField(status, "State:")
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// statusField returns a line of /proc/TID/status.
func statusField(status []byte, name string) string {
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// reap waits for a thread that ended while it was traced, which nobody else is told of
// before. This process's own child is left to who waits for it, and so is a thread of which
// nobody knows whose it is.
func (h *Held) reap() {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.tid))
	if err != nil || statusField(status, "PPid:") == fmt.Sprint(os.Getpid()) && statusField(status, "Tgid:") == fmt.Sprint(h.tid) {
		return
	}
	_, _ = unix.Wait4(h.tid, nil, unix.WALL|unix.WNOHANG, nil) // it may not be traced by now
}

// ptrace makes the call for requests that return nothing.
func ptrace(request, tid int, addr, data uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Requests and sizes of ptrace(2) that x/sys does not have.
const (
	ptraceGetSigMask = 0x420a
	ptraceSetSigMask = 0x420b
	sigMaskSize      = 8
)

// sigMask reads the set of signals that the thread blocks, signal n at bit n-1.
func (h *Held) sigMask() (mask uint64, err error) {
	err = ptrace(ptraceGetSigMask, h.tid, sigMaskSize, uintptr(unsafe.Pointer(&mask)))
	return mask, err
}

func (h *Held) setSigMask(mask uint64) error {
	return ptrace(ptraceSetSigMask, h.tid, sigMaskSize, uintptr(unsafe.Pointer(&mask)))
}
