package compile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// check returns an error for a policy that breaks the promises of
// policy.Resolved, on which the other passes rely. policy.Resolve keeps them.
func check(u *unit) error {
	if len(u.policy.ABIs) == 0 {
		return errors.New("policy lists no ABI")
	}
	known := abi.All()
	for i := range u.policy.ABIs {
		s := &u.policy.ABIs[i]
		at := slices.Index(known, s.ABI)
		if at < 0 {
			return fmt.Errorf("policy lists %v twice, or it is no ABI", s.ABI)
		}
		known = slices.Delete(known, at, at+1)
		if first := u.policy.ABIs[0].ABI; s.ABI.BigEndian() != first.BigEndian() {
			return fmt.Errorf("%v and %v differ in byte order: one filter cannot serve both", first, s.ABI)
		}
		if !numbersSorted(s.Known) {
			return fmt.Errorf("%v: known numbers are not sorted", s.ABI)
		}
		for j := range s.Rules {
			if err := checkRule(&s.Rules[j]); err != nil {
				return fmt.Errorf("%v: rule %d: %w", s.ABI, s.Rules[j].Rule, err)
			}
		}
	}
	return nil
}

func checkRule(r *policy.ResolvedRule) error {
	if !numbersSorted(r.Numbers) {
		return errors.New("numbers are not sorted")
	}
	for _, all := range r.Any {
		for _, t := range all {
			if t.Word > policy.IPWord {
				return fmt.Errorf("tests argument %d", t.Word)
			}
			for i, in := range t.In {
				if in.Lo > in.Hi || i > 0 && t.In[i-1].Hi >= in.Lo {
					return errors.New("values are not sorted")
				}
			}
		}
	}
	return nil
}

func numbersSorted(ranges []policy.NumberRange) bool {
	for i, r := range ranges {
		if r.Lo > r.Hi || i > 0 && ranges[i-1].Hi >= r.Lo {
			return false
		}
	}
	return true
}
