package cli

import (
	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/convert"
)

// A runtimeFlag is the value of --runtime where a container profile is read.
type runtimeFlag struct{ convert.Runtime }

func (f *runtimeFlag) add(cmd *cobra.Command) {
	cmd.Flags().Var(f, "runtime", "of a container profile: the filter as `RUNTIME` makes it: runc (numbers above every one that the profile names get ENOSYS), crun or kernel (they do not)")
	// The only error is an unknown flag.
	_ = cmd.RegisterFlagCompletionFunc("runtime", cobra.FixedCompletions(convert.Runtimes(), cobra.ShellCompDirectiveNoFileComp))
}

// Set implements pflag.Value.
func (f *runtimeFlag) Set(name string) (err error) {
	f.Runtime, err = convert.ParseRuntime(name)
	return err
}

// Type implements pflag.Value.
func (f *runtimeFlag) Type() string { return "RUNTIME" }
