package cli

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A claim is one line of a test: an assertion, or a property.
type claim struct {
	proof.Assertion
	property *proof.Property // nil for an assertion
}

// A testFile is what a file of assertions says.
type testFile struct {
	policies []string // that it names, as paths from the working directory
	claims   []claim
}

// maxTestSize bounds a file of assertions.
const maxTestSize = 1 << 20

// parseTests reads assertions, one a line:
//
//	policy web.yaml                          # what is tested, relative to this file
//	deny socket(AF_ALG), ptrace              # is made on no ABI, by no way
//	allow openat(flags & O_ACCMODE == O_RDONLY)
//	errno(ENOSYS) clone3                     # this very action
//	property no-exec, w^x
//
// All mistakes come as one error, a [*policy.Error] or [policy.Errors].
func parseTests(name string, data []byte) (*testFile, error) {
	var f testFile
	var mistakes policy.Errors
	if len(data) > maxTestSize {
		return nil, fmt.Errorf("%s: larger than %d KiB", name, maxTestSize>>10)
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		for _, err := range f.line(name, line) {
			err.Pos.File, err.Pos.Line, err.Source = name, number, line
			mistakes = append(mistakes, err)
		}
		for i := range f.claims {
			if f.claims[i].Pos.Line == 0 {
				f.claims[i].Pos.File, f.claims[i].Pos.Line = name, number
			}
		}
	}
	switch len(mistakes) {
	case 0:
		return &f, nil
	case 1:
		return nil, mistakes[0]
	}
	return nil, mistakes
}

// line reads one line. Errors have a column, nothing more of their position.
func (f *testFile) line(file, line string) []*policy.Error {
	code, _, _ := strings.Cut(line, "#")
	verb, rest, at := cutVerb(code)
	mistake := func(col, width int, hint, format string, args ...any) []*policy.Error {
		return []*policy.Error{{Pos: policy.Pos{Col: col + 1}, Width: width, Msg: fmt.Sprintf(format, args...), Hint: hint}}
	}
	if verb == "" {
		return nil
	}
	start := at + len(verb) + (len(rest) - len(strings.TrimLeft(rest, " \t")))
	a := proof.Assertion{}
	action, unknown := policy.ParseAction(verb)
	switch known := unknown == nil || verb == "deny" || verb == "property" || verb == "policy"; {
	case !known:
		return mistake(at, len(verb), "a line starts with allow, deny, an action, property or policy", "unknown claim %q", verb)
	case strings.TrimSpace(rest) == "":
		return mistake(at, len(verb), "deny socket(AF_ALG)", "%s what?", verb)
	}
	switch verb {
	case "policy":
		path := strings.TrimSpace(rest)
		if !filepath.IsAbs(path) && !strings.HasPrefix(path, "@") {
			path = filepath.Join(filepath.Dir(file), path)
		}
		f.policies = append(f.policies, path)
		return nil
	case "property":
		var mistakes []*policy.Error
		for _, item := range splitList(rest) {
			p, err := property(item.text)
			if err != nil {
				err.Pos, err.Width = policy.Pos{Col: at + len(verb) + item.off + 1}, len(item.text)
				mistakes = append(mistakes, err)
				continue
			}
			f.claims = append(f.claims, claim{proof.Assertion{Text: "property " + p.Name}, &p})
		}
		return mistakes
	case "deny":
		a.Claim = proof.Denied
	case "allow":
		a.Claim = proof.Allowed
	default:
		a.Claim, a.Action = proof.Exactly, action
	}
	if strings.HasSuffix(strings.TrimSpace(rest), ",") {
		return mistake(start, len(strings.TrimSpace(rest)), "", "a call is missing after the last comma")
	}
	var mistakes []*policy.Error
	for _, item := range splitList(rest) {
		p, err := policy.ParsePattern(item.text)
		if err != nil {
			bad, ok := err.(*policy.Error)
			if !ok {
				bad = &policy.Error{Msg: err.Error(), Width: len(item.text)}
			}
			bad.Pos.Col = at + len(verb) + item.off + max(bad.Pos.Col, 1)
			mistakes = append(mistakes, bad)
			continue
		}
		one := a
		one.Pattern, one.Text = p, verb+" "+item.text
		one.Pos.Col = at + len(verb) + item.off + 1
		f.claims = append(f.claims, claim{Assertion: one})
	}
	return mistakes
}

// cutVerb cuts a line after its first word; blanks in parentheses do not end it.
func cutVerb(line string) (verb, rest string, at int) {
	at = len(line) - len(strings.TrimLeft(line, " \t"))
	depth := 0
	for i := at; i < len(line); i++ {
		switch c := line[i]; {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case (c == ' ' || c == '\t') && depth <= 0:
			return line[at:i], line[i:], at
		}
	}
	return strings.TrimSpace(line[at:]), "", at
}

// An item is one of several in a line.
type item struct {
	text string
	off  int
}

// splitList splits at the commas that stand in no parentheses and braces.
func splitList(s string) []item {
	var all []item
	depth, start := 0, 0
	add := func(end int) {
		text := s[start:end]
		trimmed := strings.TrimLeft(text, " \t")
		all = append(all, item{strings.TrimSpace(text), start + len(text) - len(trimmed)})
	}
	for i := range len(s) {
		switch s[i] {
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		case ',':
			if depth <= 0 {
				add(i)
				start = i + 1
			}
		}
	}
	add(len(s))
	return all
}

// property returns the property called name.
func property(name string) (proof.Property, *policy.Error) {
	var names []string
	for _, p := range proof.Properties() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return proof.Property{}, &policy.Error{Msg: fmt.Sprintf("unknown property %q", name), Hint: "the properties are " + strings.Join(names, ", ")}
}

// isTests reports whether data is assertions and no policy or filter: its name
// ends in .test, or its first word makes a claim.
func isTests(name string, data []byte) bool {
	if filepath.Ext(name) == ".test" {
		return true
	}
	if bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) {
		return false
	}
	for line := range strings.Lines(string(data)) {
		code, _, _ := strings.Cut(line, "#")
		verb, rest, _ := cutVerb(strings.TrimRight(code, "\r\n"))
		if verb == "" {
			continue
		}
		_, err := policy.ParseAction(verb)
		claims := verb == "deny" || verb == "property" || verb == "policy" || err == nil
		return claims && strings.TrimSpace(rest) != "" && !strings.HasPrefix(strings.TrimSpace(rest), ":")
	}
	return false
}

// claimOf reads one claim that stands alone, on the command line.
func claimOf(where, text string) ([]claim, error) {
	f, err := parseTests(where, []byte(text))
	if err != nil {
		return nil, err
	}
	if len(f.policies) > 0 || len(f.claims) == 0 {
		return nil, &policy.Error{Msg: fmt.Sprintf("%s %q claims nothing", where, text), Hint: where + " 'deny ptrace'"}
	}
	return f.claims, nil
}

// abiNames joins the names of ABIs.
func abiNames(abis []abi.ABI) string {
	var all []string
	for _, a := range abis {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}
