package compile

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// TestNextMasked tries every value and mask of a byte, low and high in the word.
func TestNextMasked(t *testing.T) {
	for _, shift := range []int{0, 24} {
		for mask := range uint32(256) {
			next, some := uint32(0), false
			for v := uint32(255); ; v-- {
				if v&^mask == 0 {
					next, some = v, true
				}
				got, ok := nextMasked(v<<shift, mask<<shift)
				if ok != some || ok && got != next<<shift {
					t.Fatalf("nextMasked(%#x, %#x) = %#x, %v; want %#x, %v", v<<shift, mask<<shift, got, ok, next<<shift, some)
				}
				if v == 0 {
					break
				}
			}
		}
	}
	if got, ok := nextMasked(0xffffffff, fullMask); !ok || got != 0xffffffff {
		t.Errorf("nextMasked(0xffffffff, full) = %#x, %v", got, ok)
	}
}

// TestSplit64 asks for values around all edges whether they are in the set.
func TestSplit64(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) uint64 {
		half := rapid.SampledFrom([]uint64{0, 1, 2, 3, 0x7fffffff, 0xfffffffe, 0xffffffff})
		return half.Draw(t, "hi")<<32 | half.Draw(t, "lo")
	})
	rapid.Check(t, func(t *rapid.T) {
		var in []policy.Interval
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			a, b := value.Draw(t, "a"), value.Draw(t, "b")
			in = append(in, policy.Interval{Lo: min(a, b), Hi: max(a, b)})
		}
		in = testkit.JoinIntervals(in)
		slices := split64(in)
		if slices[0].hi != 0 {
			t.Fatalf("%v: first slice starts at %#x", in, slices[0].hi)
		}
		v := value.Draw(t, "v")
		want, got := false, false
		for _, i := range in {
			want = want || i.Lo <= v && v <= i.Hi
		}
		at := 0
		for at+1 < len(slices) && slices[at+1].hi <= uint32(v>>32) {
			at++
		}
		for _, i := range slices[at].low {
			got = got || i.lo <= uint32(v) && uint32(v) <= i.hi
		}
		if got != want {
			t.Fatalf("%v: split64 gives %v; %#x: got %v, want %v", in, slices, v, got, want)
		}
	})
}
