package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Main runs sysgate with arguments args, without the program's name, and returns
// its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRootCmd(e)
	root.SetArgs(args)
	err := root.Execute()
	if err != nil && !errors.As(err, new(quietError)) {
		e.report(err)
	}
	return exitCode(err)
}

func newRootCmd(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "sysgate",
		Short: "Give a program the system calls it needs, and no others",
		Long: `sysgate gives a program the system calls it needs, and no others.

It finds out from a compiled Go program which system calls it can make, turns
them into a policy, compiles the policy into a seccomp filter, proves that the
filter is the policy for every possible call, and runs the program under it.

Exit codes: 0 done; 1 error; 2 usage; 3 findings. "sysgate run" ends with the
program's own code, 128 + n where signal n killed it, 125 where sysgate failed,
126 where the command cannot be executed, 127 where there is none.`,
		Example: `  sysgate run --policy auto -- ./server --port 8080
  sysgate profile ./server -o server.yaml
  sysgate why execve ./server`,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2, // typing errors

		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(withHint(err, "%s --help", cmd.CommandPath()))
	})
	root.PersistentFlags().BoolVarP(&e.quiet, "quiet", "q", false, "say nothing but warnings and errors")
	root.PersistentFlags().BoolVarP(&e.verbose, "verbose", "v", false, "say more")
	root.AddCommand(
		newRunCmd(e),
		newProfileCmd(e),
		newRecordCmd(e),
		newWhyCmd(e),
		newGateCmd(e),
		newCompileCmd(e),
		newVerifyCmd(e),
		newCheckCmd(e),
		newEvalCmd(e),
		newDiffCmd(e),
		newTestCmd(e),
		newMergeCmd(e),
		newShowCmd(e),
		newPsCmd(e),
		newMonitorCmd(e),
		newExplainCmd(e),
		newRefineCmd(e),
		newConvertCmd(e),
		newSyscallsCmd(e),
		newSetsCmd(e),
		newFeaturesCmd(e),
		newVersionCmd(e),
		newGuardCmd(),
	)
	addCompletions(root)
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Example = "  source <(sysgate completion bash)"
		}
	}
	return root
}

// usageArgs makes the error of a check of arguments one of usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			if cmd.HasSubCommands() && len(args) > 0 {
				err = fmt.Errorf("unknown command %q", args[0])
				for _, near := range cmd.SuggestionsFor(args[0]) {
					err = withHint(err, "%s %s", cmd.CommandPath(), near)
				}
			}
			return usageError(withHint(err, "%s --help", cmd.CommandPath()))
		}
		return nil
	}
}
