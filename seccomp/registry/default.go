package registry

import (
	_ "embed" // for the lists
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/seccomp"
)

// The lists that the default policies are made of. TestDefaultLists writes and
// checks those that are allowed; see defaults/README.md.
var (
	//go:embed defaults/deny.txt
	deniedList string
	//go:embed defaults/amd64.txt
	allowedAMD64 string
	//go:embed defaults/386.txt
	allowed386 string
)

// enosys is the errno of calls that no list has: programs take it for an older
// kernel, and do without the call. It is 38 on all ABIs that have a default
// policy (include/uapi/asm-generic/errno.h).
const enosys = 38

// cloneNewNamespace is clone where it makes a namespace, as unshare does: any of
// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET
// (include/uapi/linux/sched.h) among its flags, argument 0 on the ABIs that have
// a default policy.
var cloneNewNamespace = seccomp.NameWithConditions{
	Name:       "clone",
	Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: 0x7e020000}},
}

// builtin returns the built-in default policy for a; nil if there is none.
func builtin(a abi.ABI) *seccomp.Policy {
	denied := []seccomp.SyscallGroup{
		{
			Action:             seccomp.ActionErrno,
			Names:              names(deniedList, a),
			NamesWithCondtions: []seccomp.NameWithConditions{cloneNewNamespace},
		},
		// Its flags lie behind a pointer, where no filter sees that they ask for a
		// namespace. Libraries fall back to clone.
		{Action: seccomp.ActionErrno | enosys, Names: []string{"clone3"}},
	}
	var allowed string
	switch a {
	case abi.AMD64:
		allowed = allowedAMD64
	case abi.I386:
		allowed = allowed386
	case abi.ARM, abi.ARM64:
		return &seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: denied}
	default:
		return nil
	}
	return &seccomp.Policy{
		DefaultAction: seccomp.ActionErrno | enosys,
		Syscalls:      append(denied, seccomp.SyscallGroup{Action: seccomp.ActionAllow, Names: names(allowed, a)}),
	}
}

// names returns the names of a list that a has, sorted: one a line, and comments
// from "#" on.
func names(list string, a abi.ABI) []string {
	var all []string
	for line := range strings.Lines(list) {
		line, _, _ = strings.Cut(line, "#")
		for _, name := range strings.Fields(line) {
			if nr, ok := a.Lookup(name); ok {
				all = append(all, a.SyscallName(nr)) // not an alias, which would be a duplicate
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
