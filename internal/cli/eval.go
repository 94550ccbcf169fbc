package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

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
"386:open". Arguments that are left out are 0.`,
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
				call, err := policy.ParseCall(text, native)
				if err != nil {
					return err
				}
				action := filter.Program.Run(call, r.BigEndian()).Return
				by := decidedBy(p, r.Eval(call).Rule)
				if _, err := fmt.Fprintf(e.stdout, "%s\t%s\t%s\n", text, native.ActionString(action), by); err != nil {
					return err
				}
			}
			return nil
		},
	}
	abiFlag(cmd, &abiName)
	return cmd
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
