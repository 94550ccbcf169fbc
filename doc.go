// Package sysgate gives the program that imports it the system calls it needs,
// and no others:
//
//	//go:embed policy.yaml
//	var files embed.FS
//
//	p, err := policy.ParseFS(files, "policy.yaml")
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
// # What Install does to the process
//
// It installs by seccomp(2), on all threads in one step. Where that is missing (an
// old kernel, or a container whose filter answers ENOSYS) it goes by prctl(2), thread
// after thread, by means of Go's runtime; in a program that uses cgo, whose threads
// Go does not know, that is an error, unless Options.ThisThread asks for one thread.
// Then it looks whether the filter is in place, as far as it can do so without a call
// that the filter would deny: the filter is read for that first. Under an older
// filter, of which nothing is known, it makes no call but those two and believes the
// kernel. Installed.Verified says what the evidence is. If a thread is seen without
// the filter, Install fails, and the program should end.
//
// # Limits
//
// A filter sees numbers and registers, not what a pointer points at. It holds for the
// program and for everything that it starts. A program that a policy denies the calls
// of its own runtime does not live long: profile it first (sysgate profile). Where
// seccomp(2) is missing and threads already have different filters that cannot be
// seen, the runtime may end the process instead of returning an error.
package sysgate
