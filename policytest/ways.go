package policytest

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// services returns patterns for the other calls on the ABIs that do the service of
// a call that p names: with p's conditions if they have the arguments that those
// look at, else without any, because a filter cannot tell.
func services(p policy.Pattern, abis []abi.ABI) []policy.Pattern {
	if p.Name == "" {
		return nil
	}
	names, isSet := policy.Set(p.Name)
	if !isSet {
		names = []string{p.Name}
	}
	var all []policy.Pattern
	for _, on := range abis {
		if p.ABI != abi.None && p.ABI != on {
			continue
		}
		for _, name := range names {
			for _, same := range on.Group(name) {
				if slices.Contains(names, same) {
					continue
				}
				way := policy.Pattern{ABI: on, Name: same}
				if reference, ok := taken(p, abis); !ok || sameArguments(reference, name, on, same, p.Conditions) {
					way.Conditions = p.Conditions
				}
				all = append(all, way)
			}
		}
	}
	return all
}

// taken returns the first of the ABIs on which p's call has the arguments that its
// conditions look at: where p can be taken as it is written.
func taken(p policy.Pattern, abis []abi.ABI) (abi.ABI, bool) {
	for _, a := range abis {
		nr, ok := a.Lookup(p.Name)
		args, _ := a.Args(nr)
		if ok && !slices.ContainsFunc(p.Conditions, func(c policy.Condition) bool {
			i := index(a, nr, c)
			return i < 0 || i >= len(args) && i != policy.IPWord
		}) {
			return a, true
		}
	}
	return abi.None, false
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

// sameArguments reports whether the arguments that the conditions look at have the
// same name, place and width in both calls, as far as both ABIs have words.
func sameArguments(a abi.ABI, name string, b abi.ABI, other string, conditions []policy.Condition) bool {
	nr, _ := a.Lookup(name)
	otherNR, _ := b.Lookup(other)
	args, _ := a.Args(nr)
	otherArgs, _ := b.Args(otherNR)
	words := a.WordMask() & b.WordMask()
	for _, c := range conditions {
		i := index(a, nr, c)
		if i == policy.IPWord {
			continue
		}
		if i >= len(args) || i >= len(otherArgs) || args[i].Name != otherArgs[i].Name || (args[i].Mask^otherArgs[i].Mask)&words != 0 {
			return false
		}
	}
	return true
}
