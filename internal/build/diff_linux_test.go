package build

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestDifferentialKernel is TestDifferential on what the running kernel can be
// asked: amd64 and x32 numbers, and 386 by int 0x80.
func TestDifferentialKernel(t *testing.T) {
	oracle := testkit.NewOracle(t)
	amd64, i386 := abi.AMD64.AuditArch(), abi.I386.AuditArch()
	o := testkit.PolicyOptions{
		ABIs:   []abi.ABI{abi.AMD64, abi.I386, abi.X32},
		Values: []uint64{oracle.IP(amd64), oracle.IP(i386)},
	}
	differential(t, scale(1000, 10_000), o, func(t *rapid.T, f *Filter, calls []abi.Call) int {
		var fire []abi.Call
		for _, c := range calls {
			if c.Arch == amd64 || c.Arch == i386 {
				fire = append(fire, c)
			}
		}
		fired, got, err := oracle.Eval(f.Program, fire)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range fired {
			if want := f.Policy.Eval(c).Action; got[i] != want {
				t.Fatalf("kernel: %+v: got %v, want %v", c, got[i], want)
			}
		}
		return len(fired)
	})
}
