package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/policy"
)

func newSetsCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "sets [NAME…]",
		Short: "List the named sets, or the members of some",
		Long: `List the named sets of system calls, or the members of some, one a line.

A set never changes its members under the same version of the policy language.`,
		Example: `  sysgate sets
  sysgate sets @systemd/network-io`,
		ValidArgsFunction: cobra.FixedCompletions(policy.SetNames(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, name := range policy.SetNames() {
					if _, err := fmt.Fprintln(e.stdout, name); err != nil {
						return err
					}
				}
				return nil
			}
			for _, name := range args {
				members, ok := policy.Set(name)
				if !ok {
					return withHint(fmt.Errorf("unknown set %q", name), "sysgate sets")
				}
				for _, member := range members {
					if _, err := fmt.Fprintln(e.stdout, member); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}
