package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/policy"
)

func newCompileCmd(e *env) *cobra.Command {
	var abiName, emit, goPackage, file, explain string
	var optimize optimizeFlags
	cmd := &cobra.Command{
		Use:   "compile POLICY",
		Short: "Compile a policy into a proved filter",
		Long: `Compile a policy into a filter, prove it equal to the policy, and print it.

` + formsHelp() + `
The same policy gives the same bytes on every machine. --abi is the machine's
ABI: the one of a policy that lists none.`,
		Example: `  sysgate compile web.yaml
  sysgate compile web.yaml --emit bpf -o web.bpf
  sysgate compile web.yaml --abi arm64 --emit c -o filter.h
  sysgate compile web.yaml --emit go --package main -o seccomp_linux.go
  sysgate compile web.yaml --optimize size --explain report.html`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.IndexFunc(forms, func(f form) bool { return f.name == emit })
			switch {
			case i < 0:
				return usageError(fmt.Errorf("unknown form %q: %s", emit, formNames()))
			case forms[i].binary && isTerminal(e.stdout) && !cmd.Flags().Changed("output"):
				return withHint(fmt.Errorf("%s is binary, and standard output is a terminal", emit), "-o FILE, or -o - to print it anyway")
			case emit != "go" && cmd.Flags().Changed("package"):
				return usageError(errors.New("--package is for --emit go"))
			}
			options, err := optimize.options()
			if err != nil {
				return err
			}
			p, filter, _, err := e.buildFile(args[0], abiName, options)
			if err != nil {
				return err
			}
			e.infof("%s: %s", args[0], describe(filter))
			e.detailCosts(filter)
			for _, rule := range p.Rules {
				if len(rule.When.Caps)+len(rule.When.NotCaps) > 0 || rule.When.MinKernel != (abi.Kernel{}) {
					e.warningf("%v: the filter is for a program without capabilities, and for the policy's kernel: that decides when", rule.Pos)
				}
			}
			if explain != "" {
				if err := e.writeExplanation(explain, args[0], filter, options); err != nil {
					return err
				}
			}
			return e.output(file, func(w io.Writer) error {
				buffered := bufio.NewWriter(w)
				m := &emission{policy: p, resolved: filter.Policy, program: filter.Program, goPackage: goPackage}
				if err := forms[i].write(buffered, m); err != nil {
					return fmt.Errorf("%s: %w", emit, err)
				}
				return buffered.Flush()
			})
		},
	}
	cmd.Flags().StringVar(&emit, "emit", "asm", "`FORM`: "+formNames())
	cmd.Flags().StringVar(&goPackage, "package", "main", "with --emit go: `NAME` of the package")
	cmd.Flags().StringVar(&explain, "explain", "", "also write to `FILE` a page that shows every phase side by side, and what each call costs")
	optimize.register(cmd)
	abiFlag(cmd, &abiName)
	outputFlag(cmd, &file)
	return cmd
}

// buildFile reads a policy and builds its filter for a machine of an ABI.
func (e *env) buildFile(file, abiName string, optimize build.Options) (*policy.Policy, *build.Filter, []policy.Warning, error) {
	native, err := parseABI(abiName)
	if err != nil {
		return nil, nil, nil, err
	}
	options := policy.Options{Native: native}
	p, err := e.readPolicy(file, options)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := p.CheckComplete(); err != nil {
		return nil, nil, nil, err
	}
	r, warnings, err := e.resolve(p, options)
	if err != nil {
		return nil, nil, warnings, err
	}
	filter, err := build.BuildFor(r, optimize)
	if err != nil {
		return nil, nil, warnings, fmt.Errorf("%s: %w", file, err)
	}
	return p, filter, warnings, nil
}
