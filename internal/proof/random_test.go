package proof

import (
	"math/bits"
	"slices"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// Random policies, programs and calls. Constants come from small pools, so that
// different rules, instructions and calls meet.

var (
	poolNR   = []uint32{0, 1, 2, 3, 41, 59, 255, 256, 511, 512, 0x3fffffff, 0x40000000, 0x40000001, 0x40000029, 0x7fffffff, 0x80000000, 0xbfffffff, 0xc0000000, 0xfffffffe, 0xffffffff}
	poolWord = []uint64{0, 1, 2, 3, 7, 8, 0xff, 0x5401, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff}
	poolMask = []uint64{1, 3, 6, 0xf, 0xffff, 0x80000000, 0xffffffff, 0x1ffffffff, 0xffffffff00000000, 0x8000000000000001, ^uint64(0)}
	poolAct  = []abi.Action{abi.Allow, abi.KillProcess, abi.KillThread, abi.Log, 1, abi.Errno.WithData(1), abi.Errno.WithData(38), abi.Trace.WithData(9), abi.Trap}

	little = []abi.ABI{abi.AMD64, abi.I386, abi.X32, abi.ARM64, abi.ARM}
	big    = []abi.ABI{abi.S390X, abi.MIPS64, abi.MIPS, abi.PPC64}
)

func genAction() *rapid.Generator[abi.Action] { return rapid.SampledFrom(poolAct) }

func genNR() *rapid.Generator[uint32] {
	return rapid.OneOf(rapid.SampledFrom(poolNR), rapid.Uint32Range(0, 12), rapid.Uint32())
}

// genWord gives halves from the pool in every combination.
func genWord() *rapid.Generator[uint64] {
	return rapid.Custom(func(t *rapid.T) uint64 {
		half := rapid.SampledFrom(poolWord)
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return rapid.Uint64().Draw(t, "word")
		case 1:
			return half.Draw(t, "high")<<32 | half.Draw(t, "low")
		}
		return half.Draw(t, "low")
	})
}

func genRanges() *rapid.Generator[[]policy.NumberRange] {
	return rapid.Custom(func(t *rapid.T) []policy.NumberRange {
		cuts := rapid.SliceOfNDistinct(genNR(), 2, 8, rapid.ID).Draw(t, "cuts")
		slices.Sort(cuts)
		var out []policy.NumberRange
		for len(cuts) >= 2 {
			r := policy.NumberRange{Lo: cuts[0], Hi: cuts[1]}
			if rapid.Bool().Draw(t, "single") {
				r.Hi = r.Lo
			}
			if n := len(out); n == 0 || out[n-1].Hi+1 < r.Lo {
				out = append(out, r)
			}
			cuts = cuts[2:]
		}
		return out
	})
}

func genTest() *rapid.Generator[policy.Test] {
	return rapid.Custom(func(t *rapid.T) policy.Test {
		test := policy.Test{
			Word: rapid.OneOf(rapid.Just(uint8(0)), rapid.Uint8Range(0, policy.IPWord)).Draw(t, "word"),
			Mask: rapid.SampledFrom(poolMask).Draw(t, "mask"),
		}
		cuts := rapid.SliceOfNDistinct(genWord(), 0, 6, rapid.ID).Draw(t, "cuts")
		for i := range cuts {
			cuts[i] &= test.Mask
		}
		slices.Sort(cuts)
		cuts = slices.Compact(cuts)
		for len(cuts) > 0 {
			in := policy.Interval{Lo: cuts[0], Hi: cuts[0]}
			if len(cuts) > 1 && rapid.Bool().Draw(t, "interval") {
				in.Hi = cuts[1]
				cuts = cuts[1:]
			}
			cuts = cuts[1:]
			test.In = append(test.In, in)
		}
		return test
	})
}

func genRule() *rapid.Generator[policy.ResolvedRule] {
	return rapid.Custom(func(t *rapid.T) policy.ResolvedRule {
		rule := policy.ResolvedRule{
			Numbers: genRanges().Draw(t, "numbers"),
			Action:  genAction().Draw(t, "action"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "alternatives") {
			rule.Any = append(rule.Any, rapid.SliceOfN(genTest(), 1, 3).Draw(t, "tests"))
		}
		return rule
	})
}

func genPolicy() *rapid.Generator[*policy.Resolved] {
	return rapid.Custom(func(t *rapid.T) *policy.Resolved {
		r := &policy.Resolved{BadArch: genAction().Draw(t, "bad arch"), X32: genAction().Draw(t, "x32")}
		listed := little
		if rapid.IntRange(0, 3).Draw(t, "order") == 0 {
			listed = big
		}
		listed = rapid.SliceOfNDistinct(rapid.SampledFrom(listed), 1, 3, rapid.ID).Draw(t, "abis")
		for _, a := range listed {
			r.ABIs = append(r.ABIs, policy.ResolvedABI{
				ABI:     a,
				Rules:   rapid.SliceOfN(genRule(), 0, 4).Draw(t, "rules"),
				Known:   genRanges().Draw(t, "known"),
				Default: genAction().Draw(t, "default"),
				Unknown: genAction().Draw(t, "unknown"),
			})
		}
		return r
	})
}

// A blend says which instructions a random program has.
type blend struct {
	body     []uint16
	branches []uint16
	words    []uint32 // offsets that it loads
}

var (
	everything = blend{
		body: []uint16{
			bpf.LdAbs, bpf.LdAbs, bpf.LdAbs, bpf.LdLen, bpf.LdImm, bpf.LdMem, bpf.LdxLen, bpf.LdxImm, bpf.LdxMem, bpf.St, bpf.Stx,
			bpf.AddK, bpf.SubK, bpf.OrK, bpf.AndK, bpf.AndK, bpf.XorK, bpf.LshK, bpf.RshK, bpf.Neg, bpf.Tax, bpf.Txa,
			bpf.AddX, bpf.SubX, bpf.OrX, bpf.AndX, bpf.XorX, bpf.LshX, bpf.RshX, bpf.MulK, bpf.MulX, bpf.DivK, bpf.DivX, bpf.Ja,
		},
		branches: []uint16{bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK, bpf.JeqX, bpf.JgtX, bpf.JgeX, bpf.JsetX},
		words:    []uint32{0, 0, 4, 8, 12, 16, 20, 24, 28, 60},
	}
	// usual is what compilers emit.
	usual = blend{
		body:     []uint16{bpf.LdAbs, bpf.LdAbs, bpf.AndK},
		branches: []uint16{bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK},
		words:    []uint32{0, 0, 0, 4, 16, 20, 24},
	}
)

func genConstant() *rapid.Generator[uint32] {
	return rapid.Custom(func(t *rapid.T) uint32 {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return little[rapid.IntRange(0, len(little)-1).Draw(t, "arch")].AuditArch()
		case 1:
			return rapid.SampledFrom(poolNR).Draw(t, "nr")
		case 2:
			return 1 << rapid.IntRange(0, 31).Draw(t, "bit")
		}
		return uint32(rapid.SampledFrom(poolWord).Draw(t, "word"))
	})
}

// genProgram gives valid programs.
func genProgram(m blend, maxLen int) *rapid.Generator[bpf.Program] {
	return rapid.Custom(func(t *rapid.T) bpf.Program {
		n := rapid.IntRange(1, maxLen).Draw(t, "length")
		p := make(bpf.Program, 0, n+1)
		for len(p) < n {
			rest := n - len(p) // instructions after this one
			if rapid.IntRange(0, 9).Draw(t, "kind") < 4 {
				jump := rapid.IntRange(0, min(rest-1, 255))
				if rapid.Bool().Draw(t, "near") {
					jump = rapid.IntRange(0, min(rest-1, 3))
				}
				p = append(p, bpf.Jump(rapid.SampledFrom(m.branches).Draw(t, "branch"), genConstant().Draw(t, "k"), uint8(jump.Draw(t, "jt")), uint8(jump.Draw(t, "jf"))))
				continue
			}
			if rapid.IntRange(0, 9).Draw(t, "return") == 0 {
				p = append(p, bpf.Stmt(bpf.RetK, uint32(genAction().Draw(t, "action"))))
				continue
			}
			i := bpf.Stmt(rapid.SampledFrom(m.body).Draw(t, "code"), genConstant().Draw(t, "k"))
			switch i.Code {
			case bpf.LdAbs:
				i.K = rapid.SampledFrom(m.words).Draw(t, "offset")
			case bpf.LdMem, bpf.LdxMem, bpf.St, bpf.Stx:
				i.K %= 4
			case bpf.LshK, bpf.RshK:
				i.K = uint32(bits.TrailingZeros32(i.K|1<<31)) % 32
			case bpf.DivK:
				i.K = max(i.K, 1)
			case bpf.Ja:
				i.K = uint32(rapid.IntRange(0, min(rest-1, 5)).Draw(t, "distance"))
			}
			p = append(p, i)
		}
		last := bpf.Stmt(bpf.RetK, uint32(genAction().Draw(t, "last")))
		if len(m.body) > 10 && rapid.IntRange(0, 3).Draw(t, "return a") == 0 {
			last = bpf.Stmt(bpf.RetA, 0)
		}
		p = append(p, last)
		if p.Validate() != nil { // scratch memory read before it is written: write it all first
			p = append(bpf.Program{
				bpf.Stmt(bpf.St, 0), bpf.Stmt(bpf.St, 1), bpf.Stmt(bpf.St, 2), bpf.Stmt(bpf.St, 3),
			}, p...)
		}
		return p
	})
}

func genCall() *rapid.Generator[abi.Call] {
	return rapid.Custom(func(t *rapid.T) abi.Call {
		arches := append(slices.Clone(little), big...)
		c := abi.Call{
			NR:   genNR().Draw(t, "nr"),
			Arch: rapid.SampledFrom(arches).Draw(t, "arch").AuditArch(),
			IP:   genWord().Draw(t, "ip"),
		}
		if rapid.IntRange(0, 9).Draw(t, "odd arch") == 0 {
			c.Arch = rapid.Uint32().Draw(t, "arch word")
		}
		for i := range c.Args {
			c.Args[i] = genWord().Draw(t, "argument")
		}
		return c
	})
}
