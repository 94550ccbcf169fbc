package refine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/policy"
)

// Options are what a policy is to say beyond the observation. The zero value
// says nothing more.
type Options struct {
	// Default is for calls that the program was not seen to make; nil:
	// errno(ENOSYS), which programs take for an older kernel.
	Default *policy.Action
	// Allow is always admitted, even where Deny has it too; an item's own action
	// (log) takes the place of allow.
	Allow []Item
	// Deny is taken out although it was observed. An item with an action of its
	// own gets it, else the default.
	Deny []Item
	// Runtime admits what a container runtime calls under the filter to start
	// the program.
	Runtime bool
}

// FromSet returns the policy that allows the calls of s and no others, each with
// its reason in a comment, on the ABI of s alone. Numbers that are newer than
// the policy's tables get errno(ENOSYS). elsewhere are the names of the lists
// that this ABI does not have.
func FromSet(s *observe.Set, o Options) (p *policy.Policy, elsewhere []string) {
	p = &policy.Policy{
		Version: 1,
		ABIs:    []abi.ABI{s.ABI},
		Default: enosys,
		Unknown: &enosys,
		Comment: header(s, o),
	}
	if o.Default != nil {
		p.Default = *o.Default
	}
	admitted, elsewhere := Rules(o.Allow, allow, s.ABI)
	admittedNames, _ := Names(o.Allow, s.ABI)
	for i := range admitted {
		for j := range admitted[i].Calls {
			admitted[i].Calls[j].Comment = "listed to be allowed"
		}
	}
	var stated []Item // denials with an action of their own
	for _, item := range o.Deny {
		if item.Action != nil {
			stated = append(stated, item)
		}
	}
	denials, _ := Rules(stated, p.Default, s.ABI)
	denied, unknown := Names(o.Deny, s.ABI)
	elsewhere = append(elsewhere, unknown...)
	slices.Sort(elsewhere)

	observed := policy.Rule{Action: allow}
	calls := s.Calls
	if o.Runtime {
		calls = withRuntime(s)
	}
	for _, c := range calls {
		pattern := patternOf(c)
		if !slices.Contains(denied, pattern.Name) && !slices.Contains(admittedNames, pattern.Name) {
			observed.Calls = append(observed.Calls, pattern)
		}
	}
	slices.SortStableFunc(observed.Calls, func(a, b policy.Pattern) int { return cmp.Compare(a.Name, b.Name) })
	p.Rules = slices.Concat(admitted, denials)
	if len(observed.Calls) > 0 {
		p.Rules = append(p.Rules, observed)
	}
	return p, slices.Compact(elsewhere)
}

func patternOf(c observe.Call) policy.Pattern {
	p := policy.Pattern{Name: c.Name, Comment: c.Evidence}
	if c.Class != observe.Certain {
		p.Comment = c.Class.String() + ": " + c.Evidence
	}
	if c.Name == "" {
		p.Numbers = &policy.NumberRange{Lo: c.NR, Hi: c.NR}
	}
	return p
}

// header says where a policy comes from and what its reader may rely on.
func header(s *observe.Set, o Options) string {
	lines := []string{"The system calls of " + strings.Join(s.Sources, ", ") + "."}
	if s.Sound {
		lines = append(lines, "Sound: no run makes any other call.")
	} else {
		lines = append(lines, "NOT sound: a run may make calls that are not listed.")
	}
	for _, a := range s.Assumptions {
		lines = append(lines, "Assumed: "+a+".")
	}
	if len(o.Deny) > 0 {
		var names []string
		for _, item := range o.Deny {
			names = append(names, item.Name)
		}
		lines = append(lines, fmt.Sprintf("Taken out by list: %s.", strings.Join(names, ", ")))
	}
	return strings.Join(lines, "\n")
}

// Allowed returns the calls of p's rules that let through, in the notation of
// patterns, sorted: names, without their conditions' meaning.
func Allowed(p *policy.Policy) []string {
	var calls []string
	for _, rule := range p.Rules {
		if rule.Action.Kind == abi.Allow || rule.Action.Kind == abi.Log {
			for _, c := range rule.Calls {
				calls = append(calls, c.String())
			}
		}
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}
