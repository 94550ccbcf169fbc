package convert

import (
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// Decisions is a policy as verdicts instead of rules: which calls get something
// else than the default, without order and without overlaps between actions. It
// is what formats are written from.
type Decisions struct {
	Policy   *policy.Policy
	Resolved *policy.Resolved
	ABIs     []abi.ABI // the machine's first
	Default  abi.Action
	Calls    []Decision // by ABI and number

	space    *proof.Space
	function proof.Function
	places   map[callKey][]origin // of rules, by call; nil until asked for
}

// A Decision is calls of one ABI that get one action, which is not the default.
type Decision struct {
	ABI     abi.ABI
	Numbers []policy.NumberRange
	Name    string // of the call, "" if it is several or unknown
	Action  abi.Action
	// Any are alternatives, each of tests that must all hold; none: whatever the
	// arguments are. Two decisions on one call never match the same arguments.
	Any []policy.Alternative
	// Vague is set where the tests cannot be told: a writer leaves the call out.
	Vague bool
}

// Decide turns p into decisions.
func Decide(p *policy.Policy, o Options) (*Decisions, error) {
	resolved, _, err := p.Resolve(policy.Options{Native: o.Native, Caps: o.Caps, Kernel: o.Kernel})
	if err != nil {
		return nil, err
	}
	d := &Decisions{Policy: p, Resolved: resolved, space: proof.NewSpace(proof.Budget{})}
	constant := &policy.Resolved{BadArch: resolved.BadArch, X32: resolved.X32}
	for _, a := range resolved.ABIs {
		d.ABIs = append(d.ABIs, a.ABI)
		d.Default = resolved.ABIs[0].Default
		constant.ABIs = append(constant.ABIs, policy.ResolvedABI{ABI: a.ABI, Known: a.Known, Default: d.Default, Unknown: d.Default})
	}
	if d.function, err = d.space.Policy(resolved); err != nil {
		return nil, err
	}
	rest, err := d.space.Policy(constant)
	if err != nil {
		return nil, err
	}
	regions, err := d.space.Diff(d.function, rest, d.ABIs, nil)
	if err != nil {
		return nil, err
	}
	for _, r := range regions {
		if r.ABI == abi.None {
			continue
		}
		call := Decision{ABI: r.ABI, Numbers: r.Numbers, Name: r.Name, Action: r.A, Vague: len(r.Patterns) == 0}
		if call.Any, err = tests(r); err != nil {
			return nil, err
		}
		d.Calls = append(d.Calls, call)
	}
	return d, nil
}

// tests returns the conditions of r's patterns as tests; none if one of them has
// no condition.
func tests(r proof.Region) ([]policy.Alternative, error) {
	patterns := slices.Clone(r.Patterns)
	for i := range patterns { // of one number, which all have the same conditions
		if len(patterns[i].Conditions) == 0 {
			return nil, nil
		}
	}
	if len(r.Numbers) != 1 || r.Numbers[0].Lo != r.Numbers[0].Hi {
		patterns = slices.DeleteFunc(patterns, func(p policy.Pattern) bool { return p.Numbers == nil || *p.Numbers != r.Numbers[0] })
	}
	if len(patterns) == 0 {
		return nil, nil
	}
	action := policy.Action{Kind: abi.Allow}
	p := &policy.Policy{Version: 1, ABIs: []abi.ABI{r.ABI}, Default: action, Rules: []policy.Rule{{Action: policy.Action{Kind: abi.KillProcess}, Calls: patterns, Only: true}}}
	resolved, _, err := p.Resolve(policy.Options{})
	if err != nil {
		return nil, fmt.Errorf("conditions of %s: %w", r.Name, err)
	}
	var all []policy.Alternative
	for _, rule := range resolved.ABIs[0].Rules {
		all = append(all, rule.Any...)
	}
	return all, nil
}

// newest returns the highest number of a's calls that d does not answer with
// ENOSYS whatever the arguments are.
func (d *Decisions) newest(a abi.ABI) uint32 {
	enosys, _ := a.Errno("ENOSYS")
	var absent []policy.NumberRange
	for _, c := range d.Calls {
		if c.ABI == a && c.Action == abi.Errno.WithData(enosys) && len(c.Any) == 0 && !c.Vague {
			absent = append(absent, c.Numbers...)
		}
	}
	last := uint32(0)
	for nr := range a.Syscalls() {
		if !slices.ContainsFunc(absent, func(r policy.NumberRange) bool { return r.Lo <= nr && nr <= r.Hi }) {
			last = max(last, nr)
		}
	}
	return last
}
