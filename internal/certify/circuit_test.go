package certify

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/compile"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// at returns what o is for c.
func (c *Circuit) at(o Operand, call abi.Call) abi.Action {
	for o.Choice >= 0 {
		choice := c.Choices[o.Choice]
		o = choice.Else
		if choice.Test.holds(call) {
			o = choice.Then
		}
	}
	return o.Word
}

func (t Test) holds(call abi.Call) bool {
	words := map[int]uint64{wordArch: uint64(call.Arch), wordNR: uint64(call.NR), wordIP: call.IP >> 32, wordIP + 1: call.IP & (1<<32 - 1)}
	for i, a := range call.Args {
		words[wordArgs+2*i], words[wordArgs+2*i+1] = a>>32, a&(1<<32-1)
	}
	v := words[t.Level/32]
	if t.Width == 64 {
		v = v<<32 | words[t.Level/32+1]
	}
	for _, in := range t.In {
		if in.Lo <= v&t.Mask && v&t.Mask <= in.Hi {
			return true
		}
	}
	return false
}

// The circuit of a policy is Eval, that of its program Run.
func TestLower(t *testing.T) {
	testkit.Check(t, 200, func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		p, err := compile.Compile(r, compile.Options{})
		if err != nil {
			t.Skip(err)
		}
		c, err := Lower(r, p)
		if err != nil {
			t.Fatal(err)
		}
		gen := testkit.NewCallGen(r, rapid.Uint64().Draw(t, "seed"))
		for range 200 {
			call := gen.Next()
			if got, want := c.at(c.Policy, call), r.Eval(call).Action; got != want {
				t.Fatalf("policy: %+v: got %v, want %v", call, got, want)
			}
			if got, want := c.at(c.Program, call), p.Run(call, r.BigEndian()).Return; got != want {
				t.Fatalf("program: %+v: got %v, want %v", call, got, want)
			}
		}
	})
}

// A test as a tree is the test.
func TestGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]int{32, 64}).Draw(t, "width")
		limit := ^uint64(0) >> (64 - width)
		value := rapid.OneOf(rapid.Uint64Range(0, 9), rapid.Uint64Range(limit-9, limit), rapid.Uint64Range(0, limit))
		test := Test{Width: width, Mask: rapid.OneOf(rapid.Just(limit), value, rapid.Uint64Range(0, limit)).Draw(t, "mask")}
		for range rapid.IntRange(0, 4).Draw(t, "intervals") {
			a, b := value.Draw(t, "a"), value.Draw(t, "b")
			test.In = append(test.In, policy.Interval{Lo: min(a, b), Hi: max(a, b)})
		}
		test.In = testkit.JoinIntervals(test.In)
		var v verifier
		v.load(test)
		edges := []uint64{0, limit}
		for _, in := range test.In {
			edges = append(edges, in.Lo, in.Hi, in.Lo-1, in.Hi+1)
		}
		for range 20 {
			x := rapid.OneOf(rapid.SampledFrom(edges), value).Draw(t, "x") & limit
			want := no
			for _, in := range test.In {
				if in.Lo <= x&test.Mask && x&test.Mask <= in.Hi {
					want = yes
				}
			}
			at := v.root
			for at > yes {
				b := v.test[at]
				at = b.low
				if x>>(width-1-int(b.level))&1 != 0 {
					at = b.high
				}
			}
			if at != want {
				t.Fatalf("%+v: %#x: got %d", test, x, at)
			}
		}
	})
}

// What certificates do not cover is refused, not lowered to something else.
func TestLowerRefuses(t *testing.T) {
	r := &policy.Resolved{ABIs: []policy.ResolvedABI{{ABI: abi.AMD64, Default: abi.Allow, Unknown: abi.Allow}}, BadArch: abi.Allow, X32: abi.Allow}
	ret := bpf.Stmt(bpf.RetK, uint32(abi.Allow))
	for name, p := range map[string]bpf.Program{
		"arithmetic":          {bpf.Stmt(bpf.LdAbs, 0), bpf.Stmt(bpf.AddK, 1), ret},
		"return A":            {bpf.Stmt(bpf.RetA, 0)},
		"index register":      {bpf.Stmt(bpf.LdAbs, 0), bpf.Jump(bpf.JeqX, 0, 0, 0), ret},
		"memory":              {bpf.Stmt(bpf.LdAbs, 0), bpf.Stmt(bpf.St, 0), ret},
		"constant":            {bpf.Stmt(bpf.LdImm, 1), bpf.Jump(bpf.JeqK, 1, 0, 0), ret},
		"nothing is loaded":   {bpf.Jump(bpf.JeqK, 0, 0, 1), ret, bpf.Stmt(bpf.RetK, 0)},
		"nothing to be mask":  {bpf.Stmt(bpf.AndK, 1), ret},
		"behind a comparison": {bpf.Stmt(bpf.LdAbs, 0), bpf.Jump(bpf.JeqK, 1, 0, 1), bpf.Stmt(bpf.Neg, 0), ret},
	} {
		if err := p.Validate(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c, err := Lower(r, p); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	// Masks that double the places with every block.
	var p bpf.Program
	p = append(p, bpf.Stmt(bpf.LdAbs, 16))
	for bit := range 32 {
		p = append(p, bpf.Jump(bpf.JsetK, 1<<bit, 0, 1), bpf.Stmt(bpf.AndK, ^uint32(1<<bit)))
	}
	p = append(p, ret)
	if _, err := Lower(r, p); err == nil {
		t.Error("2^32 places are lowered")
	}
}
