package registry

import (
	"fmt"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
	"github.com/sysgate/sysgate/seccomp"
)

// verdict returns what p, as a policy for a, does with a call. seccomp lowers a
// policy for the test's own ABI alone.
func verdict(t *testing.T, a abi.ABI, p *seccomp.Policy, call string) abi.Action {
	t.Helper()
	lowered := &policy.Policy{ABIs: []abi.ABI{a}, Default: action(p.DefaultAction)}
	for _, g := range p.Syscalls {
		rule := policy.Rule{Action: action(g.Action)}
		for _, name := range g.Names {
			rule.Calls = append(rule.Calls, policy.Pattern{Name: name})
		}
		for _, n := range g.NamesWithCondtions {
			pattern := policy.Pattern{Name: n.Name, Documented: true}
			for _, c := range n.Conditions {
				condition := policy.Condition{Index: int(c.Argument)}
				switch value := fmt.Sprint(c.Value); c.Operation {
				case seccomp.BitsSet:
					condition.Op, condition.Mask = policy.AnyBits, value
				case seccomp.Equal:
					condition.Op, condition.Values = policy.Equal, []string{value}
				default:
					t.Fatalf("operation %s", c.Operation)
				}
				pattern.Conditions = append(pattern.Conditions, condition)
			}
			rule.Calls = append(rule.Calls, pattern)
		}
		lowered.Rules = append(lowered.Rules, rule)
	}
	resolved, _, err := lowered.Resolve(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := policy.ParseCall(call, a)
	if err != nil {
		t.Fatal(err)
	}
	return resolved.Eval(c).Action
}

func action(a seccomp.Action) policy.Action {
	word := abi.Action(a)
	if a == seccomp.ActionErrno {
		word |= 1 // EPERM
	}
	return policy.Action{Kind: word.Kind(), Data: word.Data()}
}
