package cli

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/policy"
)

func newCheckCmd(e *env) *cobra.Command {
	var abiName string
	cmd := &cobra.Command{
		Use:   "check POLICY…",
		Short: "Check policies: read, resolve, compile and prove them",
		Long: `Check policies: read them, resolve their names on an ABI, compile and prove them.

Nothing is printed for what is in order but one line a policy, with -q not even
that. The exit code is 3 if a policy has an error, or denies a call and lets through
another that does the same; a file that cannot be read is 1. Other warnings are
no finding.`,
		Example: `  sysgate check web.yaml
  sysgate check --abi arm64 profiles/*.json`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			code := exitOK
			for _, file := range args {
				_, filter, warnings, err := e.buildFile(file, abiName, build.Options{})
				switch {
				case err == nil && slices.ContainsFunc(warnings, isFinding):
					code = exitFindings
				case err == nil:
					e.infof("%s: ok; %s", file, describe(filter))
				case errors.As(err, new(*fs.PathError)) || exitCode(err) == exitUsage:
					return err
				default:
					e.report(err)
					code = exitFindings
				}
			}
			if code != exitOK {
				return quietError(code)
			}
			return nil
		},
	}
	abiFlag(cmd, &abiName)
	return cmd
}

// isFinding reports whether a denial can be got around.
func isFinding(w policy.Warning) bool { return w.Code == policy.CodeGroup }
