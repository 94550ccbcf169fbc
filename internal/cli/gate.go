package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/internal/gate"
	"github.com/sysgate/sysgate/policy"
)

type gateFlags struct {
	accept, ignore []string
	acceptFiles    []string
	assume         []string
	libraries      libraryFlags
	args           bool
	format, file   string
	json           bool
	forecast       []string
	image          imageFlags
	with           []string // further programs of images
}

func newGateCmd(e *env) *cobra.Command {
	var f gateFlags
	cmd := &cobra.Command{
		Use:   "gate BASELINE NEW | gate --forecast WHAT=SPEC [BASELINE] PROGRAM",
		Short: "Fail when something new is reachable, and say what brought it",
		Long: `Fail when NEW can make a system call that BASELINE does not have, and say for each
what brought it: the path to it, and the module with its version.

` + sideHelp + `

Between two programs, or profiles of them, the cause of a new call is one of

  program   the program's own code
  new       a module that the old program has not
  upgraded  a module of which it has another version
  go        another Go release: the runtime or a function of the standard library
            that the old program has too
  libc      another C library or dynamic loader

The last two are drift: the program did not change. --ignore-drift shows them and
lets them pass; --accept does so with calls by name. Calls that have another name in
newer tables are told, and count as the same.

--forecast go=SPEC says what an upgrade of Go would bring to PROGRAM that it cannot
call today, and that BASELINE (PROGRAM itself, if absent) does not have. SPEC is a
release or version whose toolchain is installed, its GOROOT, or a program built with
it, or a saved profile of one. With a toolchain, a probe is built that links the same
functions of the standard library, without cgo, and profiled; another program counts
as far as it shares them with PROGRAM. libc=FOLDER says the same of other builds of its
libraries: FOLDER is the root of a file system that has them.

What BASELINE lets through with some arguments only, and NEW may call with any, is
listed and passes. The exit code is 3 if a call is new, or NEW has a site whose call
is not known and that BASELINE has not.`,
		Example: `  sysgate gate old/server new/server
  sysgate profile --json ./server -o baseline.json; sysgate gate baseline.json ./server
  sysgate gate server.yaml ./server --accept getcpu --format markdown
  sysgate gate --ignore-drift go baseline.json ./server
  sysgate gate --forecast go=1.27 server.yaml ./server`,
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(f.forecast) > 0:
				return e.forecast(cmd.Context(), &f, args[0], args[len(args)-1])
			case len(args) < 2:
				return usageError(withHint(errors.New("what is to be compared with it?"), "sysgate gate %s NEW, or --forecast go=VERSION", args[0]))
			}
			return e.gate(&f, args[0], args[1])
		},
	}
	assumeFlag(cmd, &f.assume)
	f.libraries.add(cmd)
	f.libraries.addPhase(cmd)
	cmd.Flags().BoolVar(&f.args, "args", false, "between programs, compare known arguments of calls, too")
	cmd.Flags().StringArrayVar(&f.forecast, "forecast", nil, "say what an upgrade would bring: `WHAT=SPEC`, go=… or libc=…")
	f.image.add(cmd)
	f.add(cmd)
	return cmd
}

// add adds the flags that gate shares with profile --verify.
func (f *gateFlags) add(cmd *cobra.Command) {
	outputFlag(cmd, &f.file)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.accept, "accept", nil, "let the calls in `LIST` pass, as policies have them: ptrace,socket(AF_UNIX),386:mmap2,nr:600,@SET")
	flags.StringArrayVar(&f.acceptFiles, "accept-file", nil, "let those listed in `FILE` pass; # starts a comment")
	flags.StringSliceVar(&f.ignore, "ignore-drift", nil, "let pass what these `CAUSES` brought: go, libc")
	flags.StringVar(&f.format, "format", "text", "`FORM`: text, json or markdown (for comments on changes)")
	flags.BoolVar(&f.json, "json", false, "the same as --format json")
	_ = cmd.RegisterFlagCompletionFunc("ignore-drift", cobra.FixedCompletions([]string{string(gate.Go), string(gate.Libc)}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json", "markdown"}, cobra.ShellCompDirectiveNoFileComp))
}

func (e *env) gate(f *gateFlags, old string, now ...string) error {
	pass, err := f.passing()
	if err != nil {
		return err
	}
	r, err := e.newSideReader(f)
	if err != nil {
		return err
	}
	was, is, err := r.readSides(old, now...)
	if err != nil {
		return err
	}
	report, err := gate.Compare(r.space, was, is, gate.Options{Accept: pass.accept})
	if phases := new(gate.PhaseError); errors.As(err, &phases) {
		return withHint(err, "--phase main profiles %s from there too", phases.Whole)
	}
	if err != nil {
		return fmt.Errorf("%s and %s: %w", was.Name, is.Name, err)
	}
	return e.finishGate(f, newGateReport(report, pass))
}

// finishGate writes the report and ends with its verdict.
func (e *env) finishGate(f *gateFlags, g *gateReport) error {
	write := map[string]func(io.Writer) error{"text": g.writeText, "json": g.writeJSON, "markdown": g.writeMarkdown}[f.format]
	if err := e.output(f.file, write); err != nil {
		return err
	}
	for _, p := range g.Idle {
		e.warningf("--accept %v: no such call is new", p)
	}
	e.infof("%s against %s: %s", g.Now.Name, g.Old.Name, g.verdict())
	if !g.passed() {
		return quietError(exitFindings)
	}
	return nil
}

// A passing says which new calls are let pass.
type passing struct {
	accept []policy.Pattern
	causes []string
}

// passing checks the flags.
func (f *gateFlags) passing() (*passing, error) {
	if f.json {
		f.format = "json"
	}
	if !slices.Contains([]string{"text", "json", "markdown"}, f.format) {
		return nil, usageError(fmt.Errorf("unknown form %q: text, json or markdown", f.format))
	}
	p := &passing{causes: f.ignore}
	for _, cause := range f.ignore {
		if !gate.Cause(cause).Drift() {
			return nil, usageError(fmt.Errorf("--ignore-drift %s: go or libc", cause))
		}
	}
	for _, list := range f.accept {
		if err := p.add("--accept", list); err != nil {
			return nil, usageError(err)
		}
	}
	for _, file := range f.acceptFiles {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--accept-file: %w", err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			line, _, _ = strings.Cut(line, "#")
			if err := p.add(fmt.Sprintf("%s:%d", file, n), line); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// add accepts the calls of a list that source has.
func (p *passing) add(source, list string) error {
	for _, text := range splitPatterns(list) {
		pattern, err := policy.ParsePattern(text)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		p.accept = append(p.accept, pattern)
	}
	return nil
}

// lets says why a finding is let pass; "" if it is not.
func (p *passing) lets(f *gate.Finding) string {
	switch {
	case f.Accepted:
		return "accepted"
	case slices.Contains(p.causes, string(f.Cause)):
		return "drift"
	}
	return ""
}

// splitPatterns splits a list at the commas outside of brackets.
func splitPatterns(list string) []string {
	var all []string
	depth, start := 0, 0
	for i, c := range list + "," {
		switch {
		case c == '(' || c == '{':
			depth++
		case c == ')' || c == '}':
			depth--
		case c == ',' && (depth == 0 || i == len(list)):
			if text := strings.TrimSpace(list[start:i]); text != "" {
				all = append(all, text)
			}
			start = i + 1
		}
	}
	return all
}
