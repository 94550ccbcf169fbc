package proof

import (
	"os"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// mutants yields each valid program that differs from p in one instruction, at
// the given index, in one of the usual ways.
func mutants(p bpf.Program, yield func(at int, m bpf.Program)) {
	try := func(at int, i bpf.Instruction) {
		m := append(bpf.Program(nil), p...)
		m[at] = i
		if i != p[at] && m.Validate() == nil {
			yield(at, m)
		}
	}
	for at, i := range p {
		for _, k := range []uint32{0, i.K - 1, i.K + 1, i.K ^ 1<<31, i.K << 1, ^i.K, i.K ^ 4} {
			m := i
			m.K = k
			try(at, m)
		}
		for _, code := range []uint16{
			bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK, bpf.JeqX, bpf.LdAbs, bpf.LdImm, bpf.AndK, bpf.OrK, bpf.XorK, bpf.AddK, bpf.SubK, bpf.MulK, bpf.DivK, bpf.LshK, bpf.RshK,
			bpf.Neg, bpf.AndX, bpf.AddX, bpf.MulX, bpf.DivX, bpf.LshX, bpf.Tax, bpf.Txa, bpf.LdxImm, bpf.LdLen, bpf.St, bpf.RetK, bpf.RetA, bpf.Ja,
		} {
			m := i
			m.Code = code
			try(at, m)
		}
		if i.IsBranch() {
			swapped := i
			swapped.JT, swapped.JF = i.JF, i.JT
			try(at, swapped)
			for _, by := range []uint8{1, 255} {
				m := i
				m.JT += by
				try(at, m)
				m = i
				m.JF += by
				try(at, m)
			}
		}
	}
}

// Every mutant is either proved, and then no call tells it from the policy, or
// has a confirmed witness; only products and quotients may go beyond the budget.
func TestMutants(t *testing.T) {
	type pair struct {
		r *policy.Resolved
		p bpf.Program
	}
	cases := map[string]pair{
		"little endian": {handPolicy(abi.AMD64), handProgram(t, abi.AMD64)},
		"big endian":    {handPolicy(abi.S390X), handProgram(t, abi.S390X)},
	}
	if os.Getenv("SYSGATE_LONG") != "" {
		r := handPolicy(abi.X32, abi.I386, abi.AMD64)
		cases["three ABIs"] = pair{r, linear(t, r)}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			const calls = 10_000
			budget := Budget{Nodes: 1 << 17}
			if result := agree(t, c.r, c.p, budget, calls); result.Verdict != Proved {
				t.Fatalf("%+v", result)
			}
			verdicts := map[Verdict]int{}
			mutants(c.p, func(at int, m bpf.Program) {
				verdict := agree(t, c.r, m, budget, calls).Verdict
				verdicts[verdict]++
				if verdict == Unknown && m[at].Code != bpf.MulK && m[at].Code != bpf.DivK {
					t.Errorf("no verdict with %v at %d", m[at], at)
				}
			})
			t.Log(verdicts)
			if verdicts[Proved] == 0 || verdicts[Different] == 0 || 100*verdicts[Unknown] > verdicts[Different]+verdicts[Proved] {
				t.Errorf("want few unknown, and some of the others: %v", verdicts)
			}
		})
	}
}
