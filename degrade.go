package sysgate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A Loss is something that was asked for and that a kernel lacks.
type Loss struct {
	Feature string // what is missing: "action kill_process", "flag log"
	Effect  string // what happens instead
}

// String returns both.
func (l Loss) String() string { return l.Feature + ": " + l.Effect }

// Degrade returns what p and o become on a kernel that has f and no more, with
// everything that is lost. It looks at nothing else, and leaves p as it is.
//
// The result is never looser: what p denies stays denied, what p leaves to a
// listener is not let through, and an action becomes one that the kernel ranks at
// least as high ([abi.Action.Stricter]), with one exception: where no kill_process
// exists, kill_thread is the strictest that there is. What cannot be had without
// being looser is an error: the action log, because allow says nothing, and filters
// altogether. It is [errors.ErrUnsupported].
func Degrade(p *policy.Policy, o Options, f FeatureSet) (*policy.Policy, Options, []Loss, error) {
	if !f.Filters {
		return nil, Options{}, nil, errNoFilters()
	}
	o, losses := degradeOptions(o, f)
	d := degrader{features: f}
	degraded := d.policy(p)
	if len(d.missing) > 0 {
		return nil, Options{}, nil, lacks(f, d.missing, nil)
	}
	return degraded, o, append(losses, d.losses...), nil
}

// degradeOptions drops the flags that f lacks.
func degradeOptions(o Options, f FeatureSet) (Options, []Loss) {
	var losses []Loss
	for _, name := range missingFlags(o, f) {
		effect := ""
		switch name {
		case flagLog:
			o.Log, effect = false, "denials by errno, trap, trace and user_notify are not logged"
		case flagSpecAllow:
			o.SpecAllow, effect = false, "the kernel switches its speculation mitigations on"
		case flagWaitKillable:
			if !o.Listener {
				continue
			}
			o.WaitKillable, effect = false, "any signal can interrupt a call that the listener has received"
		case flagListener, flagTSyncESRCH:
			if !o.Listener {
				continue // lost already
			}
			o.Listener, o.WaitKillable = false, false
			effect = "there is no listener: user_notify fails the call with ENOSYS"
		}
		losses = append(losses, Loss{"flag " + name, effect})
	}
	return o, losses
}

// missingFlags returns the flags that o needs and f lacks. To give every thread
// the filter there is another way than tsync.
func missingFlags(o Options, f FeatureSet) []string {
	var missing []string
	for _, need := range []struct {
		needed bool
		name   string
	}{
		{o.Log, flagLog},
		{o.SpecAllow, flagSpecAllow},
		{o.Listener, flagListener},
		{o.Listener && !o.ThisThread, flagTSyncESRCH},
		{o.WaitKillable, flagWaitKillable},
	} {
		if need.needed && !f.HasFlag(need.name) {
			missing = append(missing, need.name)
		}
	}
	return missing
}

// instead are the actions that can stand for one that a kernel lacks.
var instead = map[abi.Action]struct {
	action policy.Action
	effect string
}{
	abi.KillProcess: {policy.Action{Kind: abi.KillThread}, "kill_thread ends the thread that calls, not the process"},
	abi.UserNotify:  {policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}, "errno(ENOSYS), as where nobody listens"},
}

// A degrader replaces the actions that a kernel lacks.
type degrader struct {
	features FeatureSet
	losses   []Loss
	missing  []abi.Action
}

func (d *degrader) policy(p *policy.Policy) *policy.Policy {
	c := *p
	c.Default = d.action(p.Default)
	c.Unknown = d.optional(p.Unknown)
	c.BadArch = d.optional(p.BadArch)
	c.X32 = d.optional(p.X32)
	if c.BadArch == nil { // a policy that does not say it means kill_process
		if a := d.action(policy.Action{Kind: abi.KillProcess}); a.Kind != abi.KillProcess {
			c.BadArch = &a
		}
	}
	c.Rules = slices.Clone(p.Rules)
	for i := range c.Rules {
		c.Rules[i].Action = d.action(p.Rules[i].Action)
	}
	return &c
}

func (d *degrader) optional(a *policy.Action) *policy.Action {
	if a == nil {
		return nil
	}
	instead := d.action(*a)
	return &instead
}

func (d *degrader) action(a policy.Action) policy.Action {
	if d.features.HasAction(a.Kind) {
		return a
	}
	in, ok := instead[a.Kind]
	if !ok || !d.features.HasAction(in.action.Kind) {
		if !slices.Contains(d.missing, a.Kind) {
			d.missing = append(d.missing, a.Kind)
		}
		return a
	}
	loss := Loss{"action " + kindName(a.Kind), in.effect}
	if !slices.Contains(d.losses, loss) {
		d.losses = append(d.losses, loss)
	}
	return in.action
}

// kindName returns the name of an action without its data.
func kindName(a abi.Action) string {
	name, _, _ := strings.Cut(a.Kind().String(), "(")
	return name
}

func errNoFilters() error {
	return fmt.Errorf("%w: the kernel has no seccomp filters, or an earlier filter denies seccomp(2) and prctl(2)", errors.ErrUnsupported)
}

// lacks is the error for what the kernel does not know.
func lacks(f FeatureSet, kinds []abi.Action, names []string) error {
	var missing []string
	for _, a := range actions {
		if slices.Contains(kinds, a.kind) {
			missing = append(missing, fmt.Sprintf("action %s (Linux %v)", kindName(a.kind), a.since))
		}
	}
	for _, flag := range flags {
		if slices.Contains(names, flag.name) {
			missing = append(missing, fmt.Sprintf("flag %s (Linux %v)", flag.name, flag.since))
		}
	}
	who := "the kernel"
	if f.Release != (abi.Kernel{}) {
		who += " " + f.Release.String()
	}
	if !f.Seccomp {
		who += ", or an earlier filter that denies seccomp(2),"
	}
	return fmt.Errorf("%w: %s lacks %s", errors.ErrUnsupported, who, strings.Join(missing, ", "))
}
