package sysgate

import (
	"syscall"
	"testing"

	"github.com/sysgate/sysgate/internal/testkit"
)

// The filter is in place, on the way that looks at the hash only and on the other.
func TestPrecompiledInstall(t *testing.T) {
	for name, o := range map[string]Options{"hash": {}, "best effort": {BestEffort: true}} {
		t.Run(name, func(t *testing.T) {
			testkit.NeedFilters(t)
			testkit.RunInSubprocess(t, func(t *testing.T) {
				in, err := precompiled(t, noHostname).Install(o)
				if err != nil {
					t.Fatal(err)
				}
				if in.Verified == EvidenceNone || len(in.Filter.Program) == 0 {
					t.Errorf("%+v", in)
				}
				// The kernel itself would find the name too long.
				if err := syscall.Sethostname(make([]byte, 65)); err != syscall.EXDEV {
					t.Errorf("sethostname: %v", err)
				}
			})
		})
	}
}
