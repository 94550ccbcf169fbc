package compile

import (
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A set is values, one bit each, of a small domain: the numbers 0 to size-1. What
// decides all numbers decides these, so that the fewest tests for the domain are a
// lower bound. Its upper values are denied, as are the numbers above, so that the
// bound is near.
type set uint32

// testsOf returns the values of the domain for which each test holds, of all that
// compare a number with a constant or look at its bits.
func testsOf(size int) []set {
	var out []set
	add := func(holds func(v uint32) bool) {
		var s set
		for v := range uint32(size) {
			if holds(v) {
				s |= 1 << v
			}
		}
		if s != 0 && s != 1<<size-1 {
			out = append(out, s)
		}
	}
	for k := range uint32(size) {
		add(func(v uint32) bool { return v == k })
		add(func(v uint32) bool { return v >= k })
	}
	for mask := range uint32(1) << bits.Len(uint(size-1)) {
		add(func(v uint32) bool { return v&mask != 0 })
	}
	return out
}

// fewest returns the least number of tests of a tree that tells the allowed values
// from all others, by trying every tree.
func fewest(size int, allowed set) int {
	tests := testsOf(size)
	memo := make([]int8, 1<<size)
	var among func(s set) int8
	among = func(s set) int8 {
		if s&allowed == 0 || s&^allowed == 0 {
			return 0
		}
		if memo[s] != 0 {
			return memo[s]
		}
		best := int8(127)
		for _, t := range tests {
			if s&t != 0 && s&^t != 0 {
				best = min(best, 1+among(s&t)+among(s&^t))
			}
		}
		memo[s] = best
		return best
	}
	return int(among(1<<size - 1))
}

// TestFewestTests compares programs for size with the best trees.
func TestFewestTests(t *testing.T) {
	const size, upper, policies = 16, 5, 60
	random := rand.New(rand.NewPCG(4, 4))
	total, best, more := 0, 0, 0
	for range policies {
		allowed := set(random.Uint32()) & (1<<(size-upper) - 1)
		got, want := tests(t, allowed), fewest(size, allowed)
		total, best = total+got, best+want
		if got > want {
			more++
		}
		if got < want || got > want+1 {
			t.Errorf("%#x: %d tests, the best tree has %d", allowed, got, want)
		}
	}
	t.Logf("%d policies: %d tests, in the best trees %d; %d programs have one more", policies, total, best, more)
	if more > policies/6 {
		t.Error("too many programs have a test more than the best")
	}
}

// tests returns the number of tests on the number of a program for size.
func tests(t *testing.T, allowed set) int {
	t.Helper()
	var rules []policy.ResolvedRule
	for nr := range uint32(32) {
		if allowed>>nr&1 != 0 {
			rules = append(rules, policy.ResolvedRule{Numbers: numbers(nr, nr), Action: abi.Allow})
		}
	}
	program, err := Compile(simple(rules...), Options{Mode: Size})
	if err != nil {
		t.Fatal(err)
	}
	count := -1 // one is on the architecture
	for _, i := range program {
		if i.IsBranch() {
			count++
		}
	}
	return count
}

// TestFewestOfAnyProgram goes beyond trees: it finds everything that up to three
// tests can tell apart, joined in any way, so that the best is known for policies
// that need no more, and is four at least for the others.
func TestFewestOfAnyProgram(t *testing.T) {
	const size, upper = 12, 4
	all := set(1<<size - 1)
	holds := testsOf(size)
	fewest := map[set]int{0: 0, all: 0}
	// known are the functions of the nodes so far; each more tests, and goes to one
	// of them or another.
	var add func(known []set, left int)
	add = func(known []set, left int) {
		next := map[set]bool{}
		for _, test := range holds {
			for _, t := range known {
				for _, f := range known {
					if t != f {
						next[t&test|f&^test] = true
					}
				}
			}
		}
		for f := range next {
			n := len(known) - 1
			if old, ok := fewest[f]; !ok || n < old {
				fewest[f] = n
			}
			if left > 1 {
				add(append(known[:len(known):len(known)], f), left-1)
			}
		}
	}
	add([]set{0, all}, 3)
	exact, above, byGap := 0, 0, map[int]int{}
	for allowed := set(0); allowed < 1<<(size-upper); allowed++ {
		bound, known := fewest[allowed]
		if !known {
			bound = 4
			above++
		}
		got := tests(t, allowed)
		byGap[got-bound]++
		if got < bound || known && got > bound+1 {
			t.Errorf("%#x: %d tests, the best program has %d", allowed, got, bound)
		}
		if got == bound {
			exact++
		}
	}
	t.Logf("all %d policies on eight numbers: %d have the fewest tests of any program; %d have to have four or more; gaps to the bound: %v", 1<<(size-upper), exact, above, byGap)
	if exact < 1<<(size-upper-1) {
		t.Error("too few programs are the best")
	}
}
