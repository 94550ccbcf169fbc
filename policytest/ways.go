package policytest

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A question is a pattern as it is asked of several ABIs.
type question struct {
	pattern policy.Pattern
	abis    []abi.ABI
}

// on returns the patterns that ask the question of one ABI: the author's own, if
// the call there has the arguments that it looks at.
func (q question) on(a abi.ABI) []policy.Pattern {
	if q.pattern.ABI != abi.None && q.pattern.ABI != a {
		return nil
	}
	if q.pattern.Name == "" || q.sameArguments(a, q.pattern.Name) {
		return []policy.Pattern{q.pattern}
	}
	return nil
}

// services returns the patterns that ask of one ABI about every call that does
// the service: with the author's conditions if it has the arguments that they
// look at, else without any, because the filter cannot tell.
func (q question) services(a abi.ABI) []policy.Pattern {
	if q.pattern.ABI != abi.None && q.pattern.ABI != a {
		return nil
	}
	all := q.on(a)
	members, isSet := policy.Set(q.pattern.Name)
	if !isSet {
		members = []string{q.pattern.Name}
	}
	for _, name := range members {
		for _, same := range a.Group(name) {
			if isSet && slices.Contains(members, same) || len(all) > 0 && same == name {
				continue
			}
			p := policy.Pattern{ABI: a, Name: same}
			if q.sameArguments(a, same) {
				p.Conditions = q.pattern.Conditions
			}
			all = append(all, p)
		}
	}
	return all
}

// sameArguments reports whether the arguments that the conditions look at have,
// in the call on a, the place, name and width that they have where the author's
// pattern can be taken as it is: on the first ABI that has the call with them.
func (q question) sameArguments(a abi.ABI, name string) bool {
	for _, reference := range q.abis {
		nr, ok := reference.Lookup(q.pattern.Name)
		if !ok || !has(reference, nr, q.pattern.Conditions) {
			continue
		}
		other, ok := a.Lookup(name)
		if !ok {
			return true // nothing to compare: a multiplexed call, or none
		}
		if a == reference && other == nr {
			return true
		}
		args, known := reference.Args(nr)
		otherArgs, otherKnown := a.Args(other)
		if !known || !otherKnown {
			return len(q.pattern.Conditions) == 0
		}
		words := reference.WordMask() & a.WordMask()
		for _, c := range q.pattern.Conditions {
			i := index(reference, nr, c)
			if i == policy.IPWord {
				continue
			}
			if i >= len(args) || i >= len(otherArgs) || args[i].Name != otherArgs[i].Name || (args[i].Mask^otherArgs[i].Mask)&words != 0 {
				return false
			}
		}
		return true
	}
	return true // no ABI has the arguments: let the pattern be refused as it is
}

// has reports whether number nr on a has all arguments that the conditions name.
func has(a abi.ABI, nr uint32, conditions []policy.Condition) bool {
	return !slices.ContainsFunc(conditions, func(c policy.Condition) bool { return index(a, nr, c) < 0 })
}

// index returns the argument of number nr on a that c looks at, -1 if it names
// one that the call has not.
func index(a abi.ABI, nr uint32, c policy.Condition) int {
	if c.Arg == "" {
		return c.Index
	}
	if i, ok := a.ArgIndex(nr, c.Arg); ok {
		return i
	}
	return -1
}
