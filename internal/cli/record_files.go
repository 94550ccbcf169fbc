package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/record"
	"github.com/sysgate/sysgate/policy"
)

// readRuns adds what files hold: evidence, saved profiles, and, where foreign says
// so, what other tools recorded.
func (e *env) readRuns(joined *joinedRuns, files []string, foreign bool) error {
	var texts []record.File
	for _, file := range files {
		data, name, err := e.readFile(file)
		if err != nil {
			return err
		}
		switch {
		case observe.IsStream(data):
			runs, err := observe.ReadRuns(bytes.NewReader(data))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			joined.runs = append(joined.runs, runs...)
		case profile.IsSaved(data):
			results, err := profile.Load(name, data)
			if err != nil {
				return err
			}
			for _, r := range results {
				joined.profiles = append(joined.profiles, &r.Set)
			}
		case !foreign:
			return withHint(fmt.Errorf("%s: neither evidence nor a saved profile", name), "sysgate record --import %s reads what other tools recorded", file)
		case record.Recognizes(data):
			texts = append(texts, record.File{Name: name, Data: data})
		default:
			run, err := e.importAudit(name, data)
			if err != nil {
				return err
			}
			joined.runs = append(joined.runs, run)
		}
	}
	imported, err := record.Import(texts, abi.Native())
	if err != nil {
		return err
	}
	for _, run := range imported {
		e.infof("%s: %s: %s", run.Source, run.Recorder, count(len(run.Calls), "system call"))
		e.sayOpen(run)
	}
	joined.runs = append(joined.runs, imported...)
	return nil
}

// monitorLine is how sysgate monitor writes a violation for people.
var monitorLine = regexp.MustCompile(`(?m)^[0-9T:.-]+Z .*\[\d+\] \S+ → \S+, by `)

// importAudit reads the violations of a log as a run.
func (e *env) importAudit(name string, data []byte) (*observe.Run, error) {
	run := &observe.Run{Source: name, Recorder: "audit"}
	var tally observe.Tally
	found, losses := false, 0
	for next := audit.NewReader(bytes.NewReader(data), audit.Options{}).Next; ; {
		event, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		switch v := event.Violation; {
		case v != nil:
			found = true
			if run.Start.IsZero() || v.Time.Before(run.Start) {
				run.Start = v.Time
			}
			m, isNew := tally.Call(v.ABI, v.NR)
			n := uint64(max(1, v.Count))
			m.Count += n
			if v.Denied() {
				m.Denied += n
			}
			if isNew {
				m.Exe = v.Exe
			}
			if v.Args != nil && v.Known == nil {
				tally.AddValue(v.ABI, v.NR, *v.Args, n)
			} else {
				m.Open = true
			}
		case event.Problem != nil:
			e.warningf("%s: %v", name, event.Problem)
		case event.Loss != nil:
			run.Lost += event.Loss.Records
			if losses++; losses == 1 {
				run.Doubts = append(run.Doubts, event.Loss.String())
			}
		}
	}
	if losses > 1 {
		run.Doubts = append(run.Doubts, fmt.Sprintf("records were lost %d times more", losses-1))
	}
	if !found {
		if monitorLine.Match(data) {
			return nil, withHint(fmt.Errorf("%s: lines of sysgate monitor for people", name), "sysgate monitor --json writes events that can be read back")
		}
		err := fmt.Errorf("%s: no recording that is known: not of strace, perf trace, the audit system or sysgate", name)
		return nil, withHint(err, "strace -f -o FILE COMMAND makes one")
	}
	run.Calls = tally.Calls()
	run.Doubts = append(run.Doubts, "the log has only calls that a filter did not just let through")
	e.infof("%s: audit: %s", name, count(len(run.Calls), "system call"))
	e.sayOpen(run)
	return run, nil
}

// convertFormat returns the format of convert with a name, unless it is one of
// profile's forms.
func convertFormat(name string) (convert.Format, bool) {
	switch name {
	case "policy", "names", "go":
		return convert.Format{}, false
	}
	f, ok := convert.ByName(name)
	return f, ok && f.Write != nil
}

// writeConverted writes p in a format of convert, and says what that loses.
func (e *env) writeConverted(w io.Writer, format convert.Format, p *policy.Policy) error {
	exported, err := convert.Export(format, p, convert.Options{})
	if err != nil {
		return fmt.Errorf("as %s: %w", format.Title, err)
	}
	for _, loss := range exported.Losses {
		e.warningf("%v", loss)
	}
	for _, r := range exported.Named() {
		e.warningf("%s: %s in the policy, %s as %s", r.Name, r.A, r.B, format.Name)
	}
	if exported.Looser() {
		return withHint(errors.New("nothing written: the result would let through what the policy stops"), "sysgate convert --allow-looser writes it all the same")
	}
	_, err = w.Write(exported.Data)
	return err
}
