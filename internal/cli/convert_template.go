package cli

import (
	"bytes"
	"errors"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/policy"
)

// listFormat returns the format in which a policy is the names of the calls that
// it allows on the machine's ABI, written by the template. The template says what
// the rest gets: here, as far as it can be compared, what the policy's rest gets.
func (f *templateFlags) listFormat() (convert.Format, error) {
	write, err := f.writer()
	if err != nil {
		return convert.Format{}, err
	}
	var list *policy.Policy
	return convert.Format{
		Name: "template", Title: "a list by the template",
		Write: func(d *convert.Decisions, _ convert.Options) ([]byte, []convert.Loss, error) {
			if !d.Default.Stricter(abi.UserNotify) {
				return nil, nil, errors.New("a list of allowed calls cannot say what a policy denies that allows the rest")
			}
			list = listOf(d)
			var b bytes.Buffer
			err := write(&b, list)
			return b.Bytes(), nil, err
		},
		Read: func(string, []byte, convert.Options) (*policy.Policy, []convert.Loss, error) { return list, nil, nil },
	}, nil
}

// listOf returns the policy that allows what d allows whatever the arguments are.
func listOf(d *convert.Decisions) *policy.Policy {
	a := d.ABIs[0]
	var names []string
	for nr, name := range a.Syscalls() {
		if slices.ContainsFunc(d.Calls, func(c convert.Decision) bool {
			return c.ABI == a && c.Action == abi.Allow && len(c.Any) == 0 && !c.Vague &&
				slices.ContainsFunc(c.Numbers, func(r policy.NumberRange) bool { return r.Lo <= nr && nr <= r.Hi })
		}) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	list := *d.Policy
	list.ABIs, list.Rules = []abi.ABI{a}, nil
	rule := policy.Rule{Action: policy.Action{Kind: abi.Allow}}
	for _, name := range slices.Compact(names) {
		rule.Calls = append(rule.Calls, policy.Pattern{Name: name})
	}
	if len(rule.Calls) > 0 {
		list.Rules = []policy.Rule{rule}
	}
	return &list
}
