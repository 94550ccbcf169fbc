package registry

import (
	"reflect"
	"slices"

	"github.com/sysgate/sysgate/seccomp"
)

// clone returns a copy of p that shares nothing with it.
func clone(p *seccomp.Policy) *seccomp.Policy {
	if p == nil {
		return nil
	}
	copied := *p
	out := &copied
	if p.BadArchAction != nil {
		action := *p.BadArchAction
		out.BadArchAction = &action
	}
	out.Syscalls = slices.Clone(p.Syscalls)
	for i := range out.Syscalls {
		group := &out.Syscalls[i]
		group.Names = slices.Clone(group.Names)
		group.NamesWithCondtions = slices.Clone(group.NamesWithCondtions)
		for j := range group.NamesWithCondtions {
			named := &group.NamesWithCondtions[j]
			named.Conditions = slices.Clone(named.Conditions)
		}
	}
	return out
}

// equal reports whether a and b say the same in the same order of groups. The
// order of the plain names of a group means nothing.
func equal(a, b *seccomp.Policy) bool {
	return reflect.DeepEqual(ordered(a), ordered(b))
}

func ordered(p *seccomp.Policy) *seccomp.Policy {
	out := clone(p)
	for i := range out.Syscalls {
		group := &out.Syscalls[i]
		slices.Sort(group.Names)
		if len(group.Names) == 0 {
			group.Names = nil
		}
		if len(group.NamesWithCondtions) == 0 {
			group.NamesWithCondtions = nil
		}
	}
	return out
}
