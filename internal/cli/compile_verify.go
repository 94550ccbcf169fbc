package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/certify"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

func newVerifyCmd(e *env) *cobra.Command {
	var abiName string
	cmd := &cobra.Command{
		Use:   "verify POLICY FILTER CERTIFICATE",
		Short: "Check the certificate that a filter is its policy",
		Long: `Check the certificate that a filter is its policy, which "sysgate compile --emit
certificate" writes.

The checker uses neither the compiler nor the prover, and is short enough to be
read: who verifies need not trust whoever compiled the filter. It accepts only
if the filter gives, for every possible call, the action that the policy says.
Filters can be bytes, a C array, base64 or JSON.

The exit code is 3 if the certificate is refused.`,
		Example: `  sysgate compile web.yaml --emit bpf -o web.bpf
  sysgate compile web.yaml --emit certificate -o web.cert
  sysgate verify web.yaml web.bpf web.cert`,
		Args: usageArgs(cobra.ExactArgs(3)),
		RunE: func(_ *cobra.Command, args []string) error {
			native, err := parseABI(abiName)
			if err != nil {
				return err
			}
			p, err := e.readPolicy(args[0], policy.Options{Native: native})
			if err != nil {
				return err
			}
			filter, err := source.Read(args[1], source.Options{Native: native, Stdin: e.stdin})
			if err != nil {
				return err
			}
			if filter.Program == nil {
				return fmt.Errorf("%s is not a filter", args[1])
			}
			certificate, err := os.ReadFile(args[2])
			if err != nil {
				return err
			}
			if len(p.ABIs) > 0 {
				native = p.ABIs[0] // as the certificate's maker has it
			}
			err = certify.Check(p.Format(), policy.Options{Native: native}, filter.Program, certificate)
			if refused := (*certify.Error)(nil); errors.As(err, &refused) {
				return findingsError(fmt.Errorf("%s: %w", args[2], err))
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.stdout, "accepted: %s is %s for every call\n", args[1], args[0])
			return err
		},
	}
	abiFlag(cmd, &abiName)
	return cmd
}
