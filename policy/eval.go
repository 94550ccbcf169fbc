package policy

import (
	"strconv"

	"github.com/sysgate/sysgate/abi"
)

// A Verdict is what a policy says of one call.
type Verdict struct {
	Action abi.Action
	Rule   int // index in Policy.Rules, or one of the Rule constants
}

// What decided a call that no rule did.
const (
	RuleDefault = -1 - iota
	RuleUnknown
	RuleBadArch
	RuleX32
)

// RuleName names what decided a call, the Rule of a [Verdict], as people look for it:
// where the rule stands, or the field that decides where no rule does.
func (p *Policy) RuleName(rule int) string {
	switch rule {
	case RuleDefault:
		return "default_action"
	case RuleUnknown:
		return "unknown_action"
	case RuleBadArch:
		return "bad_arch_action"
	case RuleX32:
		return "x32_action"
	}
	if pos := p.Rules[rule].Pos; pos.Line > 0 {
		return pos.String()
	}
	return "rule " + strconv.Itoa(rule+1)
}

// Eval returns the verdict on c. It is the specification of what a policy
// means, in the order that docs/policy.md gives: everything else is proved or
// tested against it.
func (r *Resolved) Eval(c abi.Call) Verdict {
	section, missing := r.section(c)
	if section == nil {
		return missing
	}
	for i := range section.Rules {
		rule := &section.Rules[i]
		if contains(rule.Numbers, c.NR) && rule.matches(c) {
			return Verdict{rule.Action, rule.Rule}
		}
	}
	if contains(section.Known, c.NR) {
		return Verdict{section.Default, RuleDefault}
	}
	return Verdict{section.Unknown, RuleUnknown}
}

// section returns the part of r that decides c, or the verdict where none does.
func (r *Resolved) section(c abi.Call) (*ResolvedABI, Verdict) {
	want := abi.None
	sameArch := false
	for i := range r.ABIs {
		s := &r.ABIs[i]
		if s.ABI.AuditArch() != c.Arch {
			continue
		}
		sameArch = true
		if (s.ABI == abi.X32) == c.IsX32() {
			return s, Verdict{}
		}
		want = s.ABI
	}
	if sameArch && want == abi.AMD64 {
		return nil, Verdict{r.X32, RuleX32}
	}
	return nil, Verdict{r.BadArch, RuleBadArch}
}

func (r *ResolvedRule) matches(c abi.Call) bool {
	if len(r.Any) == 0 {
		return true
	}
	for _, all := range r.Any {
		if all.matches(c) {
			return true
		}
	}
	return false
}

func (a Alternative) matches(c abi.Call) bool {
	for _, t := range a {
		if !t.matches(c) {
			return false
		}
	}
	return true
}

func (t Test) matches(c abi.Call) bool {
	word := c.IP
	if t.Word != IPWord {
		word = c.Args[t.Word]
	}
	word &= t.Mask
	for _, in := range t.In {
		if in.Lo <= word && word <= in.Hi {
			return true
		}
	}
	return false
}

func contains(ranges []NumberRange, nr uint32) bool {
	for _, r := range ranges {
		if r.Lo <= nr && nr <= r.Hi {
			return true
		}
	}
	return false
}
