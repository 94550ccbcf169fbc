package seccomp

import (
	"fmt"

	"golang.org/x/net/bpf"

	"github.com/sysgate/sysgate/abi"
	cbpf "github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// SyscallWithConditions consists of a syscall number and optional conditions.
//
// The conditions are applied to the arguments of the syscall. So, conditions
// consist of a list of up to six argument conditions. This filter matches if all
// argument conditions match for any Conditions.
type SyscallWithConditions struct {
	Num        uint32
	Conditions []ArgumentConditions
}

// Assemble adds to p: jump to action if the call is this one and its arguments
// match, else go on with the next instruction. There the accumulator holds the
// call's number, whatever has been compared: any number of calls can follow each
// other.
func (s SyscallWithConditions) Assemble(p *Program, action Label) {
	a, err := target(p.abi)
	if err != nil {
		p.fail(err)
		return
	}
	number := policy.NumberRange{Lo: s.Num, Hi: s.Num}
	rule := policy.Rule{Action: ActionAllow.lower(a)}
	if len(s.Conditions) == 0 {
		rule.Calls = []policy.Pattern{{Numbers: &number}}
	}
	var problems []string
	for _, all := range s.Conditions {
		problems = append(problems, all.problems()...)
		rule.Calls = append(rule.Calls, policy.Pattern{Numbers: &number, Conditions: all.lower(), Documented: true})
	}
	if err := join(problems); err != nil {
		p.fail(err)
		return
	}
	if err := p.rule(rule, a, action); err != nil {
		p.fail(err)
	}
}

// Assemble returns instructions that decide a call by this group alone: its
// action if the group matches, else the default action. They read the call's
// number and arguments, not its architecture, for which the numbers mean
// something: Policy.Assemble does that too. A group without names has none.
func (g *SyscallGroup) Assemble(defaultAction Action) ([]bpf.Instruction, error) {
	a, err := target(g.abi)
	if err != nil {
		return nil, err
	}
	rule, problems := g.lower(a)
	if !defaultAction.valid() {
		problems = append(problems, fmt.Sprintf("invalid default_action value %d", defaultAction))
	}
	if err := join(problems); err != nil {
		return nil, err
	}
	if len(rule.Calls) == 0 {
		return nil, nil
	}
	p := Program{abi: a}
	action := p.NewLabel()
	if err := p.rule(rule, a, action); err != nil {
		return nil, err
	}
	p.Ret(defaultAction)
	p.bind(action)
	p.Ret(g.Action)
	return p.Assemble()
}

// rule adds: jump to action if rule matches the call. What the kernel reads of
// each argument is the policy model's to know.
func (p *Program) rule(rule policy.Rule, on abi.ABI, action Label) error {
	alone := policy.Policy{ABIs: []abi.ABI{on}, Default: rule.Action, Rules: []policy.Rule{rule}}
	resolved, _, err := alone.Resolve(policy.Options{})
	if err != nil {
		return err
	}
	for _, part := range resolved.ABIs[0].Rules {
		p.part(part, action)
	}
	return nil
}

// part adds one part of a resolved rule. It leaves the call's number in the
// accumulator.
func (p *Program) part(part policy.ResolvedRule, action Label) {
	p.loadNumber()
	if len(part.Any) == 0 {
		p.numbers(part.Numbers, action)
		return
	}
	known, done := p.NewLabel(), p.NewLabel()
	p.numbers(part.Numbers, known)
	p.jump(cbpf.Ja, 0, done, done)
	p.bind(known)
	for _, tests := range part.Any {
		fails := p.NewLabel()
		for _, t := range tests {
			p.test(t, fails)
		}
		p.jump(cbpf.Ja, 0, action, action)
		p.bind(fails)
	}
	p.numberLoaded = false
	p.loadNumber()
	p.bind(done)
}

// numbers adds: jump to known if the accumulator is one of the numbers.
func (p *Program) numbers(ranges []policy.NumberRange, known Label) {
	for _, r := range ranges {
		if r.Lo == r.Hi {
			p.JmpIfTrue(bpf.JumpEqual, r.Lo, known)
			continue
		}
		below := p.NewLabel()
		p.JmpIfTrue(bpf.JumpLessThan, r.Lo, below)
		p.JmpIfTrue(bpf.JumpLessOrEqual, r.Hi, known)
		p.bind(below)
	}
}

// loadNumber has the accumulator hold the call's number.
func (p *Program) loadNumber() {
	if !p.numberLoaded {
		p.add(cbpf.LdAbs, cbpf.OffsetNR)
	}
	p.numberLoaded = true
}

// test adds: jump to fails unless t holds.
func (p *Program) test(t policy.Test, fails Label) {
	holds := p.NewLabel()
	for _, in := range t.In {
		outside := p.NewLabel()
		switch {
		case in.Lo == in.Hi:
			p.equal(t, in.Lo, outside)
		default:
			if in.Lo > 0 {
				p.atLeast(t, in.Lo, outside)
			}
			if in.Hi < t.Mask {
				p.atMost(t, in.Hi, outside)
			}
		}
		p.jump(cbpf.Ja, 0, holds, holds)
		p.bind(outside)
	}
	p.jump(cbpf.Ja, 0, fails, fails)
	p.bind(holds)
}

// equal adds: jump to fails unless the word of t is v.
func (p *Program) equal(t policy.Test, v uint64, fails Label) {
	if p.loadHalf(t, true) {
		p.JmpIfTrue(bpf.JumpNotEqual, uint32(v>>32), fails)
	}
	p.loadHalf(t, false)
	p.JmpIfTrue(bpf.JumpNotEqual, uint32(v), fails)
}

// atLeast adds: jump to fails unless the word of t is v or more.
func (p *Program) atLeast(t policy.Test, v uint64, fails Label) {
	holds := p.NewLabel()
	if p.loadHalf(t, true) {
		p.JmpIfTrue(bpf.JumpGreaterThan, uint32(v>>32), holds)
		p.JmpIfTrue(bpf.JumpNotEqual, uint32(v>>32), fails)
	}
	p.loadHalf(t, false)
	p.JmpIfTrue(bpf.JumpLessThan, uint32(v), fails)
	p.bind(holds)
}

// atMost adds: jump to fails unless the word of t is v or less.
func (p *Program) atMost(t policy.Test, v uint64, fails Label) {
	holds := p.NewLabel()
	if p.loadHalf(t, true) {
		p.JmpIfTrue(bpf.JumpLessThan, uint32(v>>32), holds)
		p.JmpIfTrue(bpf.JumpNotEqual, uint32(v>>32), fails)
	}
	p.loadHalf(t, false)
	p.JmpIfTrue(bpf.JumpGreaterThan, uint32(v), fails)
	p.bind(holds)
}

// loadHalf loads what t sees of one half of its word. It reports false, and loads
// nothing, for a high half of which t sees nothing: it is 0 in t and its bounds.
func (p *Program) loadHalf(t policy.Test, high bool) bool {
	mask := uint32(t.Mask)
	if high {
		mask = uint32(t.Mask >> 32)
	}
	switch {
	case mask != 0:
		p.load(uint32(t.Word), high)
		if mask != 0xffffffff {
			p.add(cbpf.AndK, mask)
		}
	case high:
		return false
	default:
		p.add(cbpf.LdImm, 0)
	}
	return true
}
