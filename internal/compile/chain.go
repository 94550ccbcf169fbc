package compile

import (
	"cmp"
	"slices"
)

// chain returns the cost of taking out, one by one, every cell that does not have
// the most frequent outcome, if it can be done for less than limit.
func (b *treeBuilder) chain(i, j int, limit int64) (cost int64, ok bool) {
	if b.price < priceSize && j-i > 2*maxChain+1 { // neighbours differ: every second one is taken out
		return 0, false
	}
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
