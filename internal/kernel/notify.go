package kernel

import (
	"errors"
	"syscall"

	"github.com/sysgate/sysgate/abi"
)

// What a [Listener] can fail with; everything else is the kernel's errno.
var (
	// ErrNotifyGone: the call does not wait any more. Its thread ended or was
	// interrupted by a signal; in the latter case it usually makes the call again.
	ErrNotifyGone = errors.New("the call does not wait any more")
	// ErrNotifyAnswered: the call has its answer, from another holder of the
	// descriptor.
	ErrNotifyAnswered = errors.New("the call has been answered")
	// ErrInterrupted: see [Listener.Interrupt].
	ErrInterrupted = errors.New("interrupted")
)

// A Notification is a system call that waits for an answer (struct seccomp_notif).
type Notification struct {
	ID   uint64 // unique among those of a filter
	TID  int    // the thread, in the receiver's PID namespace; 0: not visible there
	Call abi.Call
}

// A Reply answers a call (struct seccomp_notif_resp): with Errno where it is set,
// by letting the kernel execute it where Continue is (Linux 5.5), else with Value.
type Reply struct {
	Value    int64
	Errno    syscall.Errno
	Continue bool
}

// An AddFD gives the process of a call a descriptor (struct seccomp_notif_addfd).
type AddFD struct {
	FD        int // of this process
	CloseExec bool
	Exact     bool // as Number, in place of what has that number; else as the lowest that is free
	Number    int
	Send      bool // answer the call with the number, in one step (Linux 5.14)
}

// NotifySizes are the sizes in bytes that the kernel has for what travels over a
// listener's descriptor (struct seccomp_notif_sizes).
type NotifySizes struct{ Notification, Reply, Data uint16 }
