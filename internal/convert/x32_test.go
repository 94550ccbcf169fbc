package convert

import (
	"fmt"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// TestX32Words holds comparisons on x32 to 32 bits, which is what libseccomp
// compares there, whatever the high word is.
func TestX32Words(t *testing.T) {
	for _, tc := range []struct {
		op      string
		v       uint64
		matches func(low uint64) bool
	}{
		{"SCMP_CMP_EQ", 40, func(low uint64) bool { return low == 40 }},
		{"SCMP_CMP_NE", 0, func(low uint64) bool { return low != 0 }},
		{"SCMP_CMP_LT", 38, func(low uint64) bool { return low < 38 }},
		{"SCMP_CMP_LT", 0, func(uint64) bool { return false }},
		{"SCMP_CMP_LE", 0xffffffff, func(uint64) bool { return true }},
		{"SCMP_CMP_GT", 40, func(low uint64) bool { return low > 40 }},
		{"SCMP_CMP_GT", 0xffffffff, func(uint64) bool { return false }},
		{"SCMP_CMP_GE", 41, func(low uint64) bool { return low >= 41 }},
	} {
		profile := `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X32"], "syscalls": [{"names": ["socket"],
			"action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": ` + fmt.Sprint(tc.v) + `, "op": "` + tc.op + `"}]}]}`
		p, _, err := OCI("p.json", []byte(profile), OCIOptions{Options: Options{Native: abi.AMD64, Runtime: Kernel}})
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := p.Resolve(policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		nr, _ := abi.X32.Lookup("socket")
		for _, low := range []uint64{0, 1, 37, 38, 39, 40, 41, 0x80000000, 0xffffffff} {
			for _, high := range []uint64{0, 1 << 32, 0xffffffff << 32} {
				want := abi.Errno.WithData(1)
				if tc.matches(low) {
					want = abi.Allow
				}
				c := abi.Call{NR: nr, Arch: abi.X32.AuditArch(), Args: [6]uint64{low | high}}
				if got := r.Eval(c).Action; got != want {
					t.Errorf("%s %d of %#x: %v, want %v", tc.op, tc.v, low|high, got, want)
				}
			}
		}
	}
}
