package compile

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
)

// TestFallThrough sees that a test is followed by what it leads to. The kernel
// translates a jump with both ways over other instructions into two
// (bpf_convert_filter, net/core/filter.c), so this may be only where both ways
// lead to instructions that others lead to as well, or return; or where the next
// test is its own, but others have to load a word for it first.
func TestFallThrough(t *testing.T) {
	branches, apart := 0, 0
	testkit.Check(t, 300, func(rt *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(rt, "policy")
		program, err := Compile(r, drawOptions(rt))
		if err != nil || len(program) > 255 { // beyond, jumps need stepping stones
			rt.Skip("too large")
		}
		from := make([]int, len(program)+1) // how many instructions lead to each
		for pc, i := range program {
			switch {
			case i.IsBranch():
				from[pc+1+int(i.JT)]++
				from[pc+1+int(i.JF)]++
			case !i.IsReturn():
				from[pc+1]++
			}
		}
		for pc, i := range program {
			if !i.IsBranch() {
				continue
			}
			branches++
			if i.JT == 0 || i.JF == 0 {
				continue
			}
			t, f := pc+1+int(i.JT), pc+1+int(i.JF)
			if next := testAt(program, pc+1); next == testAt(program, t) || next == testAt(program, f) {
				continue
			}
			apart++
			for _, to := range []int{t, f} {
				shared := from[to] > 1
				for test := testAt(program, to); to < test; to++ {
					shared = shared || from[to+1] > 1
				}
				if !shared && program[to].Code != bpf.RetK {
					rt.Fatalf("instruction %d, %v, alone leads to %d, %v, which is elsewhere:\n%v", pc, i, to, program[to], program)
				}
			}
		}
	})
	t.Logf("%d tests, %d of them followed by neither of their ways", branches, apart)
	if branches == 0 {
		t.Error("no program had a test")
	}
}

// testAt returns the test or return that is reached from pc on, over loads.
func testAt(p bpf.Program, pc int) int {
	for !p[pc].IsBranch() && !p[pc].IsReturn() {
		pc++
	}
	return pc
}
