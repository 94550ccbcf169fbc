package convert

import (
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatFirecracker = Format{
	Name: "firecracker", Title: "Firecracker filter of one thread",
	Detect: func(name string, data []byte) bool { return threadsKey(name, data) == "default_action" },
	Read:   readFirecracker, Write: writeFirecracker,
	Says: Says{
		Actions:   "one for all calls that are listed; trap without data, no user_notify",
		Default:   "one action",
		Unknown:   "the default",
		Arguments: "equality (of 32 bits as dword), order, masked equality, of 64 bits; a rule's conditions are about different arguments",
		Order:     "none: all rules have one action",
		ABIs:      "one; others: kill_thread",
	},
}

// readFirecracker reads a thread's filter as Firecracker's seccompiler-bin has
// libseccomp build it (src/seccompiler of Firecracker 1.11): unlike in its older
// versions, dword limits equality alone to 32 bits.
func readFirecracker(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	a, err := o.machine()
	if err == nil && !seccompilerHas(a) {
		err = fmt.Errorf("no filter of Firecracker is for %s: only for amd64 and arm64", a)
	}
	if err != nil {
		return nil, nil, err
	}
	r := &threadReader{document: newDocument(name, data)}
	f, err := r.filter(o)
	if err != nil {
		return nil, nil, err
	}
	b := &ociReader{document: r.document, options: OCIOptions{Options: Options{Native: a, Runtime: Kernel}}, losses: r.losses}
	p := &profile{defaultAction: actionOf(a, f.fallback), abis: []abi.ABI{a}}
	for _, rule := range f.rules {
		if !abi.Known(*rule.name.text) {
			hint := ""
			if s := abi.Suggest(*rule.name.text); s != "" {
				hint = "did you mean " + s + "?"
			}
			return nil, nil, r.bad(rule.name, hint, "libseccomp knows no call %q", *rule.name.text)
		}
		e := ociEntry{names: []*value{rule.name}, action: actionOf(a, f.match), off: rule.off}
		seen := map[int]bool{}
		for _, c := range rule.conditions {
			if seen[c.index] {
				return nil, nil, r.bad(c.value, "write a rule for each", "two conditions on argument %d: libseccomp refuses them", c.index)
			}
			seen[c.index] = true
			e.args = append(e.args, c.scmp())
		}
		p.entries = append(p.entries, e)
	}
	out := b.lower(p)
	return out, b.losses, oneOrMore(b.errs)
}

// scmp returns c as libseccomp is given it.
func (c threadCondition) scmp() ociArg {
	arg := ociArg{index: c.index, value: c.v}
	switch {
	case c.op == policy.MaskedEqual:
		arg.op, arg.value, arg.valueTwo = "SCMP_CMP_MASKED_EQ", c.mask, c.v
	case c.op == policy.Equal && !c.wide:
		arg.op, arg.value, arg.valueTwo = "SCMP_CMP_MASKED_EQ", 1<<32-1, c.v
	default:
		for name, op := range scmpOps {
			if op.op == c.op {
				arg.op = name
			}
		}
	}
	return arg
}

func writeFirecracker(d *Decisions, o Options) ([]byte, []Loss, error) {
	a := d.ABIs[0]
	if !seccompilerHas(a) {
		return nil, nil, fmt.Errorf("no filter of Firecracker is for %s: only for amd64 and arm64", a)
	}
	match, calls := d.matching(a)
	if match.Kind() == abi.UserNotify || d.Default.Kind() == abi.UserNotify {
		return nil, nil, fmt.Errorf("user_notify is no action of Firecracker")
	}
	var f threadFile
	var err error
	if f.Default, err = threadWord(d.Default); err != nil {
		return nil, nil, err
	}
	if f.Action, err = threadWord(match); err != nil {
		return nil, nil, err
	}
	w := &ociWriter{}
	losses := loading(d.Policy)
	for _, c := range calls {
		var rules []threadFileRule
		for _, part := range c.parts {
			entries, ok := w.entries(part)
			if !ok {
				losses = append(losses, Loss{Msg: c.name + ": its conditions have no short form: left out"})
				continue
			}
			for _, tests := range entries {
				rule := threadFileRule{Syscall: c.name}
				for _, t := range tests {
					rule.Args = append(rule.Args, firecrackerTest(t))
				}
				rules = append(rules, rule)
			}
		}
		f.add(rules, d.from(a, c.nr))
	}
	data, err := f.write(o.Name)
	return data, losses, err
}

// firecrackerTest returns what libseccomp is to be given as Firecracker takes it.
func firecrackerTest(t ociTest) threadFileTest {
	if t.Op != "SCMP_CMP_MASKED_EQ" {
		for name, op := range threadOps {
			if op == scmpOps[t.Op].op {
				return threadFileTest{t.Index, "qword", name, t.Value}
			}
		}
	}
	if t.Value == 1<<32-1 {
		return threadFileTest{t.Index, "dword", "eq", t.ValueTwo}
	}
	return threadFileTest{t.Index, "qword", map[string]uint64{"masked_eq": t.Value}, t.ValueTwo}
}
