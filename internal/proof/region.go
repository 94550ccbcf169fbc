package proof

import (
	"cmp"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// maxPatterns bounds the patterns that describe one part of one system call.
const maxPatterns = 1 << 8

// A part is calls of one ABI that have one terminal.
type part struct {
	abi      abi.ABI
	numbers  []policy.NumberRange // sorted; none where they cannot be listed
	label    ref
	set      ref              // of the arguments
	patterns []policy.Pattern // together exactly the part; none where the language cannot say it
	witness  abi.Call
}

// through returns f for the calls through a, where its words are left to test: no
// for all other calls of a's architecture.
func (d *diagram) through(f ref, a abi.ABI) ref {
	class := d.x32()
	if a != abi.X32 {
		class = d.not(class)
	}
	return d.given(d.ite(class, f, no), wordArch, a.AuditArch())
}

// parts describes f, a function that no call outside a matters to, label by
// label and system call by system call. The terminal no is left out.
func (d *diagram) parts(f ref, a abi.ABI) []part {
	f = d.through(f, a)
	runs, ok := d.runs(f, wordNR)
	if !ok {
		return d.partsOfCalls(f, a)
	}
	var all []part
	unnamed := map[ref][]policy.NumberRange{} // by what is left to test
	var order []ref
	gap := func(to ref, lo, end uint64) {
		if lo == end {
			return
		}
		if unnamed[to] == nil {
			order = append(order, to)
		}
		unnamed[to] = append(unnamed[to], policy.NumberRange{Lo: uint32(lo), Hi: uint32(end - 1)})
	}
	for _, r := range runs {
		if r.to == no {
			continue
		}
		next := uint64(r.Lo)
		for nr := range a.Syscalls() {
			if nr < r.Lo || nr > r.Hi {
				continue
			}
			gap(r.to, next, uint64(nr))
			all = append(all, d.partsOf(r.to, a, policy.NumberRange{Lo: nr, Hi: nr})...)
			next = uint64(nr) + 1
		}
		gap(r.to, next, uint64(r.Hi)+1)
	}
	for _, to := range order {
		all = append(all, d.partsOf(to, a, unnamed[to]...)...)
	}
	return all
}

// partsOfCalls is parts for a function of so many runs of numbers that only the
// known calls are described.
func (d *diagram) partsOfCalls(f ref, a abi.ABI) []part {
	var all []part
	rest := f
	for nr := range a.Syscalls() {
		here := policy.NumberRange{Lo: nr, Hi: nr}
		if to := d.given(f, wordNR, nr); to != no {
			all = append(all, d.partsOf(to, a, here)...)
		}
		rest = d.ite(d.numbers([]policy.NumberRange{here}), no, rest)
	}
	for _, one := range d.split(rest) {
		if one.label != no && d.stopped == "" {
			w := [words]uint32{wordArch: a.AuditArch()}
			all = append(all, part{abi: a, label: one.label, set: one.set, witness: call(d.first(one.set, w))})
		}
	}
	return all
}

// partsOf describes a function of the arguments, for calls with the numbers.
func (d *diagram) partsOf(f ref, a abi.ABI, numbers ...policy.NumberRange) []part {
	var all []part
	for _, one := range d.split(f) {
		if one.label == no || d.stopped != "" {
			continue
		}
		p := part{abi: a, numbers: numbers, label: one.label, set: one.set}
		p.witness = call(d.first(p.set, [words]uint32{wordArch: a.AuditArch(), wordNR: numbers[0].Lo}))
		if patterns, ok := d.patterns(a, numbers, p.set, p.set); ok {
			p.patterns = patterns
		}
		all = append(all, p)
	}
	return all
}

// patterns returns patterns that together match, of the calls through a with the
// numbers, all whose arguments are in low and none whose arguments are not in
// high. ok is false where the language cannot say it, or not in a bounded way.
func (d *diagram) patterns(a abi.ABI, numbers []policy.NumberRange, low, high ref) (all []policy.Pattern, ok bool) {
	products, ok := d.cover(low, high)
	if !ok {
		return nil, false
	}
	operands := operands(a, numbers[0].Lo, len(numbers) == 1 && numbers[0].Lo == numbers[0].Hi)
	for _, p := range products {
		alternatives := [][]policy.Condition{nil}
		for i, set := range p {
			of, ok := d.describe(operands[i], set)
			if !ok || len(of)*len(alternatives) > maxPatterns {
				return nil, false
			}
			var next [][]policy.Condition
			for _, before := range alternatives {
				for _, c := range of {
					next = append(next, slices.Concat(before, c))
				}
			}
			alternatives = next
		}
		for _, conditions := range alternatives {
			for _, n := range numbers {
				all = append(all, target(a, n, conditions))
			}
		}
		if len(all) > maxPatterns {
			return nil, false
		}
	}
	slices.SortStableFunc(all, func(x, y policy.Pattern) int { return cmp.Compare(patternCost(x), patternCost(y)) })
	return all, true
}

func patternCost(p policy.Pattern) int { return cost([][]policy.Condition{p.Conditions}) }

func patternsCost(all []policy.Pattern) int {
	n := 0
	for _, p := range all {
		n += patternCost(p)
	}
	return n
}

// target returns the pattern for exactly the calls through a with numbers n that
// satisfy the conditions: by name, but where the name means another number or a
// multiplexer's sub-call too.
func target(a abi.ABI, n policy.NumberRange, conditions []policy.Condition) policy.Pattern {
	p := policy.Pattern{ABI: a, Conditions: conditions}
	if n.Lo == n.Hi {
		if name := a.SyscallName(n.Lo); name != "" {
			_, _, mux := a.Multiplexed(name)
			if len(a.Numbers(name)) == 1 && (!mux || len(conditions) > 0) {
				p.Name = name
				return p
			}
			p.Comment = name
		}
	}
	p.Numbers = &n
	return p
}
