package cli

import "github.com/spf13/cobra"

// strictFlags make the policy of a profiled program stricter than what its code
// could call.
type strictFlags struct {
	args        bool // known ones as conditions
	conditional bool // left out
}

func (f *strictFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.args, "args", false, "where every place that makes a call passes known constants, allow it with these alone")
	cmd.Flags().BoolVar(&f.conditional, "drop-conditional", false, "leave out what only code makes for which evidence says that it is not used")
}

// given reports whether one of the flags is.
func (f *strictFlags) given() bool { return f.args || f.conditional }
