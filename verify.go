package sysgate

import (
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// Evidence is how it is known that a filter is in place.
type Evidence string

// The kinds of evidence, the weakest first. More is not looked for than the filter
// lets be seen: the loader makes no call that could be denied.
const (
	// EvidenceNone: threads are seen without the filter ([Options.Unverified]).
	EvidenceNone Evidence = ""
	// EvidenceReply is the kernel's answer to the call that installs the filter,
	// which is for every thread or none. It is all there is where an older filter
	// was in place, because what that one denies is not known.
	EvidenceReply Evidence = "the kernel's answer"
	// EvidenceMode is beside that the seccomp mode of the calling thread
	// (PR_GET_SECCOMP).
	EvidenceMode Evidence = "the mode of the calling thread"
	// EvidenceTasks is the state of every thread in /proc: that each has a filter
	// and, without Options.KeepPrivileges, no_new_privs.
	EvidenceTasks Evidence = "the status of every thread"
)

// filterMode is SECCOMP_MODE_FILTER.
const filterMode = 2

// verify looks whether the filter is in place, by the strongest evidence that the
// filter lets be had for sure.
func (l loading) verify() (Evidence, error) {
	if !l.first {
		return EvidenceReply, nil
	}
	if l.pass(kernel.TasksCalls()...) {
		// Without /proc, or with one that does not say it, there is less to see.
		if tasks, err := kernel.Tasks(!l.options.ThisThread); err == nil && len(tasks) > 0 && tasks[0].Mode >= 0 {
			if err := l.check(tasks); err != nil {
				return EvidenceNone, err
			}
			return EvidenceTasks, nil
		}
	}
	if l.pass("prctl") {
		if mode, err := kernel.Mode(); err == nil {
			if mode != filterMode {
				return EvidenceNone, fmt.Errorf("%w: the calling thread has seccomp mode %d", ErrNotInPlace, mode)
			}
			return EvidenceMode, nil
		}
	}
	return EvidenceReply, nil
}

// pass reports whether the new filter lets calls through for sure.
func (l loading) pass(names ...string) bool {
	for _, name := range names {
		if !l.filter.passes(abi.Native(), name) {
			return false
		}
	}
	return true
}

func (l loading) check(tasks []kernel.Task) error {
	for _, t := range tasks {
		who := "the calling thread"
		if t.TID != 0 {
			who = fmt.Sprintf("thread %d", t.TID)
		}
		switch {
		case t.Mode != filterMode:
			return fmt.Errorf("%w: %s has seccomp mode %d", ErrNotInPlace, who, t.Mode)
		case t.NoNewPrivs == 0 && !l.options.KeepPrivileges:
			return fmt.Errorf("%w: %s has no no_new_privs", ErrNotInPlace, who)
		}
	}
	return nil
}
