package convert

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// TestLibseccompKernel has the kernel as third witness where TestLibseccomp finds
// a difference: the filter does there what the proof says that it does.
func TestLibseccompKernel(t *testing.T) {
	l := newLibseccomp(t)
	oracle := testkit.NewOracle(t)
	s := scope{
		native: abi.AMD64, arches: []string{"SCMP_ARCH_X86_64"}, names: []string{"socket", "kill", "ioctl"},
		ops:     []string{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"},
		actions: []ociAction{{Action: "SCMP_ACT_ALLOW"}}, args: 4, repeat: true,
	}
	r := rand.New(rand.NewPCG(2, 0))
	const want, tries = 5, 300
	seen := 0
	for range tries {
		if seen == want {
			return
		}
		p := s.random(r)
		program, err := l.filter(p, false)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		read, _, err := OCI("p.json", text, OCIOptions{Options: Options{Native: s.native, Runtime: Kernel}})
		if err != nil {
			t.Fatal(err)
		}
		resolved, _, err := read.Resolve(policy.Options{Native: s.native})
		if err != nil {
			t.Fatal(err)
		}
		result := proof.Equal(resolved, program, proof.Budget{})
		if result.Verdict != proof.Different {
			continue
		}
		fired, got, err := oracle.Eval(program, []abi.Call{result.Witness})
		if err != nil {
			t.Fatal(err)
		}
		if len(fired) == 0 || fired[0].Args != result.Witness.Args {
			continue // a call that cannot be fired as it is
		}
		seen++
		if got[0] != result.Got || p.possible(abi.AMD64, fired[0])[got[0]] {
			t.Errorf("%s: the kernel says %v, the proof %v, the profile %v\n%s", policy.FormatCall(fired[0]), got[0], result.Got, p.possible(abi.AMD64, fired[0]), text)
		}
	}
	t.Skipf("%d of %d profiles differ with the installed libseccomp: nothing to witness", seen, tries)
}
