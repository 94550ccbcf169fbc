package build

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestMutants changes one instruction of a program at a time. The proof has to
// refute the result with a call that the simulator confirms; where it says
// "proved", 10,000 calls at the policy's edges have to agree.
func TestMutants(t *testing.T) {
	refuted, equal, invalid, skipped := 0, 0, 0, 0
	undecided := map[string]int{}
	testkit.Check(t, scale(60, 500), func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		filter, ok := buildOrRefuse(t, r)
		if !ok || filter.Nodes > 1<<16 {
			skipped++ // a proof takes too long to repeat it for every mutant
			return
		}
		calls := callsFor(r, rapid.Uint64().Draw(t, "seed"), 10_000)
		at := rapid.IntRange(0, len(filter.Program)-1)
		for range scale(8, 20) {
			pc := at.Draw(t, "instruction")
			for _, changed := range mutate(filter.Program[pc], rapid.IntRange(0, 31).Draw(t, "bit")) {
				mutant := append(bpf.Program(nil), filter.Program...)
				mutant[pc] = changed
				if mutant.Validate() != nil {
					invalid++
					continue
				}
				switch result := proof.Equal(r, mutant, proof.Budget{}); result.Verdict {
				case proof.Different:
					want, got := r.Eval(result.Witness).Action, mutant.Run(result.Witness, r.BigEndian()).Return
					if want == got || want != result.Want || got != result.Got {
						t.Fatalf("mutant at %d: %v: the witness %+v gets %v, should get %v", pc, changed, result.Witness, got, want)
					}
					refuted++
				case proof.Proved:
					for _, c := range calls {
						if want, got := r.Eval(c).Action, mutant.Run(c, r.BigEndian()).Return; want != got {
							t.Fatalf("mutant at %d: %v: proved, but %+v gets %v, should get %v", pc, changed, c, got, want)
						}
					}
					equal++
				default:
					undecided[result.Reason]++
				}
			}
		}
	})
	t.Logf("%d mutants refuted with a confirmed witness, %d proved equal and agreeing on 10,000 calls each, %d undecided, %d that the kernel would refuse; %d large policies left out",
		refuted, equal, len(undecided), invalid, skipped)
	if refuted == 0 || equal == 0 {
		t.Error("one kind of mutant never came up")
	}
	if len(undecided) > 0 {
		t.Errorf("undecided: %v", undecided)
	}
}

// mutate returns i with one field changed, in the ways in which a compiler goes
// wrong: a jump off by one or the wrong way round, a constant off by one or with
// a wrong bit, a neighbouring word, another comparison.
func mutate(i bpf.Instruction, bit int) []bpf.Instruction {
	var out []bpf.Instruction
	add := func(change func(*bpf.Instruction)) {
		changed := i
		if change(&changed); changed != i {
			out = append(out, changed)
		}
	}
	add(func(i *bpf.Instruction) { i.K++ })
	add(func(i *bpf.Instruction) { i.K-- })
	add(func(i *bpf.Instruction) { i.K ^= 1 << bit })
	if i.IsBranch() {
		add(func(i *bpf.Instruction) { i.JT++ })
		add(func(i *bpf.Instruction) { i.JT-- })
		add(func(i *bpf.Instruction) { i.JF++ })
		add(func(i *bpf.Instruction) { i.JF-- })
		add(func(i *bpf.Instruction) { i.JT, i.JF = i.JF, i.JT })
		for _, code := range []uint16{bpf.JeqK, bpf.JgeK, bpf.JgtK, bpf.JsetK} {
			add(func(i *bpf.Instruction) { i.Code = code })
		}
	}
	switch i.Code {
	case bpf.LdAbs:
		add(func(i *bpf.Instruction) { i.K += 4 })
		add(func(i *bpf.Instruction) { i.K -= 4 })
		add(func(i *bpf.Instruction) { i.Code = bpf.LdImm })
	case bpf.AndK:
		add(func(i *bpf.Instruction) { i.Code = bpf.OrK })
	case bpf.RetK:
		add(func(i *bpf.Instruction) { i.K ^= 0x7fff0000 })
	}
	return out
}
