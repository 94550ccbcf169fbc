// Package sysgate gives the program that imports it the system calls it needs,
// and no others:
//
//	//go:embed policy.yaml
//	var policyYAML []byte
//
//	p, err := policy.Parse("policy.yaml", policyYAML)
//	…
//	_, err = sysgate.Install(p, sysgate.Options{})
//
// Install compiles the policy, proves that the filter is the policy for every
// possible call, sets no_new_privs, gives every thread the filter, and sees that
// it is in place. What it cannot do it reports; it never succeeds in silence.
//
// The calls that most people need:
//
//   - [Install] does all of it. A filter cannot be taken off again; a second,
//     stricter one can be put on top.
//   - [Compile] does what needs no kernel, on every operating system: for tests,
//     and to show what a policy says before it is enforced.
//   - [Features] says what the running kernel supports; [Degrade], what a policy
//     becomes where something is missing.
//   - [Listener.Serve] answers, in another process, the calls for which a policy
//     says user_notify.
//
// Limits: a filter sees numbers and registers, not what a pointer points at. It
// holds for the program and for everything that it starts. A program that a
// policy denies the calls of its own runtime does not live long: profile it first
// (sysgate profile).
package sysgate
