package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// written returns what a template makes of a policy that allows read and write.
func written(text string) (string, error) {
	t, err := parseTemplate("x.tpl", text, "main")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	p := &policy.Policy{
		ABIs:  []abi.ABI{abi.I386},
		Rules: []policy.Rule{{Action: policy.Action{Kind: abi.Allow}, Calls: []policy.Pattern{{Name: "write"}, {Name: "read"}, {Name: "write"}}}},
	}
	err = t.write(&b, p)
	return b.String(), err
}

func TestTemplateData(t *testing.T) {
	got, err := written("{{.Package}}/{{.GOOS}}/{{.GOARCH}}/{{.SyscallNames}}")
	if want := "main/linux/386/[read write]"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, test := range []struct {
		text      string
		line, col int
		msg       string
	}{
		{"a\n  {{.Foo}}", 2, 5, "can't evaluate field Foo"},
		{"{{range .SyscallNames}}\n{{.Name}}{{end}}", 2, 3, "can't evaluate field Name"},
		{"{{index .SyscallNames 7}}", 1, 3, "out of range"},
		{"\n\n\t{{define \"T:1:1:\"}}{{.Foo}}{{end}}{{template \"T:1:1:\" .}}", 3, 23, "Foo"},
		{"a\r\n {{nothing}}\r\n", 2, 2, `function "nothing" not defined`},
		{"{{range .SyscallNames}}\n", 2, 1, "unexpected EOF"},
		{"{{if}}", 1, 1, "missing value for if"},
		{"{{template \"none\"}}", 1, 12, `"none" not defined`},
	} {
		_, err := written(test.text)
		e, ok := err.(*policy.Error)
		if !ok {
			t.Errorf("%q: error %v", test.text, err)
			continue
		}
		if want := (policy.Pos{File: "x.tpl", Line: test.line, Col: test.col}); e.Pos != want {
			t.Errorf("%q: error at %v, want %v: %v", test.text, e.Pos, want, e)
		}
		if !strings.Contains(e.Msg, test.msg) || strings.HasPrefix(e.Msg, "template:") {
			t.Errorf("%q: message %q, want %q in it", test.text, e.Msg, test.msg)
		}
	}
}

// FuzzTemplate holds every mistake that a template can have to an error with a
// place in it. It does not run them: a template is a program of its author's,
// and may run for ever.
func FuzzTemplate(f *testing.F) {
	f.Add(builtinTemplate)
	f.Add("a\n{{range .SyscallNames}}{{.}}")
	f.Add("{{define \"T:9:9:\"}}{{nope}}{{end}}")
	f.Add("{{/* \n\n */}}{{\"\n\"}}")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseTemplate("x.tpl", text, "main")
		if err == nil {
			return
		}
		e, ok := err.(*policy.Error)
		if !ok {
			t.Fatalf("%T: %v", err, err)
		}
		if lines := strings.Count(text, "\n") + 1; e.Pos.Line < 1 || e.Pos.Line > lines || e.Pos.Col < 1 || e.Pos.Col > len(e.Source)+1 {
			t.Errorf("%v is no place in %d lines: %v", e.Pos, lines, e)
		}
		if _, err := io.WriteString(io.Discard, e.Error()); err != nil {
			t.Error(err)
		}
	})
}
