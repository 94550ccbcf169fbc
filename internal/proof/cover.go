package proof

import "slices"

// arguments are the 64-bit words that conditions can ask of: the arguments, then
// the instruction pointer.
const arguments = 7

// A product is a set of values for each argument; a call is in it if each of its
// arguments is in its set. A set that is yes holds every value.
type product [arguments]ref

// maxProducts bounds how many products describe one set.
const maxProducts = 1 << 10

// cover returns products that together hold all of low and nothing outside high,
// conditions on the arguments. It prefers few products with few conditions; it
// does not promise the fewest. ok is false where there would be too many.
//
// It is the irredundant sum of products of Minato and Morreale with whole
// arguments in the place of bits: what depends on an argument's value is covered
// value by value, each product then widened to all values for which it may hold;
// the rest needs no condition on the argument.
func (d *diagram) cover(low, high ref) (all []product, ok bool) {
	key := coverKey{low, high}
	if r, done := d.covers[key]; done {
		return r.products, r.ok
	}
	left := maxProducts
	all = d.coverFrom(low, high, &left)
	ok = left >= 0 && d.stopped == ""
	if d.covers == nil {
		d.covers = map[coverKey]coverResult{}
	}
	d.covers[key] = coverResult{all, ok}
	return all, ok
}

// The same functions come back for many system calls.
type (
	coverKey    struct{ low, high ref }
	coverResult struct {
		products []product
		ok       bool
	}
)

func (d *diagram) coverFrom(low, high ref, left *int) []product {
	switch {
	case low == no || *left < 0 || d.stopped != "":
		return nil
	case high == yes:
		if *left--; *left < 0 {
			return nil
		}
		any := product{}
		for i := range any {
			any[i] = yes
		}
		return []product{any}
	}
	level := min(d.nodes[low].level, d.nodes[high].level)
	argument := (int(level)/wordBits - wordArgs) / 2
	cases, ok := d.cases(low, high, argument)
	if !ok {
		*left = -1
		return nil
	}
	always := yes // may be covered whatever the argument is
	for _, c := range cases {
		always = d.and(always, c.high)
	}
	var all []product
	covered := make([]ref, len(cases)) // no
	for i, c := range cases {
		need := d.ite(d.or(always, covered[i]), no, c.low)
		for _, p := range d.coverFrom(need, c.high, left) {
			region := d.product(p)
			values := no
			for j, other := range cases {
				if d.ite(region, other.high, yes) == yes {
					values = d.or(values, other.values)
					covered[j] = d.or(covered[j], region)
				}
			}
			p[argument] = values
			all = append(all, p)
		}
	}
	rest := no
	for i, c := range cases {
		rest = d.or(rest, d.ite(covered[i], no, c.low))
	}
	return append(all, d.coverFrom(rest, always, left)...)
}

// product returns the condition that p stands for.
func (d *diagram) product(p product) ref {
	out := yes
	for _, set := range slices.Backward(p[:]) {
		out = d.and(set, out)
	}
	return out
}

// An argumentCase is the values of one argument for which low and high are the
// same functions of the later ones.
type argumentCase struct {
	values    ref
	low, high ref
}

// maxCases bounds the cases of one argument.
const maxCases = 1 << 10

// cases splits low and high by an argument, the first that they depend on. ok is
// false if there are more than maxCases.
func (d *diagram) cases(low, high ref, argument int) (all []argumentCase, ok bool) {
	end := int32(wordArgs+2*argument+2) * wordBits
	type pair struct{ low, high ref }
	done := map[pair][]argumentCase{}
	tooMany := false
	var walk func(low, high ref) []argumentCase
	walk = func(low, high ref) []argumentCase {
		m, n := d.nodes[low], d.nodes[high]
		level := min(m.level, n.level)
		if tooMany {
			return nil
		}
		if level >= end {
			return []argumentCase{{yes, low, high}}
		}
		if all, ok := done[pair{low, high}]; ok {
			return all
		}
		l0, l1 := m.split(level, low)
		h0, h1 := n.split(level, high)
		var all []argumentCase
		zero, one := walk(l0, h0), walk(l1, h1)
		for _, c := range zero {
			all = append(all, argumentCase{d.branch(level, c.values, no), c.low, c.high})
		}
	next:
		for _, c := range one {
			for i := range all {
				if all[i].low == c.low && all[i].high == c.high {
					// zero's cases are in the order of all, their values below level.
					all[i].values = d.branch(level, zero[i].values, c.values)
					continue next
				}
			}
			all = append(all, argumentCase{d.branch(level, no, c.values), c.low, c.high})
		}
		if !d.spend(len(all)) || len(all) > maxCases {
			tooMany = true
			return nil
		}
		done[pair{low, high}] = all
		return all
	}
	all = walk(low, high)
	return all, !tooMany
}
