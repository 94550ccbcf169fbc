package convert

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// maxRuns bounds the runs of lines that one comment lists.
const maxRuns = 12

// An origin is a line of the input that brought a pattern, and what is to be said
// of it: the set there that has the call, or the author's comment.
type origin struct {
	file string
	line int
	note string
}

// originOf returns the origin of a pattern; its line is 0 if that is not known.
func originOf(p policy.Pattern) origin {
	note := p.Comment
	switch {
	case strings.HasPrefix(p.Name, "@"):
		note = p.Name
	case p.Set != "":
		note = p.Set
	case strings.Contains(strings.TrimSpace(note), "\n"):
		note = ""
	}
	return origin{p.Pos.File, p.Pos.Line, strings.TrimSpace(note)}
}

// runs returns lines, sorted, as spans without gaps.
func runs(lines []int) [][2]int {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	var all [][2]int
	for _, n := range lines {
		if last := len(all) - 1; last >= 0 && n <= all[last][1]+1 {
			all[last][1] = n
			continue
		}
		all = append(all, [2]int{n, n})
	}
	return all
}

// originText returns origins as a comment of one line, those of one file with one
// note together: "@systemd/timer, web.yaml:5, 7-9".
func originText(origins []origin) string {
	var parts []string
	done := make(map[origin]bool)
	for _, o := range origins {
		key := origin{o.file, 0, o.note}
		if o.line == 0 || done[key] {
			continue
		}
		done[key] = true
		var lines []int
		for _, other := range origins {
			if other.line > 0 && other.file == o.file && other.note == o.note {
				lines = append(lines, other.line)
			}
		}
		text := "line "
		if o.file != "" {
			text = o.file + ":"
		}
		if o.note != "" {
			text = o.note + ", " + text
		}
		for i, run := range runs(lines) {
			switch {
			case i > maxRuns:
				continue
			case i == maxRuns:
				text += ", …"
				continue
			case i > 0:
				text += ", "
			}
			if text += strconv.Itoa(run[0]); run[1] > run[0] {
				text += fmt.Sprintf("-%d", run[1])
			}
		}
		parts = append(parts, text)
	}
	return strings.Map(func(r rune) rune { // a file's name can hold anything
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.Join(parts, "; "))
}

// maxSaid bounds the patterns that comments are added to: what a policy of more grows
// by would be too much to be read back.
const maxSaid = 10_000

// WithOrigins has the rules of p, which is another tool's, say as comments which
// lines they come from: a rule whose names stand together says it once, else each
// pattern does.
func WithOrigins(p *policy.Policy) *policy.Policy {
	size := 0
	for _, rule := range p.Rules {
		size += len(rule.Calls)
	}
	if size > maxSaid {
		return p
	}
	for i := range p.Rules {
		rule := &p.Rules[i]
		together := standTogether(rule.Calls)
		var names []origin
		for j := range rule.Calls {
			c := &rule.Calls[j]
			if !together || !isPlain(*c) {
				c.Comment = cmp.Or(originText([]origin{originOf(*c)}), c.Comment)
				continue
			}
			names, c.Comment = append(names, originOf(*c)), ""
		}
		if together {
			addComment(rule, "from "+originText(names))
		}
	}
	return p
}

// behind returns text as a comment that mark starts, "" for none.
func behind(mark, text string) string {
	if text == "" {
		return ""
	}
	return mark + text
}

// originLines are comments above lines, each for all lines up to the next one.
type originLines struct{ last string }

func (o *originLines) say(w io.Writer, text string) {
	if text != o.last {
		fmt.Fprintln(w, "#", cmp.Or(text, "by default"))
		o.last = text
	}
}

// addComment adds a line to what stands above a rule.
func addComment(rule *policy.Rule, line string) {
	if rule.Comment != "" {
		rule.Comment += "\n"
	}
	rule.Comment += line
}

// onceAbove moves a comment that all patterns of a rule have above it.
func onceAbove(rule *policy.Rule) {
	first := rule.Calls[0].Comment
	if first == "" || len(rule.Calls) == 1 || slices.ContainsFunc(rule.Calls, func(p policy.Pattern) bool { return p.Comment != first }) {
		return
	}
	for i := range rule.Calls {
		rule.Calls[i].Comment = ""
	}
	addComment(rule, "from "+first)
}

// isPlain reports whether a pattern is a name and nothing more.
func isPlain(p policy.Pattern) bool {
	return len(p.Conditions) == 0 && p.Numbers == nil && p.ABI == abi.None
}

// standTogether reports whether the names of a rule, in their order, stand on one
// line or on few runs of lines, so that one comment says it of all.
func standTogether(calls []policy.Pattern) bool {
	const few, many = 8, 4 // so many runs, of so many names each
	var first origin
	var lines []int
	for _, c := range calls {
		if !isPlain(c) {
			continue
		}
		o := originOf(c)
		if len(lines) == 0 {
			first = o
		}
		if o.line == 0 || o.file != first.file || o.note != first.note {
			return false
		}
		lines = append(lines, o.line)
	}
	n := len(runs(lines))
	return len(lines) > 1 && (n == 1 || n <= few && len(lines) >= many*n)
}

// from returns where the rules stand that decide about a call with a name, "" if
// none does or that is not known.
func (d *Decisions) from(a abi.ABI, nr uint32) string {
	return originText(d.origins(a, nr))
}

// fromAll is from for a list of calls, by name.
func (d *Decisions) fromAll(a abi.ABI, names []string) string {
	var all []origin
	for _, name := range names {
		for _, nr := range a.Numbers(name) {
			for _, o := range d.origins(a, nr) {
				o.note = ""
				all = append(all, o)
			}
		}
	}
	return originText(all)
}

// origins returns the lines of the rules that decide about a call: up to the first
// one that does so whatever the arguments are.
func (d *Decisions) origins(a abi.ABI, nr uint32) []origin {
	if d.places == nil {
		d.places = make(map[callKey][]origin)
		for _, section := range d.Resolved.ABIs {
			d.locate(section)
		}
	}
	return d.places[callKey{a, nr}]
}

// locate fills in the origins of one ABI's calls.
func (d *Decisions) locate(section policy.ResolvedABI) {
	a := section.ABI
	done := make(map[uint32]bool)
	for i := 0; i < len(section.Rules); {
		rule := section.Rules[i].Rule
		decides, ends := make(map[uint32]bool), make(map[uint32]bool)
		for ; i < len(section.Rules) && section.Rules[i].Rule == rule; i++ {
			for nr := range a.Syscalls() {
				if slices.ContainsFunc(section.Rules[i].Numbers, func(n policy.NumberRange) bool { return n.Lo <= nr && nr <= n.Hi }) {
					decides[nr] = true
					ends[nr] = ends[nr] || len(section.Rules[i].Any) == 0
				}
			}
		}
		for nr, origins := range ruleOrigins(a, &d.Policy.Rules[rule]) {
			if decides[nr] && !done[nr] {
				d.places[callKey{a, nr}] = append(d.places[callKey{a, nr}], origins...)
			}
		}
		for nr := range ends {
			done[nr] = done[nr] || ends[nr]
		}
	}
}

// ruleOrigins returns the origins of a rule's patterns, by the calls of a that they
// are about.
func ruleOrigins(a abi.ABI, rule *policy.Rule) map[uint32][]origin {
	all := make(map[uint32][]origin)
	for _, p := range rule.Calls {
		if o := originOf(p); o.line > 0 {
			for _, nr := range meant(a, p) {
				all[nr] = append(all[nr], o)
			}
		}
	}
	return all
}

// overview returns a comment of a line for each rule that has a place: its lines,
// what it does and the first of its calls.
func (d *Decisions) overview(mark string) []byte {
	const most = 6 // calls of a rule
	var b bytes.Buffer
	for _, rule := range d.Policy.Rules {
		var origins []origin
		var calls []string
		for _, p := range rule.Calls {
			o := originOf(p)
			o.note = ""
			origins, calls = append(origins, o), append(calls, p.String())
		}
		text := originText(origins)
		if text == "" {
			continue
		}
		if more := len(calls) - most; more > 0 {
			calls = append(calls[:most], fmt.Sprintf("and %d more", more))
		}
		fmt.Fprintf(&b, "%s %s: %s %s\n", mark, text, rule.Action, strings.Join(calls, ", "))
	}
	return b.Bytes()
}

// meant returns the numbers with names that a pattern is about on a.
func meant(a abi.ABI, p policy.Pattern) []uint32 {
	if p.ABI != abi.None && p.ABI != a {
		return nil
	}
	var all []uint32
	if p.Numbers != nil {
		for nr := range a.Syscalls() {
			if p.Numbers.Lo <= nr && nr <= p.Numbers.Hi {
				all = append(all, nr)
			}
		}
		return all
	}
	names := []string{p.Name}
	if members, ok := policy.Set(p.Name); ok {
		names = members
	}
	for _, name := range names {
		all = append(all, a.Numbers(name)...)
		if mux, _, ok := a.Multiplexed(name); ok {
			all = append(all, mux)
		}
	}
	return all
}
