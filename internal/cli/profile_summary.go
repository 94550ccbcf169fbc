package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
)

// summarize says how sure the profile is, and how the policy compares with
// Docker's default profile.
func (e *env) summarize(programs []profiled, sets []*observe.Set, p *policy.Policy) {
	if e.quiet {
		return
	}
	classes := map[observe.Class]int{}
	sites, functions := 0, 0
	for _, program := range programs {
		sites, functions = sites+program.Sites, functions+program.Functions
	}
	for _, set := range sets {
		for _, c := range set.Calls {
			classes[c.Class]++
		}
	}
	var parts []string
	for class := observe.Certain; class.String() != "unknown"; class++ {
		if n := classes[class]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", n, class))
		}
	}
	e.infof("%s; %s in %s", strings.Join(parts, ", "), count(sites, "site"), count(functions, "function"))
	on := programs[0].Set.ABI
	docker, ok := dockerDefault(on)
	if !ok {
		return
	}
	own := allowedOn(p, on)
	text := fmt.Sprintf("this policy allows %s, Docker's default profile %d; dangerous ones: %s, there %d",
		count(len(own), "call"), len(docker), listed(dangerous(own), "none"), len(dangerous(docker)))
	if more := slices.DeleteFunc(slices.Clone(own), func(name string) bool { return slices.Contains(docker, name) }); len(more) > 0 {
		text += "; not allowed there: " + listed(more, "")
	}
	e.infof("%s", text)
}

// dockerDefault returns the calls of an ABI that Docker's default profile lets
// through, with some arguments at least, for a container without capabilities.
func dockerDefault(on abi.ABI) ([]string, bool) {
	patterns, ok := policy.SetPatterns("@docker/default")
	if !ok {
		return nil, false
	}
	return allowedOn(&policy.Policy{Rules: []policy.Rule{{Action: policy.Action{Kind: abi.Allow}, Calls: patterns}}}, on), true
}

// allowedOn returns the calls of an ABI that the rules of p name and let through,
// sorted; of numbers without a name, those.
func allowedOn(p *policy.Policy, on abi.ABI) []string {
	var all []string
	for _, rule := range p.Rules {
		if rule.Action.Kind != abi.Allow && rule.Action.Kind != abi.Log {
			continue
		}
		for _, c := range rule.Calls {
			members := []string{c.Name}
			if set, ok := policy.Set(c.Name); ok {
				members = set
			}
			for _, name := range members {
				nr, known := on.Lookup(name)
				switch {
				case c.ABI != abi.None && c.ABI != on:
				case known:
					all = append(all, on.SyscallName(nr))
				case c.Name == "":
					all = append(all, c.String())
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func dangerous(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return refine.Danger(name) == "" })
}

// listed returns names as "3 (a, b, c)", a dozen at most, or what stands for none.
func listed(names []string, none string) string {
	const most = 12
	switch n := len(names); {
	case n == 0:
		return none
	case n > most:
		return fmt.Sprintf("%d (%s, …)", n, strings.Join(names[:most], ", "))
	}
	return fmt.Sprintf("%d (%s)", len(names), strings.Join(names, ", "))
}
