package convert

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/policy"
)

// A macro is a #define of a C file.
type macro struct {
	params   []string
	function bool // it has a list of parameters, maybe an empty one
	body     []token
}

// macros are the #defines of a C file, as far as filters need a preprocessor: with
// and without parameters, and "##". Nothing is included.
type macros struct {
	*document
	defined map[string]macro
	left    int // tokens that expansion may still come to
}

const (
	maxExpanded = 1 << 18
	maxNested   = 64
)

var (
	directive = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*(\w+)((?:[^\\\n]|\\\r?\n|\\.)*)$`)
	defines   = regexp.MustCompile(`^[ \t]+(\w+)(\([\w\s,]*\))?`)
)

// cWords are what C's tokens look like, as far as filters have them.
var cWords = lexicon{
	operators: []string{"##", "<<", ">>", "{", "}", "(", ")", "[", "]", ",", ";", "|", "&", "+", "-", "*", "^", "~", "=", ".", "\\"},
	comments:  []string{"//"},
	block:     true,
}

// readMacros reads the #defines of d, and returns the text with blanks in place of all
// directives, and where conditions are, whose outcome nobody knows here.
func readMacros(d *document) (m *macros, text string, conditions []int, err *policy.Error) {
	m = &macros{document: d, defined: map[string]macro{}, left: maxExpanded}
	b := bytes.Clone(d.data)
	for _, at := range directive.FindAllSubmatchIndex(d.data, -1) {
		for i := at[0]; i < at[1]; i++ {
			if b[i] != '\n' {
				b[i] = ' '
			}
		}
		name, rest := string(d.data[at[2]:at[3]]), string(d.data[at[4]:at[5]])
		switch name {
		case "define":
			head := defines.FindStringSubmatch(rest)
			if head == nil {
				return nil, "", nil, d.errorf(at[0], at[1], "", "#define of what is no name")
			}
			one := macro{function: head[2] != ""}
			for p := range strings.SplitSeq(strings.Trim(head[2], "()"), ",") {
				if p = strings.TrimSpace(p); p != "" {
					one.params = append(one.params, p)
				}
			}
			body := strings.ReplaceAll(rest[len(head[0]):], "\\\n", " \n")
			tokens, bad := d.tokens(cWords, strings.ReplaceAll(body, "\\\r\n", "  \n"), at[4]+len(head[0]))
			if bad != nil {
				continue // one of C that has to do with no filter
			}
			one.body = tokens[:len(tokens)-1]
			m.defined[head[1]] = one
		case "undef":
			delete(m.defined, strings.TrimSpace(rest))
		case "include", "pragma", "error", "warning", "line":
		default:
			conditions = append(conditions, at[0])
		}
	}
	return m, string(b), conditions, nil
}

// expand replaces the macros in a list of tokens. hidden are those that it stands in,
// which are not expanded again.
func (m *macros) expand(list []token, hidden []string) (out []token, err *policy.Error) {
	for i := 0; i < len(list); i++ {
		t := list[i]
		if m.left--; m.left < 0 || len(hidden) > maxNested {
			return nil, m.errorf(t.off, t.end, "", "macros that come to more than a filter can be")
		}
		one, ok := m.defined[t.text]
		if t.kind != 'a' || !ok || slices.Contains(hidden, t.text) {
			out = append(out, t)
			continue
		}
		var args [][]token
		if one.function {
			n := 0
			if args, n = m.arguments(list[i+1:]); n == 0 {
				out = append(out, t)
				continue
			}
			i += n
			if len(args) == 1 && len(one.params) == 0 && len(args[0]) == 0 {
				args = nil
			}
			if len(args) != len(one.params) {
				return nil, m.errorf(t.off, t.end, "", "%s takes %d arguments, not %d", t.text, len(one.params), len(args))
			}
			for k := range args {
				if len(args[k]) > m.left {
					return nil, m.errorf(t.off, t.end, "", "macros that come to more than a filter can be")
				}
			}
		}
		body, err := m.substitute(one, args, hidden)
		if err != nil {
			return nil, err
		}
		if body, err = m.expand(body, append(slices.Clone(hidden), t.text)); err != nil {
			return nil, err
		}
		out = append(out, body...)
	}
	return out, nil
}

// substitute returns a macro's body with its arguments in place, and what "##" joins.
func (m *macros) substitute(one macro, args [][]token, hidden []string) (out []token, err *policy.Error) {
	pasted := func(i int) bool { return i >= 0 && i < len(one.body) && one.body[i].text == "##" }
	for i := 0; i < len(one.body); i++ {
		t := one.body[i]
		if pasted(i) {
			continue
		}
		words := []token{t}
		if k := slices.Index(one.params, t.text); t.kind == 'a' && k >= 0 {
			words = args[k]
			if !pasted(i-1) && !pasted(i+1) {
				if words, err = m.expand(words, hidden); err != nil {
					return nil, err
				}
			}
		}
		if m.left -= len(words); m.left < 0 {
			return nil, m.errorf(t.off, t.end, "", "macros that come to more than a filter can be")
		}
		if pasted(i-1) && len(out) > 0 && len(words) > 0 {
			last := &out[len(out)-1]
			last.text += words[0].text
			words = words[1:]
		}
		out = append(out, words...)
	}
	return out, nil
}

// arguments returns the arguments in parentheses that a list begins with, and how many
// tokens they are; none if it does not begin so. What it looks at counts as expanded.
func (m *macros) arguments(list []token) (args [][]token, n int) {
	if len(list) == 0 || list[0].text != "(" {
		return nil, 0
	}
	depth, arg := 0, []token{}
	for i, t := range list {
		if m.left--; m.left < 0 {
			return nil, 0 // which expand reports
		}
		switch {
		case t.kind != '.':
		case t.text == "(":
			if depth++; depth == 1 {
				continue
			}
		case t.text == ")":
			if depth--; depth == 0 {
				return append(args, arg), i + 1
			}
		case t.text == "," && depth == 1:
			args, arg = append(args, arg), nil
			continue
		}
		arg = append(arg, t)
	}
	return nil, 0
}
