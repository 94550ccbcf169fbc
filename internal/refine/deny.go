package refine

import (
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var (
	allow  = policy.Action{Kind: abi.Allow}
	eperm  = policy.Action{Kind: abi.Errno, Errno: "EPERM"}
	enosys = policy.Action{Kind: abi.Errno, Errno: "ENOSYS"}
)

// DenyList returns a policy that allows everything but the calls of deny that are
// not in except, on every ABI that a machine of the given native one serves: a
// denial that leaves out the 32-bit entry denies nothing. An item without an
// action gets errno(EPERM). elsewhere are the names that none of the ABIs has.
func DenyList(deny, except []Item, native abi.ABI) (p *policy.Policy, elsewhere []string) {
	p = &policy.Policy{
		ABIs:    append([]abi.ABI{native}, native.Compat()...),
		Default: allow,
	}
	denials, elsewhere := Rules(deny, eperm, p.ABIs...)
	exceptions, unknown := Rules(except, allow, p.ABIs...)
	p.Rules = slices.Concat(exceptions, denials)
	elsewhere = append(elsewhere, unknown...)
	slices.Sort(elsewhere)
	return p, slices.Compact(elsewhere)
}

// Rules returns a rule for each action of items, the strictest first, so that a
// call that is listed twice gets that one. Items without an action get def.
func Rules(items []Item, def policy.Action, on ...abi.ABI) (rules []policy.Rule, elsewhere []string) {
	byAction := map[policy.Action][]Item{}
	for _, item := range items {
		a := def
		if item.Action != nil {
			a = *item.Action
		}
		byAction[a] = append(byAction[a], item)
	}
	for a, same := range byAction {
		names, unknown := Names(same, on...)
		elsewhere = append(elsewhere, unknown...)
		if len(names) == 0 {
			continue
		}
		rule := policy.Rule{Action: a, Optional: true} // not every ABI has every name
		for _, name := range names {
			rule.Calls = append(rule.Calls, policy.Pattern{Name: name})
		}
		rules = append(rules, rule)
	}
	slices.SortFunc(rules, func(x, y policy.Rule) int {
		switch {
		case x.Action.Kind.Stricter(y.Action.Kind):
			return -1
		case y.Action.Kind.Stricter(x.Action.Kind):
			return 1
		}
		return strings.Compare(x.Action.String(), y.Action.String())
	})
	slices.Sort(elsewhere)
	return rules, slices.Compact(elsewhere)
}
