package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// A target is numbers that a pattern means, all with the same arguments.
type target struct {
	numbers NumberRange
	mux     *Test // the test that makes a multiplexer's call the one meant
}

// A part is numbers that a pattern means, and what their arguments must satisfy:
// nothing if they can be any.
type part struct {
	numbers NumberRange
	all     Alternative
	from    *Pattern
}

// rule resolves rule i for a, without action. All parts that it returns have one
// action, so their order does not matter.
func (r *resolver) rule(i int, a abi.ABI) []ResolvedRule {
	rule := &r.policy.Rules[i]
	parts := r.parts(rule, rule.Calls, a, false)
	if len(rule.Except) == 0 {
		return group(parts)
	}
	rest := r.except(rule, parts, r.parts(rule, rule.Except, a, true))
	if len(parts) > 0 {
		left, seen := r.left[rule]
		r.left[rule] = len(rest) > 0 || seen && left
	}
	return group(rest)
}

// parts resolves patterns of rule: those of its exceptions, if exception is set.
func (r *resolver) parts(rule *Rule, patterns []Pattern, a abi.ABI, exception bool) []part {
	var all []part
	for i := range patterns {
		c := &patterns[i]
		for _, t := range r.targets(rule, c, a, exception) {
			all = append(all, part{t.numbers, r.alternative(c, a, t), c})
		}
	}
	return all
}

// group makes one rule of what is decided whatever the arguments are, and one of
// each run of numbers with the same conditions.
func group(parts []part) []ResolvedRule {
	var plain []NumberRange
	conditional := make(map[NumberRange][]Alternative)
	for _, p := range parts {
		if len(p.all) == 0 {
			plain = append(plain, p.numbers)
			continue
		}
		conditional[p.numbers] = append(conditional[p.numbers], p.all)
	}
	var rules []ResolvedRule
	if len(plain) > 0 {
		plain = normalNumbers(plain)
		rules = append(rules, ResolvedRule{Numbers: plain})
	}
	var order []NumberRange
	for n := range conditional {
		if !within(n, plain) {
			order = append(order, n)
		}
	}
	slices.SortFunc(order, func(a, b NumberRange) int {
		return cmp.Or(cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi))
	})
	for _, n := range order {
		rules = append(rules, ResolvedRule{Numbers: []NumberRange{n}, Any: joinAlternatives(conditional[n])})
	}
	return rules
}

// within reports whether one of all, which are normal, holds n.
func within(n NumberRange, all []NumberRange) bool {
	return slices.ContainsFunc(all, func(r NumberRange) bool { return r.Lo <= n.Lo && n.Hi <= r.Hi })
}

// joinAlternatives makes one test of all that stand alone and see the same bits.
func joinAlternatives(all []Alternative) []Alternative {
	var joined []Alternative
next:
	for _, a := range all {
		for _, old := range joined {
			if len(a) == 1 && len(old) == 1 && a[0].Word == old[0].Word && a[0].Mask == old[0].Mask {
				old[0].In = normalIntervals(slices.Concat(old[0].In, a[0].In))
				continue next
			}
		}
		joined = append(joined, a)
	}
	return joined
}

// targets returns the numbers on a of c, a pattern of rule or of its exceptions.
func (r *resolver) targets(rule *Rule, c *Pattern, a abi.ABI, exception bool) []target {
	switch {
	case c.Numbers != nil:
		if c.Name != "" || c.Numbers.Lo > c.Numbers.Hi {
			r.add(c.Pos, 1, "", "bad range of call numbers")
			r.found[c] = true
			return nil
		}
	default:
		if msg, hint := checkName(c.Name); msg != "" {
			r.add(c.Pos, len(c.Name), hint, "%s", msg)
			r.found[c] = true
			return nil
		}
	}
	if c.ABI != abi.None && c.ABI != a {
		return nil
	}
	if c.Numbers != nil {
		r.found[c] = true
		return splitNumbers(*c.Numbers, a, len(c.Conditions) > 0)
	}
	names := []string{c.Name}
	if isSet(c.Name) {
		if len(c.Conditions) > 0 {
			r.add(c.Pos, len(c.Name), "write one pattern for each call", "a set takes no conditions")
		}
		names, _ = Set(c.Name)
	}
	var all []target
	for _, name := range names {
		numbers := a.Numbers(name)
		if r.lacksArgument(rule, c, a, numbers, exception) {
			r.found[c] = true
			continue
		}
		for _, nr := range numbers {
			all = append(all, target{numbers: NumberRange{nr, nr}})
		}
		mux, sub, ok := a.Multiplexed(name)
		switch {
		case !ok:
		case len(c.Conditions) == 0:
			all = append(all, target{NumberRange{mux, mux}, &Test{0, a.ReadMask(mux, 0), []Interval{{sub, sub}}}})
		case len(numbers) == 0:
			r.found[c] = true
			r.warnConditionalSubcall(rule, c, a, mux, sub, exception)
		}
	}
	if len(all) > 0 {
		r.found[c] = true
	}
	return all
}

// lacksArgument reports whether the call has another shape on a, without an
// argument that c names and that the call has on another listed ABI: mmap on 386
// takes a pointer to its arguments. The rule cannot say anything there, which it
// warns of.
func (r *resolver) lacksArgument(rule *Rule, c *Pattern, a abi.ABI, numbers []uint32, exception bool) bool {
	has := func(a abi.ABI, numbers []uint32, arg string) bool {
		for _, nr := range numbers {
			if _, ok := a.ArgIndex(nr, arg); ok {
				return true
			}
		}
		return false
	}
	for _, cond := range c.Conditions {
		if cond.Arg == "" || len(numbers) == 0 || has(a, numbers, cond.Arg) {
			continue
		}
		if c.Set != "" {
			if exception && !restricts(rule.Action.Kind) && !rule.Only {
				r.warn(CodeGroup, c.Pos, len(c.Set), "except "+c.Name+", or write only: true if this is meant",
					fmt.Sprintf("%s on %s has no argument %q: the exception does not apply there", c.Name, a, cond.Arg))
			}
			return true
		}
		for _, other := range r.abis {
			if c.ABI != abi.None || !has(other, other.Numbers(c.Name), cond.Arg) {
				continue
			}
			code, what := CodeOtherABI, "rule"
			if exception {
				what = "exception"
			}
			if restricts(rule.Action.Kind) != exception {
				code = CodeGroup
			}
			if !rule.Only && !rule.Optional {
				r.warn(code, cond.Pos, len(cond.Arg), "pin the pattern: "+other.String()+":"+c.Name+"(…), or write only: true if this is meant",
					fmt.Sprintf("%s on %s has no argument %q: the %s does not apply there", c.Name, a, cond.Arg, what))
			}
			return true
		}
	}
	return false
}

// splitNumbers cuts a range so that each part has one read mask: a range without
// conditions is one part, else every known number is its own.
func splitNumbers(n NumberRange, a abi.ABI, conditional bool) []target {
	if !conditional {
		return []target{{numbers: n}}
	}
	var all []target
	next := uint64(n.Lo)
	for nr := range a.Syscalls() {
		if nr < n.Lo || nr > n.Hi {
			continue
		}
		if uint64(nr) > next {
			all = append(all, target{numbers: NumberRange{uint32(next), nr - 1}})
		}
		all = append(all, target{numbers: NumberRange{nr, nr}})
		next = uint64(nr) + 1
	}
	if next <= uint64(n.Hi) {
		all = append(all, target{numbers: NumberRange{uint32(next), n.Hi}})
	}
	return all
}

// alternative lowers the conditions of c for one target.
func (r *resolver) alternative(c *Pattern, a abi.ABI, t target) Alternative {
	var all Alternative
	if t.mux != nil {
		all = append(all, *t.mux)
	}
	for i := range c.Conditions {
		all = append(all, r.test(c, &c.Conditions[i], a, t.numbers))
	}
	return all
}

// normalNumbers sorts ranges and joins those that meet.
func normalNumbers(all []NumberRange) []NumberRange {
	slices.SortFunc(all, func(a, b NumberRange) int { return cmp.Compare(a.Lo, b.Lo) })
	joined := all[:0]
	for _, n := range all {
		if last := len(joined) - 1; last >= 0 && (n.Lo <= joined[last].Hi || n.Lo == joined[last].Hi+1) {
			joined[last].Hi = max(joined[last].Hi, n.Hi)
			continue
		}
		joined = append(joined, n)
	}
	return joined
}
