package abi

import "fmt"

// An Action is the 32-bit word that a filter returns: the action in the high
// half, its data (an errno, a signal's si_errno, a tracer's message) in the low
// half. See seccomp(2) and include/uapi/linux/seccomp.h.
type Action uint32

// The actions, without data.
const (
	KillProcess Action = 0x80000000
	KillThread  Action = 0x00000000
	Trap        Action = 0x00030000
	Errno       Action = 0x00050000
	UserNotify  Action = 0x7fc00000
	Trace       Action = 0x7ff00000
	Log         Action = 0x7ffc0000
	Allow       Action = 0x7fff0000
)

// MaxErrno is the largest errno that a filter can return (MAX_ERRNO); the
// kernel caps larger data to it.
const MaxErrno = 4095

const (
	actionMask = 0xffff0000
	dataMask   = 0x0000ffff
)

// Kind returns a without its data.
func (a Action) Kind() Action { return a & actionMask }

// Data returns the low 16 bits of a.
func (a Action) Data() uint16 { return uint16(a & dataMask) }

// WithData returns a's kind with data d.
func (a Action) WithData(d uint16) Action { return a.Kind() | Action(d) }

// Known reports whether the kernel knows a's kind. An unknown one kills the
// process.
func (a Action) Known() bool { return a.name() != "" }

// Stricter reports whether a takes precedence over b when both come from
// filters of one stack: kill_process > kill_thread > trap > errno >
// user_notify > trace > log > allow. The kernel compares the kinds as signed
// numbers, the smaller one first.
func (a Action) Stricter(b Action) bool { return int32(a.Kind()) < int32(b.Kind()) }

// TakesData reports whether data means something for a's kind.
func (a Action) TakesData() bool {
	switch a.Kind() {
	case Trap, Errno, Trace:
		return true
	}
	return false
}

func (a Action) name() string {
	switch a.Kind() {
	case KillProcess:
		return "kill_process"
	case KillThread:
		return "kill_thread"
	case Trap:
		return "trap"
	case Errno:
		return "errno"
	case UserNotify:
		return "user_notify"
	case Trace:
		return "trace"
	case Log:
		return "log"
	case Allow:
		return "allow"
	}
	return ""
}

// String returns the action in the notation of policies, data as a number:
// "allow", "errno(38)", "trap(0)". An unknown action is its word in hexadecimal.
// [ABI.ActionString] writes errno names.
func (a Action) String() string {
	name := a.name()
	switch {
	case name == "":
		return fmt.Sprintf("%#08x", uint32(a))
	case a.TakesData():
		return fmt.Sprintf("%s(%d)", name, a.Data())
	case a.Data() != 0:
		return fmt.Sprintf("%s|%d", name, a.Data())
	}
	return name
}
