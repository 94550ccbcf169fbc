package compile

import (
	"math/bits"

	"github.com/sysgate/sysgate/policy"
)

// variables returns what t reads, the high word first.
func variables(t policy.Test) []variable {
	var vars []variable
	if hi := uint32(t.Mask >> 32); hi != 0 {
		vars = append(vars, variable{hiWord(t.Word), hi})
	}
	if lo := uint32(t.Mask); lo != 0 {
		vars = append(vars, variable{loWord(t.Word), lo})
	}
	return vars
}

// A slice64 is the high words from hi up to the next slice's, and the low words
// that are in the set under each of them.
type slice64 struct {
	hi  uint32
	low []interval32
}

type interval32 struct{ lo, hi uint32 }

// split64 splits sorted, disjoint intervals of 64-bit values by their high
// words. The first slice starts at 0.
func split64(in []policy.Interval) []slice64 {
	var out []slice64
	next := uint64(0) // the first high word that no slice covers
	add := func(first, last uint32, low interval32) {
		if uint64(first) < next { // one more interval under the same high word
			top := &out[len(out)-1]
			top.low = append(top.low, low)
			return
		}
		if uint64(first) > next {
			out = append(out, slice64{hi: uint32(next)})
		}
		out = append(out, slice64{first, []interval32{low}})
		next = uint64(last) + 1
	}
	for _, i := range in {
		first, last := uint32(i.Lo>>32), uint32(i.Hi>>32)
		if first == last {
			add(first, first, interval32{uint32(i.Lo), uint32(i.Hi)})
			continue
		}
		add(first, first, interval32{uint32(i.Lo), fullMask})
		if first+1 < last {
			add(first+1, last-1, interval32{0, fullMask})
		}
		add(last, last, interval32{0, uint32(i.Hi)})
	}
	if next <= uint64(fullMask) {
		out = append(out, slice64{hi: uint32(next)})
	}
	return out
}

// nextMasked returns the least value from v up that has no bit outside mask.
func nextMasked(v, mask uint32) (uint32, bool) {
	outside := v &^ mask
	if outside == 0 {
		return v, true
	}
	// A value as large as v has to exceed it above v's highest bit outside.
	below := uint32(1)<<bits.Len32(outside) - 1
	v |= ^mask | below
	if v == fullMask {
		return 0, false
	}
	return (v + 1) & mask, true
}

// normalize moves every edge to the first value that the mask lets through and
// joins neighbours with one outcome. It works in place.
func normalize(edges []edge, mask uint32) []edge {
	out := edges[:0]
	for _, e := range edges {
		lo, ok := nextMasked(e.lo, mask)
		if !ok {
			break
		}
		if n := len(out); n > 0 && out[n-1].lo == lo {
			out = out[:n-1]
		}
		if n := len(out); n == 0 || out[n-1].to != e.to {
			out = append(out, edge{lo, e.to})
		}
	}
	return out
}

func hashEdges(level int32, edges []edge) uint64 {
	h := uint64(level)
	for _, e := range edges {
		h = (h ^ uint64(e.lo)<<32 ^ uint64(uint32(e.to))) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}
