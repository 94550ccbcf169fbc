package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

type refineFlags struct {
	abi    string
	accept []string
	filter monitor.Filter
	check  bool
	write  bool
	format string
}

func newRefineCmd(e *env) *cobra.Command {
	var f refineFlags
	cmd := &cobra.Command{
		Use:   "refine POLICY EVIDENCE…",
		Short: "Make the smallest change to a policy that admits what was seen",
		Long: `Make the smallest change to a policy that admits what was seen, and print it as a
diff: one rule that allows the calls, each with how often it was seen and by which
program. It is proved that the new policy allows these calls, and does with every other
call what the old one does.

Evidence is recordings ("sysgate record --evidence") and violations: audit logs in any
form that "sysgate monitor" reads, and its own events; "-" is standard input. Where the policy restricts the arguments of a call
and the evidence has them, those values are admitted and no others.

Not admitted, unless --accept names them: calls that are dangerous to give away
(execve, ptrace, mount, …), calls that a rule of the policy decides on purpose, and
those that would take more than was seen.

With --format names, POLICY is a list of names, as the allow and deny lists of "profile"
are: the names that it lacks are put in, in their place if it is in order, each below a
line with its evidence. Its comments and its order stay.

The exit code is 3 if something that was seen is still not admitted, and with --check
if the policy would have to change.`,
		Example: `  sysgate refine web.yaml /var/log/audit/audit.log --exe /usr/sbin/nginx
  sysgate refine web.yaml violations.ndjson --accept execve --write
  sysgate refine --check web.yaml violations.ndjson
  sysgate refine --format names seccomp-profiler-allow.txt violations.ndjson --write`,
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error { return e.refine(&f, args[0], args[1:]) },
	}
	abiFlag(cmd, &f.abi)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.accept, "accept", nil, "admit these `CALLS` too: ptrace, 386:socketcall, nr:600")
	flags.StringSliceVar(&f.filter.Exes, "exe", nil, "only evidence about programs with these `PATHS` or names; * matches within a name")
	flags.StringVar(&f.format, "format", "policy", "`FORM` of POLICY: policy, or names for a list")
	flags.BoolVar(&f.check, "check", false, "change nothing, and end with 3 if the policy would have to change")
	flags.BoolVar(&f.write, "write", false, "write the policy instead of only showing the change; its comments and lines stay")
	return cmd
}

func (e *env) refine(f *refineFlags, file string, evidence []string) error {
	if f.check && f.write {
		return usageError(errors.New("--check and --write exclude each other"))
	}
	if f.write && file == "-" {
		return usageError(errors.New("--write needs a file"))
	}
	if n := len(slices.DeleteFunc(append([]string{file}, evidence...), func(name string) bool { return name != "-" })); n > 1 {
		return usageError(errors.New("standard input can be read once"))
	}
	if err := f.filter.Check(); err != nil {
		return usageError(fmt.Errorf("--exe: %w", err))
	}
	if err := (&monitor.Filter{Calls: f.accept}).Check(); err != nil {
		return usageError(fmt.Errorf("--accept: %w", err))
	}
	native, err := parseABI(f.abi)
	if err != nil {
		return err
	}
	switch f.format {
	case "policy":
	case "names":
		return e.refineList(f, file, evidence, native)
	default:
		return usageError(fmt.Errorf("unknown form %q: policy or names", f.format))
	}
	in, err := e.readInput(file, source.Options{Native: native})
	if err == nil {
		err = editable(in, file)
	}
	if err != nil {
		return err
	}
	violations, err := e.readEvidence(evidence, audit.Options{Native: native}, &f.filter)
	if err != nil {
		return err
	}
	options := policy.Options{Native: native}
	accept, done := e.acceptance(f.accept)
	change, err := refine.Admit(in.Policy, options, refine.Gather(violations), accept)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	done()
	text, err := refine.Insert(in.Name, in.Data, change, options)
	if err != nil {
		return fmt.Errorf("%s: %w", in.Name, err)
	}
	if _, err := io.WriteString(e.stdout, unified(in.Name, string(in.Data), string(text))); err != nil {
		return err
	}
	if f.write && change.Rule != nil {
		if err := e.output(file, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
	}
	e.sayChange(change, in.Name, in.Native(), violations)
	if len(change.Apart)+len(change.Never) > 0 || f.check && change.Rule != nil {
		return quietError(exitFindings)
	}
	return nil
}

// editable says why a rule cannot be put into the file of a policy.
func editable(in *source.Input, file string) error {
	switch {
	case in.Policy == nil:
		return withHint(fmt.Errorf("%s: a filter, where a policy is wanted", in.Name), "sysgate show %s --format policy -o policy.yaml", file)
	case in.Foreign() || in.Data == nil || bytes.HasPrefix(bytes.TrimSpace(in.Data), []byte("{")):
		return withHint(fmt.Errorf("%s: not in the YAML form of sysgate or libbeat", in.Name), "sysgate convert --to sysgate %s -o policy.yaml", file)
	}
	return nil
}

// acceptance returns what says whether a call is accepted, and what warns of names
// that were not needed.
func (e *env) acceptance(names []string) (accept func(call string) bool, done func()) {
	unused := slices.Clone(names)
	accept = func(call string) bool {
		unused = slices.DeleteFunc(unused, func(name string) bool { return name == call })
		return slices.Contains(names, call)
	}
	return accept, func() {
		for _, name := range unused {
			e.warningf("--accept %s: no such call is set apart", name)
		}
	}
}

// refineList is refine for a list of names.
func (e *env) refineList(f *refineFlags, file string, evidence []string, native abi.ABI) error {
	data, err := e.readAll(file)
	if err != nil {
		return err
	}
	violations, err := e.readEvidence(evidence, audit.Options{Native: native}, &f.filter)
	if err != nil {
		return err
	}
	accept, done := e.acceptance(f.accept)
	text, change, err := refine.AdmitList(file, data, refine.Gather(violations), accept)
	if err != nil {
		return err
	}
	done()
	if _, err := io.WriteString(e.stdout, unified(file, string(data), string(text))); err != nil {
		return err
	}
	if f.write && !bytes.Equal(data, text) {
		if err := e.output(file, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
	}
	e.sayChange(change, file, native, violations)
	if len(change.Apart)+len(change.Never) > 0 || f.check && len(change.Admitted) > 0 {
		return quietError(exitFindings)
	}
	return nil
}

// readAll reads a file, or standard input for "-".
func (e *env) readAll(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(e.stdin)
	}
	return os.ReadFile(file)
}

// streamHead is how much tells a stream of runs from a log.
const streamHead = 64

// readEvidence reads violations of all files. A record that cannot be read is a
// warning, and so is one that was lost.
func (e *env) readEvidence(files []string, o audit.Options, filter *monitor.Filter) ([]*observe.Violation, error) {
	var all keptViolations
	for _, file := range files {
		var in io.ReadCloser = io.NopCloser(e.stdin)
		name := "standard input"
		if file != "-" {
			f, err := os.Open(file)
			if err != nil {
				return nil, err
			}
			in, name = f, file
		}
		buffered := bufio.NewReader(in)
		head, _ := buffered.Peek(streamHead)
		empty := len(head) == 0
		if observe.IsStream(head) {
			runs, err := observe.ReadRuns(buffered)
			in.Close()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for _, run := range runs {
				e.sayOpen(run)
				for _, v := range run.Violations() {
					if filter.Match(v) {
						all.add(v)
					}
				}
			}
			continue
		}
		next := audit.NewReader(buffered, o).Next
		for none := true; ; none = false {
			event, err := next()
			if errors.Is(err, io.EOF) {
				if none && !empty {
					e.warningf("%s: nothing in it is about seccomp", name)
					e.hintf("what strace and perf trace wrote is read by sysgate record --import %s --evidence FILE -o /dev/null", file)
				}
				break
			}
			if err != nil {
				in.Close()
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			switch {
			case event.Violation != nil:
				if filter.Match(event.Violation) {
					all.add(event.Violation)
				}
			case event.Problem != nil:
				e.warningf("%s: %v", name, event.Problem)
			case event.Loss != nil:
				e.warningf("%s: %v", name, event.Loss)
			}
		}
		in.Close()
	}
	return all.list, nil
}

// keptViolations leaves out what several files have.
type keptViolations struct {
	list []*observe.Violation
	seen map[string]bool
}

func (k *keptViolations) add(v *observe.Violation) {
	if v.Serial != 0 {
		id := fmt.Sprint(v.Time.UnixNano(), v.Serial, v.PID, v.NR, v.Count)
		if k.seen[id] {
			return
		}
		if k.seen == nil {
			k.seen = map[string]bool{}
		}
		k.seen[id] = true
	}
	k.list = append(k.list, v)
}

// sayChange says what becomes of what was seen.
func (e *env) sayChange(c *refine.Change, file string, native abi.ABI, violations []*observe.Violation) {
	var programs []string
	for _, v := range violations {
		name := v.Exe
		if name == "" {
			name = v.Comm
		}
		if !slices.Contains(programs, name) {
			programs = append(programs, name)
		}
	}
	if len(programs) > 1 {
		slices.Sort(programs)
		e.warningf("the evidence is about %s: %s", count(len(programs), "program"), monitor.Printable(strings.Join(programs[:min(len(programs), 10)], ", ")))
		e.hintf("--exe %s takes that of one", shellQuote(programs[0]))
	}
	switch n := len(c.Admitted); {
	case n > 0:
		e.infof("%s: %s admitted; proved: every other call gets what it got", file, count(n, "call"))
	case len(c.Apart)+len(c.Never) == 0:
		e.infof("%s: nothing to change; %s seen, all allowed", file, count(len(c.Already), "call"))
	}
	for _, v := range c.Admitted {
		if v.Why != "" {
			e.warningf("%s: %s", v.Call(native), v.Why)
		}
	}
	for _, v := range c.Already {
		e.detailf("%s: allowed already; %s", v.Call(native), v.Evidence())
	}
	for _, v := range c.Apart {
		e.warningf("%s is not admitted: %s; %s", v.Call(native), v.Why, v.Evidence())
		e.hintf("--accept %s", v.Call(native))
	}
	for _, v := range c.Never {
		e.warningf("%s is not admitted: %s; %s", v.Call(native), v.Why, v.Evidence())
	}
}

// diffContext is how many lines around a change are shown.
const diffContext = 3

// unified returns the change from a to b of the file called name as a unified diff.
func unified(name, a, b string) string {
	if a == b {
		return ""
	}
	lines := edit(trimEmpty(strings.SplitAfter(a, "\n")), trimEmpty(strings.SplitAfter(b, "\n")))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", name, name)
	old, now := 0, 0 // lines before lines[i]
	for i := 0; i < len(lines); {
		changed := slices.IndexFunc(lines[i:], func(l edited) bool { return l.mark != ' ' })
		if changed < 0 {
			break
		}
		from := max(i, i+changed-diffContext)
		old, now = old+from-i, now+from-i // all of these are the same
		// A hunk goes on while the next change is near.
		to := from
		for n := i + changed; n < len(lines) && n < to+2*diffContext+1; n++ {
			if lines[n].mark != ' ' {
				to = n + 1
			}
		}
		to = min(len(lines), to+diffContext)
		var oldLines, newLines int
		for _, l := range lines[from:to] {
			oldLines += map[byte]int{' ': 1, '-': 1}[l.mark]
			newLines += map[byte]int{' ': 1, '+': 1}[l.mark]
		}
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(old, old+oldLines), span(now, now+newLines))
		for _, l := range lines[from:to] {
			out.WriteString(string(l.mark) + strings.TrimSuffix(l.text, "\n") + "\n")
			if !strings.HasSuffix(l.text, "\n") {
				out.WriteString("\\ No newline at end of file\n")
			}
		}
		old, now, i = old+oldLines, now+newLines, to
	}
	return out.String()
}

// An edited line is one of both texts (' '), of the old one ('-') or of the new ('+').
type edited struct {
	mark byte
	text string
}

// edit returns what becomes of old. Lines that were only put in are shown as that; of
// another change, everything from the first line that differs to the last.
func edit(old, now []string) []edited {
	var lines []edited
	rest := old
	for _, text := range now {
		if len(rest) > 0 && rest[0] == text {
			lines, rest = append(lines, edited{' ', text}), rest[1:]
		} else {
			lines = append(lines, edited{'+', text})
		}
	}
	if len(rest) == 0 {
		return lines
	}
	start := 0
	for start < min(len(old), len(now)) && old[start] == now[start] {
		start++
	}
	end := 0
	for end < min(len(old), len(now))-start && old[len(old)-1-end] == now[len(now)-1-end] {
		end++
	}
	lines = nil
	add := func(mark byte, all []string) {
		for _, text := range all {
			lines = append(lines, edited{mark, text})
		}
	}
	add(' ', old[:start])
	add('-', old[start:len(old)-end])
	add('+', now[start:len(now)-end])
	add(' ', old[len(old)-end:])
	return lines
}

func trimEmpty(lines []string) []string {
	if n := len(lines); n > 0 && lines[n-1] == "" {
		return lines[:n-1]
	}
	return lines
}

// span writes lines from to end, counted from 0, as diff does.
func span(from, end int) string {
	if end == from {
		return fmt.Sprintf("%d,0", from)
	}
	return fmt.Sprintf("%d,%d", from+1, end-from)
}
