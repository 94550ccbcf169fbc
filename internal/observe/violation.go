package observe

import (
	"fmt"
	"time"

	"github.com/sysgate/sysgate/abi"
)

// Unset is the user, group or session ID of a record that has none: the kernel
// writes 4294967295 for it.
const Unset = ^uint32(0)

// A Violation is a call that a filter did not just let through, as the kernel
// recorded it (audit records of type 1326; audit_seccomp in kernel/auditsc.c). The
// record has no arguments, and an errno, a trap's or a tracer's data is not in it.
type Violation struct {
	Time   time.Time // of the call; zero: the record does not say
	Serial uint64    // number of the audit event, from 1 at boot; 0: the record does not say
	Host   string    // that recorded it, where the log says so

	Arch   uint32     // AUDIT_ARCH_* value
	NR     uint32     // as the kernel reports it
	ABI    abi.ABI    // None: no table has the architecture
	Name   string     // canonical; empty for a number that no table has
	Compat bool       // the call came in through the 32-bit entry
	Args   *[6]uint64 // nil: the record does not have them
	Known  *[6]uint64 // the bits of Args that were recorded; nil: all
	IP     uint64     // address of the instruction after the call

	Action abi.Action // without data
	Signal int        // 31 (SIGSYS) where it killed, else 0
	Ended  bool       // a record of the process's end (ANOM_ABEND) followed

	PID       int    // thread group, in the initial PID namespace
	UID, GID  uint32 // real ones, in the initial user namespace
	LoginUID  uint32 // audit user ID: kept through su(1)
	Session   uint32
	User      string // the names, where the log has them
	Group     string
	LoginUser string
	Comm      string // at most 15 bytes, the thread's own choice
	Exe       string // as the process's own root has it
	Subject   string // security label

	Count  int       // how many of these there were: 1, or more where they were counted together
	Last   time.Time // of the last of them; zero: Time
	Doubts []string  // what the record leaves open, or its writer got wrong
	Raw    string    // the record
}

// Identify returns the ABI whose call has a number under an audit architecture,
// and its name; None or "" where no table has it.
func Identify(arch, nr uint32) (a abi.ABI, name string) {
	x32 := abi.Call{NR: nr, Arch: arch}.IsX32()
	for _, candidate := range abi.All() {
		if candidate.AuditArch() == arch && (candidate == abi.X32) == x32 {
			return candidate, candidate.SyscallName(nr)
		}
	}
	return abi.None, ""
}

// Call returns the call in the notation of patterns, without arguments: "bind",
// or "386:socketcall" where the ABI is not native, and "nr:600" for a number
// without a name.
func (v *Violation) Call(native abi.ABI) string {
	name := v.Name
	if name == "" {
		name = fmt.Sprintf("nr:%d", v.NR)
	}
	switch v.ABI {
	case native:
		return name
	case abi.None:
		return fmt.Sprintf("arch:%#x:nr:%d", v.Arch, v.NR)
	}
	return v.ABI.String() + ":" + name
}

// Denied reports whether the call was kept from happening, as far as the action
// says: a tracer or a supervisor may have let it go on.
func (v *Violation) Denied() bool {
	return v.Action.Kind() != abi.Log && v.Action.Kind() != abi.Allow
}
