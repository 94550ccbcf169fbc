// Package gate compares what two versions of a program can call, and says what
// brought each call that is new.
//
//	s := proof.NewSpace(proof.Budget{})
//	old, err := gate.Programs(s, "v1", results...)      // or Policy, Runs
//	now, err := gate.Programs(s, "v2", results...)
//	report, err := gate.Compare(s, old, now, gate.Options{})
//
// A [Side] is programs, as [profile.File] or a saved profile has them, a policy or
// filter, or recordings. Each is a set of calls, arguments included, so that the
// answer is exact for what a side says: a policy that restricts the arguments of a
// call admits some of them, a profile that does not know arguments can call all.
//
// Between programs, [Compare] tells apart what the program itself brought from
// what a new or upgraded module, another Go release or another C library did.
//
// # Limits
//
// The cause of a call is told by one path to it, the shortest. A path over data
// (an interface, a method, a variable) is one that may not be taken. An unchanged
// module that the program uses in a new way counts as the program's own change.
package gate
