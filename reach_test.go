package sysgate

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

func TestReturnsOf(t *testing.T) {
	const arch = 0xc000003e
	ret := func(a abi.Action) bpf.Instruction { return bpf.Stmt(bpf.RetK, uint32(a)) }
	arg0 := bpf.OffsetArg(0, false, false)
	tests := []struct {
		name string
		p    bpf.Program
		want []abi.Action
	}{
		{"constant", bpf.Program{ret(abi.Allow)}, []abi.Action{abi.Allow}},
		{"by number", bpf.Program{bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Jump(bpf.JeqK, 39, 0, 1), ret(abi.Trap), ret(abi.Allow)}, []abi.Action{abi.Trap}},
		{"by architecture", bpf.Program{bpf.Stmt(bpf.LdAbs, bpf.OffsetArch), bpf.Jump(bpf.JgtK, arch, 0, 1), ret(abi.Trap), ret(abi.Allow)}, []abi.Action{abi.Allow}},
		{"by argument", bpf.Program{bpf.Stmt(bpf.LdAbs, arg0), bpf.Jump(bpf.JsetK, 1, 0, 1), ret(abi.Trap), ret(abi.Allow)}, []abi.Action{abi.Trap, abi.Allow}},
		{
			"by argument, then by number, with the number reloaded",
			bpf.Program{bpf.Stmt(bpf.LdAbs, arg0), bpf.Jump(bpf.JeqK, 1, 0, 0), bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Jump(bpf.JgeK, 40, 0, 1), ret(abi.Trap), ret(abi.Allow)},
			[]abi.Action{abi.Allow},
		},
		{"masked number", bpf.Program{bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Stmt(bpf.AndK, 7), bpf.Jump(bpf.JeqK, 7, 0, 1), ret(abi.Trap), ret(abi.Allow)}, []abi.Action{abi.Trap}},
		{"the accumulator", bpf.Program{bpf.Stmt(bpf.LdImm, uint32(abi.Allow)), bpf.Stmt(bpf.RetA, 0)}, []abi.Action{unsure}},
		{"division", bpf.Program{bpf.Stmt(bpf.LdAbs, arg0), bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.DivX, 0), ret(abi.Allow)}, []abi.Action{abi.KillThread, abi.Allow}},
		{"jump", bpf.Program{bpf.Jump(bpf.Ja, 1, 0, 0), ret(abi.Trap), ret(abi.Allow)}, []abi.Action{abi.Allow}},
		{"nothing", nil, nil},
	}
	for _, tt := range tests {
		if err := tt.p.Validate(); tt.p != nil && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := returnsOf(tt.p, arch, 39); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestReturnsOfSound holds the list of words against the simulator, on programs for
// random policies: it is never too short, and for a number whose rules have no
// conditions it is exact.
func TestReturnsOfSound(t *testing.T) {
	policies := testkit.Policies(testkit.PolicyOptions{})
	exact := 0
	testkit.Check(t, 300, func(t *rapid.T) {
		r := policies.Draw(t, "policy")
		f, err := build.Build(r)
		if err != nil {
			t.Skip(err)
		}
		calls := testkit.NewCallGen(r, rapid.Uint64().Draw(t, "seed"))
		for range 100 {
			c := calls.Next()
			got := returnsOf(f.Program, c.Arch, c.NR)
			word := f.Program.Run(c, r.BigEndian()).Return
			if !slices.Contains(got, word) {
				t.Fatalf("%+v: returns %v, which is not in %v", c, word, got)
			}
			if unconditional(r, c) {
				exact++
				if len(got) != 1 {
					t.Fatalf("%+v: always returns %v, but the list is %v", c, word, got)
				}
			}
		}
	})
	if exact < 1000 {
		t.Errorf("%d calls without conditions: too few to say something", exact)
	}
}

// unconditional reports whether no rule of r for c's number asks for more than the
// number.
func unconditional(r *policy.Resolved, c abi.Call) bool {
	for _, section := range r.ABIs {
		for _, rule := range section.Rules {
			if section.ABI.AuditArch() != c.Arch || len(rule.Any) == 0 {
				continue
			}
			if slices.ContainsFunc(rule.Numbers, func(n policy.NumberRange) bool { return n.Lo <= c.NR && c.NR <= n.Hi }) {
				return false
			}
		}
	}
	return true
}

// FuzzReturnsOf is TestReturnsOfSound for any program that the kernel accepts.
func FuzzReturnsOf(f *testing.F) {
	p := bpf.Program{
		bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(0, false, false)),
		bpf.Jump(bpf.JgtX, 0, 0, 1), bpf.Stmt(bpf.RetA, 0), bpf.Stmt(bpf.RetK, 7),
	}
	f.Add(p.Bytes(false), uint32(39), uint64(40))
	f.Fuzz(func(t *testing.T, data []byte, nr uint32, arg uint64) {
		p, err := bpf.FromBytes(data, false)
		if err != nil || p.Validate() != nil {
			return
		}
		c := abi.Call{Arch: 0xc000003e, NR: nr, Args: [6]uint64{arg, arg >> 1, ^arg, arg << 32}}
		word := p.Run(c, false).Return
		if got := returnsOf(p, c.Arch, c.NR); !slices.Contains(got, word) && !slices.Contains(got, unsure) {
			t.Errorf("%+v: returns %v, which is not in %v", c, word, got)
		}
	})
}
