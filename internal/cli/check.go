package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/internal/lint"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

func newCheckCmd(e *env) *cobra.Command {
	var flags inputFlags
	var o checkOptions
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check POLICY…",
		Short: "Check policies and filters: read, compile, prove and lint them",
		Long: `Check policies and filters: read them, resolve their names, compile and prove
them, and look for what is likely wrong. Every finding has a stable code, a place, the
reason why it matters and a remedy; docs/lints.md lists them all.

  error    a rule that does not hold, or what cannot be enforced
  warning  a likely mistake
  note     a fact worth knowing; printed with -v, and always in json and sarif;
           what is new in --kernel is printed anyway

--fix takes out what does nothing (rules and calls that never decide, conditions
that always hold), rewrites the policy in the canonical form, and checks it again. It
changes no verdict: that is proved before anything is written.

` + inputHelp + `

The exit code is 3 if there is a finding as bad as --fail-on or a policy is not
valid, 1 if a file cannot be read or a question is beyond the budget.`,
		Example: `  sysgate check web.yaml
  sysgate check --abi arm64 --fail-on warning profiles/*.json
  sysgate check --format sarif -o findings.sarif web.yaml
  sysgate check --kernel 7.0 web.yaml
  sysgate check --fix web.yaml`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if asJSON {
				o.format = "json"
			}
			if err := o.parse(); err != nil {
				return err
			}
			if o.fix && slices.Contains(args, "-") {
				return usageError(errors.New("--fix rewrites files: standard input is none"))
			}
			var all []*checked
			for _, name := range args {
				c, err := e.check(name, flags, o)
				if err != nil {
					return err
				}
				all = append(all, c)
			}
			write := map[string]func(io.Writer, []*checked) error{
				"text": func(w io.Writer, all []*checked) error { return writeFindings(w, all, e.verbose) },
				"json": writeFindingsJSON, "sarif": writeSARIF,
			}[o.format]
			if err := e.output(file, func(w io.Writer) error { return write(w, all) }); err != nil {
				return err
			}
			for _, c := range all {
				if c.failed(o.threshold) {
					return quietError(exitFindings)
				}
			}
			return nil
		},
	}
	flags.add(cmd)
	outputFlag(cmd, &file)
	cmd.Flags().StringVar(&o.format, "format", "text", "`FORM`: text, json or sarif")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	cmd.Flags().StringVar(&o.failOn, "fail-on", "error", "exit with 3 from this `SEVERITY` on: error, warning, note or never")
	cmd.Flags().StringVar(&o.kernelText, "kernel", "", "say what is new in `RELEASE` for the policy: members of its sets, and calls that no rule is about")
	cmd.Flags().BoolVar(&o.fix, "fix", false, "take out what does nothing")
	return cmd
}

type checkOptions struct {
	format, failOn string
	kernelText     string
	kernel         abi.Kernel
	threshold      lint.Severity
	fix            bool
}

func (o *checkOptions) parse() error {
	if !slices.Contains([]string{"text", "json", "sarif"}, o.format) {
		return usageError(fmt.Errorf("unknown form %q: text, json or sarif", o.format))
	}
	if o.kernelText != "" {
		release, err := abi.ParseKernel(o.kernelText)
		if err != nil {
			return usageError(fmt.Errorf("--kernel: %w", err))
		}
		if abi.Latest.Before(release) {
			return usageError(fmt.Errorf("--kernel: Linux %s is newer than the tables of this sysgate, which know %s", release, abi.Latest))
		}
		o.kernel = release
	}
	switch o.failOn {
	case "error":
		o.threshold = lint.Error
	case "warning":
		o.threshold = lint.Warning
	case "note":
		o.threshold = lint.Note
	case "never":
		o.threshold = lint.Error + 1
	default:
		return usageError(fmt.Errorf("unknown severity %q: error, warning, note or never", o.failOn))
	}
	return nil
}

// A checked file is what was found in it.
type checked struct {
	name     string
	invalid  error // it is no policy that can be enforced
	findings []lint.Finding
}

// failed reports whether c has a finding from severity on. An invalid policy
// always fails.
func (c *checked) failed(from lint.Severity) bool {
	return c.invalid != nil || slices.ContainsFunc(c.findings, func(f lint.Finding) bool { return f.Severity >= from })
}

// check looks at one file. What is wrong with its content is a finding; the error
// is for what keeps it from being looked at.
func (e *env) check(name string, flags inputFlags, o checkOptions) (*checked, error) {
	native, err := parseABI(flags.abi)
	if err != nil {
		return nil, err
	}
	options := source.Options{Native: native, Typed: flags.typed, Runtime: flags.runtime.Runtime, Stdin: e.stdin}
	in, err := source.Read(name, options)
	if err != nil {
		return e.invalid(name, o, err)
	}
	e.incomplete(in)
	for range 2 {
		for _, loss := range in.Losses {
			e.warningf("%v", loss)
		}
		c, s, err := e.lint(in, o)
		if err != nil || !o.fix || c.invalid != nil {
			return c, err
		}
		fixed, n, err := e.fix(in, s, policy.Options{Native: native}, c.findings)
		if err != nil || n == 0 {
			return c, err
		}
		o.fix = false
		if in, err = source.Parse(in.Name, fixed, options); err != nil {
			return nil, fmt.Errorf("internal error: the policy that was written: %w", err)
		}
	}
	return nil, errors.New("internal error: fixing does not end")
}

// invalid makes err a finding, unless the file could not be read at all.
func (e *env) invalid(name string, o checkOptions, err error) (*checked, error) {
	if errors.As(err, new(*fs.PathError)) || exitCode(err) == exitUsage {
		return nil, err
	}
	if o.format == "text" {
		e.report(err)
	}
	return &checked{name: name, invalid: err}, nil
}

// lint compiles, proves and looks for findings.
func (e *env) lint(in *source.Input, o checkOptions) (*checked, lint.Subject, error) {
	s := lint.Subject{
		Name: in.Name, Data: in.Data, Policy: in.Policy, Resolved: in.Resolved, Warnings: in.Warnings, Foreign: in.Foreign(), Kernel: o.kernel,
		Program: in.Program, BigEndian: in.BigEndian,
	}
	summary := count(len(in.Program), "instruction")
	if in.Policy != nil {
		filter, err := build.Build(in.Resolved)
		var unproved *build.UnprovedError
		switch {
		case errors.As(err, &unproved) && unproved.Result.Verdict == proof.Unknown:
			return nil, s, fmt.Errorf("%s: %w", in.Name, err)
		case err != nil:
			c, err := e.invalid(in.Name, o, fmt.Errorf("%s: %w", in.Name, err))
			return c, s, err
		}
		s.Program, s.BigEndian = filter.Program, in.Resolved.BigEndian()
		summary = describe(filter)
	}
	findings, err := lint.Check(s)
	if err != nil {
		return nil, s, fmt.Errorf("%s: %w", in.Name, err)
	}
	c := &checked{name: in.Name, findings: findings}
	switch bad := counted(findings); {
	case bad == "":
		e.infof("%s: ok; %s", in.Name, summary)
	default:
		e.infof("%s: %s; %s", in.Name, bad, summary)
	}
	return c, s, nil
}

// counted says how many errors and warnings there are.
func counted(findings []lint.Finding) string {
	var parts []string
	for _, severity := range []lint.Severity{lint.Error, lint.Warning} {
		n := 0
		for _, f := range findings {
			if f.Severity == severity {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, count(n, severity.String()))
		}
	}
	return strings.Join(parts, ", ")
}

// fix writes the policy without what does nothing, and returns its text.
func (e *env) fix(in *source.Input, s lint.Subject, o policy.Options, findings []lint.Finding) ([]byte, int, error) {
	if in.Policy == nil || in.Foreign() || in.Data == nil {
		return nil, 0, nil
	}
	p, n, err := lint.Fix(s, o, findings)
	if err != nil || n == 0 {
		return nil, 0, err
	}
	text := p.Format()
	err = e.output(in.Name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err == nil {
		e.infof("%s: %s taken out; no verdict changes", in.Name, count(n, "part"))
	}
	return text, n, err
}
