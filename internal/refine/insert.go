package refine

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// Insert returns the file data of policy p, called name, with the new rule of c
// before all others. The lines of the file stay as they are; where its rules are not
// a list with one dash a rule, the whole file is written anew in the canonical form, with its
// comments. It establishes that what is returned reads as a policy that is proved
// to be c.Policy.
func Insert(name string, data []byte, c *Change, o policy.Options) ([]byte, error) {
	if c.Rule == nil {
		return data, nil
	}
	if text, ok := insertLines(data, c); ok && same(name, text, c, o) == nil {
		return text, nil
	}
	text := c.Policy.Format()
	if err := same(name, text, c, o); err != nil {
		return nil, fmt.Errorf("write the policy: %w", err)
	}
	return text, nil
}

// insertLines puts the rule above the first one and the comments that belong to
// it.
func insertLines(data []byte, c *Change) ([]byte, bool) {
	if len(c.Policy.Rules) < 2 {
		return nil, false
	}
	pos := c.Policy.Rules[1].Pos
	lines := bytes.SplitAfter(data, []byte("\n"))
	if pos.Line < 1 || pos.Line > len(lines) || pos.Col < 2 || pos.Col > len(lines[pos.Line-1]) {
		return nil, false
	}
	before := string(lines[pos.Line-1][:pos.Col-1])
	indent := before[:len(before)-len(strings.TrimLeft(before, " "))]
	if strings.TrimSpace(before) != "-" || !strings.HasPrefix(before[len(indent):], "- ") {
		return nil, false
	}
	at := pos.Line - 1
	for at > 0 && strings.HasPrefix(string(bytes.TrimLeft(lines[at-1], " ")), "#") {
		at--
	}
	end := "\n"
	if bytes.HasSuffix(lines[pos.Line-1], []byte("\r\n")) {
		end = "\r\n"
	}
	rule := ruleText(*c.Rule)
	if rule == "" {
		return nil, false
	}
	var out bytes.Buffer
	for _, line := range lines[:at] {
		out.Write(line)
	}
	for line := range strings.Lines(rule) {
		out.WriteString(indent + strings.TrimRight(line, "\n") + end)
	}
	for _, line := range lines[at:] {
		out.Write(line)
	}
	return out.Bytes(), true
}

// ruleText returns the lines of a rule, as the canonical form of a policy with this
// rule alone has them.
func ruleText(rule policy.Rule) string {
	alone := (&policy.Policy{Version: 1, Default: eperm, Rules: []policy.Rule{rule}}).Format()
	_, text, _ := strings.Cut("\n"+string(alone), "\nsyscalls:\n")
	return text
}

// same returns an error unless text reads as a policy that is c's.
func same(name string, text []byte, c *Change, o policy.Options) error {
	p, err := policy.Parse(name, text)
	if err != nil {
		return err
	}
	got, _, err := p.Resolve(o)
	if err != nil {
		return err
	}
	want, _, err := c.Policy.Resolve(o)
	if err != nil {
		return err
	}
	s := proof.NewSpace(proof.Budget{})
	f, err := s.Policy(got)
	if err != nil {
		return err
	}
	g, err := s.Policy(want)
	switch {
	case err != nil:
		return err
	case f != g:
		return errors.New("it would not be the same policy")
	}
	return nil
}
