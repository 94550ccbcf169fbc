package compile

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// weighed returns the runs of a policy on one ABI after weighing.
func weighed(t *testing.T, r *policy.Resolved, o Options) *unit {
	t.Helper()
	u := newUnit(r, o)
	for _, p := range passes {
		if err := p.run(u); err != nil {
			t.Fatal(err)
		}
		if p.name == "weigh" {
			return u
		}
	}
	t.Fatal("no pass weighs")
	return nil
}

// TestWeigh weighs read, which is allowed, write, whose descriptor is checked,
// close, which is denied by a rule, and kexec_load, which no rule names.
func TestWeigh(t *testing.T) {
	read, write, closed, kexec := uint32(0), uint32(1), uint32(3), uint32(246)
	rules := []policy.ResolvedRule{
		{Numbers: numbers(read, read), Action: abi.Allow},
		{Numbers: numbers(write, write), Any: []policy.Alternative{{equal(0, 0xffffffff, 1)}}, Action: abi.Allow},
		{Numbers: numbers(closed, closed), Action: abi.Errno.WithData(38)},
	}
	own, err := ParseFrequency("own", []byte("close\t1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		options Options
		order   []uint32 // the heaviest first
	}{
		{"cached", Options{}, []uint32{write, closed, kexec, read}},
		{"uncached", Options{Mode: Uncached}, []uint32{read, write, closed, kexec}},
		{"own", Options{Mode: Uncached, Frequency: own}, []uint32{closed, kexec}},
		{"cached, own", Options{Frequency: own}, []uint32{closed, write, kexec, read}},
	} {
		r := simple(rules...)
		r.ABIs[0].Known = numbers(0, 300)
		u := weighed(t, r, test.options)
		runs := u.axes[0].runs
		perNumber := func(nr uint32) int64 {
			i := find(runs, nr)
			size := int64(300 - runs[i].lo + 1)
			if i+1 < len(runs) {
				size = min(size, int64(runs[i+1].lo)-int64(runs[i].lo))
			}
			return runs[i].weight / size
		}
		for i := 1; i < len(test.order); i++ {
			if a, b := test.order[i-1], test.order[i]; perNumber(a) <= perNumber(b) {
				t.Errorf("%s: number %d weighs %d, number %d weighs %d", test.name, a, perNumber(a), b, perNumber(b))
			}
		}
		sum := int64(0)
		for _, r := range runs {
			sum += r.weight
		}
		if sum < perCall-int64(3*len(runs)) || sum > perCall {
			t.Errorf("%s: all numbers weigh %d, want about %d", test.name, sum, int64(perCall))
		}
	}
}

// TestWeighFuture sees that a rule on all numbers from some known one on makes
// none of them a call that programs make, as a rule that names it does.
func TestWeighFuture(t *testing.T) {
	deny := abi.Errno.WithData(38)
	at := func(rule policy.ResolvedRule) int64 {
		r := simple(rule)
		r.ABIs[0].Known = numbers(0, 300)
		u := weighed(t, r, Options{})
		runs := u.axes[0].runs
		return runs[find(runs, 300)].weight
	}
	named := at(policy.ResolvedRule{Numbers: numbers(300, 300), Action: deny})
	future := at(policy.ResolvedRule{Numbers: numbers(300, abi.X32Bit-1), Action: deny})
	if named < 5*future || future == 0 {
		t.Errorf("the named number weighs %d, one of the future %d", named, future)
	}
}

// TestWeighWithoutBitmap sees that constant allows weigh what they are called
// where the kernel keeps no bitmap.
func TestWeighWithoutBitmap(t *testing.T) {
	for _, a := range abi.All() {
		read, ok := a.Lookup("read")
		if !ok {
			t.Fatalf("%v has no read", a)
		}
		r := simple(policy.ResolvedRule{Numbers: numbers(read, read), Action: abi.Allow})
		s := &r.ABIs[0]
		s.ABI = a
		for nr := range a.Syscalls() {
			s.Known = append(s.Known, policy.NumberRange{Lo: nr, Hi: nr})
		}
		u := weighed(t, r, Options{})
		runs := u.axes[0].runs
		half := runs[find(runs, read)].weight > perCall/3
		if half == HasBitmap(a) {
			t.Errorf("%v: read weighs %d", a, runs[find(runs, read)].weight)
		}
	}
}

func TestScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Int64Range(0, 1<<52), 1, 20).Draw(t, "weights")
		scaled := append([]int64(nil), weights...)
		scale(scaled, perCall)
		sum := int64(0)
		for i := range weights {
			sum += scaled[i]
			for j := range weights {
				if weights[i] < weights[j] && scaled[i] > scaled[j] {
					t.Fatalf("%v became %v", weights, scaled)
				}
			}
		}
		if sum != 0 && (sum > perCall || sum < perCall-int64(len(weights))) {
			t.Fatalf("%v became %v", weights, scaled)
		}
	})
}
