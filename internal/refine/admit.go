package refine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A Change is what a policy makes of evidence. Every call that was seen is in one
// of its lists.
type Change struct {
	Policy   *policy.Policy // with one rule more, before all others, if anything is admitted
	Rule     *policy.Rule   // that rule; nil: nothing is admitted
	Admitted []Verdict      // by that rule
	Already  []Verdict      // the policy allows it
	Apart    []Verdict      // not admitted unless it is accepted by name
	Never    []Verdict      // no rule of this policy can admit it
}

// A Verdict is what becomes of one call that was seen.
type Verdict struct {
	Seen
	Pattern policy.Pattern // that admits it
	Why     string         // it is where it is; "" where Admitted needs no words
}

// Admit returns the smallest change of p that lets through what was seen: one
// rule that allows these calls, and where the policy looks at the arguments of one
// and they are known, with those values only. What is dangerous, what a rule of p
// decides on purpose, and what would need more than was seen is set apart, unless
// accept takes its call (as [Seen.Call] writes it). It establishes by proof that the new policy
// allows every call of the new rule's patterns and does with every other call what
// p does. The error wraps [proof.ErrUnknown] where that takes too much.
func Admit(p *policy.Policy, o policy.Options, seen []Seen, accept func(call string) bool) (*Change, error) {
	old, _, err := p.Resolve(o)
	if err != nil {
		return nil, err
	}
	a := newAdmission(p, old, accept)
	if a.before, err = a.space.Policy(old); err != nil {
		return nil, err
	}
	c := &Change{Policy: p}
	for _, s := range seen {
		if err := a.judge(c, s); err != nil {
			return nil, err
		}
	}
	if len(c.Admitted) == 0 {
		return c, a.space.Err()
	}
	rule := policy.Rule{Action: allow}
	for i := range c.Admitted {
		v := &c.Admitted[i]
		pattern := v.Pattern
		pattern.Comment = v.Evidence()
		rule.Calls = append(rule.Calls, pattern)
	}
	amended := *p
	amended.Rules = append([]policy.Rule{rule}, p.Rules...)
	c.Policy, c.Rule = &amended, &rule
	return c, a.prove(c, o)
}

type admission struct {
	old    *policy.Resolved
	pin    bool    // patterns name their ABI
	native abi.ABI // of calls without one
	policy *policy.Policy
	space  *proof.Space
	before proof.Function
	accept func(string) bool
}

func newAdmission(p *policy.Policy, old *policy.Resolved, accept func(string) bool) *admission {
	return &admission{old: old, pin: len(old.ABIs) > 1, native: old.ABIs[0].ABI, policy: p, space: proof.NewSpace(proof.Budget{}), accept: accept}
}

// judge puts s where it belongs.
func (a *admission) judge(c *Change, s Seen) error {
	section := a.section(s.ABI)
	if section == nil {
		c.Never = addVerdict(c.Never, Verdict{Seen: s, Why: fmt.Sprintf("the policy is not for %v: it would have to list that ABI", abiName(s.ABI))})
		return nil
	}
	v := Verdict{Seen: s, Pattern: policy.Pattern{Name: s.Name}}
	if a.pin {
		v.Pattern.ABI = s.ABI
	}
	if s.Name == "" {
		v.Pattern.Numbers = &policy.NumberRange{Lo: s.NR, Hi: s.NR}
	}
	conditions, exact := conditions(section, s)
	v.Pattern.Conditions = conditions
	set, err := a.calls(v.Pattern, s.ABI)
	if err != nil {
		return err
	}
	outcomes := a.space.Outcomes(a.before, set)
	if err := a.space.Err(); err != nil {
		return err
	}
	allowed := 0
	for _, out := range outcomes {
		if out.Action == abi.Allow {
			allowed++
		}
	}
	if allowed == len(outcomes) {
		c.Already = addVerdict(c.Already, v)
		return nil
	}
	switch rule := a.decidedBy(outcomes); {
	case allowed > 0 && s.Args == nil:
		v.Why = "the policy allows it with some arguments only, and the records have none: this allows it with all"
	case allowed > 0 && !exact:
		v.Why = "the policy looks at an argument that no rule can compare with the value that was seen: this allows all its values"
	case rule != nil:
		v.Why = "a rule of the policy decides it"
		if rule.Pos.Line > 0 { // those of other formats have none
			v.Why += ": " + rule.Pos.String()
		}
	case s.Name == "":
		v.Why = "no table has the number"
	default:
		v.Why = Danger(s.Name)
	}
	switch {
	case v.Why == "":
		c.Admitted = addVerdict(c.Admitted, v)
	case a.accept(s.Call(a.native)):
		v.Why = "accepted, though " + v.Why
		c.Admitted = addVerdict(c.Admitted, v)
	default:
		c.Apart = addVerdict(c.Apart, v)
	}
	return nil
}

// addVerdict adds v, to one with the same call and pattern where there is one: the
// arguments that were seen may not matter.
func addVerdict(list []Verdict, v Verdict) []Verdict {
	for i := range list {
		if w := &list[i]; w.arch == v.arch && w.NR == v.NR && w.Pattern.String() == v.Pattern.String() {
			w.Merge(&v.Seen)
			return list
		}
	}
	return append(list, v)
}

func (a *admission) section(of abi.ABI) *policy.ResolvedABI {
	for i := range a.old.ABIs {
		if a.old.ABIs[i].ABI == of {
			return &a.old.ABIs[i]
		}
	}
	return nil
}

func abiName(a abi.ABI) string {
	if a == abi.None {
		return "an architecture without an ABI"
	}
	return a.String()
}

func (a *admission) calls(p policy.Pattern, on abi.ABI) (proof.Set, error) {
	set, err := a.space.Calls(on, p)
	if err != nil {
		return set, fmt.Errorf("%v: %w", p, err)
	}
	return set, nil
}

// decidedBy returns the first rule of the policy that denies one of the calls, nil
// where only the defaults do.
func (a *admission) decidedBy(outcomes []proof.Outcome) *policy.Rule {
	for _, out := range outcomes {
		if out.Action == abi.Allow {
			continue
		}
		if i := a.old.Eval(out.Witness).Rule; i >= 0 && i < len(a.policy.Rules) {
			return &a.policy.Rules[i]
		}
	}
	return nil
}

// conditions returns conditions that hold the arguments which the policy looks at
// to the values that were seen; none where it looks at none. exact is false where
// one of them cannot be held: an address, the place of the call, or what was not
// recorded.
func conditions(section *policy.ResolvedABI, s Seen) (all []policy.Condition, exact bool) {
	var words [policy.IPWord + 1]bool
	for _, rule := range section.Rules {
		if !slices.ContainsFunc(rule.Numbers, func(r policy.NumberRange) bool { return r.Lo <= s.NR && s.NR <= r.Hi }) {
			continue
		}
		for _, alternative := range rule.Any {
			for _, test := range alternative {
				words[test.Word] = true
			}
		}
	}
	if s.Args == nil {
		return nil, false
	}
	exact = true
	args, known := s.ABI.Args(s.NR)
	for i, looked := range words {
		switch {
		case !looked:
		case i == policy.IPWord || known && (i >= len(args) || args[i].Kind == abi.Pointer):
			exact = false
		case s.Known != nil && s.ABI.ReadMask(s.NR, i)&^s.Known[i] != 0:
			exact = false
		default:
			c := policy.Condition{Index: i, Op: policy.Equal, Values: []string{proof.Constant(s.ABI, s.Name, i, s.Args[i]&s.ABI.ReadMask(s.NR, i))}}
			if known {
				c.Arg, c.Index = args[i].Name, -1
			}
			all = append(all, c)
		}
	}
	return all, exact
}

// ErrNotExact is wrapped by the error of [Admit] that says its own work is wrong.
var ErrNotExact = errors.New("internal error: the change is not exactly what it says")

// prove establishes what Admit says of the new policy.
func (a *admission) prove(c *Change, o policy.Options) error {
	resolved, _, err := c.Policy.Resolve(o)
	if err != nil {
		return err
	}
	after, err := a.space.Policy(resolved)
	if err != nil {
		return err
	}
	var admitted proof.Set
	for i, v := range c.Admitted {
		set, err := a.calls(v.Pattern, v.ABI)
		if err != nil {
			return err
		}
		if i == 0 {
			admitted = set
		} else {
			admitted = a.space.Union(admitted, set)
		}
	}
	for _, out := range a.space.Outcomes(after, admitted) {
		if out.Action != abi.Allow {
			return fmt.Errorf("%w: %s still gets %v", ErrNotExact, policy.FormatCall(out.Witness), out.Action)
		}
	}
	// A call that the two policies treat alike is marked allow, another one is not.
	compared := a.space.Combine(a.before, after, func(x, y abi.Action) abi.Action {
		if x == y {
			return abi.Allow
		}
		return abi.KillProcess
	})
	changed := a.space.Where(compared, func(w abi.Action) bool { return w != abi.Allow })
	for _, out := range a.space.Outcomes(after, a.space.Without(changed, admitted)) {
		return fmt.Errorf("%w: %s would change to %v", ErrNotExact, policy.FormatCall(out.Witness), out.Action)
	}
	return a.space.Err()
}
