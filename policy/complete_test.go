package policy

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckComplete(t *testing.T) {
	const rest = "default_action: allow\nsyscalls: []\n"
	for text, incomplete := range map[string]bool{
		"version: 1\ncomplete: false\n" + rest: true,
		"version: 1\ncomplete: true\n" + rest:  false,
		"version: 1\n" + rest:                  false,
	} {
		p, err := Parse("web.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var bad *Error
		if err := p.CheckComplete(); errors.As(err, &bad) != incomplete || incomplete && (bad.Pos.File != "web.yaml" || bad.Hint == "") {
			t.Errorf("%q: %v", text, err)
		}
		again, err := Parse("again", p.Format())
		if err != nil || again.Incomplete != incomplete || strings.Contains(string(p.Format()), "complete") != incomplete {
			t.Errorf("%q: written as %q, %v", text, p.Format(), err)
		}
	}
}
