package convert

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/policy"
)

// The cubes of an interval under a mask have exactly its words, each once.
func TestCubes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mask := rapid.Uint64Range(0, 255).Draw(t, "mask")
		lo := rapid.Uint64Range(0, 255).Draw(t, "lo")
		hi := rapid.Uint64Range(lo, 255).Draw(t, "hi")
		all := cubesOf(mask, lo, hi)
		for w := range uint64(256) {
			n := 0
			for _, c := range all {
				if c.value&^c.mask != 0 || c.mask&^mask != 0 {
					t.Fatalf("cube %+v", c)
				}
				if w&c.mask == c.value {
					n++
				}
			}
			want := 0
			if w&mask >= lo && w&mask <= hi {
				want = 1
			}
			if n != want {
				t.Fatalf("%#x is in %d of %v, want %d", w, n, all, want)
			}
		}
	})
}

func TestCubesOfWholeWords(t *testing.T) {
	const all = ^uint64(0)
	for _, tt := range []struct {
		mask, lo, hi uint64
		cubes        int
	}{
		{all, 0, all, 1},
		{all, 5, 5, 1},
		{all, 1, all, 64},
		{all, 0, 1<<32 - 1, 1},
		{all, 1, all - 1, 126},
		{0xffffffff, 0, 0xfffffffe, 32},
		{0xf, 1, 15, 4},
		{0, 0, 0, 1},
		{1 << 63, 1 << 63, 1 << 63, 1},
		{6, 1, 1, 0},
		{6, 3, 5, 1},
	} {
		if got := cubesOf(tt.mask, tt.lo, tt.hi); len(got) != tt.cubes {
			t.Errorf("%#x: %#x to %#x: %d cubes, want %d", tt.mask, tt.lo, tt.hi, len(got), tt.cubes)
		}
	}
}

func TestWordCubes(t *testing.T) {
	interval := func(lo, hi uint64) []policy.Interval { return []policy.Interval{{Lo: lo, Hi: hi}} }
	words, sets, ok := wordCubes(policy.Alternative{
		{Word: 3, Mask: 0xff, In: interval(1, 1)},
		{Word: 1, Mask: 0xf0, In: interval(0x10, 0x10)},
		{Word: 1, Mask: 0x18, In: interval(0x10, 0x18)},
		{Word: 3, Mask: 1, In: interval(0, 0)},
	}, 10)
	if !ok || len(words) != 2 || words[0] != 1 || len(sets[0]) != 1 || sets[0][0] != (cube{0xf0, 0x10}) || len(sets[1]) != 0 {
		t.Errorf("%v %v %t", words, sets, ok)
	}
}
