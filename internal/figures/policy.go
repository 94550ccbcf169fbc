package figures

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A Policy is one benchmark policy, as it is written.
type Policy struct {
	Name            string `json:"-"`
	DefaultAction   string
	DefaultErrnoRet uint16
	Syscalls        []Entry
}

// An Entry decides its names: always, or where all of its conditions hold.
type Entry struct {
	Names    []string
	Action   string
	ErrnoRet uint16
	Args     []Arg
}

// An Arg is one condition.
type Arg struct {
	Index           uint8
	Value, ValueTwo uint64
	Op              string
}

// Read reads a policy, P1 to P4, from the directory that holds them.
func Read(dir, name string) (*Policy, error) {
	data, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		return nil, err
	}
	p := &Policy{Name: name}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// narrow are the arguments that the kernel reads as 32 bits, of the calls that
// the policies put conditions on.
var narrow = map[string][]uint8{
	"socket": {0, 1, 2}, "personality": {0}, "ioctl": {0, 1}, "fcntl": {0, 1}, "prctl": {0}, "futex": {1},
	"tkill": {0, 1}, "msync": {2}, "timerfd_create": {0, 1}, "timerfd_settime": {0, 1}, "accept4": {0, 3},
	"memfd_create": {1}, "rt_sigaction": {0},
}

// Resolve returns the policy for some ABIs. A call whose entries all fail, an x32
// call and an unknown number take the default action. If typed is set,
// conditions see no more than the kernel reads of an argument.
func (p *Policy) Resolve(typed bool, abis ...abi.ABI) (*policy.Resolved, error) {
	fallback, err := action(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	r := &policy.Resolved{BadArch: abi.KillProcess, X32: fallback}
	for _, a := range abis {
		s := policy.ResolvedABI{ABI: a, Default: fallback, Unknown: fallback}
		for nr := range a.Syscalls() {
			s.Known = append(s.Known, policy.NumberRange{Lo: nr, Hi: nr})
		}
		s.Known = join(s.Known)
		for i := range p.Syscalls {
			rules, err := p.Syscalls[i].rules(a, i, typed)
			if err != nil {
				return nil, fmt.Errorf("%s: entry %d: %w", p.Name, i, err)
			}
			s.Rules = append(s.Rules, rules...)
		}
		r.ABIs = append(r.ABIs, s)
	}
	return r, nil
}

// rules returns the entry's rules on a: none if a has none of its names. Only
// entries without conditions have several names.
func (e *Entry) rules(a abi.ABI, index int, typed bool) ([]policy.ResolvedRule, error) {
	act, err := action(e.Action, e.ErrnoRet)
	if err != nil {
		return nil, err
	}
	rule := policy.ResolvedRule{Action: act, Rule: index}
	for _, name := range e.Names {
		if nr, ok := a.Lookup(name); ok {
			rule.Numbers = append(rule.Numbers, policy.NumberRange{Lo: nr, Hi: nr})
		}
	}
	if len(rule.Numbers) == 0 {
		return nil, nil
	}
	rule.Numbers = join(rule.Numbers)
	if len(e.Args) == 0 {
		return []policy.ResolvedRule{rule}, nil
	}
	if len(e.Names) != 1 {
		return nil, fmt.Errorf("conditions on %d names", len(e.Names))
	}
	var all policy.Alternative
	for _, arg := range e.Args {
		width := ^uint64(0)
		if typed && slices.Contains(narrow[e.Names[0]], arg.Index) {
			width = 1<<32 - 1
		}
		test, err := arg.test(width)
		if err != nil {
			return nil, err
		}
		all = append(all, test)
	}
	rule.Any = []policy.Alternative{all}
	return []policy.ResolvedRule{rule}, nil
}

// join sorts numbers and joins the adjacent ones.
func join(in []policy.NumberRange) []policy.NumberRange {
	slices.SortFunc(in, func(a, b policy.NumberRange) int { return cmp.Compare(a.Lo, b.Lo) })
	out := in[:0]
	for _, r := range in {
		if n := len(out); n > 0 && r.Lo <= out[n-1].Hi+1 {
			out[n-1].Hi = max(out[n-1].Hi, r.Hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

func action(name string, errno uint16) (abi.Action, error) {
	switch name {
	case "SCMP_ACT_ALLOW":
		return abi.Allow, nil
	case "SCMP_ACT_TRAP":
		return abi.Trap, nil
	case "SCMP_ACT_ERRNO":
		return abi.Errno.WithData(errno), nil
	}
	return 0, fmt.Errorf("unknown action %q", name)
}

// test returns the condition on the bits of width. All of the policies' values
// fit into 32 bits.
func (a Arg) test(width uint64) (policy.Test, error) {
	t := policy.Test{Word: a.Index, Mask: width}
	if a.Value > width || a.ValueTwo > width {
		return t, fmt.Errorf("value %#x is wider than the argument", max(a.Value, a.ValueTwo))
	}
	switch v := a.Value; a.Op {
	case "SCMP_CMP_EQ":
		t.In = []policy.Interval{{Lo: v, Hi: v}}
	case "SCMP_CMP_LT":
		if v > 0 {
			t.In = []policy.Interval{{Lo: 0, Hi: v - 1}}
		}
	case "SCMP_CMP_GT":
		if v < width {
			t.In = []policy.Interval{{Lo: v + 1, Hi: width}}
		}
	case "SCMP_CMP_MASKED_EQ":
		t.Mask &= v
		t.In = []policy.Interval{{Lo: a.ValueTwo, Hi: a.ValueTwo}}
	default:
		return t, fmt.Errorf("unknown comparison %q", a.Op)
	}
	return t, nil
}
