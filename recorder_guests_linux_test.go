package sysgate_test

import (
	"strings"
	"testing"
)

// recorderGuests are another processor, and a kernel on which programs of the recorder
// cannot wait (Linux 5.17).
var recorderGuests = []guest{listenerGuests[0], listenerGuests[2]}

// TestRecorderGuests runs the recorders on other kernels.
func TestRecorderGuests(t *testing.T) {
	needGuests(t)
	for _, g := range recorderGuests {
		t.Run(g.name, func(t *testing.T) {
			out := g.runTests(t, "./internal/record", "^TestOwnCalls$")
			for _, recorder := range []string{"ebpf", "notify", "ptrace"} {
				if !strings.Contains(out, "--- PASS: TestOwnCalls/"+recorder+" ") {
					t.Errorf("%s did not pass\n%s", recorder, out)
				}
			}
		})
	}
}
