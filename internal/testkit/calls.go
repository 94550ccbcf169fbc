package testkit

import (
	"math/rand/v2"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A CallGen makes calls that lie where a policy's verdict can change: at the
// edges of its ranges, in both halves of its words, inside and outside of its
// masks.
type CallGen struct {
	rand     *rand.Rand
	policy   *policy.Resolved
	arches   []uint32
	numbers  []uint32
	rules    []ruleAt
	interest [policy.IPWord + 1][]uint64 // values of each word
}

type ruleAt struct {
	arch uint32
	rule *policy.ResolvedRule
}

// NewCallGen returns a generator whose calls depend on r and seed only.
func NewCallGen(r *policy.Resolved, seed uint64) *CallGen {
	g := &CallGen{rand: rand.New(rand.NewPCG(seed, 0)), policy: r}
	for _, a := range []abi.ABI{abi.AMD64, abi.I386, abi.ARM64, abi.S390X} {
		g.arches = append(g.arches, a.AuditArch())
	}
	g.arches = append(g.arches, 0, ^uint32(0))
	g.numbers = []uint32{0, 1 << 29, 1 << 30, 1<<31 - 1, 1 << 31, 3 << 30, 3<<30 - 1, ^uint32(0) - 1, ^uint32(0)}
	for i := range g.interest {
		g.interest[i] = []uint64{0, 1, ^uint64(0), 0xffffffff, 1 << 32, 1 << 31, 1 << 63}
	}
	for i := range r.ABIs {
		s := &r.ABIs[i]
		g.arches = append(g.arches, s.ABI.AuditArch(), s.ABI.AuditArch()+1, s.ABI.AuditArch()-1)
		g.addNumbers(s.Known)
		for j := range s.Rules {
			rule := &s.Rules[j]
			g.rules = append(g.rules, ruleAt{s.ABI.AuditArch(), rule})
			g.addNumbers(rule.Numbers)
			for _, all := range rule.Any {
				for _, t := range all {
					g.addTest(t)
				}
			}
		}
	}
	slices.Sort(g.numbers)
	g.numbers = slices.Compact(g.numbers)
	for i := range g.interest {
		slices.Sort(g.interest[i])
		g.interest[i] = slices.Compact(g.interest[i])
	}
	return g
}

func (g *CallGen) addNumbers(ranges []policy.NumberRange) {
	for _, r := range ranges {
		for _, n := range []uint32{r.Lo, r.Hi} {
			g.numbers = append(g.numbers, n-1, n, n+1, n^abi.X32Bit)
		}
	}
}

func (g *CallGen) addTest(t policy.Test) {
	w := &g.interest[t.Word]
	*w = append(*w, t.Mask, ^t.Mask, t.Mask&-t.Mask)
	for _, in := range t.In {
		*w = append(*w, in.Lo, in.Lo-1, in.Hi, in.Hi+1)
	}
}

// Next returns the next call.
func (g *CallGen) Next() abi.Call {
	var c abi.Call
	for w := range g.interest {
		g.set(&c, uint8(w), g.value(w))
	}
	c.NR = pick(g.rand, g.numbers)
	c.Arch = pick(g.rand, g.arches)
	if len(g.rules) == 0 || g.rand.IntN(8) == 0 {
		return c
	}
	at := pick(g.rand, g.rules)
	c.Arch = at.arch
	numbers := pick(g.rand, at.rule.Numbers)
	c.NR = pick(g.rand, []uint32{numbers.Lo, numbers.Hi, numbers.Lo + g.rand.Uint32()%(numbers.Hi-numbers.Lo+1|1)})
	if len(at.rule.Any) == 0 {
		return c
	}
	// Satisfy one alternative, then perhaps miss it by one word.
	for _, t := range pick(g.rand, at.rule.Any) {
		if len(t.In) == 0 {
			continue
		}
		in := pick(g.rand, t.In)
		v := pick(g.rand, []uint64{in.Lo, in.Hi, in.Lo + g.rand.Uint64()%(in.Hi-in.Lo|1)})
		old := c.IP
		if t.Word != policy.IPWord {
			old = c.Args[t.Word]
		}
		g.set(&c, t.Word, v&t.Mask|old&^t.Mask)
	}
	if g.rand.IntN(2) == 0 {
		w := g.rand.IntN(len(g.interest))
		g.set(&c, uint8(w), g.value(w))
	}
	return c
}

// value returns an interesting value of a word, whole or with one half or one
// bit changed.
func (g *CallGen) value(w int) uint64 {
	v := pick(g.rand, g.interest[w])
	switch g.rand.IntN(8) {
	case 0:
		return g.rand.Uint64()
	case 1:
		return v ^ 1<<g.rand.IntN(64)
	case 2:
		return v&0xffffffff | g.rand.Uint64()<<32
	case 3:
		return v&^0xffffffff | g.rand.Uint64()>>32
	case 4:
		return v&0xffffffff | pick(g.rand, g.interest[w])&^0xffffffff
	}
	return v
}

func (g *CallGen) set(c *abi.Call, w uint8, v uint64) {
	if w == policy.IPWord {
		c.IP = v
		return
	}
	c.Args[w] = v
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
