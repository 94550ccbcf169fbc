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
	s := sieve{b: b, at: at, n: min(b.window, len(b.cells)-at), out: []sifted{}}
	first := b.cells[at].lo
	within := 0 // cells that differ in maxSieve bits at most
	for within < s.n && bits.Len32(first^b.last(at+within)) <= maxSieve {
		within++
	}
	if within > 2 { // for fewer, == and >= do
		s.try(1<<bits.Len32(first^b.last(at+within-1))-1, 0)
	}
	// Where the window starts with the least values, a test of the bits and all
	// above them holds for all larger values.
	within = 0
	for within < s.n && b.cells[at+within].lo < 1<<maxSieve {
		within++
	}
	if within > 1 {
		low := uint32(1)<<bits.Len32(b.cells[at+within-1].lo) - 1
		s.try(low, ^low)
	}
	return s.out
}

// last returns the last value of the cell k.
func (b *treeBuilder) last(k int) uint32 {
	if k+1 < len(b.cells) {
		return b.cells[k+1].lo - 1
	}
	return fullMask
}

// A sieve collects the tests of bits for a window.
type sieve struct {
	b     *treeBuilder
	at, n int
	out   []sifted
}

// try adds the tests of all subsets of the low bits, together with the high ones,
// which are all above or none.
func (s *sieve) try(low, high uint32) {
	b, all := s.b, uint32(1)<<s.n-1
	var last [windowForSize]uint32 // of each cell, as far as the high bits are not set
	above := uint32(0)             // cells that have values with high bits
	several := uint32(0)           // cells of more than one value
	for k := range s.n {
		if last[k] = b.last(s.at + k); high != 0 && last[k] > low {
			last[k] = low
			above |= 1 << k
		}
		if !b.one[s.at+k] {
			several |= 1 << k
		}
	}
	// A cell goes the one way with some bits if it does with one of them.
	var t [1 << maxSieve]uint32
	t[0] = above
	for m := uint32(1); m <= low; m++ {
		bit := m & -m
		t[m] = t[m&^bit]
		if m != bit {
			t[m] |= t[bit]
			continue
		}
		for k := range s.n {
			lo := b.cells[s.at+k].lo
			if lo&bit != 0 || lo&^(bit-1)|bit <= last[k] {
				t[m] |= 1 << k
			}
		}
	}
	for m := low & b.mask; m != 0; m = (m - 1) & low & b.mask {
		one := sifted{bits: m | high&b.mask, t: t[m], f: all &^ t[m]}
		for left := t[m] & (several | above); left != 0; left &= left - 1 {
			k := bits.TrailingZeros32(left)
			lo := b.cells[s.at+k].lo
			if lo > last[k] {
				continue
			}
			if first, ok := nextMasked(lo, b.mask&^one.bits); ok && first <= last[k] {
				one.f |= 1 << k
			}
		}
		if one.t != all && one.f != all && !s.needless(one) {
			s.add(one)
		}
	}
}

// needless reports whether a == or >= tells apart all that the test does.
func (s *sieve) needless(one sifted) bool {
	t, f := one.t&^one.f, one.f&^one.t // cells that go one way only
	first, last := bits.TrailingZeros32, bits.Len32
	return last(t) <= first(f) || last(f) <= first(t) || s.takes(t) || s.takes(f)
}

// takes reports whether == takes out what the set holds.
func (s *sieve) takes(set uint32) bool {
	return set&(set-1) == 0 && s.b.one[s.at+bits.TrailingZeros32(set)]
}

// add adds a test, unless another leaves no more cells to either side, and then
// removes those that leave more.
func (s *sieve) add(one sifted) {
	covers := func(x, y sifted) bool { return x.t&^y.t == 0 && x.f&^y.f == 0 }
	for _, o := range s.out {
		if covers(o, one) {
			return
		}
	}
	s.out = append(slices.DeleteFunc(s.out, func(o sifted) bool { return covers(one, o) }), one)
}
