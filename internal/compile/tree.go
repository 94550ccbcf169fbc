package compile

import "math"

// A cell is the values of a word from lo up to the next cell's lo, with one
// outcome.
type cell struct {
	lo     uint32
	to     ref
	weight int64 // how often, against the other cells of the tree
}

// How far the builder searches: every order of tests among window cells, every
// split among wide cells. Beyond that, it splits at the middle of the weight.
const (
	window = 6
	wide   = 128
)

// scale is what a weight of 1 counts. Every cell counts 1 besides, so that trees
// are balanced where nothing is known.
const scale = 64

// A treeBuilder turns partitions of a word's values into trees of tests. It
// minimizes the mean number of tests executed, plus a price for each test in
// the program.
type treeBuilder struct {
	g     *graph
	word  word
	mask  uint32
	cells []cell
	one   []bool  // the cell has one value: a single == takes it out
	sum   []int64 // of the weights before each cell, scaled
	price int64

	base, n int     // the cells that the tables below are about
	plans   []plan  // of windows, by start, length and cells taken out
	costs   []int64 // of spans, by start and length; the best
	cuts    []int32 // way starts by splitting at this cell
}

// A plan is the cheapest first step of deciding among some cells.
type plan struct {
	cost int64
	cell int32 // that the step is about
	step step
}

type step uint8

const (
	stepUnknown step = iota
	stepNone         // one outcome is left, the cell's
	stepTake         // take the cell out with ==
	stepSplit        // >= the cell's first value
)

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
		b.sum = append(b.sum, b.sum[i]+scale*c.weight+1)
	}
	b.price = max(1, b.sum[len(cells)]/20)
	return b.span(0, len(cells))
}

// span decides among the cells i to j-1.
func (b *treeBuilder) span(i, j int) ref {
	if j-i > wide {
		k := i + 1
		for k+1 < j && b.sum[k]-b.sum[i] < b.sum[j]-b.sum[k] {
			k++
		}
		return b.split(k, b.span(i, k), b.span(k, j))
	}
	b.base, b.n = i, j-i
	b.plans = resize(b.plans, b.n*window<<window)
	clear(b.plans)
	b.costs, b.cuts = resize(b.costs, b.n*b.n), resize(b.cuts, b.n*b.n)
	for n := 1; n <= b.n; n++ {
		for at := i; at+n <= j; at++ {
			slot := (at-i)*b.n + n - 1
			if n <= window {
				b.costs[slot] = b.plan(at, n, 0).cost
			} else {
				b.costs[slot], b.cuts[slot] = b.bestSplit(at-i, n)
			}
		}
	}
	return b.emit(i, j-i)
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// bestSplit returns the cost of the best split of the n cells from base+at on,
// and where it is.
func (b *treeBuilder) bestSplit(at, n int) (int64, int32) {
	best, cut := int64(math.MaxInt64), 0
	left := b.costs[at*b.n:]
	for k := 1; k < n; k++ {
		if cost := left[k-1] + b.costs[(at+k)*b.n+n-k-1]; cost < best {
			best, cut = cost, k
		}
	}
	first := b.base + at
	return best + b.sum[first+n] - b.sum[first] + b.price, int32(first + cut)
}

// plan plans for the n cells from at on, without those of the set gone, which
// earlier tests have taken out.
func (b *treeBuilder) plan(at, n int, gone uint32) plan {
	slot := ((at-b.base)*window+n-1)<<window | int(gone)
	if p := b.plans[slot]; p.step != stepUnknown {
		return p
	}
	var weight int64
	last, differ := -1, false
	for k := range n {
		if gone>>k&1 != 0 {
			continue
		}
		weight += b.sum[at+k+1] - b.sum[at+k]
		differ = differ || last >= 0 && b.cells[at+k].to != b.cells[last].to
		last = at + k
	}
	if !differ {
		b.plans[slot] = plan{0, int32(last), stepNone}
		return b.plans[slot]
	}
	best := plan{cost: math.MaxInt64}
	try := func(cost int64, s step, cell int) {
		if cost < best.cost {
			best = plan{cost, int32(cell), s}
		}
	}
	last = -1
	for k := range n {
		if gone>>k&1 != 0 {
			continue
		}
		if b.one[at+k] {
			try(b.plan(at, n, gone|1<<k).cost, stepTake, at+k)
		}
		if last >= 0 && b.cells[at+k].to != b.cells[last].to {
			below, above := b.plan(at, k, gone&(1<<k-1)), b.plan(at+k, n-k, gone>>k)
			try(below.cost+above.cost, stepSplit, at+k)
		}
		last = at + k
	}
	best.cost += weight + b.price
	b.plans[slot] = best
	return best
}

// emit builds the tree that the plans for the n cells from at on describe.
func (b *treeBuilder) emit(at, n int) ref {
	if n <= window {
		return b.emitWindow(at, n, 0)
	}
	k := int(b.cuts[(at-b.base)*b.n+n-1])
	return b.split(k, b.emit(at, k-at), b.emit(k, at+n-k))
}

func (b *treeBuilder) emitWindow(at, n int, gone uint32) ref {
	p := b.plan(at, n, gone)
	c, k := b.cells[p.cell], int(p.cell)-at
	switch p.step {
	case stepTake:
		return b.g.test(opEqual, b.word, b.mask, c.lo, c.to, b.emitWindow(at, n, gone|1<<k))
	case stepSplit:
		return b.split(at+k, b.emitWindow(at, k, gone&(1<<k-1)), b.emitWindow(at+k, n-k, gone>>k))
	default:
		return c.to
	}
}

// split tests for the values of the cells from k on.
func (b *treeBuilder) split(k int, below, above ref) ref {
	return b.g.test(opGreaterOrEqual, b.word, b.mask, b.cells[k].lo, above, below)
}
