package refine

import (
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// Suggest returns the lines of a rule that admits what was seen, for a policy whose
// native ABI is native, each call with its evidence; "" where nothing can be
// admitted. It knows no policy: [Admit] says what one makes of it, and proves it.
func Suggest(seen []Seen, native abi.ABI) string {
	rule := policy.Rule{Action: allow}
	for _, s := range seen {
		if s.ABI == abi.None {
			continue // no policy can list the architecture
		}
		p := policy.Pattern{Name: s.Name, Comment: s.Evidence()}
		if s.Name == "" {
			p.Numbers = &policy.NumberRange{Lo: s.NR, Hi: s.NR}
		}
		if s.ABI != native {
			p.ABI = s.ABI
		}
		rule.Calls = append(rule.Calls, p)
	}
	if len(rule.Calls) == 0 {
		return ""
	}
	return ruleText(rule)
}
