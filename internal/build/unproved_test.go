package build

import (
	"errors"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// TestUnproved sees that a program that is not the policy is an error that says
// which call shows it.
func TestUnproved(t *testing.T) {
	r := &policy.Resolved{
		ABIs: []policy.ResolvedABI{{
			ABI:     abi.AMD64,
			Default: abi.Errno.WithData(1),
			Unknown: abi.Errno.WithData(38),
			Known:   []policy.NumberRange{{Lo: 0, Hi: 400}},
			Rules: []policy.ResolvedRule{{
				Numbers: []policy.NumberRange{{Lo: 16, Hi: 16}},
				Any:     []policy.Alternative{{{Word: 1, Mask: 0xffffffff, In: []policy.Interval{{Lo: 0x5413, Hi: 0x5413}}}}},
				Action:  abi.Allow,
			}},
		}},
		BadArch: abi.KillProcess,
		X32:     abi.Errno.WithData(38),
	}
	filter, err := Build(r)
	if err != nil {
		t.Fatal(err)
	}
	wrong := append(bpf.Program(nil), filter.Program...)
	for i := range wrong {
		if wrong[i].K == 0x5413 {
			wrong[i].K++
		}
	}
	err = unproved(proof.Equal(r, wrong, proof.Budget{}))
	const want = "compiled program is not the policy: amd64:ioctl(0, 21523, 0) gets errno(1), should get allow"
	if err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
	err = unproved(proof.Equal(r, filter.Program, proof.Budget{Nodes: 10}))
	var unproved *UnprovedError
	if !errors.As(err, &unproved) || unproved.Result.Verdict != proof.Unknown || unproved.Result.Reason == "" {
		t.Errorf("a proof without budget gives %v", err)
	}
}
