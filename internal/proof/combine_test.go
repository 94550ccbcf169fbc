package proof

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A combination gives each call what is made of the two actions; its parts are
// nowhere looser than their union, and their intersection nowhere looser than they.
func TestCombineRandom(t *testing.T) {
	done := 0
	rapid.Check(t, func(rt *rapid.T) {
		a, b := genPolicy().Draw(rt, "a"), genPolicy().Draw(rt, "b")
		s := NewSpace(Budget{})
		f, errA := s.Policy(a)
		g, errB := s.Policy(b)
		if err := errors.Join(errA, errB); err != nil {
			rt.Skip(err)
		}
		sampler := newSampler(3, a, nil)
		for name, choose := range map[string]func(x, y abi.Action) abi.Action{"stricter": Stricter, "looser": Looser, "stack": Stack} {
			h := s.Combine(f, g, choose)
			if s.Err() != nil {
				rt.Skip(s.Err())
			}
			if same := s.Combine(f, f, choose); same != f {
				rt.Fatalf("%s: with itself, a policy is another one", name)
			}
			for range 10 {
				c := sampler.call()
				calls := s.one(c)
				all := s.Outcomes(h, calls)
				if want := choose(a.Eval(c).Action, b.Eval(c).Action); len(all) != 1 || all[0].Action != want || all[0].Witness != c {
					rt.Fatalf("%s: %s gets %+v, want %v", name, policy.FormatCall(c), all, want)
				}
			}
			loosened := func(x, y abi.Action) bool { return y.Stricter(x) }
			below, above := f, h
			if name != "looser" {
				below, above = h, f
			}
			if regions, err := s.Diff(below, above, nil, loosened); err == nil && len(regions) > 0 {
				rt.Fatalf("%s: looser than it can be: %+v", name, regions)
			}
			done++
		}
	})
	if done == 0 {
		t.Error("nothing was combined")
	}
}

// one returns the set of one call.
func (s *Space) one(c abi.Call) Set {
	out := s.d.between(field{wordArch, wordBits}, 1<<wordBits-1, uint64(c.Arch), uint64(c.Arch))
	out = s.d.and(out, s.d.numbers([]policy.NumberRange{{Lo: c.NR, Hi: c.NR}}))
	for i, v := range append(c.Args[:], c.IP) {
		out = s.d.and(out, s.d.test(policy.Test{Word: uint8(i), Mask: ^uint64(0), In: []policy.Interval{{Lo: v, Hi: v}}}))
	}
	return Set{out}
}

// Of a stack, the kernel takes the strictest action, and of two alike the newer
// filter's with its data; see internal/kernel's tests for the kernel's own word.
func TestStack(t *testing.T) {
	e1, e2 := abi.Errno.WithData(1), abi.Errno.WithData(2)
	for _, c := range []struct{ older, newer, want abi.Action }{
		{e1, e2, e2},
		{e2, e1, e1},
		{abi.Allow, e1, e1},
		{e1, abi.Allow, e1},
		{abi.KillThread, abi.KillProcess, abi.KillProcess},
		{abi.KillProcess, abi.KillThread, abi.KillProcess},
		{abi.UserNotify, abi.Trace, abi.UserNotify},
		{abi.Log, abi.Allow, abi.Log},
	} {
		if got := Stack(c.older, c.newer); got != c.want {
			t.Errorf("%v under %v: %v, want %v", c.older, c.newer, got, c.want)
		}
	}
	if Stricter(e1, e2) != e1 || Looser(e1, e2) != e1 || Looser(e1, abi.Log) != abi.Log || Stricter(abi.Log, e1) != e1 {
		t.Error("of two actions alike, the first's")
	}
}
