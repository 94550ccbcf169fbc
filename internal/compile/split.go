package compile

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// An axis is all numbers under one audit architecture, in runs that one
// decision list decides.
type axis struct {
	arch uint32
	runs []run
	// folded is the test of bit 30 that fold has made, 0 if none, and native where
	// it leads numbers without that bit.
	folded, native ref
}

// A run is the numbers from lo up to the next run's lo.
type run struct {
	lo     uint32
	list   listID
	to     ref   // what list became
	weight int64 // how often the filter runs for it
}

// A listID names a decision list; equal lists are one list.
type listID int32

// A list is a rule on the arguments, and the list to go on with where it does
// not match. Without a rule, it is an action.
type list struct {
	rule   *policy.ResolvedRule
	rest   listID
	action abi.Action
}

// maxLists bounds the steps of splitting. A policy that needs more has so many
// different lists that no program of 4096 instructions can hold them.
const maxLists = 1 << 20

// split finds, for every architecture and number, which rules can decide.
func split(u *unit) error {
	byArch := make(map[uint32][]*policy.ResolvedABI)
	var arches []uint32
	for i := range u.policy.ABIs {
		s := &u.policy.ABIs[i]
		arch := s.ABI.AuditArch()
		if byArch[arch] == nil {
			arches = append(arches, arch)
		}
		byArch[arch] = append(byArch[arch], s)
	}
	for _, arch := range arches {
		runs, err := u.splitArch(byArch[arch])
		if err != nil {
			return err
		}
		u.axes = append(u.axes, axis{arch: arch, runs: runs})
	}
	return nil
}

// splitArch returns the runs of one architecture: those of its only ABI, or
// amd64's and x32's where each has its numbers.
func (u *unit) splitArch(sections []*policy.ResolvedABI) ([]run, error) {
	others := []run{{list: u.action(u.policy.BadArch)}} // amd64's numbers where only x32 is listed
	x32 := []run{{list: u.action(u.policy.X32)}}
	for _, s := range sections {
		runs, err := u.splitSection(s)
		if err != nil {
			return nil, err
		}
		if s.ABI != abi.X32 {
			others = runs
		} else {
			x32 = runs
		}
	}
	if a := sections[0].ABI; a != abi.AMD64 && a != abi.X32 {
		return others, nil
	}
	// Bit 30 of the number tells x32 calls, except in -1.
	runs := clip(nil, others, 0, abi.X32Bit-1)
	runs = clip(runs, x32, abi.X32Bit, 2*abi.X32Bit-1)
	runs = clip(runs, others, 2*abi.X32Bit, 3*abi.X32Bit-1)
	runs = clip(runs, x32, 3*abi.X32Bit, fullMask-1)
	return clip(runs, others, fullMask, fullMask), nil
}

// clip appends to out what runs say about the numbers lo to hi.
func clip(out, runs []run, lo, hi uint32) []run {
	for i, r := range runs {
		if r.lo > hi {
			break
		}
		if i+1 < len(runs) && runs[i+1].lo <= lo {
			continue
		}
		r.lo = max(r.lo, lo)
		out = append(out, r)
	}
	return out
}

// splitSection returns the runs of one ABI's rules, over all numbers.
func (u *unit) splitSection(s *policy.ResolvedABI) ([]run, error) {
	starts := []uint32{0}
	cut := func(ranges []policy.NumberRange) {
		for _, r := range ranges {
			starts = append(starts, r.Lo)
			if r.Hi != fullMask {
				starts = append(starts, r.Hi+1)
			}
		}
	}
	cut(s.Known)
	for i := range s.Rules {
		cut(s.Rules[i].Numbers)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)

	runs := make([]run, len(starts))
	for i, lo := range starts {
		runs[i] = run{lo: lo, list: u.action(s.Unknown)}
	}
	// within returns the runs of the numbers in r.
	within := func(r policy.NumberRange) []run {
		i, _ := slices.BinarySearch(starts, r.Lo)
		j := len(starts)
		if r.Hi != fullMask {
			j, _ = slices.BinarySearch(starts, r.Hi+1)
		}
		return runs[i:j]
	}
	for _, known := range s.Known {
		in := within(known)
		for i := range in {
			in[i].list = u.action(s.Default)
		}
	}
	for i := range slices.Backward(s.Rules) {
		rule := &s.Rules[i]
		for _, numbers := range rule.Numbers {
			in := within(numbers)
			if u.work += len(in); u.work > maxLists {
				return nil, fmt.Errorf("%w: more than %d steps to tell which rules decide which numbers", ErrTooLarge, maxLists)
			}
			for j := range in {
				in[j].list = u.prepend(rule, in[j].list)
			}
		}
	}
	return runs, nil
}

// action returns the list that is only an action.
func (u *unit) action(a abi.Action) listID { return u.intern(list{action: a}) }

// prepend returns the list that asks rule before rest.
func (u *unit) prepend(rule *policy.ResolvedRule, rest listID) listID {
	if len(rule.Any) == 0 {
		return u.action(rule.Action)
	}
	return u.intern(list{rule: rule, rest: rest})
}

func (u *unit) intern(l list) listID {
	if i, ok := u.listIndex[l]; ok {
		return i
	}
	i := listID(len(u.lists))
	u.lists = append(u.lists, l)
	u.listIndex[l] = i
	return i
}

// find returns the index of the run that nr is in.
func find(runs []run, nr uint32) int {
	i, ok := slices.BinarySearchFunc(runs, nr, func(r run, nr uint32) int { return cmp.Compare(r.lo, nr) })
	if !ok {
		i--
	}
	return i
}
