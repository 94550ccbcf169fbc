package proof

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// A literal lowering of a random policy is proved; whatever one random change
// makes of it, Equal and many calls agree.
func TestEqualRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := genPolicy().Draw(rt, "policy")
		p := linear(t, r)
		if result := Equal(r, p, Budget{}); result.Verdict != Proved {
			rt.Fatalf("%+v", result)
		}
		i := rapid.IntRange(0, len(p)-1).Draw(rt, "instruction")
		p[i].K = genConstant().Draw(rt, "k")
		agree(rt, r, p)
	})
}

// agree fails unless Equal's verdict on r and p stands up to many calls.
func agree(t *rapid.T, r *policy.Resolved, p bpf.Program) {
	result := Equal(r, p, Budget{})
	switch result.Verdict {
	case Different:
		want, got := r.Eval(result.Witness).Action, p.Run(result.Witness, r.BigEndian()).Return
		if want == got || want != result.Want || got != result.Got {
			t.Fatalf("bad witness: %+v: policy %v, program %v", result, want, got)
		}
	case Proved:
		for range 100 {
			c := genCall().Draw(t, "call")
			if want, got := r.Eval(c).Action, p.Run(c, r.BigEndian()).Return; want != got {
				t.Fatalf("proved equal, but policy says %v, program %v of %+v", want, got, c)
			}
		}
	case Unknown:
		if p.Validate() == nil {
			t.Fatalf("%+v", result)
		}
	}
}
