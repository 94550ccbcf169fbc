package proof

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// linear returns a filter for r in the most literal form: one rule after the
// other, one number range after the other, the number loaded again for each.
func linear(t testing.TB, r *policy.Resolved) bpf.Program {
	t.Helper()
	l := lowering{big: r.BigEndian()}
	for i := range r.ABIs {
		l.section(r, &r.ABIs[i])
	}
	l.Stmt(bpf.RetK, uint32(r.BadArch))
	p, err := l.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type lowering struct {
	bpf.Assembler
	big bool
}

func (l *lowering) section(r *policy.Resolved, s *policy.ResolvedABI) {
	next, native, x32 := l.NewLabel(), l.NewLabel(), l.NewLabel()
	l.Stmt(bpf.LdAbs, bpf.OffsetArch)
	l.If(bpf.JeqK, s.ABI.AuditArch(), bpf.Next, next)
	l.Stmt(bpf.LdAbs, bpf.OffsetNR)
	switch s.ABI {
	case abi.AMD64, abi.X32:
		l.If(bpf.JeqK, ^uint32(0), native, bpf.Next)
		l.If(bpf.JsetK, abi.X32Bit, x32, native)
	}
	mine, other := native, x32
	if s.ABI == abi.X32 {
		mine, other = x32, native
	}
	l.Bind(mine)
	for _, rule := range s.Rules {
		l.rule(rule)
	}
	known := l.NewLabel()
	l.numbers(s.Known, known)
	l.Stmt(bpf.RetK, uint32(s.Unknown))
	l.Bind(known)
	l.Stmt(bpf.RetK, uint32(s.Default))
	l.Bind(other)
	lists := func(a abi.ABI) bool {
		for _, s := range r.ABIs {
			if s.ABI == a {
				return true
			}
		}
		return false
	}
	switch {
	case s.ABI == abi.AMD64 && !lists(abi.X32):
		l.Stmt(bpf.RetK, uint32(r.X32))
	case s.ABI == abi.X32 && !lists(abi.AMD64):
		l.Stmt(bpf.RetK, uint32(r.BadArch))
	}
	l.Bind(next)
}

// numbers goes to found if the number in A lies in one of ranges, else on. Short
// ranges become one comparison a number, as in a list of names.
func (l *lowering) numbers(ranges []policy.NumberRange, found bpf.Label) {
	for _, r := range ranges {
		if r.Hi-r.Lo < 100 {
			for n := uint64(r.Lo); n <= uint64(r.Hi); n++ {
				l.If(bpf.JeqK, uint32(n), found, bpf.Next)
			}
			continue
		}
		below := l.NewLabel()
		l.If(bpf.JgeK, r.Lo, bpf.Next, below)
		l.If(bpf.JgtK, r.Hi, bpf.Next, found)
		l.Bind(below)
	}
}

func (l *lowering) rule(rule policy.ResolvedRule) {
	found, next, decided := l.NewLabel(), l.NewLabel(), l.NewLabel()
	l.numbers(rule.Numbers, found)
	l.Goto(next)
	l.Bind(found)
	for _, tests := range rule.Any {
		failed := l.NewLabel()
		for _, test := range tests {
			l.test(test, failed)
		}
		l.Goto(decided)
		l.Bind(failed)
	}
	if len(rule.Any) > 0 {
		l.Stmt(bpf.LdAbs, bpf.OffsetNR)
		l.Goto(next)
	}
	l.Bind(decided)
	l.Stmt(bpf.RetK, uint32(rule.Action))
	l.Bind(next)
}

// test goes to failed if test does not hold.
func (l *lowering) test(test policy.Test, failed bpf.Label) {
	holds := l.NewLabel()
	for _, in := range test.In {
		upper, low, next := l.NewLabel(), l.NewLabel(), l.NewLabel()
		l.half(test, true)
		l.If(bpf.JgtK, uint32(in.Lo>>32), upper, bpf.Next)
		l.If(bpf.JeqK, uint32(in.Lo>>32), bpf.Next, next)
		l.half(test, false)
		l.If(bpf.JgeK, uint32(in.Lo), upper, next)
		l.Bind(upper)
		l.half(test, true)
		l.If(bpf.JgtK, uint32(in.Hi>>32), next, bpf.Next)
		l.If(bpf.JeqK, uint32(in.Hi>>32), low, holds)
		l.Bind(low)
		l.half(test, false)
		l.If(bpf.JgtK, uint32(in.Hi), next, holds)
		l.Bind(next)
	}
	l.Goto(failed)
	l.Bind(holds)
}

// half loads one half of the masked word that test is about.
func (l *lowering) half(test policy.Test, high bool) {
	offset, mask := bpf.OffsetArg(int(test.Word), high, l.big), uint32(test.Mask)
	if test.Word == policy.IPWord {
		offset = bpf.OffsetIP(high, l.big)
	}
	if high {
		mask = uint32(test.Mask >> 32)
	}
	l.Stmt(bpf.LdAbs, offset)
	l.Stmt(bpf.AndK, mask)
}
