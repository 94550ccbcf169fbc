package build

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
)

func TestLongest(t *testing.T) {
	p := bpf.Program{
		bpf.Stmt(bpf.LdAbs, bpf.OffsetNR),
		bpf.Jump(bpf.JeqK, 1, 0, 2),
		bpf.Stmt(bpf.Ja, 2),
		bpf.Stmt(bpf.RetK, 0),
		bpf.Stmt(bpf.RetK, 0),
		bpf.Stmt(bpf.RetK, 0),
	}
	if got, want := Longest(p), 4; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

// TestLongestExecuted sees that no call executes more than Longest says.
func TestLongestExecuted(t *testing.T) {
	testkit.Check(t, 100, func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		filter, ok := buildOrRefuse(t, r)
		if !ok {
			return
		}
		longest := Longest(filter.Program)
		for _, c := range callsFor(r, 1, 300) {
			if steps := filter.Program.Run(c, r.BigEndian()).Steps; steps > longest {
				t.Fatalf("%+v executes %d instructions, the longest way has %d", c, steps, longest)
			}
		}
	})
}
