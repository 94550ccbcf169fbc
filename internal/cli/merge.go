package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

func newMergeCmd(e *env) *cobra.Command {
	var flags inputFlags
	var union, intersect, stack bool
	var file string
	cmd := &cobra.Command{
		Use:   "merge --union|--intersect|--stack A B…",
		Short: "Combine policies and filters into one policy, exactly",
		Long: `Combine policies and filters into one policy, exactly: the policy that is printed
has been proved to give every call what the combination gives it.

  --union      the loosest action that any of them gives
  --intersect  the strictest action that any of them gives; of two alike, the first's
  --stack      what the kernel does with all of them installed, the first one first:
               the strictest action; of two alike, the last one's, with its data

The policy is written anew: named sets, reasons and comments of the inputs are not
kept. If no policy can say what the combination does, nothing is printed but the
reason.

` + inputHelp,
		Example: `  sysgate merge --union server.yaml worker.yaml -o both.yaml
  sysgate merge --intersect docker.json web.yaml
  sysgate merge --stack base.bpf web.bpf`,
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			choose, name, err := combination(union, intersect, stack)
			if err != nil {
				return err
			}
			inputs, err := e.readInputs(flags, args...)
			if err != nil {
				return err
			}
			s := proof.NewSpace(proof.Budget{})
			all, _, err := functions(s, inputs...)
			if err != nil {
				return err
			}
			f := all[0]
			for _, next := range all[1:] {
				f = s.Combine(f, next, choose)
			}
			for _, in := range inputs {
				if in.Policy == nil {
					continue
				}
				if err := in.Policy.CheckComplete(); err != nil {
					return err
				}
			}
			text, err := decompiled(s, f, inputs[0].Native(), name+" of "+strings.Join(args, " and "))
			if err != nil {
				return fmt.Errorf("%s of %s: %w", name, strings.Join(args, " and "), err)
			}
			e.infof("proved equal to the %s for every call", name)
			return e.output(file, func(w io.Writer) error {
				_, err := w.Write(text)
				return err
			})
		},
	}
	flags.add(cmd)
	outputFlag(cmd, &file)
	cmd.Flags().BoolVar(&union, "union", false, "allow what any of them allows")
	cmd.Flags().BoolVar(&intersect, "intersect", false, "allow what all of them allow")
	cmd.Flags().BoolVar(&stack, "stack", false, "do what the kernel does with all of them installed")
	return cmd
}

// combination returns how two actions combine, and what that is called.
func combination(union, intersect, stack bool) (choose func(a, b abi.Action) abi.Action, name string, err error) {
	switch {
	case union && !intersect && !stack:
		return proof.Looser, "union", nil
	case intersect && !union && !stack:
		return proof.Stricter, "intersection", nil
	case stack && !union && !intersect:
		return proof.Stack, "stack", nil
	}
	return nil, "", usageError(errors.New("one of --union, --intersect and --stack"))
}

// decompiled returns the text of a policy that does what f does, with a comment on
// top. It establishes that: what was written has been read back and compared.
func decompiled(s *proof.Space, f proof.Function, native abi.ABI, comment string) ([]byte, error) {
	p, err := s.Decompile(f, native)
	if err != nil {
		return nil, err
	}
	p.Comment = comment
	text := p.Format()
	read, err := policy.Parse("decompiled policy", text)
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	r, _, err := read.Resolve(policy.Options{})
	if err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	g, err := s.Policy(r)
	if err != nil {
		return nil, err
	}
	if c, differ := s.Difference(s.Effects(f), g); differ {
		return nil, fmt.Errorf("internal error: the text of the decompiled policy decides %s otherwise", policy.FormatCall(c))
	}
	return text, nil
}
