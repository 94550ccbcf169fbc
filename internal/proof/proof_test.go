package proof

import (
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// rounds is how often the random tests run rapid's 100 cases.
func rounds() int {
	if os.Getenv("SYSGATE_LONG") != "" {
		return 100
	}
	return 3
}

// agree fails unless Equal's verdict on r and p, within the default budget or
// else loudly beyond it, stands up to n calls.
func agree(t testing.TB, r *policy.Resolved, p bpf.Program, b Budget, n int) Result {
	t.Helper()
	result := Equal(r, p, b)
	switch result.Verdict {
	case Different:
		want, got := r.Eval(result.Witness).Action, p.Run(result.Witness, r.BigEndian()).Return
		if want == got || want != result.Want || got != result.Got {
			t.Fatalf("bad witness: %+v: policy %v, program %v", result, want, got)
		}
	case Proved:
		s := newSampler(uint64(len(p)), r, p)
		for range n {
			c := s.call()
			if want, got := r.Eval(c).Action, p.Run(c, r.BigEndian()).Return; want != got {
				t.Fatalf("proved equal, but policy says %v, program %v of %+v", want, got, c)
			}
		}
	case Unknown:
		if !strings.HasPrefix(result.Reason, "budget exhausted") && p.Validate() == nil {
			t.Fatalf("unknown: %s", result.Reason)
		}
	}
	return result
}

// A literal lowering of a random policy is proved; whatever a change makes of
// it, Equal and many calls agree.
func TestEqualRandom(t *testing.T) {
	verdicts := map[Verdict]int{}
	for range rounds() {
		rapid.Check(t, func(rt *rapid.T) {
			r := genPolicy().Draw(rt, "policy")
			p := linear(t, r)
			if result := agree(t, r, p, Budget{}, 10_000); result.Verdict != Proved {
				rt.Fatalf("%+v", result)
			}
			i := rapid.IntRange(0, len(p)-1).Draw(rt, "instruction")
			p[i].K = genConstant().Draw(rt, "k")
			if p.Validate() != nil {
				return
			}
			verdicts[agree(t, r, p, Budget{}, 10_000).Verdict]++
		})
	}
	t.Logf("changed programs: %v", verdicts)
	if verdicts[Different] == 0 || verdicts[Proved] == 0 || verdicts[Unknown] != 0 {
		t.Error("want programs of both kinds, and a verdict on all")
	}
}

// Unrelated programs of all instructions.
func TestDifferentRandom(t *testing.T) {
	verdicts := map[Verdict]int{}
	for range rounds() {
		rapid.Check(t, func(rt *rapid.T) {
			p := genProgram(everything, 40).Draw(rt, "program")
			verdicts[agree(t, genPolicy().Draw(rt, "policy"), p, Budget{Nodes: 20_000}, 1000).Verdict]++
		})
	}
	t.Logf("%v", verdicts)
}

// The policy of TestEqualByHand: on amd64, socket(AF_UNIX or AF_INET) is allowed
// and number 2 is errno(2); what is known is denied, the rest gets errno(38).
func handPolicy(abis ...abi.ABI) *policy.Resolved {
	r := &policy.Resolved{BadArch: abi.KillProcess, X32: abi.Errno.WithData(38)}
	for _, a := range abis {
		r.ABIs = append(r.ABIs, policy.ResolvedABI{
			ABI: a,
			Rules: []policy.ResolvedRule{
				{
					Numbers: []policy.NumberRange{{Lo: 41, Hi: 41}},
					Any: []policy.Alternative{{
						{Word: 0, Mask: 0xffffffff, In: []policy.Interval{{Lo: 1, Hi: 2}}},
						{Word: 1, Mask: ^uint64(0), In: []policy.Interval{{Lo: 0, Hi: 0x100000000}}},
					}},
					Action: abi.Allow,
				},
				{Numbers: []policy.NumberRange{{Lo: 2, Hi: 2}}, Action: abi.Errno.WithData(2), Rule: 1},
			},
			Known:   []policy.NumberRange{{Lo: 0, Hi: 450}},
			Default: abi.KillThread,
			Unknown: abi.Errno.WithData(38),
		})
	}
	return r
}

// handProgram does what handPolicy(AMD64) says, or on a big-endian machine
// handPolicy(S390X).
func handProgram(t testing.TB, a abi.ABI) bpf.Program {
	t.Helper()
	var p bpf.Assembler
	big := a.BigEndian()
	kill, socket, two, deny, x32, allow := p.NewLabel(), p.NewLabel(), p.NewLabel(), p.NewLabel(), p.NewLabel(), p.NewLabel()
	p.Stmt(bpf.LdAbs, bpf.OffsetArch)
	p.If(bpf.JeqK, a.AuditArch(), bpf.Next, kill)
	p.Stmt(bpf.LdAbs, bpf.OffsetNR)
	p.If(bpf.JgtK, 450, x32, bpf.Next) // everything above gets errno(38), x32 and -1 included
	p.If(bpf.JeqK, 41, socket, bpf.Next)
	p.If(bpf.JeqK, 2, two, deny)
	p.Bind(socket)
	p.Stmt(bpf.LdAbs, bpf.OffsetArg(0, false, big))
	p.Stmt(bpf.SubK, 1)
	p.If(bpf.JgtK, 1, deny, bpf.Next)
	p.Stmt(bpf.LdAbs, bpf.OffsetArg(1, true, big))
	p.If(bpf.JeqK, 0, allow, bpf.Next)
	p.If(bpf.JeqK, 1, bpf.Next, deny)
	p.Stmt(bpf.LdAbs, bpf.OffsetArg(1, false, big))
	p.If(bpf.JeqK, 0, allow, deny)
	p.Bind(allow)
	p.Stmt(bpf.RetK, uint32(abi.Allow))
	p.Bind(two)
	p.Stmt(bpf.RetK, uint32(abi.Errno.WithData(2)))
	p.Bind(deny)
	p.Stmt(bpf.RetK, uint32(abi.KillThread))
	p.Bind(x32)
	p.Stmt(bpf.RetK, uint32(abi.Errno.WithData(38)))
	p.Bind(kill)
	p.Stmt(bpf.RetK, uint32(abi.KillProcess))
	program, err := p.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// find returns the only instruction of p with the given code and constant.
func find(p bpf.Program, code uint16, k uint32) *bpf.Instruction {
	for i := range p {
		if p[i].Code == code && p[i].K == k {
			return &p[i]
		}
	}
	return nil
}

func TestEqualByHand(t *testing.T) {
	for _, a := range []abi.ABI{abi.AMD64, abi.S390X} {
		p := handProgram(t, a)
		if result := Equal(handPolicy(a), p, Budget{}); result.Verdict != Proved || result.Nodes == 0 {
			t.Errorf("%v: %+v", a, result)
		}
	}
	p, amd64 := handProgram(t, abi.AMD64), handPolicy(abi.AMD64)
	for name, c := range map[string]struct {
		r         *policy.Resolved
		edit      func(bpf.Program)
		want, got abi.Action
		check     func(abi.Call) bool
	}{
		"another ABI": {
			r: handPolicy(abi.AMD64, abi.I386), want: abi.KillThread, got: abi.KillProcess,
			check: func(c abi.Call) bool { return c.Arch == abi.I386.AuditArch() },
		},
		"data of an action": {
			r: amd64, edit: func(p bpf.Program) { find(p, bpf.RetK, uint32(abi.Errno.WithData(2))).K++ }, want: abi.Errno.WithData(2), got: abi.Errno.WithData(3),
			check: func(c abi.Call) bool { return c.NR == 2 },
		},
		"high word not tested": {
			r: amd64, edit: func(p bpf.Program) { *find(p, bpf.LdAbs, bpf.OffsetArg(1, true, false)) = bpf.Stmt(bpf.LdImm, 0) }, want: abi.KillThread, got: abi.Allow,
			check: func(c abi.Call) bool { return c.NR == 41 && c.Args[1] > 0x100000000 },
		},
		"off by one": {
			r: amd64, edit: func(p bpf.Program) { find(p, bpf.JgtK, 450).K-- }, want: abi.KillThread, got: abi.Errno.WithData(38),
			check: func(c abi.Call) bool { return c.NR == 450 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			edited := append(bpf.Program(nil), p...)
			if c.edit != nil {
				c.edit(edited)
			}
			result := Equal(c.r, edited, Budget{})
			if result.Verdict != Different || result.Want != c.want || result.Got != c.got || !c.check(result.Witness) {
				t.Errorf("%+v", result)
			}
		})
	}
}

// x32 calls, -1 and the order of sections, in all combinations of the two ABIs
// that share an architecture.
func TestX32(t *testing.T) {
	for _, abis := range [][]abi.ABI{{abi.AMD64}, {abi.X32}, {abi.AMD64, abi.X32}, {abi.X32, abi.AMD64}, {abi.I386, abi.X32}} {
		r := handPolicy(abis...)
		for i := range r.ABIs {
			r.ABIs[i].Default = abi.Errno.WithData(uint16(100 + i))
			r.ABIs[i].Unknown = abi.Errno.WithData(uint16(200 + i))
		}
		d := newDiagram(Budget{}.limits())
		root := d.policy(r)
		for _, arch := range []uint32{0, abi.I386.AuditArch(), abi.AMD64.AuditArch(), ^uint32(0)} {
			for _, nr := range poolNR {
				c := abi.Call{Arch: arch, NR: nr}
				if got, want := d.at(root, c), uint32(r.Eval(c).Action); got != want {
					t.Errorf("%v: %#x of number %#x, arch %#x; want %#x", abis, got, nr, arch, want)
				}
			}
		}
	}
}

func TestRefused(t *testing.T) {
	p := handProgram(t, abi.AMD64)
	badWord := handPolicy(abi.AMD64)
	badWord.ABIs[0].Rules[0].Any[0][0].Word = policy.IPWord + 1
	for _, c := range []struct {
		r      *policy.Resolved
		p      bpf.Program
		reason string
	}{
		{handPolicy(abi.AMD64), nil, "program: "},
		{handPolicy(abi.AMD64), p[:4], "program: "},
		{&policy.Resolved{}, p, "policy: no ABI"},
		{handPolicy(abi.AMD64, abi.S390X), p, "policy: amd64 and s390x differ in byte order"},
		{badWord, p, "policy: rule 0 tests"},
	} {
		if result := Equal(c.r, c.p, Budget{}); result.Verdict != Unknown || !strings.HasPrefix(result.Reason, c.reason) {
			t.Errorf("%+v, want a reason that begins with %q", result, c.reason)
		}
	}
}

// A witness that the evaluations do not confirm never becomes a verdict.
func TestUnconfirmed(t *testing.T) {
	var result Result
	result.confirm(handPolicy(abi.AMD64), handProgram(t, abi.AMD64), abi.Call{})
	if result.Verdict != Unknown || !strings.HasPrefix(result.Reason, "internal error") {
		t.Errorf("%+v", result)
	}
}

func TestVerdictString(t *testing.T) {
	for v, want := range map[Verdict]string{Unknown: "unknown", Proved: "proved", Different: "different"} {
		if v.String() != want {
			t.Errorf("%d is %q", v, v)
		}
	}
}
