package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
)

// writeWhy writes the paths for people.
func writeWhy(w io.Writer, r *profile.Result, all []whyCall) error {
	var b strings.Builder
	for i, x := range all {
		if len(all) > 1 {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s:\n", x.asked)
		}
		switch {
		case !x.made:
			if len(all) > 1 {
				b.WriteString("not found\n")
			}
		case len(x.chains) == 0 || x.call.Class > observe.Implicit:
			fmt.Fprintf(&b, "%s: %s\n", x.call.Class, x.call.Evidence)
		}
		for k, steps := range x.chains {
			if k > 0 {
				b.WriteByte('\n')
			}
			writeChain(&b, r, x.call.NR, steps)
		}
		if x.more {
			fmt.Fprintf(&b, "\nand others: these are the %d shortest\n", len(x.chains))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeChain writes one path, a function a line.
func writeChain(b *strings.Builder, r *profile.Result, nr uint32, steps []profile.Step) {
	if steps[0].Edge == profile.EdgeKept {
		fmt.Fprintf(b, "%s, %s\n", steps[0].Func, steps[0].Edge)
	} else {
		fmt.Fprintf(b, "reachable from %s, %s\n", steps[0].Func, count(len(steps)-1, "step"))
	}
	writeSteps(b, r, nr, steps)
	if m := r.Bringer(steps); m.Path != "" {
		fmt.Fprintf(b, "brought by %s\n", moduleText(m))
	}
}

// writeSteps writes the steps of a path.
func writeSteps(b *strings.Builder, r *profile.Result, nr uint32, steps []profile.Step) {
	own := r.Own()
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for i, step := range steps {
		how := string(step.Edge)
		if i == len(steps)-1 {
			how = fmt.Sprintf("nr %d", nr)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s", step.Func, how, step.Place())
		if step.Module.Path != profile.Std && step.Module != own && step.Module.Path != "" {
			fmt.Fprintf(table, "\t%s", moduleText(step.Module))
		}
		fmt.Fprintln(table)
	}
	table.Flush() // b has no errors
}

// moduleText returns a module with its version as the go command writes them; of
// Go's own packages, the release.
func moduleText(m image.GoModule) string {
	switch {
	case m.Path == profile.Std && m.Version != "":
		return "the standard library of " + m.Version
	case m.Version == "":
		return m.Path
	}
	return m.Path + "@" + m.Version
}

// A whyJSON is the JSON form of an answer.
type whyJSON struct {
	File  string        `json:"file"`
	ABI   string        `json:"abi"`
	Sound bool          `json:"sound"`
	Calls []whyCallJSON `json:"calls"`
}

type whyCallJSON struct {
	Asked    string           `json:"asked"`
	Name     string           `json:"name,omitempty"` // none of a number that no table has
	NR       uint32           `json:"nr"`
	Made     bool             `json:"made"`
	Class    string           `json:"class,omitempty"`
	Evidence string           `json:"evidence,omitempty"`
	Module   string           `json:"module,omitempty"`  // that brings the call
	Version  string           `json:"version,omitempty"` // of it
	Paths    [][]profile.Step `json:"paths"`
	More     bool             `json:"more,omitempty"` // there are others
}

func writeWhyJSON(w io.Writer, r *profile.Result, all []whyCall) error {
	out := whyJSON{File: r.File, ABI: r.Set.ABI.String(), Sound: r.Set.Sound}
	for _, x := range all {
		c := whyCallJSON{Asked: x.asked, Name: x.call.Name, NR: x.call.NR, Made: x.made, Paths: x.chains, More: x.more}
		if x.made {
			c.Class, c.Evidence = x.call.Class.String(), x.call.Evidence
		}
		if c.Paths == nil {
			c.Paths = [][]profile.Step{}
		} else {
			m := r.Bringer(x.chains[0])
			c.Module, c.Version = m.Path, m.Version
		}
		out.Calls = append(out.Calls, c)
	}
	return writeIndented(w, out)
}

// writeWhyDot writes all paths as one graph: a function is one node, a step an
// edge, the calls are what the paths lead to.
func writeWhyDot(w io.Writer, all []whyCall) error {
	var lines []string
	add := func(format string, args ...any) {
		if line := fmt.Sprintf("\t"+format+";\n", args...); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for _, x := range all {
		if x.made && len(x.chains) == 0 {
			add("%s [shape=ellipse, label=%s]", dotString(x.asked), dotString(x.asked+"\n"+x.call.Class.String()+": "+x.call.Evidence))
		}
		for _, steps := range x.chains {
			for i, s := range steps {
				add("%s [label=%s]", dotString(s.Func), dotString(s.Func+"\n"+moduleText(s.Module)))
				if i > 0 {
					add("%s -> %s [label=%s]", dotString(steps[i-1].Func), dotString(s.Func), dotString(string(s.Edge)+"\n"+steps[i-1].Place()))
				}
			}
			last := steps[len(steps)-1]
			add("%s [shape=ellipse]", dotString(x.asked))
			add("%s -> %s [label=%s]", dotString(last.Func), dotString(x.asked), dotString(last.Place()))
		}
	}
	_, err := fmt.Fprintf(w, "digraph why {\n\trankdir=LR;\n\tnode [shape=box, fontname=monospace];\n%s}\n", strings.Join(lines, ""))
	return err
}

// dotString quotes text for Graphviz.
func dotString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}
