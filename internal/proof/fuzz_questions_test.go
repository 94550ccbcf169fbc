package proof

import (
	"errors"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// FuzzQuestions asks everything of any program: each question ends, what Decompile
// returns does what the program does, and where Diff finds no difference from
// another program there is none.
func FuzzQuestions(f *testing.F) {
	f.Add(linear(f, handPolicy(abi.AMD64)).Bytes(false), uint64(1))
	f.Add(linear(f, handPolicy(abi.I386)).Bytes(false), uint64(2))
	f.Add(bpf.Program{bpf.Stmt(bpf.LdAbs, 0), bpf.Jump(bpf.JsetK, 1, 0, 1), bpf.Stmt(bpf.RetK, 0), bpf.Stmt(bpf.RetK, uint32(abi.Allow))}.Bytes(false), uint64(3))
	f.Add(bpf.Program{bpf.Stmt(bpf.LdAbs, 16), bpf.Stmt(bpf.AndK, 7), bpf.Stmt(bpf.OrK, uint32(abi.Errno)), bpf.Stmt(bpf.RetA, 0)}.Bytes(false), uint64(4))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		p, err := bpf.FromBytes(data, false)
		if err != nil || p.Validate() != nil || len(p) > 200 {
			return
		}
		s := NewSpace(Budget{Nodes: 1 << 15})
		function, err := s.Program(p, false)
		if err != nil {
			return
		}
		sampler := newSampler(seed, allowAll, p)
		if got, err := s.Decompile(function, abi.AMD64); err == nil {
			r, _, err := got.Resolve(policy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				c := sampler.call()
				if want, got := Effect(p.Run(c, false).Return), r.Eval(c).Action; got != want {
					t.Fatalf("%+v gets %v, not %v", c, got, want)
				}
			}
		} else if !errors.Is(err, ErrInexpressible) && !errors.Is(err, ErrUnknown) {
			t.Fatal(err)
		}
		if s.Err() != nil {
			s = NewSpace(Budget{Nodes: 1 << 15})
			if function, err = s.Program(p, false); err != nil {
				return
			}
		}
		other, err := s.Policy(allowAll)
		if err != nil {
			return
		}
		regions, err := s.Diff(function, other, []abi.ABI{abi.AMD64}, nil)
		if err != nil {
			return
		}
		for i := range regions {
			if err := regions[i].Confirm(func(c abi.Call) abi.Action { return p.Run(c, false).Return }, func(c abi.Call) abi.Action { return allowAll.Eval(c).Action }); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			if c := sampler.call(); len(regions) == 0 && p.Run(c, false).Return != abi.Allow {
				t.Fatalf("no difference, but %+v gets %v", c, p.Run(c, false).Return)
			}
		}
	})
}
