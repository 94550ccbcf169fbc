package compile

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

func TestUnion(t *testing.T) {
	const last = ^uint64(0)
	value := rapid.SampledFrom([]uint64{0, 1, 2, 3, 4, 5, 6, 7, last - 2, last - 1, last})
	set := rapid.Custom(func(t *rapid.T) []policy.Interval {
		var in []policy.Interval
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			a, b := value.Draw(t, "a"), value.Draw(t, "b")
			in = append(in, policy.Interval{Lo: min(a, b), Hi: max(a, b)})
		}
		return testkit.JoinIntervals(in)
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := set.Draw(t, "a"), set.Draw(t, "b")
		got, want := union(a, b), testkit.JoinIntervals(slices.Concat(a, b))
		if !slices.Equal(got, want) {
			t.Fatalf("%v and %v: got %v, want %v", a, b, got, want)
		}
	})
}

// TestClauses sees what becomes one set, and what does not.
func TestClauses(t *testing.T) {
	const full = ^uint64(0)
	deny := abi.Errno.WithData(1)
	rule := func(a abi.Action, any ...policy.Alternative) *policy.ResolvedRule {
		return &policy.ResolvedRule{Any: any, Action: a}
	}
	got := clauses([]*policy.ResolvedRule{
		rule(abi.Allow, policy.Alternative{equal(0, full, 2)}, policy.Alternative{equal(0, full, 7), equal(1, full, 1)}),
		rule(abi.Allow, policy.Alternative{equal(0, full, 3)}, policy.Alternative{equal(0, 0xff, 9)}),
		rule(deny, policy.Alternative{equal(0, full, 4)}),
		rule(abi.Allow, policy.Alternative{equal(0, full, 5)}),
	})
	want := []struct {
		action       abi.Action
		alternatives int
	}{{abi.Allow, 3}, {deny, 1}, {abi.Allow, 1}}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i, w := range want {
		if got[i].action != w.action || len(got[i].any) != w.alternatives {
			t.Errorf("clause %d: got %v, want %d alternatives of %v", i, got[i], w.alternatives, w.action)
		}
	}
	if in := got[0].any[0][0].In; !slices.Equal(in, []policy.Interval{{Lo: 2, Hi: 3}}) {
		t.Errorf("the values 2 and 3 became %v", in)
	}
}
