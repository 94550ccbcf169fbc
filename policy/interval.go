package policy

import (
	"cmp"
	"math/bits"
	"slices"
)

// normalIntervals sorts intervals and joins those that meet.
func normalIntervals(all []Interval) []Interval {
	slices.SortFunc(all, func(a, b Interval) int { return cmp.Compare(a.Lo, b.Lo) })
	joined := all[:0]
	for _, in := range all {
		if last := len(joined) - 1; last >= 0 && (in.Lo <= joined[last].Hi || in.Lo-1 == joined[last].Hi) {
			joined[last].Hi = max(joined[last].Hi, in.Hi)
			continue
		}
		joined = append(joined, in)
	}
	return joined
}

// complement returns the values from 0 to top that no interval of all holds.
// all is normal.
func complement(all []Interval, top uint64) []Interval {
	var rest []Interval
	next := uint64(0)
	for _, in := range all {
		if in.Lo > next {
			rest = append(rest, Interval{next, in.Lo - 1})
		}
		if in.Hi >= top {
			return rest
		}
		next = in.Hi + 1
	}
	return append(rest, Interval{next, top})
}

// common returns the values that both a and b, which are normal, hold.
func common(a, b []Interval) []Interval {
	var all []Interval
	for len(a) > 0 && len(b) > 0 {
		if lo, hi := max(a[0].Lo, b[0].Lo), min(a[0].Hi, b[0].Hi); lo <= hi {
			all = append(all, Interval{lo, hi})
		}
		if a[0].Hi < b[0].Hi {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return all
}

// order returns the values of o that stand in the order op to v.
func order(op Op, v uint64, o operand) []Interval {
	if !o.signed {
		return unsignedOrder(op, v, o.mask)
	}
	// Two's complement with the sign bit flipped is in unsigned order.
	sign := uint64(1) << (bits.Len64(o.mask) - 1)
	var all []Interval
	for _, in := range unsignedOrder(op, v^sign, o.mask) {
		if in.Lo < sign && in.Hi >= sign {
			all = append(all, Interval{in.Lo ^ sign, o.mask}, Interval{0, in.Hi ^ sign})
			continue
		}
		all = append(all, Interval{in.Lo ^ sign, in.Hi ^ sign})
	}
	return normalIntervals(all)
}

func unsignedOrder(op Op, v, top uint64) []Interval {
	switch op {
	case Less, LessOrEqual:
		if op == LessOrEqual || v > top {
			return []Interval{{0, min(v, top)}}
		}
		if v == 0 {
			return nil
		}
		return []Interval{{0, v - 1}}
	case Greater, GreaterOrEqual:
		if v > top || op == Greater && v == top {
			return nil
		}
		if op == Greater {
			v++
		}
		return []Interval{{v, top}}
	}
	return nil
}
