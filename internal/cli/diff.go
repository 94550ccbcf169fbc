package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

func newDiffCmd(e *env) *cobra.Command {
	var flags inputFlags
	var file string
	var o diffOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show exactly where two policies or filters differ",
		Long: `Show exactly where two policies or filters differ: for every system call, the
calls that get different actions as patterns, both actions, and one such call, a
line for each pair of actions, the shortest description first. Every call that
differs is in one of the patterns, and no other.

With --subset, only where A is looser than B: nothing is printed if A is nowhere
looser.

The ABIs that A or B lists are compared call by call; all others, x32 and foreign
architectures, are one group at the end. With --listed-abis it is shown, but does
not count.

` + inputHelp + `

The exit code is 3 if there is a difference, 1 if the answer is unknown because
the comparison would take more than its budget.`,
		Example: `  sysgate diff old.yaml new.yaml
  sysgate diff --subset tight.yaml docker.json
  sysgate diff --listed-abis web.yaml web.bpf --json`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			inputs, err := e.readInputs(flags, args...)
			if err != nil {
				return err
			}
			d, err := compare(inputs[0], inputs[1], o)
			if err != nil {
				return err
			}
			write := d.writeText
			if asJSON {
				write = d.writeJSON
			}
			if err := e.output(file, write); err != nil {
				return err
			}
			e.infof("%s", d.verdict())
			if d.count() > 0 {
				return quietError(exitFindings)
			}
			return nil
		},
	}
	flags.add(cmd)
	outputFlag(cmd, &file)
	cmd.Flags().BoolVar(&o.subset, "subset", false, "only where A lets through what B stops")
	cmd.Flags().BoolVar(&o.listedOnly, "listed-abis", false, "calls outside the listed ABIs do not count")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

type diffOptions struct {
	subset     bool
	listedOnly bool
}

// A difference is the outcome of a comparison.
type difference struct {
	diffOptions
	a, b    *source.Input
	regions []proof.Region
}

// compare finds where a and b differ, and replays every witness.
func compare(a, b *source.Input, o diffOptions) (*difference, error) {
	s := proof.NewSpace(proof.Budget{})
	both, listed, err := functions(s, a, b)
	if err != nil {
		return nil, err
	}
	var counts func(x, y abi.Action) bool
	if o.subset {
		counts = func(x, y abi.Action) bool { return y.Stricter(x) }
	}
	regions, err := s.Diff(both[0], both[1], listed, counts)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", a.Name, b.Name, err)
	}
	for i := range regions {
		if err := regions[i].Confirm(a.Eval, b.Eval); err != nil {
			return nil, err
		}
	}
	return &difference{o, a, b, regions}, nil
}

// count returns how many regions count.
func (d *difference) count() int {
	n := 0
	for i := range d.regions {
		if d.regions[i].ABI != abi.None || !d.listedOnly {
			n++
		}
	}
	return n
}

// verdict sums d up.
func (d *difference) verdict() string {
	where := "every call"
	if d.listedOnly {
		where = "every call of the listed ABIs"
	}
	n := d.count()
	switch {
	case n > 0 && d.subset:
		return fmt.Sprintf("%s is looser than %s in %s", d.a.Name, d.b.Name, count(n, "region"))
	case n > 0:
		return fmt.Sprintf("%s and %s differ in %s", d.a.Name, d.b.Name, count(n, "region"))
	case d.subset:
		return fmt.Sprintf("%s is nowhere looser than %s, for %s", d.a.Name, d.b.Name, where)
	}
	return fmt.Sprintf("%s and %s are equal for %s", d.a.Name, d.b.Name, where)
}

// writeText writes one line for each region.
func (d *difference) writeText(w io.Writer) error {
	var b strings.Builder
	for i := range d.regions {
		r := &d.regions[i]
		a := actionABI(r)
		fmt.Fprintf(&b, "%s: %s → %s, as %s\n", describeRegion(r, d.a.Native()), a.ActionString(r.A), a.ActionString(r.B), policy.FormatCall(r.Witness))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// describeRegion says which calls r is, to users of a machine of the native ABI.
func describeRegion(r *proof.Region, native abi.ABI) string {
	switch {
	case r.ABI == abi.None:
		return "outside the listed ABIs (" + entries(r, native) + ")"
	case len(r.Patterns) > 0:
		var all []string
		for _, p := range r.Patterns {
			text := p.String()
			if p.Comment != "" { // the name of a number
				text += " (" + p.Comment + ")"
			}
			all = append(all, text)
		}
		return strings.Join(all, " or ")
	case r.Name != "":
		return fmt.Sprintf("%s:%s, for arguments that no pattern can describe", r.ABI, r.Name)
	}
	return fmt.Sprintf("%s, calls that no pattern can describe", r.ABI)
}

// entries lists the ways in of a region outside: those that a machine of the
// native ABI has, then the others, together if the region has all of them.
func entries(r *proof.Region, native abi.ABI) string {
	own := append([]abi.ABI{native}, native.Compat()...)
	var names, foreign []string
	whole := true
	for _, e := range r.Through {
		if slices.Contains(own, e.ABI) {
			names = append(names, e.String())
			continue
		}
		foreign = append(foreign, e.String())
		whole = whole && !e.Part
	}
	if whole && len(foreign) == len(abi.All())-len(own)+1 {
		foreign = []string{"foreign architectures"}
	}
	return strings.Join(append(names, foreign...), ", ")
}

// actionABI returns the ABI whose errno names r's actions have.
func actionABI(r *proof.Region) abi.ABI {
	if r.ABI != abi.None {
		return r.ABI
	}
	for _, e := range r.Through {
		if e.ABI != abi.None {
			return e.ABI
		}
	}
	return abi.AMD64
}

func (d *difference) writeJSON(w io.Writer) error {
	type region struct {
		ABI      string      `json:"abi,omitempty"` // none outside
		Name     string      `json:"name,omitempty"`
		Numbers  [][2]uint32 `json:"numbers,omitempty"`
		Patterns []string    `json:"patterns,omitempty"`
		Through  []string    `json:"through,omitempty"`
		A        string      `json:"a"`
		B        string      `json:"b"`
		Witness  string      `json:"witness"`
		Counts   bool        `json:"counts"`
	}
	out := struct {
		A       string   `json:"a"`
		B       string   `json:"b"`
		Subset  bool     `json:"subset"` // the question: is a nowhere looser than b?
		Holds   bool     `json:"holds"`  // equal, or a subset
		Regions []region `json:"regions"`
	}{d.a.Name, d.b.Name, d.subset, d.count() == 0, []region{}}
	for i := range d.regions {
		r := &d.regions[i]
		one := region{
			Name: r.Name, A: actionABI(r).ActionString(r.A), B: actionABI(r).ActionString(r.B),
			Witness: policy.FormatCall(r.Witness), Counts: r.ABI != abi.None || !d.listedOnly,
		}
		if r.ABI != abi.None {
			one.ABI = r.ABI.String()
		}
		for _, n := range r.Numbers {
			one.Numbers = append(one.Numbers, [2]uint32{n.Lo, n.Hi})
		}
		for _, p := range r.Patterns {
			one.Patterns = append(one.Patterns, p.String())
		}
		for _, t := range r.Through {
			one.Through = append(one.Through, t.String())
		}
		out.Regions = append(out.Regions, one)
	}
	return writeIndented(w, out)
}

// writeIndented writes v as JSON for people and programs.
func writeIndented(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
