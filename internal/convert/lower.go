package convert

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// maxAlternatives bounds what the conditions of one rule come to.
const maxAlternatives = 4096

var errTooManyAlternatives = fmt.Errorf("the conditions come to more than %d alternatives", maxAlternatives)

// onOneABI returns the policy of a filter that is for one ABI alone, and that
// looks at numbers only: x32's are numbers without a rule.
func onOneABI(a abi.ABI, fallback, badArch policy.Action) *policy.Policy {
	return &policy.Policy{Version: 1, ABIs: []abi.ABI{a}, Default: fallback, BadArch: &badArch, X32: &fallback}
}

// machine returns the ABI of the machine that a policy is read for.
func (o Options) machine() (abi.ABI, error) {
	if a := o.native(); a != abi.None {
		return a, nil
	}
	return abi.None, errors.New("the policy means nothing without the machine's ABI: name it")
}

// actionOf returns a word as an action, with the name of its errno on a. The
// kernel takes a larger errno for the largest.
func actionOf(a abi.ABI, word abi.Action) policy.Action {
	action := policy.Action{Kind: word.Kind()}
	switch {
	case word.Kind() == abi.Errno:
		n := min(word.Data(), abi.MaxErrno)
		if action.Errno = a.ErrnoName(n); action.Errno == "" || n == 0 {
			action.Errno, action.Data = "", n
		}
	case word.TakesData():
		action.Data = word.Data()
	}
	return action
}

// named returns the number of the call that the kernel's headers call name on a;
// aliases do not count.
func named(a abi.ABI, name string) (uint32, bool) {
	nr, ok := a.Lookup(name)
	return nr, ok && a.SyscallName(nr) == name
}

// patternOf returns the pattern of one number of a, for a policy that lists no
// other ABI: by its name where that means the number and no other.
func patternOf(a abi.ABI, nr uint32) policy.Pattern {
	p := (&call{name: a.SyscallName(nr), abi: a, nr: nr}).pattern()
	p.ABI = abi.None
	return p
}

// patterns returns patterns that together match the calls of p that satisfy one
// of the alternatives; p itself if there are none.
func patterns(p policy.Pattern, a abi.ABI, alternatives []policy.Alternative) ([]policy.Pattern, error) {
	if len(alternatives) == 0 {
		return []policy.Pattern{p}, nil
	}
	var all []policy.Pattern
	for _, alternative := range alternatives {
		lists := [][]policy.Condition{nil}
		for _, t := range alternative {
			var next [][]policy.Condition
			for _, more := range conditionsOf(t, a.WordMask()) {
				for _, before := range lists {
					next = append(next, append(slices.Clone(before), more...))
				}
			}
			if lists = next; len(lists)+len(all) > maxAlternatives {
				return nil, errTooManyAlternatives
			}
		}
		for _, list := range lists {
			one := p
			one.Conditions = list
			all = append(all, one)
		}
	}
	return all, nil
}

// comparison returns the test that argument arg, under mask, compares with v as
// op says. Both are unsigned.
func comparison(arg int, mask uint64, op policy.Op, v uint64) policy.Test {
	t := policy.Test{Word: uint8(arg), Mask: mask}
	switch op {
	case policy.Equal:
		if v <= mask {
			t.In = []policy.Interval{{Lo: v, Hi: v}}
		}
	case policy.NotEqual:
		return opposite(comparison(arg, mask, policy.Equal, v))
	case policy.Less:
		if v > 0 {
			t.In = []policy.Interval{{Lo: 0, Hi: min(v-1, mask)}}
		}
	case policy.LessOrEqual:
		t.In = []policy.Interval{{Lo: 0, Hi: min(v, mask)}}
	default: // the others are what these two are not
		less := policy.LessOrEqual
		if op == policy.GreaterOrEqual {
			less = policy.Less
		}
		return opposite(comparison(arg, mask, less, v))
	}
	return t
}

// opposite returns the test that holds where t does not.
func opposite(t policy.Test) policy.Test {
	var rest []policy.Interval
	next := uint64(0)
	for _, in := range t.In {
		if in.Lo > next {
			rest = append(rest, policy.Interval{Lo: next, Hi: in.Lo - 1})
		}
		if in.Hi >= t.Mask {
			t.In = rest
			return t
		}
		next = in.Hi + 1
	}
	t.In = append(rest, policy.Interval{Lo: next, Hi: t.Mask})
	return t
}

// conditionsOf returns t as lists of conditions of which one has to hold, each of
// conditions that must all hold. word is the ABI's.
func conditionsOf(t policy.Test, word uint64) [][]policy.Condition {
	rest := opposite(t).In
	one := func(op policy.Op, values ...uint64) []policy.Condition {
		c := policy.Condition{Index: int(t.Word), Wide: true, Op: op}
		for _, v := range values {
			c.Values = append(c.Values, number(v))
		}
		return []policy.Condition{c}
	}
	values, gaps := singles(t.In), singles(rest)
	switch {
	case len(t.In) == 0:
		return nil
	case len(rest) == 0:
		return [][]policy.Condition{nil}
	case t.Mask != word && t.Word != policy.IPWord:
		return maskedConditions(t, values, gaps)
	case len(values) == 1:
		return [][]policy.Condition{one(policy.Equal, values[0])}
	case len(values) > 1:
		return [][]policy.Condition{one(policy.In, values...)}
	case len(gaps) == 1:
		return [][]policy.Condition{one(policy.NotEqual, gaps[0])}
	case len(gaps) > 1:
		return [][]policy.Condition{one(policy.NotIn, gaps...)}
	}
	var all [][]policy.Condition
	for _, in := range t.In {
		switch {
		case in.Lo == in.Hi:
			all = append(all, one(policy.Equal, in.Lo))
		case in.Lo == 0:
			all = append(all, one(policy.LessOrEqual, in.Hi))
		case in.Hi == t.Mask:
			all = append(all, one(policy.GreaterOrEqual, in.Lo))
		default:
			all = append(all, append(one(policy.GreaterOrEqual, in.Lo), one(policy.LessOrEqual, in.Hi)...))
		}
	}
	return all
}

// maskedConditions is conditionsOf for part of a word, whose values or gaps are
// given where t has only such.
func maskedConditions(t policy.Test, values, gaps []uint64) [][]policy.Condition {
	masked := func(op policy.Op, mask, v uint64) []policy.Condition {
		c := policy.Condition{Index: int(t.Word), Wide: true, Op: op, Mask: number(mask), Values: []string{number(v)}}
		switch {
		case v == 0 && op == policy.MaskedEqual:
			c.Op, c.Values = policy.NoBits, nil
		case v == 0:
			c.Op, c.Values = policy.AnyBits, nil
		}
		return []policy.Condition{c}
	}
	// What a value has outside the mask, no word has under it.
	possible := func(v uint64) bool { return v&^t.Mask == 0 }
	if len(gaps) == 1 && possible(gaps[0]) {
		return [][]policy.Condition{masked(policy.MaskedNotEqual, t.Mask, gaps[0])}
	}
	var all [][]policy.Condition
	if len(values) > 0 {
		for _, v := range values {
			if possible(v) {
				all = append(all, masked(policy.MaskedEqual, t.Mask, v))
			}
		}
		return all
	}
	for _, c := range cubes(t) {
		if c.mask == 0 {
			return [][]policy.Condition{nil}
		}
		all = append(all, masked(policy.MaskedEqual, c.mask, c.value))
	}
	return all
}

// singles returns the values of intervals that are all of one value, at most 64
// of them; nil if they are not.
func singles(all []policy.Interval) []uint64 {
	if len(all) > 64 {
		return nil
	}
	var values []uint64
	for _, in := range all {
		if in.Hi-in.Lo > 7 {
			return nil
		}
		for v := in.Lo; ; v++ {
			values = append(values, v)
			if v == in.Hi {
				break
			}
		}
	}
	return values
}

// without returns the alternatives that hold where none of those given does; none
// if there is no such place.
func without(alternatives []policy.Alternative) ([]policy.Alternative, error) {
	rest := []policy.Alternative{nil}
	for _, alternative := range alternatives {
		var next []policy.Alternative
		for _, before := range rest {
			for _, t := range alternative {
				if both, ok := narrowed(before, opposite(t)); ok {
					next = append(next, both)
				}
			}
		}
		if rest = next; len(rest) > maxAlternatives {
			return nil, errTooManyAlternatives
		}
	}
	return rest, nil
}

// narrowed returns a with one more test, which is joined with one about the same
// bits. ok is false if no word can satisfy both.
func narrowed(a policy.Alternative, t policy.Test) (policy.Alternative, bool) {
	if len(t.In) == 0 {
		return nil, false
	}
	i := slices.IndexFunc(a, func(s policy.Test) bool { return s.Word == t.Word && s.Mask == t.Mask })
	a = slices.Clone(a)
	if i < 0 {
		return append(a, t), true
	}
	var both []policy.Interval
	for _, x := range a[i].In {
		for _, y := range t.In {
			if lo, hi := max(x.Lo, y.Lo), min(x.Hi, y.Hi); lo <= hi {
				both = append(both, policy.Interval{Lo: lo, Hi: hi})
			}
		}
	}
	a[i].In = both
	return a, len(both) > 0
}

// readIncluded reads a file that a policy includes: a regular one, no larger than
// a policy is.
func readIncluded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", path)
	case info.Size() > maxText:
		return nil, fmt.Errorf("%s: larger than the %d bytes that a policy may have", path, maxText)
	}
	return os.ReadFile(path)
}
