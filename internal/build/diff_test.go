package build

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// TestDifferential holds three opinions on random policies of all ABIs against
// each other, on calls at their edges: policy.Eval, the simulator, and the proof.
func TestDifferential(t *testing.T) {
	differential(t, scale(700, 7000), testkit.PolicyOptions{}, nil)
}

// differential builds random policies, which proves them, and compares Eval with
// the simulator; and, through ask, with a further
// oracle if there is one. ask returns how many of the calls it could ask about.
func differential(t *testing.T, cases int, o testkit.PolicyOptions, ask func(*rapid.T, *Filter, []abi.Call) int) {
	const callsEach = 400
	policies := testkit.Policies(o)
	proved, refused, asked, instructions, largest := 0, 0, 0, 0, 0
	var compile, proof time.Duration // longest
	testkit.Check(t, cases, func(t *rapid.T) {
		r := policies.Draw(t, "policy")
		filter, ok := buildOrRefuse(t, r)
		if !ok {
			refused++
			return
		}
		calls := callsFor(r, rapid.Uint64().Draw(t, "seed"), callsEach)
		for _, c := range calls {
			if got, want := filter.Program.Run(c, r.BigEndian()).Return, r.Eval(c).Action; got != want {
				t.Fatalf("simulator: %+v: got %v, want %v", c, got, want)
			}
		}
		if ask != nil {
			asked += ask(t, filter, calls)
		}
		proved++
		instructions += len(filter.Program)
		largest = max(largest, len(filter.Program))
		compile, proof = max(compile, filter.CompileTime), max(proof, filter.ProofTime)
	})
	t.Logf("%d policies proved, %d calls simulated, %d asked of the kernel, 0 disagreements", proved, proved*callsEach, asked)
	t.Logf("%d instructions on average, at most %d; longest compilation %v, longest proof %v; %d policies refused",
		instructions/proved, largest, compile, proof, refused)
	if refused > proved/100 {
		t.Error("too many policies are too large, or the proof cannot decide them")
	}
}

// scale returns the number of cases to run: more in make test-long.
func scale(usual, long int) int {
	if os.Getenv("SYSGATE_LONG") != "" {
		return long
	}
	return usual
}

// buildOrRefuse builds r in some mode, runs the proof with it, and accepts two
// errors: that the program is too large, and that the proof cannot decide.
func buildOrRefuse(t *rapid.T, r *policy.Resolved) (*Filter, bool) {
	mode := rapid.SampledFrom([]Mode{Cached, Uncached, Size}).Draw(t, "mode")
	filter, err := BuildFor(r, Options{Mode: mode})
	var unproved *UnprovedError
	if errors.Is(err, ErrTooLarge) || errors.As(err, &unproved) && strings.HasPrefix(unproved.Result.Reason, "budget") {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return filter, true
}

func callsFor(r *policy.Resolved, seed uint64, n int) []abi.Call {
	g := testkit.NewCallGen(r, seed)
	calls := make([]abi.Call, n)
	for i := range calls {
		calls[i] = g.Next()
	}
	return calls
}
