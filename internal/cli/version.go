package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
)

func newVersionCmd(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of sysgate and of its tables",
		Example: "  sysgate version",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(e.stdout, "sysgate %s (%s, %s/%s), tables of Linux %v\n",
				moduleVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, abi.Latest)
			return err
		},
	}
}

// moduleVersion returns the version that Go recorded: a release, or one made of
// the commit; "(devel)" where there is none.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
