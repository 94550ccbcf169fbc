package compile

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
	// looser, if not 0, goes to stricter for every value that goes there. Cells of
	// stricter may go to looser too, if that saves a test; it takes one more.
	looser, stricter ref

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
