package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

func newTestCmd(e *env) *cobra.Command {
	var flags inputFlags
	var asserts, properties []string
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Prove assertions about policies and filters, or refute them with a call",
		Long: `Prove assertions about policies and filters, for every possible call, or refute
them with a call.

A FILE is assertions, or a policy or filter that they are about: those of the
command line, and those of files that name no policy. Assertions stand one a line:

  policy web.yaml                              what is tested, relative to the file
  deny socket(AF_ALG), ptrace                  no such call is made
  allow openat(flags & O_ACCMODE == O_RDONLY)  every such call is made
  errno(ENOSYS) clone3                         every such call gets this action
  property no-exec, w^x                        a theorem that sysgate knows

"allow" and actions are claimed for the ABIs that the policy lists, "deny" for
every ABI that its machine serves, listed or not, and also for what socketcall and
ipc carry. amd64:read is about one ABI. Properties deny every call that comes to
the same, io_uring included:

` + propertyHelp() + `
The output is TAP version 14. The exit code is 3 if an assertion does not hold, 1
if one is neither proved nor refuted within the budget.`,
		Example: `  sysgate test web.test
  sysgate test web.yaml common.test
  sysgate test docker.json --property no-userns,no-io_uring
  sysgate test web.bpf --assert 'deny socket(AF_ALG)' --json`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			run := &testRun{env: e, flags: flags}
			if err := run.read(args, asserts, properties); err != nil {
				return err
			}
			results, err := run.all()
			if err != nil {
				return err
			}
			write := results.writeTAP
			if asJSON {
				write = results.writeJSON
			}
			if err := e.output(file, write); err != nil {
				return err
			}
			return results.outcome()
		},
	}
	flags.add(cmd)
	outputFlag(cmd, &file)
	cmd.Flags().StringArrayVarP(&asserts, "assert", "e", nil, "an `ASSERTION` about each policy; may be repeated")
	cmd.Flags().StringSliceVar(&properties, "property", nil, "a property `NAME` of each policy, or several with commas between them")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// propertyHelp lists the properties.
func propertyHelp() string {
	var b strings.Builder
	for _, p := range proof.Properties() {
		fmt.Fprintf(&b, "  %-17s %s\n", p.Name, p.Meaning)
	}
	return b.String()
}

// A testRun is what a command line asks.
type testRun struct {
	*env
	flags inputFlags
	tests []testOf
}

// A testOf is claims about one policy or filter.
type testOf struct {
	subject string
	claims  []claim
}

// read sorts the files, and what the command line claims, into tests.
func (r *testRun) read(files, asserts, properties []string) error {
	var common []claim
	for _, text := range asserts {
		claims, err := claimOf("--assert", text)
		if err != nil {
			return err
		}
		common = append(common, claims...)
	}
	for _, name := range properties {
		p, bad := property(name)
		if bad != nil {
			return usageError(bad)
		}
		common = append(common, claim{proof.Assertion{Text: "property " + name}, &p})
	}
	var subjects, without []string
	for _, file := range files {
		data, isTest, err := readTests(file)
		switch {
		case err != nil:
			return err
		case !isTest:
			subjects = append(subjects, file)
			continue
		}
		f, err := parseTests(file, data)
		if err != nil {
			return err
		}
		if len(f.claims) == 0 {
			return fmt.Errorf("%s: no assertions", file)
		}
		if len(f.policies) == 0 {
			common = append(common, f.claims...)
			without = append(without, file)
		}
		for _, subject := range f.policies {
			r.tests = append(r.tests, testOf{subject, f.claims})
		}
	}
	switch {
	case len(subjects) > 0 && len(common) == 0:
		return usageError(withHint(fmt.Errorf("no assertion about %s", subjects[0]), "sysgate test %s --assert 'deny ptrace'", subjects[0]))
	case len(subjects) == 0 && len(common) > 0:
		of := "the command line"
		if len(without) > 0 {
			of = without[0]
		}
		return usageError(withHint(fmt.Errorf("%s: assertions about which policy?", of), "policy web.yaml as its first line, or sysgate test web.yaml %s", strings.Join(without, " ")))
	}
	for _, subject := range subjects {
		r.tests = append(r.tests, testOf{subject, common})
	}
	return nil
}

// readTests returns the content of file if it is assertions.
func readTests(file string) (data []byte, ok bool, err error) {
	if file == "-" || strings.HasPrefix(file, "@") || strings.HasPrefix(file, "pid:") {
		return nil, false, nil
	}
	if data, err = os.ReadFile(file); err != nil {
		return nil, false, err
	}
	return data, isTests(file, data), nil
}

// A testResult is the answer to one claim.
type testResult struct {
	proof.Answer
	subject *source.Input
	claim   claim
	broken  proof.Assertion // where not proved: the assertion, or the part of the property
	problem error           // the claim cannot be asked of the subject
}

type testResults []testResult

// all answers every claim, each policy read once.
func (r *testRun) all() (testResults, error) {
	var results testResults
	for _, t := range r.tests {
		inputs, err := r.readInputs(r.flags, t.subject)
		if err != nil {
			return nil, err
		}
		asked := &asker{in: inputs[0]}
		for _, c := range t.claims {
			result, err := asked.answer(c)
			if err != nil {
				return nil, err
			}
			results = append(results, result)
		}
	}
	return results, nil
}

// An asker asks claims about one input.
type asker struct {
	in     *source.Input
	space  *proof.Space // nil before the first claim, and after one that exhausted it
	f      proof.Function
	listed []abi.ABI
	err    error // why nothing can be asked
}

// prepare makes the input a function, unless that has been done.
func (a *asker) prepare() error {
	if a.space == nil && a.err == nil {
		a.space = proof.NewSpace(proof.Budget{})
		var all []proof.Function
		if all, a.listed, a.err = functions(a.space, a.in); a.err == nil {
			a.f = all[0]
		}
	}
	return a.err
}

// answer asks one claim.
func (a *asker) answer(c claim) (testResult, error) {
	result := testResult{subject: a.in, claim: c, broken: c.Assertion}
	switch err := a.prepare(); {
	case errors.Is(err, proof.ErrUnknown):
		result.Reason = err.Error()
		return result, nil
	case err != nil:
		return result, err
	}
	var err error
	if c.property != nil {
		result.Answer, result.broken, err = a.space.Prove(a.f, *c.property, a.listed)
	} else {
		result.Answer, err = a.space.Ask(a.f, c.Assertion, a.listed)
	}
	if a.space.Err() != nil {
		a.space = nil
	}
	result.problem = err
	if result.Verdict == proof.Different {
		if got := a.in.Eval(result.Witness); got != result.Got {
			return result, fmt.Errorf("internal error: witness %s gets %v, not %v", policy.FormatCall(result.Witness), got, result.Got)
		}
	}
	return result, nil
}

// title names a result in the output.
func (r *testResult) title() string { return r.subject.Name + ": " + r.claim.Text }

func (r *testResult) holds() bool { return r.Verdict == proof.Proved }

// details returns what a person needs to see of a claim that is not proved.
func (r *testResult) details() [][2]string {
	var all [][2]string
	add := func(key, value string) {
		if value != "" {
			all = append(all, [2]string{key, value})
		}
	}
	if r.claim.Pos.File != "" && r.claim.Pos.File != "--assert" {
		add("at", r.claim.Pos.String())
	}
	if r.claim.property != nil && r.broken.Text != "" {
		add("part", r.broken.Text)
	}
	switch {
	case r.problem != nil:
		add("problem", problemText(r.problem))
	case r.Verdict == proof.Different:
		add("call", policy.FormatCall(r.Witness))
		add("gets", r.Through.ActionString(r.Got))
		add("by", r.by())
		if r.Carried {
			add("because", "the call carries "+r.broken.Pattern.Name+", whatever its arguments are: they lie behind a pointer")
		}
	default:
		add("unknown", r.Reason)
	}
	return all
}

// problemText is the first line of an error, without a position in a pattern.
func problemText(err error) string {
	var bad *policy.Error
	if errors.As(err, &bad) {
		return bad.Msg
	}
	return err.Error()
}

// by says what of a policy decided the witness.
func (r *testResult) by() string {
	if r.subject.Policy == nil || r.Verdict != proof.Different {
		return ""
	}
	return r.subject.Policy.RuleName(r.subject.Resolved.Eval(r.Witness).Rule)
}

func (all testResults) writeTAP(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TAP version 14\n1..%d\n", len(all))
	for i := range all {
		r := &all[i]
		if r.holds() {
			about := abiNames(r.ABIs)
			if r.Reason != "" {
				about += "; " + r.Reason
			}
			fmt.Fprintf(&b, "ok %d - %s # proved on %s\n", i+1, tapEscape(r.title()), about)
			continue
		}
		fmt.Fprintf(&b, "not ok %d - %s\n  ---\n", i+1, tapEscape(r.title()))
		for _, d := range r.details() {
			fmt.Fprintf(&b, "  %s: %s\n", d[0], yamlText(d[1]))
		}
		b.WriteString("  ...\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tapEscape keeps a description from starting a directive.
func tapEscape(s string) string { return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(s) }

// yamlText quotes s where YAML would read it otherwise.
func yamlText(s string) string {
	if strings.ContainsAny(s, `#"'{}[]&*!|>%@,`) || strings.Contains(s, ": ") {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return s
}

func (all testResults) writeJSON(w io.Writer) error {
	type result struct {
		Policy    string   `json:"policy"`
		Assertion string   `json:"assertion"`
		Position  string   `json:"position,omitempty"`
		Verdict   string   `json:"verdict"` // proved, refuted, unknown, not asked
		ABIs      []string `json:"abis,omitempty"`
		Part      string   `json:"part,omitempty"` // of a property: the assertion that is not proved
		Witness   string   `json:"witness,omitempty"`
		Gets      string   `json:"gets,omitempty"`
		By        string   `json:"by,omitempty"`
		Carried   bool     `json:"carried,omitempty"`
		Reason    string   `json:"reason,omitempty"`
	}
	out := struct {
		Holds bool     `json:"holds"`
		Tests []result `json:"tests"`
	}{true, []result{}}
	for i := range all {
		r := &all[i]
		one := result{Policy: r.subject.Name, Assertion: r.claim.Text, Verdict: r.verdict(), By: r.by(), Carried: r.Carried, Reason: r.Reason}
		if r.claim.Pos.File != "" && r.claim.Pos.File != "--assert" {
			one.Position = r.claim.Pos.String()
		}
		for _, a := range r.ABIs {
			one.ABIs = append(one.ABIs, a.String())
		}
		if !r.holds() {
			out.Holds = false
			if r.claim.property != nil {
				one.Part = r.broken.Text
			}
		}
		if r.Verdict == proof.Different {
			one.Witness, one.Gets = policy.FormatCall(r.Witness), r.Through.ActionString(r.Got)
		}
		if r.problem != nil {
			one.Reason = problemText(r.problem)
		}
		out.Tests = append(out.Tests, one)
	}
	return writeIndented(w, out)
}

func (r *testResult) verdict() string {
	switch {
	case r.problem != nil:
		return "not asked"
	case r.Verdict == proof.Proved:
		return "proved"
	case r.Verdict == proof.Different:
		return "refuted"
	}
	return "unknown"
}

// outcome returns what the command ends with.
func (all testResults) outcome() error {
	failed := func(r testResult) bool { return r.Verdict == proof.Different || r.problem != nil }
	unknown := func(r testResult) bool { return r.Verdict == proof.Unknown && r.problem == nil }
	switch {
	case slices.ContainsFunc(all, failed):
		return quietError(exitFindings)
	case slices.ContainsFunc(all, unknown):
		return quietError(exitError)
	}
	return nil
}
