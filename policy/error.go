package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// String returns "file:line:col", without the parts that are not known.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0 && p.File != "":
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	case p.File == "":
		return fmt.Sprintf("%d:%d", p.Line, p.Col)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// An Error is one problem of a policy, at its place in the file.
type Error struct {
	Pos    Pos
	Msg    string // lower case, without the position
	Hint   string // what to write instead, for people; "" if there is nothing to say
	Source string // the line that Pos is in; "" if it is not known
	Width  int    // how many bytes of Source, from Pos on, are meant
}

// Error returns the position and the message and, below them, the source line
// with carets under what is wrong. The hint is not part of it: see
// [Error.Hint].
func (e *Error) Error() string { return render(e.Pos, e.Msg, e.Source, e.Width) }

// Errors is all problems of one policy, in the order of their positions. It
// holds at least two: a single problem is an [*Error] of its own.
type Errors []*Error

// Error returns all problems, each with its source line.
func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, one := range e {
		all[i] = one.Error()
	}
	return strings.Join(all, "\n")
}

// Unwrap gives [errors.As] and [errors.Is] each of the problems.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// render writes a message about a place in a file, as [Error.Error] says.
func render(pos Pos, msg, source string, width int) string {
	var b strings.Builder
	if at := pos.String(); at != "" {
		b.WriteString(at)
		b.WriteString(": ")
	}
	b.WriteString(msg)
	if source == "" || pos.Col < 1 || pos.Col > len(source)+1 {
		return b.String()
	}
	before, wrong, after := excerpt(source, pos.Col-1, width)
	number := strconv.Itoa(pos.Line)
	gutter := max(5, len(number)+2)
	fmt.Fprintf(&b, "\n%*s | %s%s%s", gutter, number, before, wrong, after)
	fmt.Fprintf(&b, "\n%*s | %s%s", gutter, "", blank(before), strings.Repeat("^", max(1, utf8.RuneCountInString(wrong))))
	return b.String()
}

// excerptLen bounds the source that a message shows on either side of the
// place: a JSON file may be one line.
const excerptLen = 100

// excerpt cuts line into what stands before, in and after the width bytes at
// start.
func excerpt(line string, start, width int) (before, wrong, after string) {
	end := min(start+width, len(line))
	before, wrong, after = line[:start], line[start:end], line[end:]
	if len(before) > excerptLen {
		before = "…" + strings.ToValidUTF8(before[len(before)-excerptLen:], "")
	}
	if len(wrong) > excerptLen {
		wrong, after = strings.ToValidUTF8(wrong[:excerptLen], "")+"…", ""
	}
	if len(after) > excerptLen {
		after = strings.ToValidUTF8(after[:excerptLen], "") + "…"
	}
	return printable(before), printable(wrong), printable(after)
}

// printable keeps a message readable whatever the file holds: a control
// character would move the terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r == 0x7f) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// blank replaces all but tabs with spaces, so that carets stand below their
// text.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// A source is the file that positions are in.
type source struct {
	name  string
	lines []string
}

func newSource(name string, data []byte) *source {
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	return &source{name, lines}
}

func (s *source) line(n int) string {
	if s == nil || n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// maxProblems bounds a report: a file that is something else altogether has
// one on every line.
const maxProblems = 50

// problems collects what is wrong, so that one report says it all.
type problems struct {
	src  *source
	list Errors
}

func (p *problems) add(pos Pos, width int, hint, format string, args ...any) {
	e := &Error{pos, fmt.Sprintf(format, args...), hint, p.src.line(pos.Line), width}
	for _, old := range p.list {
		if old.Pos == e.Pos && old.Msg == e.Msg {
			return // the same for another ABI
		}
	}
	if len(p.list) <= maxProblems {
		p.list = append(p.list, e)
	}
}

// err returns nil, the one problem, or all of them.
func (p *problems) err() error {
	switch len(p.list) {
	case 0:
		return nil
	case 1:
		return p.list[0]
	}
	slices.SortStableFunc(p.list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	if len(p.list) > maxProblems {
		p.list = p.list[:maxProblems]
		last := p.list[maxProblems-1]
		p.list = append(p.list, &Error{Pos: last.Pos, Msg: "too many problems; the rest is not shown"})
	}
	return p.list
}
