package policy

import (
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// A member is one way to reach a service: a call, or a multiplexer's sub-call.
type member struct {
	nr  uint32
	sub *uint64 // argument 0 of a multiplexer
	why string  // how a message names it
}

// members returns the ways on a to the service of the call name.
func members(a abi.ABI, name string) []member {
	group := a.Group(name)
	if !slices.Contains(group, name) {
		group = append(group, name)
	}
	var all []member
	for _, m := range group {
		for _, nr := range a.Numbers(m) {
			all = append(all, member{nr, nil, m})
		}
		if mux, sub, ok := a.Multiplexed(m); ok {
			all = append(all, member{mux, &sub, fmt.Sprintf("%s(%d) for %s", a.SyscallName(mux), sub, m)})
		}
	}
	return all
}

// checkGroups warns of rules that restrict one way to a service and leave
// another open.
func (r *resolver) checkGroups(s *ResolvedABI) {
	for i := range r.policy.Rules {
		rule := &r.policy.Rules[i]
		if !r.active[i] || rule.Only {
			continue
		}
		denies := restricts(rule.Action.Kind)
		for j := range rule.Calls {
			r.checkGroup(s, &rule.Calls[j], denies, len(rule.Calls[j].Conditions) > 0)
		}
		for j := range rule.Except {
			r.checkGroup(s, &rule.Except[j], false, !denies)
		}
	}
}

// checkGroup warns of the other ways to the service of c, which it denies or, if
// the rest is denied, narrows.
func (r *resolver) checkGroup(s *ResolvedABI, c *Pattern, denies, narrows bool) {
	if c.Name == "" || isSet(c.Name) || c.Set != "" || c.ABI != abi.None && c.ABI != s.ABI {
		return
	}
	if len(s.ABI.Numbers(c.Name)) == 0 {
		return // targets has warned of conditions that reach nothing
	}
	ways := members(s.ABI, c.Name)
	denied := func(m member) bool { return m.why == c.Name && s.restricted(m) }
	if !denies && !(narrows && slices.ContainsFunc(ways, denied)) {
		return
	}
	for _, m := range ways {
		if m.why == c.Name || s.restricted(m) {
			continue
		}
		r.warn(CodeGroup, c.Pos, len(c.Name), "decide all of them alike, or write only: true if this is meant",
			fmt.Sprintf("%s on %s is restricted, but %s does the same and is let through", c.Name, s.ABI, m.why))
	}
}

// restricts reports whether action a keeps the kernel from making the call as
// asked.
func restricts(a abi.Action) bool {
	k := a.Kind()
	return k != abi.Allow && k != abi.Log
}

// restricted reports whether some arguments of m meet another verdict than allow
// or log.
func (s *ResolvedABI) restricted(m member) bool {
	for i := range s.Rules {
		rule := &s.Rules[i]
		if !contains(rule.Numbers, m.nr) {
			continue
		}
		applies, always := len(rule.Any) == 0, len(rule.Any) == 0
		for _, all := range rule.Any {
			may, must := m.meets(all)
			applies = applies || may
			always = always || must
		}
		if applies && restricts(rule.Action) {
			return true
		}
		if always {
			return false
		}
	}
	if contains(s.Known, m.nr) {
		return restricts(s.Default)
	}
	return restricts(s.Unknown)
}

// meets reports whether a call of m may, and whether it must, satisfy all.
func (m member) meets(all Alternative) (may, must bool) {
	may, must = true, true
	for _, t := range all {
		if m.sub != nil && t.Word == 0 {
			var call abi.Call
			call.Args[0] = *m.sub
			if !t.matches(call) {
				return false, false
			}
			continue
		}
		must = false
		may = may && len(t.In) > 0
	}
	return may, must
}

// warnConditionalSubcall warns that a condition cannot reach a service that the
// ABI has only behind a multiplexer.
func (r *resolver) warnConditionalSubcall(rule *Rule, c *Pattern, a abi.ABI, mux uint32, sub uint64, exception bool) {
	if rule.Only || c.Set != "" && !exception {
		return
	}
	what := "rule"
	if exception {
		what = "exception"
	}
	name := a.SyscallName(mux)
	r.warn(CodeGroup, c.Pos, len(c.Name), fmt.Sprintf("state it: %s(arg0 == %d)", name, sub),
		fmt.Sprintf("%s has %s only as %s(%d), whose arguments lie behind a pointer: the %s does not reach it", a, c.Name, name, sub, what))
}
