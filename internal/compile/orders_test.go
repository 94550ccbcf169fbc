package compile

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// TestLowHalfFirst sees that a call whose low half tells that it is allowed does
// not pay for the high half, and that a few allowed values read it once.
func TestLowHalfFirst(t *testing.T) {
	const full = ^uint64(0)
	deny := abi.Errno.WithData(1)
	tests := []struct {
		name     string
		rules    []policy.ResolvedRule
		arg      uint64
		want     abi.Action
		executed int // ld arch, jeq, ld nr, jeq, then the argument, and ret
	}{
		{"a denied value, another", []policy.ResolvedRule{
			{Numbers: numbers(41, 41), Any: []policy.Alternative{{equal(0, full, 38)}}, Action: deny},
			{Numbers: numbers(41, 41), Action: abi.Allow},
		}, 2, abi.Allow, 4 + 2 + 1},
		{"a denied value, itself", []policy.ResolvedRule{
			{Numbers: numbers(41, 41), Any: []policy.Alternative{{equal(0, full, 38)}}, Action: deny},
			{Numbers: numbers(41, 41), Action: abi.Allow},
		}, 38, deny, 4 + 4 + 1},
		{"allowed values", []policy.ResolvedRule{
			{Numbers: numbers(41, 41), Any: []policy.Alternative{{equal(0, full, 1)}, {equal(0, full, 2)}}, Action: abi.Allow},
		}, 2, abi.Allow, 4 + 5 + 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			program, err := Compile(simple(test.rules...), Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := program.Run(abi.Call{Arch: abi.AMD64.AuditArch(), NR: 41, Args: [6]uint64{test.arg}}, false)
			if got.Return != test.want || got.Steps > test.executed {
				t.Errorf("got %v after %d instructions, want %v after at most %d", got.Return, got.Steps, test.want, test.executed)
			}
		})
	}
}
