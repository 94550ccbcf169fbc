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
		merged.Programs = appendNew(merged.Programs, s.Programs...)
		merged.Assumptions = appendNew(merged.Assumptions, s.Assumptions...)
		for _, c := range s.Calls {
			by := s.Makers(c)
			i, ok := at[c.NR]
			if !ok {
				at[c.NR] = len(merged.Calls)
				c.By = slices.Clone(by)
				merged.Calls = append(merged.Calls, c)
				continue
			}
			have := &merged.Calls[i]
			by = appendNew(have.By, by...)
			first := have.withArgs(c)
			if c.Class < have.Class {
				*have = c
			}
			have.By, have.Args, have.Open = by, first.Args, first.Open
			have.Sites = appendNew(first.Sites, c.Sites...)
		}
	}
	for i := range merged.Calls {
		if c := &merged.Calls[i]; len(c.By) == len(merged.Programs) {
			c.By = nil
		}
	}
	slices.SortFunc(merged.Calls, func(a, b Call) int { return cmp.Compare(a.NR, b.NR) })
	return merged, nil
}

// MergeABIs returns the calls of all sets together, one set for each ABI: those of
// 64 bits first, else in the order in which the ABIs appear.
func MergeABIs(sets ...*Set) ([]*Set, error) {
	var all []*Set
	for len(sets) > 0 {
		on := sets[0].ABI
		var same, rest []*Set
		for _, s := range sets {
			if s.ABI == on {
				same = append(same, s)
			} else {
				rest = append(rest, s)
			}
		}
		merged, err := Merge(same...)
		if err != nil {
			return nil, err
		}
		all, sets = append(all, merged), rest
	}
	slices.SortStableFunc(all, func(a, b *Set) int { return cmp.Compare(b.ABI.Bits(), a.ABI.Bits()) })
	return all, nil
}

// appendNew appends to list what it does not hold.
func appendNew(list []string, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}
