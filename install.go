package sysgate

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/policy"
)

// Installed says what [Install] did.
type Installed struct {
	Filter   *Filter // that is in place; with Options.BestEffort it can be another one than asked for
	Method   Method
	Verified Evidence
	Losses   []Loss    // what the kernel lacks, with Options.BestEffort
	Listener *Listener // with Options.Listener; nil if that is among the losses
}

// A Method is how a filter was installed.
type Method string

// The methods.
const (
	MethodSeccomp Method = "seccomp(2)"
	MethodPrctl   Method = "prctl(2)" // where seccomp(2) is missing; on each thread
)

// Install compiles p, proves it, and installs it: on every thread, with
// no_new_privs. When it returns nil, the filter decides on every further system
// call; it cannot be taken off again. Rules that depend on capabilities or on the
// kernel (when) see those of the running program unless o says others.
//
// What the policy's file says of installing holds too: no_new_privs: false is
// Options.KeepPrivileges, flag: log is Options.Log, and enabled: false is
// [ErrDisabled].
//
// Install is for one goroutine at a time. After an error no thread has the filter, except for [ErrNotInPlace], which is
// about threads that lack it. The calling thread can have no_new_privs.
func Install(p *policy.Policy, o Options) (*Installed, error) {
	if p != nil && p.Load.Disabled {
		return nil, fmt.Errorf("install: %w", ErrDisabled)
	}
	compile, err := here(p, o.Compile)
	if err != nil {
		return nil, fmt.Errorf("install: %w", err)
	}
	f, err := Compile(p, compile)
	if err != nil {
		return nil, err
	}
	return f.Install(o)
}

// here completes options for the running program, as far as p asks.
func here(p *policy.Policy, o CompileOptions) (CompileOptions, error) {
	if p == nil {
		return o, nil // for Compile to refuse
	}
	for _, rule := range p.Rules {
		if rule.When.MinKernel != (abi.Kernel{}) && o.Kernel == "" {
			release, err := kernel.Release()
			if err != nil {
				return o, err
			}
			o.Kernel = release.String()
		}
		if len(rule.When.Caps)+len(rule.When.NotCaps) > 0 && o.Caps == nil {
			set, err := kernel.Capabilities()
			if err != nil {
				return o, err
			}
			o.Caps = []string{}
			for i, name := range policy.Capabilities() {
				if set>>i&1 != 0 {
					o.Caps = append(o.Caps, name)
				}
			}
		}
	}
	return o, nil
}

// Install installs f; see the function of that name. Options.Compile means nothing
// here.
func (f *Filter) Install(o Options) (*Installed, error) {
	in, err := f.install(o)
	if err != nil {
		return nil, fmt.Errorf("install: %w", err)
	}
	return in, nil
}

func (f *Filter) install(o Options) (*Installed, error) {
	o, err := f.settle(o)
	if err != nil {
		return nil, err
	}
	features, err := probe()
	if err != nil {
		return nil, err
	}
	f, o, losses, err := f.fit(o, features)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	in, err := load(f, o, features)
	if err != nil || !o.ThisThread {
		runtime.UnlockOSThread()
	}
	if err != nil {
		return nil, err
	}
	in.Losses = losses
	return in, nil
}

// settle checks that f can be installed here, and adds to o what the policy's file
// says.
func (f *Filter) settle(o Options) (Options, error) {
	if f == nil || f.source == nil || !slices.Equal(f.Program, f.proved) {
		return o, fmt.Errorf("%w: it is not as Compile returned it", ErrUnproved)
	}
	native := abi.Native()
	switch load := f.source.Load; {
	case o.WaitKillable && !o.Listener:
		return o, errors.New("options: WaitKillable needs Listener")
	case load.Disabled:
		return o, ErrDisabled
	case native != abi.None && !slices.ContainsFunc(f.Policy.ABIs, func(r policy.ResolvedABI) bool { return r.ABI == native }):
		return o, fmt.Errorf("the policy does not list %v, the ABI of this program, which it would kill", native)
	default:
		o.KeepPrivileges = o.KeepPrivileges || load.NoNewPrivs != nil && !*load.NoNewPrivs
		o.Log = o.Log || slices.Contains(load.Flags, flagLog)
	}
	return o, nil
}

// fit returns what of f and o the kernel can do: all of it, or with BestEffort what
// Degrade makes of it.
func (f *Filter) fit(o Options, features FeatureSet) (*Filter, Options, []Loss, error) {
	if !features.Filters {
		return nil, o, nil, errNoFilters()
	}
	kinds, names := missingActions(f.Program, features), missingFlags(o, features)
	switch {
	case len(kinds)+len(names) == 0:
		return f, o, nil, nil
	case !o.BestEffort:
		return nil, o, nil, lacks(features, kinds, names)
	}
	degraded, o, losses, err := Degrade(f.source, o, features)
	if err == nil && len(kinds) > 0 {
		f, err = Compile(degraded, f.compile)
	}
	return f, o, losses, err
}

// missingActions returns the kinds of actions that p takes and f lacks.
func missingActions(p bpf.Program, f FeatureSet) []abi.Action {
	var missing []abi.Action
	for _, i := range p {
		if kind := abi.Action(i.K).Kind(); i.Code == bpf.RetK && !f.HasAction(kind) && !slices.Contains(missing, kind) {
			missing = append(missing, kind)
		}
	}
	return missing
}
