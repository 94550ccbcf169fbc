package cli

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// templateFlags are what --format go goes by.
type templateFlags struct {
	file string // the template; "" is builtinTemplate
	pkg  string // of the Go source
}

func (f *templateFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.file, "template", "", "write Go source, or anything else, by the text/template in `FILE`; implies --format go")
	flags.StringVar(&f.pkg, "package", "main", "`NAME` of the package, for --format go")
}

// form returns the form that the flags of cmd ask for: given --template, go.
func (f *templateFlags) form(cmd *cobra.Command, form string) (string, error) {
	flags := cmd.Flags()
	if flags.Changed("template") && !flags.Changed("format") {
		form = "go"
	}
	switch {
	case form == "go" && flags.Changed("default-action"):
		return "", usageError(withHint(errors.New("--default-action does not go with --format go"), "the template says what the rest gets"))
	case form == "go":
	case flags.Changed("template"):
		return "", usageError(fmt.Errorf("--template does not go with --format %s", form))
	case flags.Changed("package"):
		return "", usageError(withHint(fmt.Errorf("--package does not go with --format %s", form), "--format go, or --template FILE"))
	}
	return form, nil
}

// writer returns what writes a policy by the template. It reads the template,
// before any work is done that depends on it.
func (f *templateFlags) writer() (func(io.Writer, *policy.Policy) error, error) {
	if !token.IsIdentifier(f.pkg) {
		return nil, usageError(fmt.Errorf("--package %q is no name of a Go package", f.pkg))
	}
	if f.file == "" {
		t, err := parseTemplate("built-in template", builtinTemplate, f.pkg)
		if err != nil {
			return nil, err
		}
		return t.writeGo, nil
	}
	data, err := os.ReadFile(f.file)
	if err != nil {
		return nil, fmt.Errorf("--template: %w", err)
	}
	t, err := parseTemplate(f.file, string(data), f.pkg)
	if err != nil {
		return nil, err
	}
	return t.write, nil
}

// A sourceTemplate turns the names of a policy's calls into source.
type sourceTemplate struct {
	name, text string // of the file
	pkg        string
	parsed     *template.Template
}

// templateName stands for the file in the messages of text/template, which are
// then taken apart: a file's own name may hold anything.
const templateName = "T"

func parseTemplate(name, text, pkg string) (*sourceTemplate, error) {
	t := &sourceTemplate{name: name, text: text, pkg: pkg}
	var err error
	if t.parsed, err = template.New(templateName).Parse(text); err != nil {
		return nil, t.positioned(err)
	}
	return t, nil
}

// templateData is what a template is given. The names of the fields are those
// that the templates of seccomp-profiler and of libbeat use.
type templateData struct {
	Package      string
	GOOS         string
	GOARCH       string
	SyscallNames []string // sorted
}

// templateFields names them for people.
const templateFields = "a template has .Package, .GOOS, .GOARCH and .SyscallNames"

// write writes what t makes of p.
func (t *sourceTemplate) write(w io.Writer, p *policy.Policy) error {
	names, err := plainNames(p)
	if err != nil {
		return err
	}
	data := templateData{Package: t.pkg, GOOS: "linux", GOARCH: p.ABIs[0].String(), SyscallNames: names}
	if err := t.parsed.Execute(w, data); err != nil {
		return t.positioned(err)
	}
	return nil
}

// writeGo is write for a template of Go source, which it formats as gofmt does.
func (t *sourceTemplate) writeGo(w io.Writer, p *policy.Policy) error {
	var buf bytes.Buffer
	if err := t.write(&buf, p); err != nil {
		return err
	}
	source, err := format.Source(buf.Bytes())
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	_, err = w.Write(source)
	return err
}

// plainNames returns the names of the calls that p allows. A list of names says
// that and no more, so a policy that says more is refused.
func plainNames(p *policy.Policy) ([]string, error) {
	var names []string
	for _, rule := range p.Rules {
		for _, c := range rule.Calls {
			switch {
			case rule.Action.Kind != abi.Allow:
				return nil, withHint(fmt.Errorf("--format go takes names only, not %s:%v", c, rule.Action), "leave the action out")
			case c.Name == "" || len(c.Conditions) > 0:
				return nil, withHint(fmt.Errorf("--format go takes names only, not %s", c), "--format policy carries all")
			}
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// positioned returns an error of text/template as one with a place in the
// template.
func (t *sourceTemplate) positioned(err error) *policy.Error {
	out := &policy.Error{Msg: err.Error(), Pos: policy.Pos{File: t.name}}
	rest, ok := strings.CutPrefix(out.Msg, "template: "+templateName+":")
	if !ok {
		return out
	}
	line, rest := leadingNumber(rest)
	column, rest := leadingNumber(rest)
	out.Msg = strings.TrimPrefix(strings.TrimSpace(rest), fmt.Sprintf("executing %q ", templateName))
	out.Pos.Line, out.Pos.Col = line, column+1 // text/template counts columns from 0
	if lines := strings.Split(t.text, "\n"); 0 < line && line <= len(lines) {
		out.Source = strings.TrimRight(lines[line-1], "\r")
		out.Pos.Col = min(out.Pos.Col, len(out.Source)+1)
	}
	if exec := (template.ExecError{}); errors.As(err, &exec) {
		out.Hint = templateFields
	} else {
		// A template that cannot be parsed has no columns.
		out.Pos.Col = 1 + len(out.Source) - len(strings.TrimLeft(out.Source, " \t"))
		out.Width = len(strings.TrimSpace(out.Source))
	}
	return out
}

// leadingNumber cuts "12:" from the beginning of s; it returns 0 and s if there
// is none.
func leadingNumber(s string) (int, string) {
	digits, rest, ok := strings.Cut(s, ":")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 {
		return 0, s
	}
	return n, rest
}

// outputFile returns the name of the file that a policy for the ABI a is to be
// written to: name, in which {{.GOARCH}} and {{.GOOS}} stand for the program's.
// If asked to, it makes the directory that the file is in.
func outputFile(name string, a abi.ABI, makeDir bool) (string, error) {
	t, err := parseTemplate("--output", name, "")
	if err != nil {
		return "", usageError(err)
	}
	var b strings.Builder
	if err := t.parsed.Execute(&b, struct{ GOOS, GOARCH string }{"linux", a.String()}); err != nil {
		e := t.positioned(err)
		e.Hint = "a file's name can have {{.GOOS}} and {{.GOARCH}}"
		return "", usageError(e)
	}
	if file := b.String(); file != "-" && makeDir {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", fmt.Errorf("output: %w", err)
		}
	}
	return b.String(), nil
}
