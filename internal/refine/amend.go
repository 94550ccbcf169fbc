package refine

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// Amend returns p with what the options say before its own rules: what is
// allowed first, then denials, errno(EPERM) where an item says nothing else. native is
// the ABI of a policy that lists none. elsewhere are the names that none of the
// policy's ABIs has.
func Amend(p *policy.Policy, native abi.ABI, o Options) (amended *policy.Policy, elsewhere []string) {
	on := p.ABIs
	if len(on) == 0 {
		on = []abi.ABI{native}
	}
	denials, unknown := Rules(o.Deny, eperm, on...)
	admitted, elsewhere := Rules(o.Allow, allow, on...)
	copied := *p
	copied.Rules = slices.Concat(admitted, denials, p.Rules)
	if o.Default != nil {
		copied.Default = *o.Default
	}
	elsewhere = append(elsewhere, unknown...)
	slices.Sort(elsewhere)
	return &copied, slices.Compact(elsewhere)
}
