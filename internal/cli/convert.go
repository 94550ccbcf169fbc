package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

type convertFlags struct {
	from, to string
	abi      string
	kernel   string
	caps     []string
	name     string
	runtime  runtimeFlag
	symbolic bool
	template templateFlags
	strict   bool
	next     string // --candidate
	looser   bool
	file     string
}

func newConvertCmd(e *env) *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use:   "convert --to FORMAT POLICY",
		Short: "Rewrite a policy in another format, and prove what that changes",
		Long: `Rewrite a policy in another format. What is written is read again, as the format's
own runtime understands it, and compared with the policy for every call: each
region of calls that gets another verdict is reported with one such call.

If the result lets through what the policy stops, nothing is written unless
--allow-looser says so. With --strict any difference, and anything else that the
format cannot carry, ends with exit code 3, and nothing is written.

With --candidate NEW the result enforces the policy, and logs exactly the calls that
NEW would deny more: for a roll-out in containers and services.

Formats: ` + formatNames() + `.`,
		Example: `  sysgate convert --to oci web.yaml -o web.json
  sysgate convert --to sysgate docker.json -o web.yaml
  sysgate convert --symbolic docker.json -o web.yaml
  sysgate convert --template policy.go.tpl web.yaml -o policy.go
  sysgate convert --to oci --candidate stricter.yaml web.yaml -o web.json
  sysgate convert --from minijail-c --to systemd old.policy`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.template.file != "" && cmd.Flags().Changed("to") {
				return usageError(errors.New("--template is a format of its own: leave out --to"))
			}
			return e.convert(f, args[0])
		},
	}
	cmd.Flags().StringVar(&f.from, "from", "", "the input is in this `FORMAT` (default: found out)")
	cmd.Flags().StringVar(&f.to, "to", "sysgate", "write this `FORMAT`")
	for flag, can := range map[string]func(convert.Format) bool{
		"from": func(f convert.Format) bool { return f.Read != nil },
		"to":   func(f convert.Format) bool { return f.Write != nil },
	} {
		// The only error is an unknown flag.
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(formatCompletions(can), cobra.ShellCompDirectiveNoFileComp))
	}
	abiFlag(cmd, &f.abi)
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "for rules that depend on it: the `RELEASE`, such as 6.12")
	cmd.Flags().StringSliceVar(&f.caps, "caps", nil, "for rules that depend on them: the `CAPABILITIES` that the program has")
	cmd.Flags().StringVar(&f.name, "name", "", "whose filter is meant, in a file with several: the `NAME` of a thread (seccompiler, Firecracker) or object (SeccompProfile)")
	f.runtime.add(cmd)
	cmd.Flags().BoolVar(&f.symbolic, "symbolic", false, "keep what a Docker profile asks of capabilities and the kernel as conditions of rules (when); for --to sysgate")
	cmd.Flags().StringVar(&f.next, "candidate", "", "also log what the policy in `FILE` would deny more, and let it pass")
	cmd.Flags().StringVar(&f.template.file, "template", "", "write the names of the allowed calls by the text/template in `FILE`")
	cmd.Flags().StringVar(&f.template.pkg, "package", "main", "`NAME` of the package, for --template")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "any loss is an error (exit code 3)")
	cmd.Flags().BoolVar(&f.looser, "allow-looser", false, "write a result that lets through more than the policy")
	outputFlag(cmd, &f.file)
	return cmd
}

func formatNames() string {
	var names []string
	for _, f := range convert.Formats() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// formatCompletions returns the names of the formats that can do what is asked,
// with their titles for shells that show them.
func formatCompletions(can func(convert.Format) bool) []cobra.Completion {
	var all []cobra.Completion
	for _, f := range convert.Formats() {
		if can(f) {
			all = append(all, cobra.CompletionWithDesc(f.Name, f.Title))
		}
	}
	return all
}

func (e *env) convert(f convertFlags, file string) error {
	to, ok := convert.ByName(f.to)
	if !ok {
		return usageError(fmt.Errorf("unknown format %q: one of %s", f.to, formatNames()))
	}
	if f.template.file != "" {
		var err error
		if to, err = f.template.listFormat(); err != nil {
			return err
		}
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	p, losses, foreign, err := e.readForeign(f.from, file, o)
	if err != nil {
		return err
	}
	if foreign && to.Name == "sysgate" { // writers of the others say it themselves
		p = convert.WithOrigins(p)
	}
	if err := p.CheckComplete(); err != nil && to.Name != "sysgate" {
		return err // no other format can say so
	}
	if f.next != "" {
		var more []convert.Loss
		if p, more, err = e.convertCandidate(f.next, p, o); err != nil {
			return err
		}
		losses = append(losses, more...)
	}
	result, err := convert.Export(to, p, o)
	if err != nil {
		return fmt.Errorf("%s as %s: %w", file, to.Title, err)
	}
	for _, loss := range append(losses, result.Losses...) {
		e.warningf("%v", loss)
	}
	native := o.Native
	if len(p.ABIs) > 0 {
		native = p.ABIs[0]
	}
	for i := range result.Different {
		r := &result.Different[i]
		a := actionABI(r)
		e.warningf("%s: %s in the policy, %s as %s; for example %s", describeRegion(r, native),
			a.ActionString(r.A), a.ActionString(r.B), to.Name, policy.FormatCall(r.Witness))
	}
	switch {
	case f.strict && len(losses)+len(result.Losses)+len(result.Different) > 0:
		e.report(errors.New("nothing written: the result is not the policy"))
		return quietError(exitFindings)
	case result.Looser() && !f.looser:
		return withHint(errors.New("nothing written: the result would let through what the policy stops"), "--allow-looser writes it all the same")
	case to.Read == nil:
		e.infof("%s: not compared, because it cannot be read back", to.Title)
	case len(result.Different) == 0:
		e.infof("proved equal to the policy for every call")
	}
	return e.output(f.file, func(w io.Writer) error {
		_, err := w.Write(result.Data)
		return err
	})
}

func (f convertFlags) options() (convert.Options, error) {
	native, err := parseABI(f.abi)
	switch {
	case err != nil:
		return convert.Options{}, err
	case f.symbolic && (f.to != "sysgate" || f.template.file != ""):
		return convert.Options{}, usageError(fmt.Errorf("--symbolic: %s has no rules that depend on capabilities or the kernel: decide them by --caps and --kernel", f.to))
	case f.symbolic && (f.kernel != "" || f.caps != nil):
		return convert.Options{}, usageError(errors.New("--symbolic leaves open what --caps and --kernel decide"))
	}
	for _, c := range f.caps {
		name := "CAP_" + strings.TrimPrefix(strings.ToUpper(c), "CAP_")
		if !slices.Contains(policy.Capabilities(), name) {
			return convert.Options{}, usageError(withHint(fmt.Errorf("--caps: unknown capability %q", c), "such as CAP_SYS_ADMIN; capabilities(7) lists them"))
		}
	}
	o := convert.Options{Native: native, Caps: f.caps, Name: f.name, Runtime: f.runtime.Runtime, Symbolic: f.symbolic}
	if f.kernel != "" {
		release, err := abi.ParseKernel(f.kernel)
		if err != nil {
			return convert.Options{}, usageError(fmt.Errorf("--kernel: %w", err))
		}
		o.Kernel = release
	}
	return o, nil
}

// readForeign reads a policy in the format with the name from, "" for the one that
// it turns out to be. A raw filter becomes the policy that it is. foreign says that
// the format is another tool's.
func (e *env) readForeign(from, file string, o convert.Options) (p *policy.Policy, losses []convert.Loss, foreign bool, err error) {
	if from != "" {
		f, ok := convert.ByName(from)
		if !ok || f.Read == nil {
			return nil, nil, false, usageError(fmt.Errorf("--from: no format %q can be read: one of %s", from, formatNames()))
		}
		data, name, err := e.readFile(file)
		if err != nil {
			return nil, nil, false, err
		}
		p, losses, err = f.Read(name, data, o)
		return p, losses, f.Foreign(), err
	}
	in, err := source.Read(file, source.Options{Native: o.Native, Caps: o.Caps, Kernel: o.Kernel, Name: o.Name, Runtime: o.Runtime, Symbolic: o.Symbolic, Stdin: e.stdin})
	if err != nil {
		return nil, nil, false, err
	}
	if in.Policy != nil {
		return in.Policy, in.Losses, in.Foreign(), nil
	}
	s := proof.NewSpace(proof.Budget{})
	fn, err := in.Function(s)
	if err != nil {
		return nil, nil, false, err
	}
	p, err = s.Decompile(fn, in.Native())
	return p, nil, true, err
}
