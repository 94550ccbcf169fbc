package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// Format writes p as YAML in the canonical form: fixed order of fields, names
// before patterns, one name a line where any has a comment. It establishes that
// Parse reads p back, comments included, and that formatting that again changes
// nothing; but a rule's patterns come in the order names, calls, names_with_args,
// and comments that stand between other fields move above the rule.
func (p *Policy) Format() []byte {
	w := &writer{documented: p.Documented}
	w.comment("", p.Comment)
	if p.Comment != "" && w.Len() > 0 {
		w.WriteString("\n") // else it would be the first field's
	}
	if !p.Documented {
		w.field("version", strconv.Itoa(max(1, p.Version)))
	}
	if p.Incomplete {
		w.field("complete", "false")
	}
	if len(p.ABIs) > 0 {
		var names []string
		for _, a := range p.ABIs {
			names = append(names, a.String())
		}
		w.field("abis", "["+strings.Join(names, ", ")+"]")
	}
	if p.Kernel != (abi.Kernel{}) {
		w.field("kernel", strconv.Quote(p.Kernel.String()))
	}
	if p.Load.Disabled {
		w.field("enabled", "false")
	}
	if p.Load.NoNewPrivs != nil {
		w.field("no_new_privs", strconv.FormatBool(*p.Load.NoNewPrivs))
	}
	if len(p.Load.Flags) > 0 {
		w.field("flag", strings.Join(p.Load.Flags, "|"))
	}
	w.field("default_action", w.action(p.Default))
	for _, a := range []struct {
		name   string
		action *Action
	}{{"unknown_action", p.Unknown}, {"bad_arch_action", p.BadArch}, {"x32_action", p.X32}} {
		if a.action != nil {
			w.field(a.name, w.action(*a.action))
		}
	}
	switch {
	case len(p.Rules) > 0:
		w.WriteString("syscalls:\n")
	case !p.Documented:
		w.WriteString("syscalls: []\n")
	}
	for i := range p.Rules {
		w.rule(&p.Rules[i])
	}
	return []byte(w.String())
}

// lineWidth is where a list of names breaks.
const lineWidth = 100

type writer struct {
	strings.Builder
	documented bool
}

func (w *writer) field(name, value string) { fmt.Fprintf(w, "%s: %s\n", name, value) }

// comment writes lines above what follows.
func (w *writer) comment(indent, text string) {
	for _, line := range commentLines(text) {
		fmt.Fprintf(w, "%s# %s\n", indent, line)
	}
}

// commentLines returns the lines of a comment as the reader would return them.
func commentLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Map(func(r rune) rune {
			if r == '\ufeff' || !strconv.IsPrint(r) {
				return ' '
			}
			return r
		}, line)
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// action writes the documented words where they say the same.
func (w *writer) action(a Action) string {
	if w.documented && a.Kind == abi.Errno && a.Errno == "EPERM" {
		return "errno"
	}
	return a.String()
}

func (w *writer) rule(r *Rule) {
	w.comment("", r.Comment)
	w.WriteString("- action: " + w.action(r.Action) + "\n")
	var names, calls, documented []Pattern
	for _, c := range wholeSets(r.Calls) {
		switch {
		case c.Documented:
			documented = append(documented, c)
		case c.isName():
			names = append(names, c)
		default:
			calls = append(calls, c)
		}
	}
	w.list("names", names)
	if len(calls) > 0 {
		w.items("calls", calls)
	}
	if len(documented) > 0 {
		w.WriteString("  names_with_args:\n")
	}
	for _, c := range documented {
		w.namesWithArgs(c)
	}
	w.list("except", wholeSets(r.Except))
	w.when(r.When)
	if r.Optional {
		w.WriteString("  optional: true\n")
	}
	if r.Only {
		w.WriteString("  only: true\n")
	}
	if r.Reason != "" {
		w.WriteString("  reason: " + scalar(r.Reason) + "\n")
	}
}

// isName reports whether p is a name or a set and nothing more.
func (p *Pattern) isName() bool {
	return len(p.Conditions) == 0 && p.Numbers == nil && p.ABI == abi.None
}

// wholeSets returns patterns with one in place of each set with conditions that is
// there as a whole.
func wholeSets(patterns []Pattern) []Pattern {
	var all []Pattern
	for i := 0; i < len(patterns); i++ {
		c := patterns[i]
		if n := wholeSet(patterns[i:]); n > 0 {
			c = Pattern{Name: c.Set, Comment: c.Comment}
			i += n - 1
		}
		all = append(all, c)
	}
	return all
}

// wholeSet returns how many of calls are the set that the first belongs to, 0 if
// they are not all of it.
func wholeSet(calls []Pattern) int {
	if calls[0].Set == "" {
		return 0
	}
	members, _ := SetPatterns(calls[0].Set)
	if len(calls) < len(members) {
		return 0
	}
	for i, m := range members {
		if calls[i].Set != m.Set || calls[i].String() != m.String() {
			return 0
		}
	}
	return len(members)
}

// list writes patterns in a line, or each in its own if one has a comment or is
// more than a name.
func (w *writer) list(key string, patterns []Pattern) {
	long := slices.ContainsFunc(patterns, func(c Pattern) bool {
		return !c.isName() || len(commentLines(c.Comment)) > 0
	})
	switch {
	case len(patterns) == 0:
	case long:
		w.items(key, patterns)
	default:
		column, _ := w.WriteString("  " + key + ": [")
		for i, c := range patterns {
			text := scalar(c.Name)
			if i > 0 {
				column, _ = column+2, w.WriteByte(',')
				if column+len(text) >= lineWidth {
					w.WriteString("\n    ")
					column = 4
				} else {
					w.WriteByte(' ')
				}
			}
			w.WriteString(text)
			column += len(text)
		}
		w.WriteString("]\n")
	}
}

// items writes each pattern in its own line.
func (w *writer) items(key string, patterns []Pattern) {
	w.WriteString("  " + key + ":\n")
	for _, c := range patterns {
		w.item(c.String(), c.Comment)
	}
}

// item writes a list item, with its comment at its end or, if that has several
// lines, above it.
func (w *writer) item(text, comment string) {
	lines := commentLines(comment)
	if len(lines) > 1 {
		w.comment("  ", comment)
	}
	w.WriteString("  - " + scalar(text))
	if len(lines) == 1 {
		w.WriteString(" # " + lines[0])
	}
	w.WriteByte('\n')
}

func (w *writer) namesWithArgs(c Pattern) {
	w.comment("  ", c.Comment)
	w.WriteString("  - name: " + scalar(c.Name) + "\n    arguments:\n")
	for _, cond := range c.Conditions {
		name, value := "", cond.Mask
		for _, o := range operations {
			if o.op == cond.Op {
				name = o.name
			}
		}
		if len(cond.Values) > 0 {
			value = cond.Values[0]
		}
		fmt.Fprintf(w, "    - {argument: %d, operation: %s, value: %s}\n", cond.Index, name, value)
	}
}

func (w *writer) when(when When) {
	var parts []string
	for _, list := range []struct {
		key   string
		names []string
	}{{"caps", when.Caps}, {"not_caps", when.NotCaps}} {
		if len(list.names) > 0 {
			parts = append(parts, list.key+": ["+strings.Join(list.names, ", ")+"]")
		}
	}
	if when.MinKernel != (abi.Kernel{}) {
		parts = append(parts, "kernel: "+strconv.Quote(when.MinKernel.String()))
	}
	if len(parts) > 0 {
		w.WriteString("  when: {" + strings.Join(parts, ", ") + "}\n")
	}
}

// scalar writes text so that YAML reads it back as text: plain where it starts
// like a name and holds nothing that YAML could take for its own.
func scalar(text string) string {
	plain := text != "" && (isWord(text[0]) && !isDigit(text[0])) && text[len(text)-1] != ' ' && text[len(text)-1] != ':'
	for i := 0; i < len(text) && plain; i++ {
		c := text[i]
		plain = c >= ' ' && c < 0x7f &&
			!(c == ':' && i+1 < len(text) && text[i+1] == ' ') &&
			!(c == '#' && text[i-1] == ' ')
	}
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		plain = false
	}
	if plain {
		return text
	}
	return quote(text)
}

// quote writes a double-quoted scalar, which JSON readers take too.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r > 0xffff || r >= 0x80 && !strconv.IsPrint(r):
			if r > 0xffff {
				fmt.Fprintf(&b, `\U%08x`, r)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
