package testkit

import (
	"flag"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// PolicyOptions narrow what [Policies] generates.
type PolicyOptions struct {
	ABIs   []abi.ABI // to choose from, all of one byte order; none: several families
	Values []uint64  // more constants to compare with
}

// Policies returns a generator of resolved policies that are hard to compile:
// one to three ABIs, few values, used again in every rule, equal low words under
// different high words, masks that overlap, several rules for one number, and
// sometimes lists longer than a jump reaches.
func Policies(o PolicyOptions) *rapid.Generator[*policy.Resolved] {
	from := families
	if len(o.ABIs) > 0 {
		from = [][]abi.ABI{o.ABIs}
	}
	return rapid.Custom(func(t *rapid.T) *policy.Resolved {
		g := newPolicyGen(t, o.Values)
		family := rapid.Permutation(rapid.SampledFrom(from).Draw(t, "family")).Draw(t, "abis")
		n := rapid.IntRange(1, min(3, len(family))).Draw(t, "number of abis")
		r := &policy.Resolved{BadArch: g.action(), X32: g.action()}
		for _, a := range family[:n] {
			r.ABIs = append(r.ABIs, g.section(a))
		}
		return r
	})
}

// Check is rapid.Check with a number of cases of its own.
func Check(t *testing.T, cases int, property func(*rapid.T)) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value
	before := checks.String()
	if err := checks.Set(strconv.Itoa(cases)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = checks.Set(before) }()
	rapid.Check(t, property)
}

// families are ABIs of one byte order; those of one machine are together twice.
var families = [][]abi.ABI{
	{abi.AMD64, abi.I386, abi.X32},
	{abi.AMD64, abi.X32},
	{abi.ARM64, abi.ARM},
	{abi.S390X, abi.PPC64, abi.MIPS64, abi.MIPS},
	{abi.AMD64, abi.RISCV64, abi.LOONG64, abi.PPC64LE, abi.MIPS64LE, abi.MIPSLE},
}

// A policyGen draws the parts of one policy from small pools.
type policyGen struct {
	t       *rapid.T
	actions []abi.Action
	values  []uint64
	masks   []uint64
	words   []uint8
	large   bool // long lists
}

func newPolicyGen(t *rapid.T, values []uint64) *policyGen {
	value := anyValue()
	if len(values) > 0 {
		value = rapid.OneOf(value, rapid.SampledFrom(values))
	}
	return &policyGen{
		t:       t,
		actions: rapid.SliceOfNDistinct(anyAction(), 2, 6, rapid.ID).Draw(t, "actions"),
		values:  rapid.SliceOfN(value, 2, 7).Draw(t, "values"),
		masks:   rapid.SliceOfN(anyMask(), 1, 4).Draw(t, "masks"),
		words:   rapid.SliceOfN(rapid.Uint8Range(0, policy.IPWord), 1, 4).Draw(t, "words"),
		large:   rapid.IntRange(0, 19).Draw(t, "large") == 0,
	}
}

func anyAction() *rapid.Generator[abi.Action] {
	kinds := []abi.Action{
		abi.Allow, abi.Allow, abi.Log, abi.KillProcess, abi.KillThread, abi.UserNotify,
		abi.Errno, abi.Errno, abi.Trap, abi.Trace,
	}
	return rapid.Custom(func(t *rapid.T) abi.Action {
		a := rapid.SampledFrom(kinds).Draw(t, "kind")
		if a.TakesData() {
			a = a.WithData(rapid.SampledFrom([]uint16{0, 1, 2, 38, 4095}).Draw(t, "data"))
		}
		return a
	})
}

// halves are the 32-bit words that values and masks are made of.
var halves = []uint32{0, 1, 2, 3, 7, 8, 0x10, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff}

func anyValue() *rapid.Generator[uint64] {
	return rapid.Custom(func(t *rapid.T) uint64 {
		hi := rapid.OneOf(rapid.Just(uint32(0)), rapid.SampledFrom(halves), rapid.Uint32()).Draw(t, "hi")
		lo := rapid.OneOf(rapid.SampledFrom(halves), rapid.Uint32()).Draw(t, "lo")
		return uint64(hi)<<32 | uint64(lo)
	})
}

func anyMask() *rapid.Generator[uint64] {
	return rapid.OneOf(
		rapid.SampledFrom([]uint64{^uint64(0), 0xffffffff, 0xffff, 0xf, 1 << 31, 1 << 32, 0xffffffff << 32, 0xf0f, 0}),
		rapid.Map(rapid.IntRange(0, 63), func(bit int) uint64 { return 1 << bit }),
		anyValue(),
		rapid.Uint64(),
	)
}

func (g *policyGen) action() abi.Action { return rapid.SampledFrom(g.actions).Draw(g.t, "action") }

func (g *policyGen) chance(oneIn int) bool { return rapid.IntRange(1, oneIn).Draw(g.t, "chance") == 1 }

func (g *policyGen) section(a abi.ABI) policy.ResolvedABI {
	s := policy.ResolvedABI{ABI: a, Default: g.action(), Unknown: g.action()}
	numbers := anyNumber(a)
	for range rapid.IntRange(0, 2).Draw(g.t, "known ranges") {
		s.Known = append(s.Known, g.numbers(numbers)...)
	}
	s.Known = JoinNumbers(s.Known)
	rules := rapid.IntRange(0, 8).Draw(g.t, "rules")
	if g.large && g.chance(3) {
		rules = rapid.IntRange(90, 300).Draw(g.t, "many rules")
	}
	for i := range rules {
		s.Rules = append(s.Rules, policy.ResolvedRule{
			Numbers: JoinNumbers(g.numbers(numbers)),
			Any:     g.alternatives(),
			Action:  g.action(),
			Rule:    i,
		})
	}
	return s
}

// anyNumber returns a generator of numbers, most of them from a few.
func anyNumber(a abi.ABI) *rapid.Generator[uint32] {
	base := uint32(0)
	switch a {
	case abi.X32:
		base = abi.X32Bit
	case abi.MIPS, abi.MIPSLE:
		base = 4000
	case abi.MIPS64, abi.MIPS64LE:
		base = 5000
	}
	small := rapid.Map(rapid.Uint32Range(0, 12), func(n uint32) uint32 { return base + n })
	return rapid.OneOf(small, small, small,
		rapid.Map(rapid.Uint32Range(0, 470), func(n uint32) uint32 { return base + n }),
		rapid.SampledFrom([]uint32{
			0, 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff, 0x80000000, 0xbfffffff, 0xc0000000, 0xfffffffe, 0xffffffff,
		}))
}

func (g *policyGen) numbers(number *rapid.Generator[uint32]) []policy.NumberRange {
	var out []policy.NumberRange
	if g.large && g.chance(3) {
		first, n := rapid.Uint32Range(0, 20).Draw(g.t, "first"), rapid.Uint32Range(120, 260).Draw(g.t, "spread")
		for i := range n {
			out = append(out, policy.NumberRange{Lo: first + 2*i, Hi: first + 2*i})
		}
		return out
	}
	for range rapid.IntRange(1, 4).Draw(g.t, "numbers") {
		lo := number.Draw(g.t, "number")
		hi := lo
		if g.chance(4) {
			if other := number.Draw(g.t, "other end"); other >= lo {
				hi = other
			}
		}
		out = append(out, policy.NumberRange{Lo: lo, Hi: hi})
	}
	return out
}

func (g *policyGen) alternatives() []policy.Alternative {
	if g.chance(4) {
		return nil
	}
	var any []policy.Alternative
	for range rapid.IntRange(1, 4).Draw(g.t, "alternatives") {
		all := policy.Alternative{}
		for range rapid.IntRange(0, 3).Draw(g.t, "tests") {
			all = append(all, g.test())
		}
		any = append(any, all)
	}
	return any
}

func (g *policyGen) test() policy.Test {
	t := policy.Test{
		Word: rapid.SampledFrom(g.words).Draw(g.t, "word"),
		Mask: rapid.SampledFrom(g.masks).Draw(g.t, "mask"),
	}
	value := func() uint64 { return rapid.SampledFrom(g.values).Draw(g.t, "value") & t.Mask }
	v := value()
	switch rapid.IntRange(0, 8).Draw(g.t, "operator") {
	case 0, 1: // ==
		t.In = []policy.Interval{{Lo: v, Hi: v}}
	case 2: // !=
		t.In = outside(v, v, t.Mask)
	case 3: // <=
		t.In = []policy.Interval{{Lo: 0, Hi: v}}
	case 4: // >=
		t.In = []policy.Interval{{Lo: v, Hi: t.Mask}}
	case 5: // between, or not
		lo, hi := min(v, value()), v
		if lo > hi {
			lo, hi = hi, lo
		}
		t.In = []policy.Interval{{Lo: lo, Hi: hi}}
		if g.chance(2) {
			t.In = outside(lo, hi, t.Mask)
		}
	case 6: // signed order
		t.In = JoinIntervals([]policy.Interval{{Lo: 0, Hi: v}, {Lo: t.Mask &^ (t.Mask >> 1), Hi: t.Mask}})
	case 7: // one of several
		for range rapid.IntRange(0, 5).Draw(g.t, "members") {
			w := value()
			t.In = append(t.In, policy.Interval{Lo: w, Hi: w})
		}
	case 8: // one of very many
		n, step := uint64(3), rapid.Uint64Range(1, 3).Draw(g.t, "step")
		if g.large {
			n = rapid.Uint64Range(120, 300).Draw(g.t, "many members")
		}
		for i := range n {
			if w := v + i*step; w >= v && w <= t.Mask {
				t.In = append(t.In, policy.Interval{Lo: w, Hi: w})
			}
		}
	}
	t.In = JoinIntervals(t.In)
	return t
}

// outside returns the values up to last that are not in lo to hi.
func outside(lo, hi, last uint64) []policy.Interval {
	var in []policy.Interval
	if lo > 0 {
		in = append(in, policy.Interval{Lo: 0, Hi: lo - 1})
	}
	if hi < last {
		in = append(in, policy.Interval{Lo: hi + 1, Hi: last})
	}
	return in
}

// JoinIntervals returns the same set of values in the form that policy.Test asks
// for.
func JoinIntervals(in []policy.Interval) []policy.Interval {
	in = slices.Clone(in)
	slices.SortFunc(in, func(a, b policy.Interval) int {
		if a.Lo < b.Lo {
			return -1
		}
		return 1
	})
	var out []policy.Interval
	for _, i := range in {
		if n := len(out); n > 0 && (out[n-1].Hi == ^uint64(0) || i.Lo <= out[n-1].Hi+1) {
			out[n-1].Hi = max(out[n-1].Hi, i.Hi)
			continue
		}
		out = append(out, i)
	}
	return out
}

// JoinNumbers is [JoinIntervals] for system-call numbers.
func JoinNumbers(in []policy.NumberRange) []policy.NumberRange {
	wide := make([]policy.Interval, len(in))
	for i, r := range in {
		wide[i] = policy.Interval{Lo: uint64(r.Lo), Hi: uint64(r.Hi)}
	}
	var out []policy.NumberRange
	for _, i := range JoinIntervals(wide) {
		out = append(out, policy.NumberRange{Lo: uint32(i.Lo), Hi: uint32(i.Hi)})
	}
	return out
}
