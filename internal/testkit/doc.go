// Package testkit is for tests only: it asks the running kernel what it thinks
// of a filter, runs a test in a process of its own, and skips what this machine
// cannot run, with the reason.
//
//	o := testkit.NewOracle(t)
//	fired, got, err := o.Eval(program, calls) // what the kernel decides
//
//	testkit.RunInSubprocess(t, func(t *testing.T) { … }) // may install filters
//
//	testkit.Need(t, testkit.Notify)
//
// The oracle needs Linux on amd64 with the 386 entry, and gcc.
package testkit
