package kernel

import (
	"fmt"
	"strings"
)

// Flags are the SECCOMP_FILTER_FLAG_* of seccomp(2).
type Flags uint32

// The flags, with the release that brought each.
const (
	TSync            Flags = 1 << iota // give every thread of the process the filter (3.17)
	Log                                // log every action but allow, as far as the administrator has it logged (4.14)
	SpecAllow                          // do not switch speculation mitigations on (4.17)
	NewListener                        // return a descriptor that receives user notifications (5.0)
	TSyncESRCH                         // fail with ESRCH where TSync would return a thread's ID; TSync with NewListener needs it (5.7)
	WaitKillableRecv                   // with NewListener: once received, only a fatal signal interrupts a notified call (5.19)
)

var flagNames = [...]string{"tsync", "log", "spec_allow", "new_listener", "tsync_esrch", "wait_killable_recv"}

// String returns the names of the flags, joined by "|"; "none" for 0.
func (f Flags) String() string {
	if f == 0 {
		return "none"
	}
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := f >> len(flagNames) << len(flagNames); rest != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(rest)))
	}
	return strings.Join(names, "|")
}
