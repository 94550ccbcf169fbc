package policy

import (
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// latestVersion is the newest version of the policy language.
const latestVersion = 1

// kernelOfVersion1 is the release whose calls a policy of version 1 knows that
// names none. It never changes: the same policy means the same tomorrow.
var kernelOfVersion1 = abi.Kernel{Major: 6, Minor: 18}

// Release returns the Linux release whose calls p knows: its Kernel, or the one that
// its version fixes.
func (p *Policy) Release() abi.Kernel {
	if p.Kernel == (abi.Kernel{}) {
		return kernelOfVersion1
	}
	return p.Kernel
}

// Options is what a policy leaves to the machine that it is resolved for.
type Options struct {
	Native abi.ABI    // for policies that list no ABI; None: the running program's
	Caps   []string   // for when: capabilities that the program has
	Kernel abi.Kernel // for when: the release that it runs on; zero: the policy's own
}

// Resolve replaces names, sets, constants and when by numbers, for every ABI of
// p. It establishes what [Resolved] says of its fields. No rule is dropped in
// silence: what does not apply is an error or a warning. All errors come as one,
// an [*Error] or [Errors].
func (p *Policy) Resolve(o Options) (*Resolved, []Warning, error) {
	r := &resolver{problems: problems{src: p.src}, policy: p, options: o}
	if !r.prepare() {
		return nil, nil, r.err()
	}
	resolved := &Resolved{}
	for _, a := range r.abis {
		resolved.ABIs = append(resolved.ABIs, r.section(a))
	}
	r.checkNames()
	r.checkExceptions()
	resolved.BadArch = r.action(or(p.BadArch, Action{Kind: abi.KillProcess}), r.abis[0], Pos{})
	x32 := or(p.X32, Action{Kind: abi.Errno, Errno: "ENOSYS"})
	resolved.X32 = r.action(x32, r.abis[0], Pos{})
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	for i := range resolved.ABIs {
		r.checkGroups(&resolved.ABIs[i])
	}
	return resolved, r.warnings, nil
}

func or(a *Action, absent Action) Action {
	if a == nil {
		return absent
	}
	return *a
}

type resolver struct {
	problems
	policy   *Policy
	options  Options
	warnings []Warning

	abis   []abi.ABI
	kernel abi.Kernel
	active []bool            // by rule: its when holds
	found  map[*Pattern]bool // some listed ABI has the pattern's call
	taken  map[*Pattern]bool // on some, it takes a call of its rule away
	left   map[*Rule]bool    // a rule with exceptions: some listed ABI has calls of it left
}

// prepare settles the ABIs, the release and which rules are in force.
func (r *resolver) prepare() bool {
	p := r.policy
	r.abis = p.ABIs
	if len(r.abis) == 0 {
		native := r.options.Native
		if native == abi.None {
			native = abi.Native()
		}
		if native == abi.None {
			r.add(r.top(), 0, "list abis", "this machine has no Linux ABI, and the policy lists none")
			return false
		}
		r.abis = []abi.ABI{native}
	}
	for i, a := range r.abis {
		switch {
		case !slices.Contains(abi.All(), a):
			r.add(r.top(), 0, "", "unknown ABI %d", a)
			return false
		case slices.Contains(r.abis[:i], a):
			r.add(r.top(), 0, "", "ABI %s stands twice", a)
		case a.BigEndian() != r.abis[0].BigEndian():
			r.add(r.top(), 0, "write a policy for each byte order", "no machine has both %s and %s: their byte orders differ", r.abis[0], a)
		}
	}
	if p.Version < 0 || p.Version > latestVersion {
		r.add(r.top(), 0, "", "unknown version %d of the policy language", p.Version)
	}
	r.kernel = p.Release()
	if abi.Latest.Before(r.kernel) {
		r.add(r.top(), 0, "", "kernel %s is newer than the tables of this sysgate, which know %s", r.kernel, abi.Latest)
	}
	r.when()
	r.found, r.taken, r.left = make(map[*Pattern]bool), make(map[*Pattern]bool), make(map[*Rule]bool)
	return len(r.list) == 0
}

// top is where problems of the policy as a whole are.
func (r *resolver) top() Pos {
	if r.src == nil {
		return Pos{}
	}
	return Pos{File: r.src.name}
}

// when decides which rules are in force.
func (r *resolver) when() {
	has := make(map[string]bool)
	for _, c := range r.options.Caps {
		name, hint := capability(c)
		if name == "" {
			r.add(Pos{}, 0, hint, "unknown capability %q", c)
		}
		has[name] = true
	}
	running := r.options.Kernel
	if running == (abi.Kernel{}) {
		running = r.kernel
	}
	r.active = make([]bool, len(r.policy.Rules))
	for i, rule := range r.policy.Rules {
		active := !running.Before(rule.When.MinKernel)
		for _, list := range []struct {
			names []string
			want  bool
		}{{rule.When.Caps, true}, {rule.When.NotCaps, false}} {
			for _, c := range list.names {
				name, hint := capability(c)
				if name == "" {
					r.add(rule.Pos, 1, hint, "unknown capability %q", c)
				}
				active = active && has[name] == list.want
			}
		}
		r.active[i] = active
	}
}

// section resolves the policy for one ABI.
func (r *resolver) section(a abi.ABI) ResolvedABI {
	p := r.policy
	s := ResolvedABI{
		ABI:     a,
		Known:   knownNumbers(a, r.kernel),
		Default: r.action(p.Default, a, r.top()),
		Unknown: r.action(or(p.Unknown, p.Default), a, r.top()),
	}
	for i := range p.Rules {
		action := r.action(p.Rules[i].Action, a, p.Rules[i].Pos)
		for _, rule := range r.rule(i, a) {
			rule.Action, rule.Rule = action, i
			if r.active[i] {
				s.Rules = append(s.Rules, rule)
			}
		}
	}
	return s
}

func (r *resolver) action(a Action, on abi.ABI, pos Pos) abi.Action {
	word, err := a.resolve(on)
	if err != nil {
		r.add(pos, 1, "", "%v", err)
	}
	return word
}

// knownNumbers returns the numbers of a that release k has.
func knownNumbers(a abi.ABI, k abi.Kernel) []NumberRange {
	var all []NumberRange
	for nr := range a.Syscalls() {
		if since, ok := a.Since(nr); ok && !k.Before(since) {
			all = append(all, NumberRange{nr, nr})
		}
	}
	return normalNumbers(all)
}

// checkNames reports the patterns that mean nothing on the listed ABIs.
func (r *resolver) checkNames() {
	for i := range r.policy.Rules {
		rule := &r.policy.Rules[i]
		if len(rule.Calls) == 0 {
			r.add(rule.Pos, 1, "", "the rule names no system calls")
		}
		for _, patterns := range [][]Pattern{rule.Calls, rule.Except} {
			for j := range patterns {
				if c := &patterns[j]; !r.found[c] {
					r.checkName(rule, c)
				}
			}
		}
	}
}

// checkName reports c, a pattern of rule that means nothing.
func (r *resolver) checkName(rule *Rule, c *Pattern) {
	what := fmt.Sprintf("no listed ABI has the call %s", c.Name)
	switch {
	case c.ABI != abi.None && !slices.Contains(r.abis, c.ABI):
		what = fmt.Sprintf("the policy does not list %s, the ABI of this pattern", c.ABI)
	case isSet(c.Name):
		what = fmt.Sprintf("no listed ABI has a call of %s", c.Name)
	case len(r.abis) == 1:
		what = fmt.Sprintf("%s has no call %s", r.abis[0], c.Name)
	}
	switch {
	case rule.Optional || c.Set != "":
	case r.policy.Documented:
		r.add(c.Pos, len(c.Name), "take it out, or write it in a rule with optional: true", "%s", what)
	default:
		r.warn(CodeOtherABI, c.Pos, len(c.Name), "optional: true says that this is meant", what)
	}
}
