package sysgate

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/policy"
)

// What a [Request] can fail with, beside what the kernel says.
var (
	// ErrGone: the call does not wait any more. Its thread ended, or a signal
	// interrupted it; then it usually makes the call again, as a new request.
	ErrGone = errors.New("the call does not wait any more")
	// ErrAnswered: the request has its answer.
	ErrAnswered = errors.New("the call has been answered")
	// ErrMemoryRead: Continue after memory of the target was read.
	ErrMemoryRead = errors.New("memory was read: the target can change it before the kernel reads it again")
)

// A Request is a system call that waits for its answer. Its methods may be called
// by several goroutines; the first answer that the kernel takes is the answer.
type Request struct {
	TID  int      // the thread, in this process's PID namespace; 0 if it is not visible there
	Call abi.Call // number and argument registers; they cannot change any more

	kernel *kernel.Listener
	id     uint64

	mu       sync.Mutex
	read     bool // memory of the target was read
	answered bool
}

// ABI returns the ABI that the call was made through, [abi.None] if it is none
// that the tables have.
func (r *Request) ABI() abi.ABI {
	for _, a := range abi.All() {
		if a.AuditArch() == r.Call.Arch && (a == abi.X32) == r.Call.IsX32() {
			return a
		}
	}
	return abi.None
}

// Arg returns argument i, 0 to 5: the bits of its register that the kernel reads
// in this call. An int that is -1 is 0xffffffff.
func (r *Request) Arg(i int) uint64 { return r.Call.Args[i] & r.ABI().ReadMask(r.Call.NR, i) }

// String returns the call in the notation that policies have for calls.
func (r *Request) String() string {
	c := r.Call
	c.IP = 0
	return policy.FormatCall(c)
}

// PID returns the process of the thread.
func (r *Request) PID() (int, error) {
	if r.TID == 0 {
		return 0, errors.New("the thread is not visible in this PID namespace")
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.TID))
	if validErr := r.Valid(); validErr != nil {
		return 0, validErr
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if pid, ok := strings.CutPrefix(line, "Tgid:"); ok {
			return strconv.Atoi(strings.TrimSpace(pid))
		}
	}
	return 0, fmt.Errorf("/proc/%d/status names no process", r.TID)
}

// Valid returns nil if the call still waits, else [ErrGone]. Whatever is found out
// about the target by its thread ID is about the target only if Valid returns nil
// afterwards: threads end, and their IDs are used again.
func (r *Request) Valid() error { return problemOfRequest(r.kernel.Valid(r.id)) }

// ReadMemory fills p from the target's memory at addr, or fails and leaves p
// zeroed. The target's other threads can change what was read at any time.
//
// It needs the right to trace the target: the same user and a target that can be
// dumped, or CAP_SYS_PTRACE; see ptrace(2) and Yama's ptrace_scope.
func (r *Request) ReadMemory(addr uint64, p []byte) error {
	n, err := r.readMemory(addr, p)
	if err == nil && n == len(p) {
		return nil
	}
	clear(p)
	return err
}

// ReadString returns the string at addr that a 0 ends, without it, or an error if
// it is longer than limit bytes. See ReadMemory.
func (r *Request) ReadString(addr uint64, limit int) (string, error) {
	// No read crosses a page, so that none touches one that the string does not.
	const page = 4096
	var s []byte
	for len(s) <= limit {
		at := addr + uint64(len(s))
		chunk := make([]byte, min(page-int(at%page), limit+1-len(s)))
		n, err := r.readMemory(at, chunk)
		if i := strings.IndexByte(string(chunk[:n]), 0); i >= 0 {
			return string(append(s, chunk[:i]...)), nil
		}
		if err != nil {
			return "", err
		}
		s = append(s, chunk...)
	}
	return "", fmt.Errorf("string at %#x is longer than %d bytes", addr, limit)
}

// readMemory reads n bytes, less than len(p) only with an error. It establishes
// that they are the target's.
func (r *Request) readMemory(addr uint64, p []byte) (n int, err error) {
	r.mu.Lock()
	r.read = true
	r.mu.Unlock()
	n, err = kernel.ReadMemory(r.TID, addr, p)
	if validErr := r.Valid(); validErr != nil {
		clear(p)
		return 0, validErr
	}
	return n, err
}

// Return has the call return value, and the kernel not execute it. The values -1
// to -4095 are not for it: see Fail.
func (r *Request) Return(value int64) error {
	if value < 0 && value >= -abi.MaxErrno {
		return fmt.Errorf("return value %d would be an error: use Fail(%d)", value, -value)
	}
	return r.answer(kernel.Reply{Value: value})
}

// Fail has the call fail with errno, and the kernel not execute it.
func (r *Request) Fail(errno syscall.Errno) error {
	if errno < 1 || errno > abi.MaxErrno {
		return fmt.Errorf("errno %d is none: it must be 1 to %d", errno, abi.MaxErrno)
	}
	return r.answer(kernel.Reply{Errno: errno})
}

// Continue has the kernel execute the call (Linux 5.5). It is for decisions on
// registers alone, which do not change, and fails with [ErrMemoryRead] if memory
// of the target was read for this request: the kernel reads it again, and another
// thread of the target can put there in between what was not looked at. Answer such
// a call instead (ReturnFD, Return), or see ContinueUnsafe.
//
// A descriptor in a register is a number: what it stands for can change too.
func (r *Request) Continue() error { return r.proceed(false) }

// ContinueUnsafe is Continue, also after memory was read. No decision to let a
// call through may rest on that memory: a target with several threads, or one that
// shares memory, chooses what the kernel executes. It is for what is logged or
// counted, and where the kernel itself keeps the target from what is not allowed.
func (r *Request) ContinueUnsafe() error { return r.proceed(true) }

func (r *Request) proceed(unsafe bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read && !unsafe && !r.answered {
		return ErrMemoryRead
	}
	return r.send(func() error { return r.kernel.Send(r.id, kernel.Reply{Continue: true}) })
}

func (r *Request) answer(reply kernel.Reply) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.send(func() error { return r.kernel.Send(r.id, reply) })
}

// send sends an answer; r.mu is held. An answer that the kernel refuses is none.
func (r *Request) send(f func() error) error {
	if r.answered {
		return ErrAnswered
	}
	err := problemOfRequest(f())
	r.answered = err == nil || errors.Is(err, ErrAnswered)
	return err
}

// end answers what the handler did not.
func (r *Request) end() {
	// Nobody is left who could learn of an error, and nothing better to do: the
	// call waits no more, or the descriptor is closed, which answers it too.
	_ = r.answer(kernel.Reply{Errno: syscall.ENOSYS})
}

// problemOfRequest makes an error of the kernel's listener one of this package.
func problemOfRequest(err error) error {
	switch {
	case errors.Is(err, kernel.ErrNotifyGone):
		return ErrGone
	case errors.Is(err, kernel.ErrNotifyAnswered):
		return ErrAnswered
	}
	return err
}
