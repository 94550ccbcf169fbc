package convert

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatMinijailC = Format{
	Name: "minijail-c", Title: "minijail policy, loaded by libminijail",
	Read: readMinijailC, Write: writeMinijailC,
	Says: Says{
		Actions:   "allow, by arguments; errno for the rest of a call",
		Default:   "kill_thread",
		Unknown:   "kill_thread",
		Arguments: "equality, order, bits set or clear, of whole words; OR of ANDs",
		Order:     "a call has one line",
		ABIs:      "one; others: kill_thread",
	},
}

// readMinijailC reads a policy as libminijail loads it (syscall_filter.c): for
// the machine's ABI, with minijail0's action for everything else, which kills the
// thread.
func readMinijailC(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	a, err := o.machine()
	if err != nil {
		return nil, nil, err
	}
	r := &minijailC{abi: a, seen: make(map[uint32]policy.Pos)}
	r.file(newDocument(name, data), 0)
	if err := oneOrMore(r.errs); err != nil {
		return nil, nil, err
	}
	kill := policy.Action{Kind: abi.KillThread}
	p := onOneABI(a, kill, kill)
	p.Rules = append(r.allowed, r.denied...)
	return p, r.losses, nil
}

// oneOrMore returns errs as package policy reports them: one is an error of its
// own.
func oneOrMore(errs policy.Errors) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return errs
}

type minijailC struct {
	abi     abi.ABI
	seen    map[uint32]policy.Pos
	allowed ruleSet // by their arguments
	denied  ruleSet // whatever is left of a call
	losses  []Loss
	errs    policy.Errors
}

// A cLine is a line with its place; lines that a backslash continues are one.
type cLine struct {
	*document
	text string
	off  int
}

// cut returns part of the line, without the space around it.
func (l cLine) cut(from, to int) cLine {
	part := l.text[from:to]
	trimmed := strings.TrimLeft(part, " \t\r")
	return cLine{l.document, strings.TrimRight(trimmed, " \t\r"), l.off + from + len(part) - len(trimmed)}
}

// split cuts l at separators.
func (l cLine) split(separator string) []cLine {
	var all []cLine
	from := 0
	for {
		i := strings.Index(l.text[from:], separator)
		if i < 0 {
			return append(all, l.cut(from, len(l.text)))
		}
		all = append(all, l.cut(from, from+i))
		from += i + len(separator)
	}
}

func (r *minijailC) fail(l cLine, hint, format string, args ...any) {
	r.errs = append(r.errs, l.errorf(l.off, l.off+len(l.text), hint, format, args...))
}

func (r *minijailC) file(d *document, level int) {
	if len(d.data) > maxText {
		r.errs = append(r.errs, &policy.Error{Pos: policy.Pos{File: d.name}, Msg: fmt.Sprintf("file of %d bytes is too large for a policy: the limit is %d", len(d.data), maxText)})
		return
	}
	// The two bytes become two spaces: every place stays where it is.
	text := string(bytes.ReplaceAll(d.data, []byte("\\\n"), []byte("  ")))
	for _, l := range (cLine{d, text, 0}).split("\n") {
		switch {
		case l.text == "" || l.text[0] == '#':
		case strings.HasPrefix(l.text, "@frequency"):
			r.losses = append(r.losses, Loss{d.pos(l.off), "@frequency is about speed, and libminijail ignores it"})
		case l.text[0] == '@':
			r.include(l, level)
		default:
			r.line(l)
		}
		if len(r.errs) >= 100 {
			return
		}
	}
}

func (r *minijailC) include(l cLine, level int) {
	path, ok := strings.CutPrefix(l.text, "@include ")
	switch {
	case !ok:
		r.fail(l, "only the Python compiler knows others: read it as minijail-py", "unknown statement")
		return
	case level > 0:
		r.fail(l, "", "an included file cannot include another: libminijail refuses it")
		return
	case !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "./"):
		r.fail(l, "write ./"+path, "libminijail wants / or ./ before the path")
		return
	}
	data, err := readIncluded(path)
	if err != nil {
		hint := ""
		if os.IsNotExist(err) {
			hint = "libminijail looks from its working directory: go where it runs"
		}
		r.fail(l, hint, "%v", err)
		return
	}
	r.file(newDocument(path, data), level+1)
}

func (r *minijailC) line(l cLine) {
	colon := strings.IndexByte(l.text, ':')
	if colon < 0 {
		r.fail(l, "", `missing ":" after the call`)
		return
	}
	name, rest := l.cut(0, colon), l.cut(colon+1, len(l.text))
	nr, ok := minijailCall(r.abi, name.text)
	switch {
	case !ok:
		hint := ""
		if strings.ContainsAny(name.text, "{[@") {
			hint = "that is for the Python compiler: read it as minijail-py"
		} else if s := abi.Suggest(name.text); s != "" && s != name.text {
			hint = "did you mean " + s + "?"
		}
		r.fail(name, hint, "%s has no call %q", r.abi, name.text)
		return
	case rest.text == "":
		r.fail(l, "", "nothing follows the colon")
		return
	}
	if first, twice := r.seen[nr]; twice {
		r.fail(name, "", "%s stands twice, first at %s: libminijail refuses it", name.text, first)
		return
	}
	r.seen[nr] = l.pos(name.off)
	pattern := patternOf(r.abi, nr)
	pattern.Pos = l.pos(name.off)
	allow := policy.Action{Kind: abi.Allow}
	switch {
	case rest.text == "1":
		r.allowed.add(allow, pattern)
		return
	case strings.HasPrefix(rest.text, "return"):
		r.otherwise(rest, pattern)
		return
	}
	parts := rest.split(";")
	alternatives, ok := r.expression(parts[0])
	if !ok {
		return
	}
	all, err := patterns(pattern, r.abi, alternatives)
	if err != nil {
		r.fail(rest, "", "%v", err)
		return
	}
	for _, p := range all {
		r.allowed.add(allow, p)
	}
	if len(parts) > 1 {
		r.otherwise(parts[1], pattern)
	}
	if len(parts) > 2 {
		r.losses = append(r.losses, Loss{l.pos(parts[2].off), "libminijail ignores what follows the second semicolon"})
	}
}

// otherwise reads "return [ERRNO]", the action for the rest of a call.
func (r *minijailC) otherwise(l cLine, pattern policy.Pattern) {
	words := strings.FieldsFunc(l.text, func(c rune) bool { return c == ' ' })
	if len(words) == 0 || words[0] != "return" {
		r.fail(l, "", `want "return" and an error`)
		return
	}
	if len(words) == 1 {
		return // what every other call gets
	}
	v, err := minijailConstant(r.abi, words[1], 0)
	if err != nil || v == r.abi.WordMask() {
		r.fail(l, "", "no error to return: %q", words[1])
		return
	}
	if len(words) > 2 {
		r.losses = append(r.losses, Loss{l.pos(l.off), "libminijail ignores what follows the error"})
	}
	if v > abi.MaxErrno {
		r.losses = append(r.losses, Loss{l.pos(l.off), fmt.Sprintf("error %s is cut to %d", words[1], min(v&0xffff, abi.MaxErrno))})
	}
	r.denied.add(actionOf(r.abi, abi.Errno.WithData(uint16(v))), pattern)
}

// expression reads comparisons joined by && and ||.
func (r *minijailC) expression(l cLine) (alternatives []policy.Alternative, ok bool) {
	for _, group := range l.split("||") {
		var all policy.Alternative
		for _, atom := range group.split("&&") {
			t, good := r.atom(atom)
			if !good {
				return nil, false
			}
			all = append(all, t)
		}
		alternatives = append(alternatives, all)
	}
	return alternatives, true
}

func (r *minijailC) atom(l cLine) (policy.Test, bool) {
	words := strings.FieldsFunc(l.text, func(c rune) bool { return c == ' ' })
	if len(words) != 3 {
		r.fail(l, "", "want an argument, an operator and a constant, with spaces between them and none inside")
		return policy.Test{}, false
	}
	op, known := minijailOps[words[1]]
	index := strings.TrimPrefix(words[0], "arg")
	switch {
	case index == words[0] || len(index) != 1 || index[0] < '0' || index[0] > '5':
		r.fail(l, "", "%q is none of arg0 to arg5", words[0])
	case !known:
		r.fail(l, "", "unknown operator %q", words[1])
	default:
		v, err := minijailConstant(r.abi, words[2], 0)
		if err == nil {
			return minijailTest(r.abi, int(index[0]-'0'), op, v), true
		}
		r.fail(l, "", "%v", err)
	}
	return policy.Test{}, false
}

// minijailConstant reads constants joined by |, each with ~ before it or in
// parentheses.
func minijailConstant(a abi.ABI, text string, depth int) (uint64, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("parentheses more than %d deep", maxDepth)
	}
	value := uint64(0)
	for rest := text; ; {
		negate := strings.HasPrefix(rest, "~")
		rest = strings.TrimPrefix(rest, "~")
		var v uint64
		var err error
		if strings.HasPrefix(rest, "(") {
			end, open := 0, 0
			for i := range len(rest) {
				if rest[i] == '(' {
					open++
				} else if rest[i] == ')' {
					if open--; open == 0 {
						end = i
						break
					}
				}
			}
			if end == 0 {
				return 0, fmt.Errorf("unclosed parenthesis in %q", text)
			}
			v, err = minijailConstant(a, rest[1:end], depth+1)
			if rest = rest[end+1:]; rest != "" && rest[0] != '|' {
				return 0, fmt.Errorf("%q follows a parenthesis", rest)
			}
		} else {
			part, _, _ := strings.Cut(rest, "|")
			rest = rest[len(part):]
			v, err = minijailNumber(a, part)
		}
		if err != nil {
			return 0, err
		}
		if negate {
			v = ^v
		}
		value |= v
		if rest == "" {
			return value & a.WordMask(), nil
		}
		rest = rest[1:]
	}
}

// writeMinijailC writes d for libminijail. What is let through by its arguments
// is one expression a call, with one errno for the rest of them.
func writeMinijailC(d *Decisions, _ Options) ([]byte, []Loss, error) {
	a := d.ABIs[0]
	var b bytes.Buffer
	losses := loading(d.Policy)
	fmt.Fprintf(&b, "# For libminijail's own loader, on %s.\n", a)
	// Everything unlisted is killed: if that is not the default, list everything.
	all := d.Default != abi.KillThread && d.Default != abi.KillProcess
	if all {
		fmt.Fprintf(&b, "# It lists all calls of the policy's kernel: libminijail's headers have to know them.\n")
	}
	var above originLines
	for _, c := range d.byCall(a, all) {
		c.name = minijailName(a, c)
		line, ok := minijailLine(a, &c, d.Default)
		if !ok {
			losses = append(losses, Loss{Msg: c.name + ": its conditions have no short form: left out"})
			continue
		}
		if line != "" {
			above.say(&b, d.from(a, c.nr))
			fmt.Fprintf(&b, "%s: %s\n", c.name, line)
		}
	}
	return b.Bytes(), losses, nil
}

// minijailLine returns what is said of a call, "" for nothing.
func minijailLine(a abi.ABI, c *callDecisions, fallback abi.Action) (line string, ok bool) {
	deny := func(action abi.Action) string {
		if action.Kind() == abi.Errno {
			return "return " + minijailErrno(a, action)
		}
		return ""
	}
	if action, ok := c.whole(fallback); ok {
		if action == abi.Allow {
			return "1", true
		}
		return deny(action), true
	}
	if c.vague() {
		return "", false
	}
	allowed, rest, ok := c.allowed(fallback)
	if !ok {
		return "", false
	}
	otherwise := ""
	if len(rest) == 1 {
		otherwise = deny(rest[0])
	}
	if len(allowed) == 0 {
		return otherwise, true
	}
	text, ok := minijailExpression(a, allowed)
	if otherwise != "" {
		text += "; " + otherwise
	}
	return text, ok
}

// allowed returns the conditions under which c is let through, and the actions
// that it gets otherwise. ok is false if the conditions are too many.
func (c *callDecisions) allowed(fallback abi.Action) (alternatives []policy.Alternative, rest []abi.Action, ok bool) {
	var decided []policy.Alternative
	for _, part := range c.parts {
		decided = append(decided, part.Any...)
		if part.Action == abi.Allow {
			alternatives = append(alternatives, part.Any...)
		} else if !slices.Contains(rest, part.Action) {
			rest = append(rest, part.Action)
		}
	}
	others, err := without(decided)
	if err != nil {
		return nil, nil, false
	}
	switch {
	case fallback == abi.Allow:
		alternatives = others
	case len(others) > 0 && !slices.Contains(rest, fallback):
		rest = append(rest, fallback)
	}
	return alternatives, rest, true
}
