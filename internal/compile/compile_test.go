package compile

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/internal/testkit"
)

// TestCompileMeansThePolicy compares programs with Eval in the simulator.
func TestCompileMeansThePolicy(t *testing.T) {
	cases := 0
	testkit.Check(t, 1000, func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		seed := rapid.Uint64().Draw(t, "seed")
		program, err := Compile(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := program.Validate(); err != nil {
			t.Fatal(err)
		}
		calls := testkit.NewCallGen(r, seed)
		for range 300 {
			c := calls.Next()
			if got, want := program.Run(c, r.BigEndian()).Return, r.Eval(c).Action; got != want {
				t.Fatalf("%+v: got %v, want %v", c, got, want)
			}
			cases++
		}
	})
	t.Logf("%d calls", cases)
}
