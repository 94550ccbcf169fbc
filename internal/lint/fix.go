package lint

import (
	"cmp"
	"slices"

	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// Fix returns s.Policy without the parts that findings call needless, and how
// many it took out. It establishes that no verdict changes: each part is taken
// out only if the rest is proved equal to s.Resolved. Options are those that s was
// resolved with.
func Fix(s Subject, o policy.Options, findings []Finding) (*policy.Policy, int, error) {
	space := proof.NewSpace(proof.Budget{})
	want, err := space.Policy(s.Resolved)
	if err != nil {
		return nil, 0, err
	}
	var parts []Part
	for _, f := range findings {
		if f.Needless != (Part{}) && !slices.Contains(parts, f.Needless) {
			parts = append(parts, f.Needless)
		}
	}
	// From the last to the first, so that the places of the others stay right.
	slices.SortFunc(parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(b.Rule, a.Rule), cmp.Compare(b.Pattern, a.Pattern), cmp.Compare(b.Condition, a.Condition))
	})
	p, fixed := s.Policy, 0
	for _, part := range parts {
		less := without(p, part)
		r, _, err := less.Resolve(o)
		if err != nil {
			continue // it was needed for something else
		}
		got, err := space.Policy(r)
		if err != nil {
			return nil, 0, err
		}
		if got == want {
			p, fixed = less, fixed+1
		}
	}
	return p, fixed, nil
}

// without returns p without a part, sharing the rest.
func without(p *policy.Policy, part Part) *policy.Policy {
	less := *p
	less.Rules = slices.Clone(p.Rules)
	r := &less.Rules[part.Rule-1]
	switch {
	case part.Pattern == 0 || len(r.Calls) == 1 && part.Condition == 0:
		less.Rules = slices.Delete(less.Rules, part.Rule-1, part.Rule)
	case part.Condition == 0:
		r.Calls = slices.Delete(slices.Clone(r.Calls), part.Pattern-1, part.Pattern)
	default:
		r.Calls = slices.Clone(r.Calls)
		c := &r.Calls[part.Pattern-1]
		c.Conditions = slices.Delete(slices.Clone(c.Conditions), part.Condition-1, part.Condition)
	}
	return &less
}
