// Package seccomp installs a system-call filter, in the API that go-seccomp-bpf
// documents: programs that use it change an import path.
//
//	filter := seccomp.Filter{
//		NoNewPrivs: true,
//		Flag:       seccomp.FilterFlagTSync,
//		Policy: seccomp.Policy{
//			DefaultAction: seccomp.ActionAllow,
//			Syscalls: []seccomp.SyscallGroup{
//				{Action: seccomp.ActionErrno, Names: []string{"fork", "vfork", "execve", "execveat"}},
//			},
//		},
//	}
//	err := seccomp.LoadFilter(filter)
//
// The calls that most people need:
//
//   - [LoadFilter] compiles a policy, proves that the filter is the policy for
//     every possible call, installs it, and sees that it is in place.
//   - [Policy.Assemble] and [Policy.Dump] show the program, on every operating
//     system.
//   - [Policy.Lower] gives the policy in sysgate's own model, to go on from here:
//     written as a file, checked, compared, or installed with a listener.
//
// # Meaning
//
// The first group that matches a call decides; a call that none matches takes the
// default action. Entries of one name in NamesWithCondtions are alternatives; the
// conditions of one entry must all hold. Comparisons are unsigned.
//
// Where go-seccomp-bpf lets through what its user meant to stop, this package
// does not: calls of another architecture kill the process (see
// Policy.BadArchAction), a comparison sees only the bits of an argument that the
// kernel reads, and nothing succeeds in silence. docs/migrating.md has the list.
//
// # Limits
//
// A filter is for the architecture that the program is built for. The types can
// say no more than they document: for several architectures, sets of calls,
// masked equality, capabilities or a listener, write a
// [github.com/sysgate/sysgate/policy.Policy].
package seccomp
