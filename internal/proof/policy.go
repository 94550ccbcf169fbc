package proof

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// policy returns the function from calls to the words that r's Eval gives. It
// follows Eval's order from the last resort to the first rule, each step
// overriding the earlier ones where it applies.
func (d *diagram) policy(r *policy.Resolved) ref {
	x32 := d.x32()
	out := d.word(uint32(r.BadArch))
	for i := range r.ABIs {
		if s := &r.ABIs[i]; s.ABI == abi.AMD64 {
			out = d.ite(d.and(d.arch(s.ABI), x32), d.word(uint32(r.X32)), out)
		}
	}
	for i := len(r.ABIs) - 1; i >= 0; i-- {
		s := &r.ABIs[i]
		class := x32
		if s.ABI != abi.X32 {
			class = d.not(x32)
		}
		out = d.ite(d.and(d.arch(s.ABI), class), d.section(s), out)
	}
	return out
}

// actions returns the words that r can give, each once.
func actions(r *policy.Resolved) []uint32 {
	words := []uint32{uint32(r.BadArch), uint32(r.X32)}
	for i := range r.ABIs {
		s := &r.ABIs[i]
		words = append(words, uint32(s.Default), uint32(s.Unknown))
		for _, rule := range s.Rules {
			words = append(words, uint32(rule.Action))
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// section returns the words for the calls that s decides.
func (d *diagram) section(s *policy.ResolvedABI) ref {
	out := d.ite(d.numbers(s.Known), d.word(uint32(s.Default)), d.word(uint32(s.Unknown)))
	for i := len(s.Rules) - 1; i >= 0; i-- {
		rule := &s.Rules[i]
		applies := d.and(d.numbers(rule.Numbers), d.any(rule.Any))
		out = d.ite(applies, d.word(uint32(rule.Action)), out)
	}
	return out
}

func (d *diagram) any(alternatives []policy.Alternative) ref {
	if len(alternatives) == 0 {
		return yes
	}
	out := no
	for _, tests := range alternatives {
		all := yes
		for _, t := range tests {
			all = d.and(all, d.test(t))
		}
		out = d.or(out, all)
	}
	return out
}

func (d *diagram) test(t policy.Test) ref {
	first := wordIP
	if t.Word != policy.IPWord {
		first = wordArgs + 2*int(t.Word)
	}
	out := no
	for _, in := range t.In {
		out = d.or(out, d.between(field{first, 2 * wordBits}, t.Mask, in.Lo, in.Hi))
	}
	return out
}

func (d *diagram) numbers(ranges []policy.NumberRange) ref {
	out := no
	for _, r := range ranges {
		out = d.or(out, d.between(field{wordNR, wordBits}, 1<<wordBits-1, uint64(r.Lo), uint64(r.Hi)))
	}
	return out
}

func (d *diagram) arch(a abi.ABI) ref {
	v := uint64(a.AuditArch())
	return d.between(field{wordArch, wordBits}, 1<<wordBits-1, v, v)
}

// x32 returns the condition of [abi.Call.IsX32].
func (d *diagram) x32() ref {
	const bit, minusOne = abi.X32Bit, 1<<wordBits - 1
	nr := field{wordNR, wordBits}
	marked := d.between(nr, bit, bit, bit)
	return d.and(d.arch(abi.AMD64), d.and(marked, d.not(d.between(nr, minusOne, minusOne, minusOne))))
}

// A field is width input bits from the first of a word on.
type field struct{ word, width int }

// between returns the condition lo <= f&mask <= hi. It walks the bits of f from
// the top and keeps in mind whether the bits so far equal those of lo and of hi:
// where they do not, the bound is already satisfied.
func (d *diagram) between(f field, mask, lo, hi uint64) ref {
	var from func(bit int, onLo, onHi bool) ref
	from = func(bit int, onLo, onHi bool) ref {
		if bit < 0 || !onLo && !onHi {
			return yes
		}
		half := func(v uint64) ref {
			l, h := lo>>bit&1, hi>>bit&1
			if onLo && v < l || onHi && v > h {
				return no
			}
			return from(bit-1, onLo && v == l, onHi && v == h)
		}
		if mask>>bit&1 == 0 {
			return half(0)
		}
		return d.branch(int32(f.word*wordBits+f.width-1-bit), half(0), half(1))
	}
	return from(f.width-1, true, true)
}
