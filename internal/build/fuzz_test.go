package build

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/internal/testkit"
)

// FuzzBuild lets the fuzzer choose the policies of TestDifferential.
func FuzzBuild(f *testing.F) {
	for seed := range byte(4) { // eight bytes are a choice
		choices := make([]byte, 1<<14)
		_, _ = rand.NewChaCha8([32]byte{seed}).Read(choices)
		f.Add(choices)
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		filter, ok := buildOrRefuse(t, r)
		if !ok {
			return
		}
		for _, c := range callsFor(r, rapid.Uint64().Draw(t, "seed"), 200) {
			if got, want := filter.Program.Run(c, r.BigEndian()).Return, r.Eval(c).Action; got != want {
				t.Fatalf("%+v: got %v, want %v", c, got, want)
			}
		}
	}))
}
