package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"

	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/policy"
)

// An env is what a command sees of the world.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	quiet, verbose bool
}

// infof says what was found or done; -q silences it.
func (e *env) infof(format string, args ...any) {
	if !e.quiet {
		e.say("", "", format, args...)
	}
}

// detailf says what only -v asks for.
func (e *env) detailf(format string, args ...any) {
	if e.verbose && !e.quiet {
		e.say("", "", format, args...)
	}
}

func (e *env) warningf(format string, args ...any) { e.say("warning: ", yellow, format, args...) }

func (e *env) hintf(format string, args ...any) { e.say("hint: ", cyan, format, args...) }

// report prints err with the hints that it carries. Hints are commands or words
// to paste.
func (e *env) report(err error) {
	var many policy.Errors
	if errors.As(err, &many) {
		for _, one := range many {
			e.report(one)
		}
		return
	}
	e.say("error: ", red, "%v", err)
	for _, hint := range hints(err) {
		e.hintf("%s", hint)
	}
}

const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

// say prints one message: its first line with the program's name, the others as
// they are.
func (e *env) say(kind, color, format string, args ...any) {
	if kind != "" && colored(e.stderr) {
		kind = color + strings.TrimSuffix(kind, " ") + reset + " "
	}
	fmt.Fprintf(e.stderr, "sysgate: %s%s\n", kind, printable(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n\t"))
}

// printable returns s with control characters as escapes, but for those of keep:
// names in files can hold anything, and terminals obey.
func printable(s, keep string) string {
	odd := func(c rune) bool { return unicode.IsControl(c) && !strings.ContainsRune(keep, c) }
	if !strings.ContainsFunc(s, odd) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if odd(c) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(c), "'"))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// colored reports whether w is a terminal that shows colors and may
// (https://no-color.org).
func colored(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// A hintedError carries what the user can do about it.
type hintedError struct {
	error
	hints []string
}

func (e *hintedError) Unwrap() error { return e.error }

// withHint adds a hint to err.
func withHint(err error, format string, args ...any) error {
	return &hintedError{err, []string{fmt.Sprintf(format, args...)}}
}

// hints returns the hints of err and of all that it wraps.
func hints(err error) []string {
	if err == nil {
		return nil
	}
	var list []string
	switch e := err.(type) {
	case *hintedError:
		list = e.hints
	case *policy.Error:
		if e.Hint != "" {
			list = []string{e.Hint}
		}
	case *image.RefusedError:
		if e.Hint != "" {
			list = []string{e.Hint}
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		list = append(hints(e.Unwrap()), list...)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			list = append(list, hints(one)...)
		}
	}
	return list
}
