package convert

import (
	"math/bits"
	"slices"

	"github.com/sysgate/sysgate/policy"
)

// A cube is the words w with w & mask == value.
type cube struct{ mask, value uint64 }

// intersect returns the words that are in both, if there are any.
func (c cube) intersect(d cube) (cube, bool) {
	return cube{c.mask | d.mask, c.value | d.value}, (c.value^d.value)&c.mask&d.mask == 0
}

// cubes returns cubes that together are the words that satisfy t.
func cubes(t policy.Test) []cube {
	var all []cube
	for _, in := range t.In {
		all = append(all, cubesOf(t.Mask, in.Lo, in.Hi)...)
	}
	return all
}

// cubesOf returns disjoint cubes of the words w with lo <= w & mask <= hi: for
// each place where a word can leave the common path of the bounds.
func cubesOf(mask, lo, hi uint64) []cube {
	lo, hi, ok := within(mask, lo, hi)
	if !ok {
		return nil
	}
	var all []cube
	// split walks the bits of mask from the highest on. fixed are those passed, low
	// and high whether the bits passed are still those of lo and of hi.
	var split func(rest, fixed, value uint64, low, high bool)
	split = func(rest, fixed, value uint64, low, high bool) {
		low = low && lo&rest != 0
		high = high && hi&rest != rest
		if !low && !high {
			all = append(all, cube{fixed, value})
			return
		}
		bit := uint64(1) << (bits.Len64(rest) - 1)
		for _, v := range []uint64{0, bit} {
			if low && v < lo&bit || high && v > hi&bit {
				continue
			}
			split(rest&^bit, fixed|bit, value|v, low && v == lo&bit, high && v == hi&bit)
		}
	}
	split(mask, 0, 0, true, true)
	return all
}

// within narrows the interval to the values that consist of bits of mask.
func within(mask, lo, hi uint64) (uint64, uint64, bool) {
	// The smallest such value from lo on: where lo has a bit that mask lacks, the
	// next free bit of mask above it goes up and everything below it to 0.
	if stray := lo &^ mask; stray != 0 {
		top := bits.Len64(stray)
		free := mask &^ lo & (^uint64(0) << top)
		if free == 0 {
			return 0, 0, false
		}
		bit := free & -free
		lo = lo&mask&^(bit-1) | bit
	}
	// The largest up to hi: below a bit of hi that mask lacks, all of mask's are 1.
	if stray := hi &^ mask; stray != 0 {
		top := uint(bits.Len64(stray) - 1)
		hi = hi&mask&^(1<<top-1) | mask&(1<<top-1)
	}
	return lo, hi, lo <= hi
}

// wordCubes returns, for each word that the tests of a look at, the cubes of its
// values, by ascending word. ok is false where they would be more than limit.
func wordCubes(a policy.Alternative, limit int) (words []uint8, sets [][]cube, ok bool) {
	for _, t := range a {
		set := cubes(t)
		i := slices.Index(words, t.Word)
		if i < 0 {
			words, sets = append(words, t.Word), append(sets, set)
			continue
		}
		var both []cube
		for _, c := range sets[i] {
			for _, d := range set {
				if e, ok := c.intersect(d); ok {
					both = append(both, e)
				}
			}
		}
		sets[i] = both
		if len(both) > limit {
			return nil, nil, false
		}
	}
	order := make([]int, len(words))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return int(words[x]) - int(words[y]) })
	sortedWords, sortedSets := make([]uint8, len(words)), make([][]cube, len(words))
	for i, j := range order {
		sortedWords[i], sortedSets[i] = words[j], sets[j]
	}
	return sortedWords, sortedSets, true
}
