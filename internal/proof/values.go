package proof

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// An operand is one argument of a call, as conditions see it.
type operand struct {
	shape
	name       string // "" if it has none that a pattern can use
	abi        abi.ABI
	vocabulary vocabulary
	mode       bool // of a file: octal
}

// A shape is what conditions on an argument depend on.
type shape struct {
	argument int    // 0 to 5; 6 is the instruction pointer
	mask     uint64 // the bits that a condition compares
	whole    uint64 // those that one on the whole word does
	signed   bool   // its order
	pointer  bool   // only NULL can be asked of it, but for the whole word
	typed    bool   // there are conditions that are not on the whole word
}

// operands returns the arguments of number nr on a. Where nr is a number of
// several, all alike, or one that the tables do not know, they have no names.
func operands(a abi.ABI, nr uint32, single bool) [arguments]operand {
	var all [arguments]operand
	args, known := a.Args(nr)
	for i := range all {
		o := &all[i]
		o.shape = shape{argument: i, whole: a.WordMask(), typed: true}
		if i == policy.IPWord {
			o.mask, o.whole = ^uint64(0), ^uint64(0)
			continue
		}
		o.mask = a.ReadMask(nr, i)
		switch {
		case !known || !single:
			// Numbers that the tables do not know have whole words.
		case i >= len(args):
			o.typed = false
		default:
			o.signed, o.pointer = args[i].Signed, args[i].Kind == abi.Pointer
			if name := args[i].Name; unambiguous(a, nr, name, i) {
				o.name = name
			}
			o.abi, o.mode, o.vocabulary = a, args[i].Kind == abi.Mode, vocabularyOf(a.SyscallName(nr), i)
		}
		if o.mask&(o.mask+1) != 0 {
			o.typed = false // not the low bits: there is no order
		}
	}
	return all
}

// unambiguous reports whether name, in a pattern about nr, means argument i: not
// where the tables have it twice, and not where patterns read it otherwise (the
// headers call prctl's argument 2 arg3).
func unambiguous(a abi.ABI, nr uint32, name string, i int) bool {
	index, ok := a.ArgIndex(nr, name)
	read, err := policy.ParsePattern("nr:0(" + name + " == 0)")
	return ok && index == i && err == nil && read.Conditions[0].Arg == name
}

// Bounds of what a condition is looked for with. A set that needs more is not
// described.
const (
	maxIntervals = 1 << 8
	maxCubes     = 1 << 6
)

// describe returns alternatives, each of conditions that must all hold, that
// together hold exactly for the values of o in set. ok is false if the language
// cannot say it, or not in a bounded way.
func (d *diagram) describe(o operand, set ref) (all [][]policy.Condition, ok bool) {
	key := conditionsKey{o.shape, set}
	r, done := d.conditions[key]
	if !done {
		r.all, r.ok = d.describeShape(o.shape, set)
		if d.conditions == nil {
			d.conditions = map[conditionsKey]conditionsResult{}
		}
		d.conditions[key] = r
	}
	for _, conditions := range r.all {
		named := slices.Clone(conditions)
		for i := range named {
			if o.name != "" {
				named[i].Arg, named[i].Index = o.name, -1
			}
			named[i] = o.rename(named[i])
		}
		all = append(all, named)
	}
	return all, r.ok
}

// Arguments of the same shape have the same conditions, but for their name.
type (
	conditionsKey struct {
		shape
		set ref
	}
	conditionsResult struct {
		all [][]policy.Condition
		ok  bool
	}
)

func (d *diagram) describeShape(o shape, set ref) (all [][]policy.Condition, ok bool) {
	if set == yes {
		return [][]policy.Condition{nil}, true
	}
	support := d.support(set, o)
	if o.typed && support&^o.mask == 0 {
		if all, ok = d.conditionsWithin(o, false, set); ok {
			return all, true
		}
	}
	if support&^o.whole != 0 || o.argument == policy.IPWord {
		return nil, false
	}
	o.mask, o.signed, o.pointer = o.whole, false, false
	return d.conditionsWithin(o, true, set)
}

// conditionsWithin looks at o's low bits, those of its mask, which decide.
func (d *diagram) conditionsWithin(o shape, wide bool, set ref) (best [][]policy.Condition, ok bool) {
	w := writer{o, wide}
	consider := func(all [][]policy.Condition) {
		if !ok || cost(all) < cost(best) {
			best, ok = all, true
		}
	}
	if o.pointer {
		if intervals, few := d.intervals(set, o); few && len(intervals) == 1 {
			switch intervals[0] {
			case policy.Interval{Lo: 0, Hi: 0}:
				consider([][]policy.Condition{{w.compare(policy.Equal, 0)}})
			case policy.Interval{Lo: 1, Hi: o.mask}:
				consider([][]policy.Condition{{w.compare(policy.NotEqual, 0)}})
			}
		}
		return best, ok
	}
	if intervals, few := d.intervals(set, o); few {
		consider(w.exclusions(w.inOrder(intervals)))
		consider(w.ranges(w.inOrder(intervals)))
	}
	if cubes, few := d.cubes(set, o); few {
		consider(w.anyOf(cubes))
	}
	if cubes, few := d.cubes(d.not(set), o); few {
		consider(w.noneOf(nil, cubes))
	}
	if hull := d.hull(set, o); hull.mask != 0 {
		if cubes, few := d.cubes(d.ite(d.cube(hull, o), d.not(set), no), o); few {
			for i := range cubes { // the hull has been asked already
				cubes[i].mask &^= hull.mask
				cubes[i].value &^= hull.mask
			}
			consider(w.noneOf(&hull, cubes))
		}
	}
	return best, ok
}

// cost is how much there is to read.
func cost(all [][]policy.Condition) int {
	n := 0
	for _, conditions := range all {
		n += 3
		for _, c := range conditions {
			n += 3 + max(1, len(c.Values))
			if c.Mask != "" {
				n++
			}
		}
	}
	return n
}

// level returns the level of a bit of o.
func (o shape) level(bit int) int32 {
	return int32(wordArgs+2*o.argument+2)*wordBits - 1 - int32(bit)
}

// bit returns the bit of o that a level tests.
func (o shape) bit(level int32) int { return int(o.level(0) - level) }

// support returns the bits of o that set depends on.
func (d *diagram) support(set ref, o shape) uint64 {
	seen := map[ref]bool{}
	var mask uint64
	var walk func(ref)
	walk = func(r ref) {
		n := d.nodes[r]
		if seen[r] || n.level == inputBits {
			return
		}
		seen[r] = true
		mask |= 1 << o.bit(n.level)
		walk(n.low)
		walk(n.high)
	}
	walk(set)
	return mask
}

// intervals returns the values of set up to o's mask, which are all that count. ok
// is false if there are too many.
func (d *diagram) intervals(set ref, o shape) (all []policy.Interval, ok bool) {
	var walk func(set ref, bit int, prefix uint64) bool
	walk = func(set ref, bit int, prefix uint64) bool {
		switch {
		case set == no:
			return true
		case set == yes:
			hi := prefix | (1<<(bit+1) - 1)
			if last := len(all) - 1; last >= 0 && all[last].Hi+1 == prefix {
				all[last].Hi = hi
				return true
			}
			all = append(all, policy.Interval{Lo: prefix, Hi: hi})
			return len(all) <= maxIntervals
		}
		low, high := d.nodes[set].split(o.level(bit), set)
		return walk(low, bit-1, prefix) && walk(high, bit-1, prefix|1<<bit)
	}
	ok = walk(set, bits.Len64(o.mask)-1, 0)
	return all, ok
}

// A bitCube is the values v with v & mask == value.
type bitCube struct{ mask, value uint64 }

// cube returns the values of o in c.
func (d *diagram) cube(c bitCube, o shape) ref {
	return d.between(field{wordArgs + 2*o.argument, 2 * wordBits}, c.mask, c.value, c.value)
}

// hull returns the smallest cube that holds all of set, which is not empty.
func (d *diagram) hull(set ref, o shape) bitCube {
	var c bitCube
	for support := d.support(set, o); support != 0; support &= support - 1 {
		bit := bitCube{mask: support & -support}
		inside := d.cube(bit, o)
		switch {
		case d.and(set, inside) == no:
			bit.value = bit.mask
		case d.ite(inside, no, set) != no:
			continue
		}
		c.mask |= bit.mask
		c.value |= bit.value
	}
	return c
}

// cubes returns cubes that together are set, none of them needless (Minato and
// Morreale). ok is false if there are too many.
func (d *diagram) cubes(set ref, o shape) (all []bitCube, ok bool) {
	left := maxCubes
	var walk func(low, high ref) ([]bitCube, ref)
	walk = func(low, high ref) ([]bitCube, ref) {
		switch {
		case low == no || left < 0 || d.stopped != "":
			return nil, no
		case high == yes:
			left--
			return []bitCube{{}}, yes
		}
		m, n := d.nodes[low], d.nodes[high]
		level := min(m.level, n.level)
		l0, l1 := m.split(level, low)
		h0, h1 := n.split(level, high)
		bit := uint64(1) << o.bit(level)
		zeros, covered0 := walk(d.ite(h1, no, l0), h0)
		ones, covered1 := walk(d.ite(h0, no, l1), h1)
		rest := d.or(d.ite(covered0, no, l0), d.ite(covered1, no, l1))
		both, covered := walk(rest, d.and(h0, h1))
		for i := range zeros {
			zeros[i].mask |= bit
		}
		for i := range ones {
			ones[i].mask |= bit
			ones[i].value |= bit
		}
		return slices.Concat(zeros, ones, both), d.or(covered, d.branch(level, covered0, covered1))
	}
	all, _ = walk(set, set)
	return all, left >= 0 && d.stopped == ""
}

// A writer writes conditions on one argument.
type writer struct {
	shape
	wide bool // on the whole word
}

// condition returns a condition on the argument that says nothing yet.
func (w writer) condition(op policy.Op) policy.Condition {
	return policy.Condition{Index: w.argument, Wide: w.wide, Op: op}
}

// A span is values in the operand's own order: as signed numbers where it is
// signed.
type span struct{ lo, hi uint64 }

// inOrder returns intervals in the operand's own order.
func (w writer) inOrder(intervals []policy.Interval) []span {
	var all []span
	sign := w.mask &^ (w.mask >> 1)
	for _, in := range intervals {
		switch {
		case !w.signed:
			all = append(all, span{in.Lo, in.Hi})
		case in.Lo < sign && in.Hi >= sign:
			all = append(all, span{in.Lo, sign - 1}, span{sign, in.Hi})
		default:
			all = append(all, span{in.Lo, in.Hi})
		}
	}
	if !w.signed {
		return all
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.lo^sign, b.lo^sign) })
	joined := all[:0]
	for _, s := range all {
		if last := len(joined) - 1; last >= 0 && (joined[last].hi+1)&w.mask == s.lo {
			joined[last].hi = s.hi
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// least and most are the ends of the operand's order.
func (w writer) least() uint64 {
	if w.signed {
		return w.mask &^ (w.mask >> 1)
	}
	return 0
}

func (w writer) most() uint64 {
	if w.signed {
		return w.mask >> 1
	}
	return w.mask
}

// size returns how many values s has, capped.
func (w writer) size(s span) uint64 { return min((s.hi-s.lo)&w.mask, 1<<20) + 1 }

const (
	fewValues  = 2  // of a span that is listed value by value
	fewMissing = 64 // values that are excluded one by one
)

// ranges says which spans the values are in: the small ones value by value.
func (w writer) ranges(spans []span) [][]policy.Condition {
	var values []uint64
	var all [][]policy.Condition
	for _, s := range spans {
		if n := w.size(s); n <= fewValues && s != (span{w.least(), s.hi}) && s != (span{s.lo, w.most()}) || n == 1 {
			for i := range n {
				values = append(values, (s.lo+i)&w.mask)
			}
			continue
		}
		all = append(all, w.between(s))
	}
	if len(values) > 0 {
		all = slices.Insert(all, 0, []policy.Condition{w.oneOf(values, policy.Equal, policy.In)})
	}
	return all
}

// exclusions says which values are missing between the first span and the last.
// Spans that are too far apart are alternatives.
func (w writer) exclusions(spans []span) [][]policy.Condition {
	var all [][]policy.Condition
	for len(spans) > 0 {
		whole := spans[0]
		var missing []uint64
		n := 1
		for ; n < len(spans); n++ {
			gap := span{(whole.hi + 1) & w.mask, (spans[n].lo - 1) & w.mask}
			if w.size(gap) > fewMissing-uint64(len(missing)) {
				break
			}
			for i := range w.size(gap) {
				missing = append(missing, (gap.lo+i)&w.mask)
			}
			whole.hi = spans[n].hi
		}
		spans = spans[n:]
		// What is missing at the ends is excluded too, if it is one value.
		for _, end := range []struct {
			at   *uint64
			last uint64
			step uint64
		}{{&whole.lo, w.least(), 1}, {&whole.hi, w.most(), ^uint64(0)}} {
			if *end.at != end.last && (*end.at-end.step)&w.mask == end.last && len(spans) == 0 && len(all) == 0 {
				missing = append(missing, end.last)
				*end.at = end.last
			}
		}
		conditions := w.between(whole)
		if len(missing) > 0 {
			conditions = append(conditions, w.oneOf(missing, policy.NotEqual, policy.NotIn))
		}
		all = append(all, conditions)
	}
	return all
}

// between says that the value is in s.
func (w writer) between(s span) []policy.Condition {
	switch {
	case s.lo == s.hi:
		return []policy.Condition{w.compare(policy.Equal, s.lo)}
	case s.lo == w.least() && s.hi == w.most():
		return nil
	case s.lo == w.least():
		return []policy.Condition{w.compare(policy.LessOrEqual, s.hi)}
	case s.hi == w.most():
		return []policy.Condition{w.compare(policy.GreaterOrEqual, s.lo)}
	}
	return []policy.Condition{w.compare(policy.GreaterOrEqual, s.lo), w.compare(policy.LessOrEqual, s.hi)}
}

func (w writer) compare(op policy.Op, v uint64) policy.Condition {
	c := w.condition(op)
	c.Values = []string{w.number(v)}
	return c
}

func (w writer) oneOf(values []uint64, single, several policy.Op) policy.Condition {
	if len(values) == 1 {
		return w.compare(single, values[0])
	}
	c := w.condition(several)
	for _, v := range values {
		c.Values = append(c.Values, w.number(v))
	}
	return c
}

// anyOf says that the value is in one of the cubes.
func (w writer) anyOf(cubes []bitCube) [][]policy.Condition {
	var all [][]policy.Condition
	for _, c := range cubes {
		if c.mask == 0 {
			return [][]policy.Condition{nil}
		}
		all = append(all, []policy.Condition{w.masked(c, policy.MaskedEqual, policy.NoBits)})
	}
	return all
}

// noneOf says that the value is in the hull, if there is one, and in none of the
// cubes.
func (w writer) noneOf(hull *bitCube, cubes []bitCube) [][]policy.Condition {
	var all []policy.Condition
	if hull != nil {
		all = append(all, w.masked(*hull, policy.MaskedEqual, policy.NoBits))
	}
	for _, c := range cubes {
		all = append(all, w.masked(c, policy.MaskedNotEqual, policy.AnyBits))
	}
	return [][]policy.Condition{all}
}

// masked compares the bits of c: with op, or where all are 0, with zero. One bit
// that is set is any bit that is set.
func (w writer) masked(c bitCube, op, zero policy.Op) policy.Condition {
	if c.mask == w.mask {
		if op == policy.MaskedEqual {
			return w.compare(policy.Equal, c.value)
		}
		return w.compare(policy.NotEqual, c.value)
	}
	out := w.condition(op)
	out.Mask = fmt.Sprintf("%#x", c.mask)
	switch {
	case c.value == 0:
		out.Op = zero
	case c.value == c.mask && bits.OnesCount64(c.mask) == 1:
		out.Op = policy.AnyBits
		if op == policy.MaskedNotEqual {
			out.Op = policy.NoBits
		}
	default:
		out.Values = []string{fmt.Sprintf("%#x", c.value)}
	}
	return out
}

// number writes v: as a negative number where the operand's order has it so.
func (w writer) number(v uint64) string {
	switch {
	case w.signed && v > w.mask>>1:
		return fmt.Sprint(-int64(w.mask-v) - 1)
	case v < 1024:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%#x", v)
}
