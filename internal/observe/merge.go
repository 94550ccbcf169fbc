package observe

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Merge returns the calls of all sets together: of a call that several have, the
// evidence of the first, and the surest class. It is sound if all of them are.
// Sets of different ABIs do not merge.
func Merge(sets ...*Set) (*Set, error) {
	if len(sets) == 0 {
		return nil, errors.New("merge: no sets")
	}
	merged := &Set{ABI: sets[0].ABI, Sound: true}
	at := map[uint32]int{}
	for _, s := range sets {
		if s.ABI != merged.ABI {
			return nil, fmt.Errorf("merge: sets of %v and of %v", merged.ABI, s.ABI)
		}
		merged.Sound = merged.Sound && s.Sound
		merged.Sources = append(merged.Sources, s.Sources...)
		for _, a := range s.Assumptions {
			if !slices.Contains(merged.Assumptions, a) {
				merged.Assumptions = append(merged.Assumptions, a)
			}
		}
		for _, c := range s.Calls {
			i, ok := at[c.NR]
			switch {
			case !ok:
				at[c.NR] = len(merged.Calls)
				merged.Calls = append(merged.Calls, c)
			case c.Class < merged.Calls[i].Class:
				merged.Calls[i] = c
			}
		}
	}
	slices.SortFunc(merged.Calls, func(a, b Call) int { return cmp.Compare(a.NR, b.NR) })
	return merged, nil
}
