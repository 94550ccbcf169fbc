package seccomp

import (
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// Lower returns the policy in sysgate's model: what Assemble compiles and
// LoadFilter installs, for the architecture that the program is built for.
// sysgate.Compile has warnings about it, for which this API has no place. The
// error holds all problems, one a line.
func (p *Policy) Lower() (*policy.Policy, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	a, err := target(p.abi)
	if err != nil {
		return nil, err
	}
	lowered := &policy.Policy{Version: 1, ABIs: []abi.ABI{a}, Default: p.DefaultAction.lower(a)}
	if p.BadArchAction != nil {
		action := p.BadArchAction.lower(a)
		lowered.BadArch = &action
	}
	if a == abi.AMD64 {
		lowered.Rules = append(lowered.Rules, highNumbers)
	}
	var problems []string
	for i := range p.Syscalls {
		rule, bad := p.Syscalls[i].lower(a)
		problems = append(problems, bad...)
		if len(rule.Calls) > 0 {
			lowered.Rules = append(lowered.Rules, rule)
		}
	}
	if err := join(problems); err != nil {
		return nil, err
	}
	return lowered, nil
}

// highNumbers is go-seccomp-bpf's answer to calls through the x32 ABI. It takes
// every number from 0x40000000 on for one; the policy model knows that those
// without the x32 bit are none, nor is -1, by which a tracer skips a call.
var highNumbers = policy.Rule{
	Action: policy.Action{Kind: abi.Errno, Errno: "ENOSYS"},
	Calls:  []policy.Pattern{{Numbers: &policy.NumberRange{Lo: abi.X32Bit, Hi: 0xffffffff}}},
	Reason: "x32 calls, which could pass a denial",
}

// lower returns a as an action of the model, with an errno's name on the ABI.
func (a Action) lower(on abi.ABI) policy.Action {
	word := abi.Action(a)
	switch {
	case a == ActionErrno:
		return policy.Action{Kind: abi.Errno, Errno: "EPERM"}
	case word.Kind() == abi.Errno && on.ErrnoName(word.Data()) != "":
		return policy.Action{Kind: abi.Errno, Errno: on.ErrnoName(word.Data())}
	}
	return policy.Action{Kind: word.Kind(), Data: word.Data()}
}

// lower returns the group as a rule, and what is wrong with it. A group without
// names is a rule without calls.
func (g *SyscallGroup) lower(a abi.ABI) (policy.Rule, []string) {
	rule := policy.Rule{Action: g.Action.lower(a)}
	problems := g.problems()
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	plain := make(map[uint32]bool) // by number: an alias is the same call
	for _, name := range g.Names {
		nr, ok := a.Lookup(name)
		switch {
		case !ok:
			report("found unknown syscalls for arch %v: %v", archName(a), name)
		case plain[nr]:
			report("found duplicate syscall %v", name)
		}
		plain[nr] = plain[nr] || ok
		rule.Calls = append(rule.Calls, policy.Pattern{Name: name})
	}
	for _, n := range g.NamesWithCondtions {
		nr, ok := a.Lookup(n.Name)
		switch {
		case !ok:
			report("found unknown syscalls for arch %v: %v", archName(a), n.Name)
		case plain[nr]:
			report("found conditional and unconditional check: %v", n.Name)
		}
		rule.Calls = append(rule.Calls, policy.Pattern{Name: n.Name, Conditions: n.Conditions.lower(), Documented: true})
	}
	return rule, problems
}

// lower returns the conditions, which have no problems, in the model.
func (a ArgumentConditions) lower() []policy.Condition {
	var all []policy.Condition
	for _, c := range a {
		lowered := policy.Condition{Index: int(c.Argument), Op: operators[c.Operation]}
		if value := fmt.Sprintf("%#x", c.Value); lowered.Op == policy.AnyBits || lowered.Op == policy.NoBits {
			lowered.Mask = value
		} else {
			lowered.Values = []string{value}
		}
		all = append(all, lowered)
	}
	return all
}
