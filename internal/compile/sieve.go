package compile

import (
	"math/bits"
	"slices"
)

// A sifted is a test of bits, and the cells of a window that have values with any
// of the bits set, and with none.
type sifted struct {
	bits uint32
	t, f uint32 // sets of cells
}

// maxSieve is the number of low bits that the tests of bits are made of. Values
// that differ in higher bits are told apart by == and >= alone.
const maxSieve = 7

// sifts returns the tests of bits that tell the cells of the window at apart in a
// way that == and >= do not.
func (b *treeBuilder) sifts(at int) []sifted {
	if b.sieve[at] == nil {
		b.sieve[at] = b.sift(at)
	}
	return b.sieve[at]
}

func (b *treeBuilder) sift(at int) []sifted {
	out := []sifted{}
	// The cells must lie within maxSieve bits; the next cell's start ends the last.
	n := 0
	for n < window && at+n+1 < len(b.cells) && bits.Len32(b.cells[at].lo^(b.cells[at+n+1].lo-1)) <= maxSieve {
		n++
	}
	if n < 3 {
		return out
	}
	varying := uint32(1)<<bits.Len32(b.cells[at].lo^(b.cells[at+n].lo-1)) - 1
	all := uint32(1)<<n - 1
	beyond := (uint32(1)<<window - 1) &^ all // cells that such a test does not tell apart
	for m := varying & b.mask; m != 0; m = (m - 1) & b.mask & varying {
		s := sifted{m, beyond, beyond}
		for k := range n {
			lo, hi := b.cells[at+k].lo, b.cells[at+k+1].lo-1
			if first, ok := nextMasked(lo, b.mask&^m); ok && first <= hi {
				s.f |= 1 << k
			}
			if low := m & -m; lo&m != 0 || lo&^(low-1)|low <= hi {
				s.t |= 1 << k
			}
		}
		t, f := s.t&all, s.f&all
		if t == all || f == all || t&f == 0 && (contiguous(t) && contiguous(f) || b.takes(at, t) || b.takes(at, f)) {
			continue
		}
		if !slices.ContainsFunc(out, func(o sifted) bool { return o.t == s.t && o.f == s.f }) {
			out = append(out, s)
		}
	}
	return out
}

// contiguous reports whether the set is one run.
func contiguous(set uint32) bool {
	set >>= bits.TrailingZeros32(set)
	return set&(set+1) == 0
}

// takes reports whether == takes out what the set holds.
func (b *treeBuilder) takes(at int, set uint32) bool {
	return set&(set-1) == 0 && b.one[at+bits.TrailingZeros32(set)]
}
