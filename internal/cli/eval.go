package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/policy"
)

func newEvalCmd(e *env) *cobra.Command {
	var abiName string
	cmd := &cobra.Command{
		Use:   "eval POLICY CALL…",
		Short: "Tell what happens to calls under a policy",
		Long: `Tell what happens to calls under a policy, one a line: the call, the action and
what decided it. The calls run through the compiled and proved filter.

A call is written as in policies: "socket(AF_UNIX, SOCK_STREAM)", "nr:600",
"386:open". Of a pattern that many calls match, the one with the smallest
values counts; arguments that it leaves open are 0.`,
		Example: `  sysgate eval web.yaml openat 'socket(AF_PACKET, SOCK_RAW)' 386:open nr:600`,
		Args:    usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			native, err := parseABI(abiName)
			if err != nil {
				return err
			}
			options := policy.Options{Native: native}
			p, err := e.readPolicy(args[0], options)
			if err != nil {
				return err
			}
			r, _, err := e.resolve(p, options)
			if err != nil {
				return err
			}
			filter, err := build.Build(r)
			if err != nil {
				return err
			}
			for _, text := range args[1:] {
				a, call, err := parseCall(text, native)
				if err != nil {
					return err
				}
				action := filter.Program.Run(call, r.BigEndian()).Return
				by := decidedBy(p, r.Eval(call).Rule)
				if _, err := fmt.Fprintf(e.stdout, "%s\t%s\t%s\n", text, a.ActionString(action), by); err != nil {
					return err
				}
			}
			return nil
		},
	}
	abiFlag(cmd, &abiName)
	return cmd
}

// parseCall reads a pattern and returns the smallest call that matches it. It
// resolves the pattern as the only rule of a policy: names, constants and
// numbers mean what they mean there.
func parseCall(text string, native abi.ABI) (abi.ABI, abi.Call, error) {
	pattern, err := policy.ParsePattern(text)
	if err != nil {
		return abi.None, abi.Call{}, err
	}
	a := native
	if pattern.ABI != abi.None {
		a = pattern.ABI
	}
	p := &policy.Policy{ABIs: []abi.ABI{a}, Rules: []policy.Rule{{Calls: []policy.Pattern{pattern}}}}
	r, _, err := p.Resolve(policy.Options{Native: a})
	if err != nil {
		return abi.None, abi.Call{}, err
	}
	rules := r.ABIs[0].Rules
	if len(rules) == 0 {
		return abi.None, abi.Call{}, unknownCall(a, pattern.Name)
	}
	call := abi.Call{NR: rules[0].Numbers[0].Lo, Arch: a.AuditArch()}
	if alternatives := rules[0].Any; len(alternatives) > 0 {
		for _, test := range alternatives[0] {
			if len(test.In) == 0 {
				continue // never: the check below fails
			}
			word := &call.IP
			if test.Word != policy.IPWord {
				word = &call.Args[test.Word]
			}
			*word |= test.In[0].Lo
		}
	}
	// Several conditions on one argument can have smallest values that exclude
	// each other.
	if r.Eval(call).Rule != 0 {
		return abi.None, abi.Call{}, withHint(fmt.Errorf("%s: no call found that matches", text), "give each argument one value: name(arg0, arg1, …)")
	}
	return a, call, nil
}

// decidedBy names what decided a call, for people.
func decidedBy(p *policy.Policy, rule int) string {
	switch rule {
	case policy.RuleDefault:
		return "default_action"
	case policy.RuleUnknown:
		return "unknown_action"
	case policy.RuleBadArch:
		return "bad_arch_action"
	case policy.RuleX32:
		return "x32_action"
	}
	if pos := p.Rules[rule].Pos; pos.Line > 0 {
		return pos.String()
	}
	return "rule " + strconv.Itoa(rule+1)
}
