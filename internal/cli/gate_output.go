package cli

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/gate"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
)

// A gateReport is a comparison with what is let pass.
type gateReport struct {
	*gate.Report
	pass   *passing
	native abi.ABI
}

func newGateReport(r *gate.Report, pass *passing) *gateReport {
	g := &gateReport{r, pass, abi.Native()}
	if all := append(slices.Clone(r.Now.ABIs), r.Old.ABIs...); len(all) > 0 && !slices.Contains(all, g.native) {
		g.native = all[0]
	}
	return g
}

// failing returns the new calls that are not let pass.
func (g *gateReport) failing() []gate.Finding {
	return slices.DeleteFunc(slices.Clone(g.New), func(f gate.Finding) bool { return g.pass.lets(&f) != "" })
}

func (g *gateReport) passed() bool { return len(g.failing())+len(g.Unresolved) == 0 }

// verdict sums up.
func (g *gateReport) verdict() string {
	var parts []string
	if n := len(g.failing()); n > 0 {
		parts = append(parts, count(n, g.label()+" call"))
	}
	if n := len(g.New) - len(g.failing()); n > 0 {
		parts = append(parts, count(n, g.label()+" call")+" let pass")
	}
	if len(g.New) == 0 {
		parts = append(parts, "no "+g.label()+" call")
	}
	if n := len(g.Partly); n > 0 {
		parts = append(parts, count(n, "call")+" that can be denied")
	}
	if n := len(g.Unresolved); n > 0 {
		parts = append(parts, count(n, "new site")+" whose call is not known")
	}
	if n := len(g.Gone); n > 0 && g.Old.IsPolicy() {
		parts = append(parts, fmt.Sprintf("%d let through for nothing", n))
	} else if n > 0 {
		parts = append(parts, fmt.Sprintf("%d gone", n))
	}
	return strings.Join(parts, ", ")
}

// label says what a call is that the old side does not have.
func (g *gateReport) label() string {
	if g.Old.IsPolicy() {
		return "denied"
	}
	return "new"
}

// because says what brought a call, for people.
func because(f *gate.Finding) string {
	m := moduleText(f.Module)
	switch f.Cause {
	case gate.Program:
		if f.Program != nil && f.Module.Path == f.Program.Own().Path {
			return "the program itself, " + m
		}
		return "the program itself, through " + m
	case gate.New:
		return m + ", a new module"
	case gate.Upgraded:
		return m + ", upgraded from " + f.Was
	case gate.Go:
		return fmt.Sprintf("Go, %s → %s", f.Was, f.Module.Version)
	case gate.Libc:
		return fmt.Sprintf("another build of %s, was %s", m, f.Was)
	}
	return m
}

// origin says what brought a call, or how it is known, behind its name.
func origin(f *gate.Finding) string {
	if text := because(f); text != "" {
		return ", brought by " + text
	}
	return ", " + f.Evidence
}

// deniedBy says what the old policy does with a call.
func (g *gateReport) deniedBy(f *gate.Finding) string {
	var parts []string
	for _, o := range f.Denied {
		text := f.ABI.ActionString(o.Action)
		if len(f.Denied) > 1 {
			text += " as " + policy.FormatCall(o.Witness)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func (g *gateReport) writeText(w io.Writer) error {
	var b strings.Builder
	for i := range g.New {
		g.writeFinding(&b, &g.New[i])
	}
	for _, s := range g.Unresolved {
		fmt.Fprintf(&b, "unresolved: %s\n", siteText(s))
	}
	for i := range g.Partly {
		f := &g.Partly[i]
		fmt.Fprintf(&b, "partly: %s: %s\n", f.Call(g.native), g.partly(f))
	}
	for _, r := range g.Renamed {
		fmt.Fprintf(&b, "renamed: number %d of %v is %s, was %s\n", r.NR, r.ABI, nameOr(r.Now, "no call"), nameOr(r.Was, "no call"))
	}
	if names := g.gone(); len(names) > 0 {
		label := "gone"
		if g.Old.IsPolicy() {
			label = "let through for nothing"
		}
		fmt.Fprintf(&b, "%s: %s\n", label, strings.Join(names, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// partly says that the old side has a call with some arguments.
func (g *gateReport) partly(f *gate.Finding) string {
	text := "with some arguments only, and which are used is not known"
	if len(f.Denied) > 0 {
		o := f.Denied[0]
		text += fmt.Sprintf("; %s gets %s", policy.FormatCall(o.Witness), f.ABI.ActionString(o.Action))
	}
	return text
}

func nameOr(name, none string) string {
	if name == "" {
		return none
	}
	return name
}

// gone returns what the old side has beyond the new one, each name once.
func (g *gateReport) gone() []string {
	var names []string
	for i := range g.Gone {
		names = append(names, g.Gone[i].Call(g.native))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (g *gateReport) writeFinding(b *strings.Builder, f *gate.Finding) {
	label := g.label()
	if why := g.pass.lets(f); why != "" {
		label = why
	}
	fmt.Fprintf(b, "%s: %s%s\n", label, f.Call(g.native), origin(f))
	if len(g.Now.Programs) > 1 && f.Program != nil {
		fmt.Fprintf(b, "  by %s\n", f.Program.File)
	}
	if denied := g.deniedBy(f); denied != "" {
		fmt.Fprintf(b, "  %s: %s\n", g.Old.Name, denied)
	}
	if since, ok := g.Newer(f); ok {
		fmt.Fprintf(b, "  came with Linux %v, and %s knows the calls of %v\n", since, g.Old.Name, g.Old.Release)
	}
	for _, v := range f.Values {
		fmt.Fprintf(b, "  with %s: %s\n", v.Condition, strings.Join(v.Sites, ", "))
	}
	if why := refine.Danger(f.Name); why != "" {
		fmt.Fprintf(b, "  dangerous: %s\n", why)
	}
	if f.Program != nil && (len(f.Path) == 0 || f.Class > observe.Implicit) {
		fmt.Fprintf(b, "  %s: %s\n", f.Class, f.Evidence)
	}
	if len(f.Path) > 0 {
		writeSteps(b, f.Program, f.NR, f.Path)
	}
}

// A gateJSON is the JSON form of a report; docs/profiling.md describes it.
type gateJSON struct {
	Baseline   string          `json:"baseline"`
	Subject    string          `json:"subject"`
	Passed     bool            `json:"passed"`
	New        []gateCallJSON  `json:"new"`
	Partly     []gateCallJSON  `json:"partly,omitempty"`
	Unresolved []gateSiteJSON  `json:"unresolved,omitempty"`
	Renamed    []gateNamesJSON `json:"renamed,omitempty"`
	Gone       []string        `json:"gone,omitempty"`
}

type gateCallJSON struct {
	ABI      string           `json:"abi"`
	Name     string           `json:"name,omitempty"` // none of a number that no table has
	NR       uint32           `json:"nr"`
	Class    string           `json:"class,omitempty"`
	Evidence string           `json:"evidence"`
	File     string           `json:"file,omitempty"`   // of the program
	Passes   string           `json:"passes,omitempty"` // accepted or drift
	Cause    string           `json:"cause,omitempty"`
	Module   string           `json:"module,omitempty"`
	Version  string           `json:"version,omitempty"`
	Was      string           `json:"was,omitempty"` // version in the baseline
	Danger   string           `json:"danger,omitempty"`
	Since    string           `json:"since,omitempty"`  // release that brought it, where the policy's tables are older
	Values   []gateValueJSON  `json:"values,omitempty"` // of arguments that are new
	Denied   []gateDenialJSON `json:"denied,omitempty"`
	Path     []profile.Step   `json:"path,omitempty"`
}

type gateDenialJSON struct {
	Call   string `json:"call"`
	Action string `json:"action"`
}

type gateValueJSON struct {
	Condition string   `json:"condition"`
	Sites     []string `json:"sites"`
}

type gateSiteJSON struct {
	Func   string `json:"func"`
	Addr   string `json:"addr"`
	Place  string `json:"place,omitempty"`
	Reason string `json:"reason"`
}

type gateNamesJSON struct {
	ABI string `json:"abi"`
	NR  uint32 `json:"nr"`
	Was string `json:"was"`
	Now string `json:"now"`
}

func (g *gateReport) writeJSON(w io.Writer) error {
	out := gateJSON{Baseline: g.Old.Name, Subject: g.Now.Name, Passed: g.passed(), New: []gateCallJSON{}, Gone: g.gone()}
	for i := range g.New {
		out.New = append(out.New, g.callJSON(&g.New[i]))
	}
	for i := range g.Partly {
		out.Partly = append(out.Partly, g.callJSON(&g.Partly[i]))
	}
	for _, s := range g.Unresolved {
		out.Unresolved = append(out.Unresolved, gateSiteJSON{s.Func, fmt.Sprintf("%#x", s.Addr), s.Place(), s.Reason})
	}
	for _, r := range g.Renamed {
		out.Renamed = append(out.Renamed, gateNamesJSON{r.ABI.String(), r.NR, r.Was, r.Now})
	}
	return writeIndented(w, out)
}

func (g *gateReport) callJSON(f *gate.Finding) gateCallJSON {
	c := gateCallJSON{
		ABI: f.ABI.String(), Name: f.Name, NR: f.NR, Evidence: f.Evidence, Passes: g.pass.lets(f), Cause: string(f.Cause),
		Module: f.Module.Path, Version: f.Module.Version, Was: f.Was, Danger: refine.Danger(f.Name), Path: f.Path,
	}
	if f.Program != nil {
		c.Class, c.File = f.Class.String(), f.Program.File
	}
	if since, ok := g.Newer(f); ok {
		c.Since = since.String()
	}
	for _, v := range f.Values {
		c.Values = append(c.Values, gateValueJSON(v))
	}
	for _, o := range f.Denied {
		c.Denied = append(c.Denied, gateDenialJSON{policy.FormatCall(o.Witness), f.ABI.ActionString(o.Action)})
	}
	return c
}

// writeMarkdown writes the report for a comment on a change.
func (g *gateReport) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	mark := "✅"
	if !g.passed() {
		mark = "❌"
	}
	fmt.Fprintf(&b, "### %s System calls of %s\n\n%s.\n", mark, markdown(path.Base(g.Now.Name)), strings.ToUpper(g.verdict()[:1])+g.verdict()[1:])
	if len(g.New) > 0 {
		b.WriteString("\n| call | brought by | |\n| --- | --- | --- |\n")
		for i := range g.New {
			f := &g.New[i]
			var notes []string
			if len(g.Now.Programs) > 1 && f.Program != nil {
				notes = append(notes, "by "+path.Base(f.Program.File))
			}
			if why := g.pass.lets(f); why != "" {
				notes = append(notes, why)
			}
			if why := refine.Danger(f.Name); why != "" {
				notes = append(notes, "⚠ "+why)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Call(g.native), markdown(cmp.Or(because(f), f.Evidence)), markdown(strings.Join(notes, "; ")))
		}
		for i := range g.New {
			f := &g.New[i]
			if len(f.Path) == 0 {
				continue
			}
			fmt.Fprintf(&b, "\n<details><summary>How the program comes to <code>%s</code></summary>\n\n```\n", f.Call(g.native))
			writeSteps(&b, f.Program, f.NR, f.Path)
			b.WriteString("```\n\n</details>\n")
		}
	}
	for _, s := range g.Unresolved {
		fmt.Fprintf(&b, "\n- not known which call is made: %s\n", markdown(siteText(s)))
	}
	for i := range g.Partly {
		f := &g.Partly[i]
		fmt.Fprintf(&b, "\n- `%s`: %s\n", f.Call(g.native), markdown(g.partly(f)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown keeps text from meaning anything in Markdown.
func markdown(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "[", `\[`, "\n", " ").Replace(text)
}
