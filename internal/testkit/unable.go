package testkit

import "testing"

// Unable skips the test where this machine does not let it do what it is about, although
// all that it takes is installed: a container runtime that starts nothing, an audit
// daemon that does not run. CI takes it for a failure: its machine can.
func Unable(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Skipf("unable here: "+format, args...)
}
