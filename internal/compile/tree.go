package compile

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// A cell is the values of a word from lo up to the next cell's lo, with one
// outcome.
type cell struct {
	lo     uint32
	to     ref
	weight int64
}

// How far the builder searches. Among window neighbouring cells it tries every
// order of the tests ==, >= and & with any of them taken out before. Among wide
// cells it tries every split with >=, after == on up to maxHot of the heaviest
// values. Beyond that, it splits at the middle of the weight. A chain of == over
// more than maxChain cells is small, but long for the last; it is for size.
const (
	window        = 7
	windowForSize = 10 // which takes ten times as long
	wide          = 128
	maxHot        = 4
	maxChain      = 4
)

// A treeBuilder turns partitions of a word's values into trees of tests. It
// minimizes what the tests executed weigh, plus a price for each test in the
// program.
type treeBuilder struct {
	g     *graph
	price int64

	word  word
	mask  uint32
	cells []cell
	one   []bool  // the cell has one value: a single == takes it out
	sum   []int64 // of the weights before each cell

	window int
	plans  []plan     // of windows; see plan
	sieve  [][]sifted // by the first cell of a window

	base, n int     // the cells that the tables below are about
	hot     []int   // cells of one value worth taking out early, the heaviest first
	right   []int64 // costs of spans, by start, hot cells taken out, and end
	left    []int64 // the same by end, hot cells taken out, and start
	cuts    []int16 // how best to start with a span, as in right
	scratch []int   // hot cells of one span
	gone    []int   // those taken out, by place
	order   []int   // cells of a chain
}

// tree returns a tree that decides by word & mask among cells, the first of
// which starts at 0 and whose neighbours differ.
func (b *treeBuilder) tree(w word, mask uint32, cells []cell) ref {
	if low := mask & -mask; mask != fullMask && len(cells) == 2 && cells[1].lo == low {
		return b.g.test(opAnyBits, w, fullMask, mask, cells[1].to, cells[0].to)
	}
	b.word, b.mask, b.cells = w, mask, cells
	b.one, b.sum = b.one[:0], append(b.sum[:0], 0)
	for i, c := range cells {
		second, more := uint32(0), false
		if c.lo != fullMask {
			second, more = nextMasked(c.lo+1, mask)
		}
		b.one = append(b.one, !more || i+1 < len(cells) && second >= cells[i+1].lo)
		// Every cell counts for something, so that trees are balanced where nothing
		// is known.
		b.sum = append(b.sum, b.sum[i]+c.weight+1)
	}
	b.window = window
	if b.price == priceSize && len(cells) <= wide {
		b.window = windowForSize
	}
	b.plans = resize(b.plans, len(cells)<<(b.window-1))
	clear(b.plans)
	b.sieve = resize(b.sieve, len(cells))
	clear(b.sieve)
	return b.among(0, len(cells))
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// weight returns the weight of the cell i.
func (b *treeBuilder) weight(i int) int64 { return b.sum[i+1] - b.sum[i] }

// split tests for the values of the cells from k on.
func (b *treeBuilder) split(k int, below, above ref) ref {
	return b.g.test(opGreaterOrEqual, b.word, b.mask, b.cells[k].lo, above, below)
}

// take tests for the only value of the cell k.
func (b *treeBuilder) take(k int, rest ref) ref {
	return b.g.test(opEqual, b.word, b.mask, b.cells[k].lo, b.cells[k].to, rest)
}

// among decides among the cells i to j-1.
func (b *treeBuilder) among(i, j int) ref {
	switch {
	case j-i <= b.window:
		return b.emitPlan(i, 1<<(j-i)-1)
	case j-i > wide:
		k := i + 1
		for k+1 < j && b.sum[k]-b.sum[i] < b.sum[j]-b.sum[k] {
			k++
		}
		return b.split(k, b.among(i, k), b.among(k, j))
	}
	b.base, b.n = i, j-i
	b.findHot()
	size := (b.n + 1) * (b.n + 1) * (maxHot + 1)
	b.right, b.left, b.cuts = resize(b.right, size), resize(b.left, size), resize(b.cuts, size)
	for n := 1; n <= b.n; n++ {
		for at := i; at+n <= j; at++ {
			b.planSpan(at, at+n)
		}
	}
	return b.emitSpan(i, j, 0)
}

// A cut is how best to start among neighbouring cells: the cell to split at, from
// base on, if not one of these.
const (
	cutNone  = -1 - iota // one outcome is left, or all cells fit into a window
	cutTake              // == on the hottest cell left
	cutChain             // == on every cell that does not have the most frequent outcome
)

// row returns where the costs lie of the spans that start, or end, at a cell and
// lack n of their hottest cells.
func (b *treeBuilder) row(at, n int) int { return ((at-b.base)*(maxHot+1) + n) * (b.n + 1) }

// note notes how best to start among the cells i to j-1 without the n hottest of
// them, and the cost.
func (b *treeBuilder) note(i, j, n, cut int, cost int64) {
	at := b.row(i, n) + j - b.base
	b.right[at], b.cuts[at] = cost, int16(cut)
	b.left[b.row(j, n)+i-b.base] = cost
}

// findHot finds the cells of one value that weigh more than their part.
func (b *treeBuilder) findHot() {
	b.hot = b.hot[:0]
	total := b.sum[b.base+b.n] - b.sum[b.base]
	for k := b.base; k < b.base+b.n; k++ {
		if b.one[k] && b.weight(k) > total/int64(b.n) {
			b.hot = append(b.hot, k)
		}
	}
	slices.SortStableFunc(b.hot, func(x, y int) int { return cmp.Compare(b.weight(y), b.weight(x)) })
}

// hotIn returns the hottest cells of i to j-1, the heaviest first, as far as it is
// worth while to take them out: each has a fifth of the weight that is left. (With
// less than a quarter, no best tree begins with ==: Anderson, Kannan, Karloff and
// Ladner, Thresholds and optimal binary comparison search trees, 2002.) What is
// hot among some cells is hot among fewer. The next call overwrites the result.
func (b *treeBuilder) hotIn(i, j int) []int {
	in := b.scratch[:0]
	left := b.sum[j] - b.sum[i]
	for _, k := range b.hot {
		if k < i || j <= k {
			continue
		}
		if len(in) == maxHot || 5*b.weight(k) < left {
			break
		}
		in = append(in, k)
		left -= b.weight(k)
	}
	b.scratch = in
	return in
}

// planSpan plans for the cells i to j-1, from all of the hottest taken out to
// none. Parts of it have been planned before.
func (b *treeBuilder) planSpan(i, j int) {
	hot := b.hotIn(i, j)
	if j-i <= b.window {
		set := uint32(1)<<(j-i) - 1
		for n := 0; ; n++ {
			cost := int64(0)
			if set != 0 {
				cost = b.planCost(i, set)
			}
			b.note(i, j, n, cutNone, cost)
			if n == len(hot) {
				return
			}
			set &^= 1 << (hot[n] - i)
		}
	}
	weight := b.sum[j] - b.sum[i]
	for _, k := range hot {
		weight -= b.weight(k)
	}
	for n := len(hot); n >= 0; n-- {
		best, cut := int64(math.MaxInt64), cutTake
		if n < len(hot) {
			weight += b.weight(hot[n])
			best = b.right[b.row(i, n+1)+j-b.base]
		}
		// As many of the hot cells as lie below the split are taken out there.
		gone := append(b.gone[:0], hot[:n]...)
		slices.Sort(gone)
		b.gone = gone
		from := i + 1
		for below := range n + 1 {
			end := j
			if below < n {
				end = min(j, gone[below]+1)
			}
			if from >= end {
				continue
			}
			rights := b.right[b.row(i, below):][from-b.base : end-b.base]
			lefts := b.left[b.row(j, n-below):][from-b.base : end-b.base]
			for x, cost := range rights {
				if cost += lefts[x]; cost < best {
					best, cut = cost, from-b.base+x
				}
			}
			from = end
		}
		best += weight + b.price
		if n == 0 {
			if cost, ok := b.chain(i, j, best); ok {
				best, cut = cost, cutChain
			}
		}
		b.note(i, j, n, cut, best)
	}
}

// emitSpan builds the tree that the plans describe.
func (b *treeBuilder) emitSpan(i, j, n int) ref {
	hot := slices.Clone(b.hotIn(i, j))
	switch cut := b.cuts[b.row(i, n)+j-b.base]; cut {
	case cutNone:
		set := uint32(1)<<(j-i) - 1
		for _, k := range hot[:n] {
			set &^= 1 << (k - i)
		}
		if set == 0 {
			return b.cells[i].to // no value gets here
		}
		return b.emitPlan(i, set)
	case cutTake:
		return b.take(hot[n], b.emitSpan(i, j, n+1))
	case cutChain:
		return b.emitChain(i, j)
	default:
		k, below := b.base+int(cut), 0
		for _, h := range hot[:n] {
			if h < k {
				below++
			}
		}
		return b.split(k, b.emitSpan(i, k, below), b.emitSpan(k, j, n-below))
	}
}

// chain returns the cost of taking out, one by one, every cell that does not have
// the most frequent outcome, if it can be done for less than limit.
func (b *treeBuilder) chain(i, j int, limit int64) (cost int64, ok bool) {
	out, ok := b.chained(i, j)
	if !ok || int64(len(out))*(b.price+1) >= limit || b.price < priceSize && len(out) > maxChain {
		return 0, false
	}
	slices.SortStableFunc(out, func(x, y int) int { return cmp.Compare(b.weight(y), b.weight(x)) })
	left := b.sum[j] - b.sum[i]
	for _, k := range out {
		cost += left + b.price
		left -= b.weight(k)
	}
	return cost, cost < limit
}

// chained returns the cells that a chain takes out, in their order. They have to
// have one value. The next call overwrites them.
func (b *treeBuilder) chained(i, j int) ([]int, bool) {
	// The most frequent outcome is that of a cell of many values, or else of every
	// second cell.
	rest := b.cells[i].to
	for k := i; k < j; k++ {
		if !b.one[k] {
			rest = b.cells[k].to
			break
		}
	}
	b.order = b.order[:0]
	for k := i; k < j; k++ {
		if b.cells[k].to == rest {
			continue
		}
		if !b.one[k] {
			return nil, false
		}
		b.order = append(b.order, k)
	}
	return b.order, true
}

func (b *treeBuilder) emitChain(i, j int) ref {
	out, _ := b.chained(i, j)
	rest := i
	for slices.Contains(out, rest) {
		rest++
	}
	slices.SortStableFunc(out, func(x, y int) int { return cmp.Compare(b.weight(y), b.weight(x)) })
	to := b.cells[rest].to
	for _, k := range slices.Backward(out) {
		to = b.take(k, to)
	}
	return to
}

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
	var weight int64
	differ := false
	for s := set; s != 0; s &= s - 1 {
		k := at + bits.TrailingZeros32(s)
		weight += b.weight(k)
		differ = differ || b.cells[k].to != b.cells[at].to
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
