package convert

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatLibbeat = Format{
	Name: "libbeat", Title: "policy as libbeat and go-seccomp-bpf document it",
	Read: func(name string, data []byte, _ Options) (*policy.Policy, []Loss, error) {
		p, err := policy.Parse(name, data)
		if err == nil && !p.Documented {
			err = &policy.Error{Pos: policy.Pos{File: name, Line: 1, Col: 1}, Msg: "the policy has fields or sets that are sysgate's own", Hint: "read it as sysgate"}
		}
		return p, nil, err
	},
	Write: writeLibbeat,
	Says: Says{
		Actions:   "all but user_notify; errno(EPERM) alone, trap and trace without data",
		Default:   "one action",
		Unknown:   "the default",
		Arguments: "equality, order without a sign, bits set or clear, of the bits that the kernel reads",
		Order:     "the first group that has the call",
		ABIs:      "one; others: kill_process",
	},
}

// writeLibbeat writes d with the documented keys alone.
func writeLibbeat(d *Decisions, _ Options) ([]byte, []Loss, error) {
	p, losses, err := d.documented(documentedAction)
	if err != nil {
		return nil, nil, err
	}
	p.Load = d.Policy.Load
	return p.Format(), losses, nil
}

// documented returns d as a policy in the documented form, whose actions name
// returns; where that is an error, calls are left out.
func (d *Decisions) documented(name func(abi.Action) (policy.Action, error)) (*policy.Policy, []Loss, error) {
	a := d.ABIs[0]
	fallback, err := name(d.Default)
	if err != nil {
		return nil, nil, err
	}
	p := &policy.Policy{Default: fallback, Documented: true}
	var losses []Loss
	var conditional, plain ruleSet
	for _, c := range d.byCall(a, false) {
		for _, part := range c.parts {
			action, err := name(part.Action)
			all, ok := documentedPatterns(a, c.nr, part)
			switch {
			case err != nil:
				losses = append(losses, Loss{Msg: fmt.Sprintf("%s: %v", c.name, err)})
				continue
			case !ok:
				losses = append(losses, Loss{Msg: fmt.Sprintf("%s: %s under conditions has no documented form: left out", c.name, a.ActionString(part.Action))})
			}
			for _, pattern := range all {
				pattern.Comment = d.from(a, c.nr)
				if len(pattern.Conditions) > 0 {
					conditional.add(action, pattern)
				} else {
					plain.add(action, pattern)
				}
			}
		}
	}
	p.Rules = append(conditional, plain...)
	for i := range p.Rules {
		onceAbove(&p.Rules[i])
	}
	if len(p.Rules) == 0 { // a list cannot be empty
		for nr := range a.Syscalls() {
			p.Rules = []policy.Rule{{Action: fallback, Calls: []policy.Pattern{{Name: a.SyscallName(nr)}}}}
			break
		}
	}
	return p, losses, nil
}

// documentedAction returns an action in its documented form.
func documentedAction(action abi.Action) (policy.Action, error) {
	switch kind := action.Kind(); kind {
	case abi.UserNotify:
		return policy.Action{}, fmt.Errorf("user_notify has no documented form")
	case abi.Errno:
		return policy.Action{Kind: abi.Errno, Errno: "EPERM"}, nil
	default:
		return policy.Action{Kind: kind}, nil
	}
}

// documentedPatterns returns the entries for part of a call; ok is false if they
// leave something out.
func documentedPatterns(a abi.ABI, nr uint32, part Decision) (all []policy.Pattern, ok bool) {
	name := a.SyscallName(nr)
	if len(part.Any) == 0 {
		return []policy.Pattern{{Name: name}}, !part.Vague
	}
	ok = true
	for _, alternative := range part.Any {
		lists := [][]policy.Condition{nil}
		for _, t := range alternative {
			more, good := documentedConditions(t, a.ReadMask(nr, int(t.Word)))
			ok = ok && good
			var next [][]policy.Condition
			for _, before := range lists {
				for _, list := range more {
					next = append(next, append(slices.Clone(before), list...))
				}
			}
			if lists = next; len(lists)+len(all) > maxAtoms {
				return nil, false
			}
		}
		for _, list := range lists {
			all = append(all, policy.Pattern{Name: name, Conditions: list, Documented: len(list) > 0})
		}
	}
	return all, ok
}

// documentedConditions returns t as lists of conditions of which one has to hold;
// ok is false where it is about bits that the documented form does not see.
func documentedConditions(t policy.Test, read uint64) (all [][]policy.Condition, ok bool) {
	if t.Word == policy.IPWord || t.Mask&^read != 0 {
		return nil, false
	}
	one := func(op policy.Op, v uint64) policy.Condition {
		c := policy.Condition{Index: int(t.Word), Op: op}
		if op == policy.AnyBits || op == policy.NoBits {
			c.Mask = number(v)
		} else {
			c.Values = []string{number(v)}
		}
		return c
	}
	rest := opposite(t).In
	switch {
	case len(rest) == 0:
		return [][]policy.Condition{nil}, true
	case t.Mask != read:
		if zero := (policy.Interval{}); len(rest) == 1 && rest[0] == zero {
			return [][]policy.Condition{{one(policy.AnyBits, t.Mask)}}, true
		}
		for _, c := range cubes(t) {
			var list []policy.Condition
			if clear := c.mask &^ c.value; clear != 0 {
				list = append(list, one(policy.NoBits, clear))
			}
			for set := c.value; set != 0; set &= set - 1 {
				list = append(list, one(policy.AnyBits, uint64(1)<<bits.TrailingZeros64(set)))
			}
			all = append(all, list)
		}
		return all, true
	}
	if gaps := singles(rest); len(gaps) > 0 && len(gaps) <= len(t.In)+1 {
		var list []policy.Condition
		for _, v := range gaps {
			list = append(list, one(policy.NotEqual, v))
		}
		return [][]policy.Condition{list}, true
	}
	for _, in := range t.In {
		switch {
		case in.Lo == in.Hi:
			all = append(all, []policy.Condition{one(policy.Equal, in.Lo)})
		case in.Lo == 0:
			all = append(all, []policy.Condition{one(policy.LessOrEqual, in.Hi)})
		case in.Hi == t.Mask:
			all = append(all, []policy.Condition{one(policy.GreaterOrEqual, in.Lo)})
		default:
			all = append(all, []policy.Condition{one(policy.GreaterOrEqual, in.Lo), one(policy.LessOrEqual, in.Hi)})
		}
	}
	return all, true
}
