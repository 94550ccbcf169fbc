package sysgate

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
)

// A FeatureSet is what a kernel supports of seccomp.
type FeatureSet struct {
	Release abi.Kernel   // zero: unknown
	Seccomp bool         // seccomp(2) answers (Linux 3.17)
	Actions []abi.Action // the kinds that the kernel knows, strictest first
	Flags   []string     // tsync, log, spec_allow, new_listener, tsync_esrch, wait_killable_recv
}

// HasAction reports whether the kernel knows the kind of a.
func (f FeatureSet) HasAction(a abi.Action) bool { return slices.Contains(f.Actions, a.Kind()) }

// HasFlag reports whether the kernel knows a flag.
func (f FeatureSet) HasFlag(name string) bool { return slices.Contains(f.Flags, name) }

// Features asks the running kernel. Elsewhere than on Linux the error is
// [errors.ErrUnsupported].
func Features() (FeatureSet, error) {
	release, err := kernel.Release()
	if err != nil {
		return FeatureSet{}, err
	}
	f := FeatureSet{Release: release}
	for _, a := range allActions {
		if ok, err := kernel.ActionAvailable(a); err != nil {
			return FeatureSet{}, err
		} else if ok {
			f.Actions = append(f.Actions, a)
		}
	}
	for _, flag := range []kernel.Flags{kernel.TSync, kernel.Log, kernel.SpecAllow, kernel.NewListener, kernel.TSyncESRCH, kernel.WaitKillableRecv} {
		with := flag
		if flag == kernel.WaitKillableRecv {
			with |= kernel.NewListener
		}
		if ok, err := kernel.FlagsAvailable(with); err != nil {
			return FeatureSet{}, err
		} else if ok {
			f.Flags = append(f.Flags, flag.String())
		}
	}
	f.Seccomp = true
	return f, nil
}

// allActions are the kinds of actions, strictest first.
var allActions = []abi.Action{
	abi.KillProcess, abi.KillThread, abi.Trap, abi.Errno, abi.UserNotify, abi.Trace, abi.Log, abi.Allow,
}
