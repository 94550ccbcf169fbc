package sysgate

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A FeatureSet is what a kernel supports of seccomp, and what becomes of the
// denials.
type FeatureSet struct {
	Release abi.Kernel   // zero: unknown
	Filters bool         // filters can be installed at all
	Seccomp bool         // by seccomp(2), on every thread at once (Linux 3.17); else by prctl(2), a thread at a time
	Actions []abi.Action // the kinds that the kernel knows, strictest first
	Flags   []string     // of seccomp(2): tsync, log, spec_allow, new_listener, tsync_esrch, wait_killable_recv

	// Logged are the kinds that the administrator lets the kernel log
	// (/proc/sys/kernel/seccomp/actions_logged); nil: unknown.
	Logged []abi.Action
	LSMs   []string // the Linux security modules in force, in their order; nil: unknown
	Audit  Audit
}

// Audit is what the kernel's audit system does with the denials that a filter
// logs.
type Audit struct {
	Known     bool // whether the next is known
	Available bool // it is there and was not switched off at boot; without it nothing is logged

	StatusKnown  bool   // whether the rest is known: it takes CAP_AUDIT_CONTROL
	Enabled      bool   // it also makes records of system calls
	Daemon       int    // the process that gets the records; 0: they go to the kernel's log, a few a second
	RateLimit    uint32 // records a second; 0: no limit
	BacklogLimit uint32 // records that may wait
	Lost         uint32 // records lost since the boot
}

// HasAction reports whether the kernel knows the kind of a.
func (f FeatureSet) HasAction(a abi.Action) bool { return slices.Contains(f.Actions, a.Kind()) }

// HasFlag reports whether the kernel knows a flag.
func (f FeatureSet) HasFlag(name string) bool { return slices.Contains(f.Flags, name) }

// APILevel returns what libseccomp calls the API level (seccomp_api_get(3)): 1
// filters, 2 tsync, 3 flag and action log and kill_process, 4 spec_allow, 5
// user_notify, 6 listeners together with tsync, 7 wait_killable_recv; 0 where there
// are no filters.
func (f FeatureSet) APILevel() int {
	levels := []bool{
		f.Filters,
		f.HasFlag(flagTSync),
		f.HasFlag(flagLog) && f.HasAction(abi.Log) && f.HasAction(abi.KillProcess),
		f.HasFlag(flagSpecAllow),
		f.HasFlag(flagListener) && f.HasAction(abi.UserNotify),
		f.HasFlag(flagTSyncESRCH),
		f.HasFlag(flagWaitKillable),
	}
	for level, has := range levels {
		if !has {
			return level
		}
	}
	return len(levels)
}

// Logs reports whether a denial by a reaches the log, of a filter that was
// installed with [Options.Log] or without. known is false where the machine does
// not say.
func (f FeatureSet) Logs(a abi.Action, withLog bool) (logs, known bool) {
	byItself := a.Kind() == abi.KillProcess || a.Kind() == abi.KillThread || a.Kind() == abi.Log
	switch {
	case a.Kind() == abi.Allow, !byItself && !withLog, f.Audit.Known && !f.Audit.Available:
		return false, true
	case f.Logged == nil || !f.Audit.Known:
		return false, false
	}
	return slices.Contains(f.Logged, a.Kind()), true
}

// Features asks the running kernel. It installs nothing, but it opens files and a
// socket: call it before a filter is in place. Elsewhere than on Linux the error is
// [errors.ErrUnsupported].
func Features() (FeatureSet, error) {
	f, err := probe()
	if err != nil {
		return FeatureSet{}, fmt.Errorf("features: %w", err)
	}
	// The rest describes the machine as far as it may be seen.
	f.Release, _ = kernel.Release()
	f.Logged, _ = kernel.ActionsLogged()
	f.LSMs, _ = kernel.SecurityModules()
	if available, err := kernel.AuditAvailable(); err == nil {
		f.Audit.Known, f.Audit.Available = true, available
	}
	if status, err := kernel.AuditGet(); err == nil {
		f.Audit.StatusKnown = true
		f.Audit.Enabled, f.Audit.Daemon = status.Enabled, status.Daemon
		f.Audit.RateLimit, f.Audit.BacklogLimit, f.Audit.Lost = status.RateLimit, status.BacklogLimit, status.Lost
	}
	return f, nil
}

// The names of seccomp(2)'s flags.
const (
	flagTSync        = "tsync"
	flagLog          = "log"
	flagSpecAllow    = "spec_allow"
	flagListener     = "new_listener"
	flagTSyncESRCH   = "tsync_esrch"
	flagWaitKillable = "wait_killable_recv"
)

// flags are the flags of seccomp(2) by name, the release that brought each, and what
// one needs beside it to be asked for.
var flags = []struct {
	name  string
	since abi.Kernel
	flag  kernel.Flags
	with  kernel.Flags
}{
	{flagTSync, abi.Kernel{Major: 3, Minor: 17}, kernel.TSync, 0},
	{flagLog, abi.Kernel{Major: 4, Minor: 14}, kernel.Log, 0},
	{flagSpecAllow, abi.Kernel{Major: 4, Minor: 17}, kernel.SpecAllow, 0},
	{flagListener, abi.Kernel{Major: 5, Minor: 0}, kernel.NewListener, 0},
	{flagTSyncESRCH, abi.Kernel{Major: 5, Minor: 7}, kernel.TSyncESRCH, 0},
	{flagWaitKillable, abi.Kernel{Major: 5, Minor: 19}, kernel.WaitKillableRecv, kernel.NewListener},
}

// firstFilters is the release that brought filters, and prctl(2) to install them.
var firstFilters = abi.Kernel{Major: 3, Minor: 5}

// actions are the kinds of actions, strictest first, and the release that brought
// each.
var actions = []struct {
	kind  abi.Action
	since abi.Kernel
}{
	{abi.KillProcess, abi.Kernel{Major: 4, Minor: 14}},
	{abi.KillThread, firstFilters},
	{abi.Trap, firstFilters},
	{abi.Errno, firstFilters},
	{abi.UserNotify, abi.Kernel{Major: 5, Minor: 0}},
	{abi.Trace, firstFilters},
	{abi.Log, abi.Kernel{Major: 4, Minor: 14}},
	{abi.Allow, firstFilters},
}

// probe asks what can be asked with seccomp(2) alone: an older filter could kill for
// any other call. Where seccomp(2) is missing, prctl(2) and uname(2) have to do.
func probe() (FeatureSet, error) {
	var f FeatureSet
	var err error
	f.Seccomp, err = kernel.FlagsAvailable(0)
	switch {
	case err == errors.ErrUnsupported: // itself, not ENOSYS, which is it too
		return f, fmt.Errorf("%w: %s has no seccomp filters", err, runtime.GOOS)
	case errors.Is(err, kernel.ErrAnswered):
		return f, err
	}
	f.Filters = f.Seccomp
	if !f.Seccomp {
		// The kernel is older than seccomp(2), has no filters, or an older filter
		// denies the call.
		if f.Filters, err = kernel.PrctlFilterAvailable(); errors.Is(err, kernel.ErrAnswered) {
			return f, err
		}
		f.Release, _ = kernel.Release()
	}
	if !f.Filters {
		return f, nil
	}
	for _, a := range actions {
		known := a.since == firstFilters || !f.Release.Before(a.since)
		if f.Seccomp {
			// Before 4.14 the kernel cannot be asked, and answers EINVAL.
			if asked, err := kernel.ActionAvailable(a.kind); err == nil {
				known = asked
			}
		}
		if known {
			f.Actions = append(f.Actions, a.kind)
		}
	}
	for _, flag := range flags {
		if known, err := kernel.FlagsAvailable(flag.flag | flag.with); f.Seccomp && err == nil && known {
			f.Flags = append(f.Flags, flag.name)
		}
	}
	return f, nil
}
