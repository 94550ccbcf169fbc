package compile

import (
	"cmp"
	"math"
	"slices"
)

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
