package compile

import (
	"math"
	"math/bits"
)

// A plan is the cheapest first step of deciding among some cells of a window.
type plan struct {
	cost int64
	arg  int32 // the cell or, for stepSift, the index in the sieve, that the step is about
	step step
}

type step uint8

const (
	stepUnknown step = iota
	stepNone         // one outcome is left, the cell's
	stepTake         // take the cell out with ==
	stepSplit        // >= the cell's first value
	stepSift         // & the bits
)

// planCost returns the cost of deciding among some cells: bit k of set is the
// cell at+k. Earlier tests have taken the others out.
func (b *treeBuilder) planCost(at int, set uint32) int64 {
	skip := bits.TrailingZeros32(set)
	return b.plan(at+skip, set>>skip).cost
}

// plan plans for some cells, the first of which is at.
func (b *treeBuilder) plan(at int, set uint32) plan {
	slot := at<<(b.window-1) | int(set>>1)
	if p := b.plans[slot]; p.step != stepUnknown {
		return p
	}
	var weight, strict int64
	differ, loose := false, -1
	fits := b.looser != 0 // all cells can go to looser
	for s := set; s != 0; s &= s - 1 {
		k := at + bits.TrailingZeros32(s)
		weight += b.weight(k)
		differ = differ || b.cells[k].to != b.cells[at].to
		switch b.cells[k].to {
		case b.looser:
			loose = k
		case b.stricter:
			strict += b.weight(k)
		default:
			fits = false
		}
	}
	if !differ {
		b.plans[slot] = plan{0, int32(at), stepNone}
		return b.plans[slot]
	}
	best := plan{cost: math.MaxInt64}
	try := func(cost int64, s step, arg int) {
		if cost < best.cost {
			best = plan{cost, int32(arg), s}
		}
	}
	last := at
	for s := set; s != 0; s &= s - 1 {
		k := bits.TrailingZeros32(s)
		if b.one[at+k] {
			try(b.planCost(at, set&^(1<<k)), stepTake, at+k)
		}
		if b.cells[at+k].to != b.cells[last].to {
			try(b.planCost(at, set&(1<<k-1))+b.planCost(at, set&^(1<<k-1)), stepSplit, at+k)
		}
		last = at + k
	}
	if best.cost > 0 { // one such test is not enough
		for i, s := range b.sifts(at) {
			t, f := set&s.t, set&s.f
			if t != set && f != set {
				try(b.planCost(at, t)+b.planCost(at, f), stepSift, i)
			}
		}
	}
	best.cost += weight + b.price
	if fits && strict < best.cost {
		best = plan{strict, int32(loose), stepNone}
	}
	b.plans[slot] = best
	return best
}

// emitPlan builds the tree that the plans describe.
func (b *treeBuilder) emitPlan(at int, set uint32) ref {
	skip := bits.TrailingZeros32(set)
	at, set = at+skip, set>>skip
	p := b.plan(at, set)
	k := int(p.arg) - at
	switch p.step {
	case stepTake:
		return b.take(at+k, b.emitPlan(at, set&^(1<<k)))
	case stepSplit:
		return b.split(at+k, b.emitPlan(at, set&(1<<k-1)), b.emitPlan(at, set&^(1<<k-1)))
	case stepSift:
		s := b.sifts(at)[p.arg]
		return b.g.test(opAnyBits, b.word, b.mask, s.bits, b.emitPlan(at, set&s.t), b.emitPlan(at, set&s.f))
	default:
		return b.cells[p.arg].to
	}
}
