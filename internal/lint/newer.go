package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// newerKernel reports the calls that Subject.Kernel has and the policy's kernel has
// not: those that a set of the policy holds, where the set stands, and the others.
func (c *checker) newerKernel() {
	if c.Kernel == (abi.Kernel{}) || c.Policy == nil {
		return
	}
	own := c.Policy.Release()
	for _, a := range c.abis {
		newer := map[string]string{} // by name, with the release
		var names []string
		for nr, name := range a.Syscalls() {
			if since, ok := a.Since(nr); ok && own.Before(since) && !c.Kernel.Before(since) {
				newer[name] = fmt.Sprintf("%s (%s)", name, since)
				names = append(names, name)
			}
		}
		slices.Sort(names)
		held := map[string]bool{}
		for _, r := range c.Policy.Rules {
			for _, p := range r.Calls {
				set := p.Name
				if p.Set != "" {
					set = p.Set
				}
				patterns, ok := policy.SetPatterns(set)
				if !strings.HasPrefix(set, "@") || !ok {
					held[p.Name] = true
					continue
				}
				var grown []string
				for _, name := range names {
					if excepts(&r, name) {
						held[name] = true
					} else if slices.ContainsFunc(patterns, func(p policy.Pattern) bool { return p.Name == name }) {
						held[name] = true
						grown = append(grown, newer[name])
					}
				}
				if len(grown) > 0 {
					c.report("SG024", p.Pos, len(set), "", fmt.Sprintf("%s has calls on %s that Linux %s has not: %s", set, a, own, summary(grown)))
				}
			}
		}
		var others []string
		for _, name := range names {
			if !held[name] {
				others = append(others, newer[name])
			}
		}
		if len(others) > 0 {
			pos, width := c.fieldPlace("unknown_action", "default_action")
			c.report("SG024", pos, width, "", fmt.Sprintf("no rule is about calls on %s that Linux %s has not: %s", a, own, summary(others)))
		}
	}
}

// excepts reports whether r has an exception for a call, whatever its arguments
// are.
func excepts(r *policy.Rule, name string) bool {
	return slices.ContainsFunc(r.Except, func(p policy.Pattern) bool {
		members, _ := policy.Set(p.Name)
		return len(p.Conditions) == 0 && (p.Name == name || slices.Contains(members, name))
	})
}
