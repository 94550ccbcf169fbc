package certify

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// Levels is the number of input bits. A bit's level is its place in the 32-bit
// words of a call, each from its most significant bit on, in this order.
const Levels = 512

const (
	wordArch = iota
	wordNR
	wordArgs      // high and low half of args[0], then of args[1], …
	wordIP   = 14 // high and low half
)

// A Test asks whether the Width bits from Level on, under Mask, are a value in
// one of the intervals, which are sorted and disjoint.
type Test struct {
	Level, Width int
	Mask         uint64
	In           []policy.Interval
}

// An Operand is a choice before the one that uses it, or a word.
type Operand struct {
	Choice int // index in Circuit.Choices; -1: none, a word
	Word   abi.Action
}

// A Choice is the function that is Then where the test holds, and Else where it
// does not.
type Choice struct {
	Test       Test
	Then, Else Operand
}

// A Circuit is choices, each after those that it uses.
type Circuit struct {
	Choices         []Choice
	Policy, Program Operand // what they say of every call

	done map[place]Operand
	work int
}

// maxWork bounds the choices of a circuit, the places of its program and what it
// takes to sort the policy's numbers.
const maxWork = 1 << 22

// Lower returns the choices of both sides. program has to be valid. An error says
// what certificates do not cover.
func Lower(r *policy.Resolved, program bpf.Program) (*Circuit, error) {
	c := &Circuit{done: make(map[place]Operand)}
	c.Policy = c.lowerPolicy(r)
	var err error
	c.Program, err = c.lowerProgram(program, r.BigEndian(), place{})
	if c.work > maxWork {
		err = refuse("policy and program make too many choices")
	}
	return c, err
}

func word(a abi.Action) Operand { return Operand{-1, a} }

// choose returns the function that is then where t holds, else otherwise.
func (c *Circuit) choose(t Test, then, otherwise Operand) Operand {
	if then == otherwise {
		return then
	}
	c.work++
	c.Choices = append(c.Choices, Choice{t, then, otherwise})
	return Operand{Choice: len(c.Choices) - 1}
}

// lowerPolicy returns what [policy.Resolved.Eval] says.
func (c *Circuit) lowerPolicy(r *policy.Resolved) Operand {
	sections := make(map[abi.ABI]Operand)
	for i := range r.ABIs {
		sections[r.ABIs[i].ABI] = c.lowerSection(&r.ABIs[i])
	}
	out := word(r.BadArch)
	for _, a := range abi.All() {
		here, listed := sections[a]
		x32, withX32 := sections[abi.X32]
		if a == abi.X32 || !listed && (a != abi.AMD64 || !withX32) {
			continue
		}
		if !listed {
			here = word(r.BadArch)
		}
		if !withX32 {
			x32 = word(r.X32)
		}
		if a == abi.AMD64 { // the numbers of abi.Call.IsX32
			here = c.choose(numbers(wordNR, []policy.NumberRange{{Lo: 1 << 30, Hi: 1<<31 - 1}, {Lo: 3 << 30, Hi: 1<<32 - 2}}), x32, here)
		}
		out = c.choose(numbers(wordArch, []policy.NumberRange{{Lo: a.AuditArch(), Hi: a.AuditArch()}}), here, out)
	}
	return out
}

// numbers returns the test whether a 32-bit word is in one of the ranges.
func numbers(word int, ranges []policy.NumberRange) Test {
	t := Test{Level: 32 * word, Width: 32, Mask: 1<<32 - 1}
	for _, r := range ranges {
		t.In = append(t.In, policy.Interval{Lo: uint64(r.Lo), Hi: uint64(r.Hi)})
	}
	return t
}

// lowerSection sorts the numbers by what s says of them. The lot with the most
// ranges needs no test.
func (c *Circuit) lowerSection(s *policy.ResolvedABI) Operand {
	cuts := []uint64{0, 1 << 32} // where s can begin to say something else
	cut := func(ranges []policy.NumberRange) {
		for _, r := range ranges {
			cuts = append(cuts, uint64(r.Lo), uint64(r.Hi)+1)
		}
	}
	cut(s.Known)
	for i := range s.Rules {
		cut(s.Rules[i].Numbers)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	c.work += len(cuts) * len(s.Rules)
	ranges := make(map[Operand][]policy.NumberRange)
	same := make(map[string]Operand)
	var lots []Operand
	for i, lo := range cuts[:len(cuts)-1] {
		if c.work > maxWork {
			return Operand{} // Lower refuses
		}
		lot := c.lowerNumber(s, uint32(lo), same)
		if ranges[lot] == nil {
			lots = append(lots, lot)
		}
		ranges[lot] = append(ranges[lot], policy.NumberRange{Lo: uint32(lo), Hi: uint32(cuts[i+1] - 1)})
	}
	slices.SortStableFunc(lots, func(a, b Operand) int { return cmp.Compare(len(ranges[b]), len(ranges[a])) })
	out := lots[0]
	for _, lot := range lots[1:] {
		out = c.choose(numbers(wordNR, ranges[lot]), lot, out)
	}
	return out
}

// lowerNumber returns what the first rule of s that matches says of number nr.
// same has what is said of other numbers, by the rules that apply to them.
func (c *Circuit) lowerNumber(s *policy.ResolvedABI, nr uint32, same map[string]Operand) Operand {
	has := func(ranges []policy.NumberRange) bool {
		return slices.ContainsFunc(ranges, func(r policy.NumberRange) bool { return r.Lo <= nr && nr <= r.Hi })
	}
	out := word(s.Unknown)
	if has(s.Known) {
		out = word(s.Default)
	}
	var rules []policy.ResolvedRule
	key := fmt.Append(nil, has(s.Known))
	for i, rule := range s.Rules {
		if has(rule.Numbers) {
			rules, key = append(rules, rule), fmt.Append(key, " ", i)
		}
	}
	if known, ok := same[string(key)]; ok {
		return known
	}
	for _, rule := range slices.Backward(rules) {
		if len(rule.Any) == 0 {
			out = word(rule.Action)
		}
		for _, all := range slices.Backward(rule.Any) {
			then := word(rule.Action)
			for _, t := range slices.Backward(all) {
				first := wordArgs + 2*int(t.Word)
				if t.Word == policy.IPWord {
					first = wordIP
				}
				then = c.choose(Test{32 * first, 64, t.Mask, t.In}, then, out)
			}
			out = then
		}
	}
	same[string(key)] = out
	return out
}
