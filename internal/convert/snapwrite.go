package convert

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// writeSnap writes d as a profile: what the policy lets through, and below it what
// gets EACCES.
func writeSnap(d *Decisions, _ Options) ([]byte, []Loss, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# For snap-seccomp, on %s.\n", d.ABIs[0])
	if d.Default == abi.Allow && len(d.Calls) == 0 && d.Resolved.BadArch == abi.Allow {
		b.WriteString("@unrestricted\n")
		return b.Bytes(), loading(d.Policy), nil
	}
	if d.Default.Kind() == abi.Log {
		b.WriteString("@complain\n")
	}
	w := &snapWriter{ociWriter: &ociWriter{losses: loading(d.Policy), narrow: len(snapABIs(d.ABIs[0])) > 1}, b: &b}
	calls := w.deciding(d)
	if d.Default == abi.Allow {
		// Everything else is denied: list what has a name.
		var names []string
		for _, a := range d.ABIs {
			for _, name := range a.Syscalls() {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			fmt.Fprintln(&b, name)
		}
	}
	for _, c := range calls {
		w.from = d.from(c.ABI, c.Numbers[0].Lo)
		switch {
		case c.Action == abi.Allow:
			w.lines("", c)
		case c.Action.Kind() == abi.Errno && (d.Default == abi.Allow || d.Default.Kind() == abi.Log):
			w.lines("~", c)
		case c.Action == abi.Errno.WithData(eacces) && d.Default.Kind() == abi.Errno:
			w.allowAndDeny(c)
		case d.Default == abi.Allow:
			w.lines("~", c) // stricter than nothing: the proof says so
		}
	}
	return b.Bytes(), w.losses, nil
}

const eacces = 13

type snapWriter struct {
	*ociWriter
	b     *bytes.Buffer
	from  string // where the rules about the call stand
	above originLines
}

// allowAndDeny writes what gets EACCES: the filter that denies has to let it
// through to the other one's denial.
func (w *snapWriter) allowAndDeny(c Decision) {
	w.lines("", c)
	w.lines("~", c)
}

// lines writes the lines of a call.
func (w *snapWriter) lines(prefix string, c Decision) {
	entries, ok := w.tests(c)
	var all []string
	for _, tests := range entries {
		words, good := w.words(c, tests)
		ok = ok && good
		all = append(all, strings.TrimRight(prefix+c.Name+" "+words, " "))
	}
	if !ok {
		w.losses = append(w.losses, Loss{Msg: c.Name + ": its conditions have no form for snap-seccomp: left out"})
		return
	}
	w.above.say(w.b, w.from)
	for _, line := range all {
		fmt.Fprintln(w.b, line)
	}
}

// tests returns the conditions of c as lines of which one has to hold: values and
// orders where they say it, since masks have 32 bits, else as for libseccomp.
func (w *snapWriter) tests(c Decision) (lines [][]ociTest, ok bool) {
	if len(c.Any) == 0 {
		return w.entries(c)
	}
	for _, alternative := range c.Any {
		all := [][]ociTest{nil}
		merged := oneEach(alternative)
		for i, t := range merged {
			one, ok := plainTests(t, c.ABI.WordMask(), 1<<32-1)
			again := slices.ContainsFunc(merged[:i], func(o policy.Test) bool { return o.Word == t.Word })
			if !ok || again || len(one)*len(all) > maxOCIEntries {
				all = nil
				break
			}
			var next [][]ociTest
			for _, before := range all {
				for _, test := range one {
					next = append(next, append(slices.Clone(before), test))
				}
			}
			all = next
		}
		if all == nil {
			only := c
			only.Any = []policy.Alternative{alternative}
			if all, ok = w.entries(only); !ok {
				return nil, false
			}
		}
		lines = append(lines, all...)
	}
	return lines, len(lines) <= maxOCIEntries
}

// words writes the tests of one line, an argument each.
func (w *snapWriter) words(c Decision, tests []ociTest) (text string, ok bool) {
	words := []string{"-", "-", "-", "-", "-", "-"}
	last := 0
	for _, t := range tests {
		last = max(last, int(t.Index)+1)
		ids := slices.Contains(snapIDs, c.Name)
		if ids && t.Op == "SCMP_CMP_EQ" && c.ABI.WordMask() == 1<<32-1 {
			t.Op, t.Value, t.ValueTwo = "SCMP_CMP_MASKED_EQ", 1<<32-1, t.Value
		}
		if t.Value > 1<<32-1 || t.ValueTwo > 1<<32-1 || ids && (t.Op != "SCMP_CMP_MASKED_EQ" || t.Value != 1<<32-1) {
			return "", false
		}
		switch word := &words[t.Index]; t.Op {
		case "SCMP_CMP_EQ":
			*word = fmt.Sprint(t.Value)
		case "SCMP_CMP_NE":
			*word = fmt.Sprintf("!%d", t.Value)
		case "SCMP_CMP_GT":
			*word = fmt.Sprintf(">%d", t.Value)
		case "SCMP_CMP_GE":
			*word = fmt.Sprintf(">=%d", t.Value)
		case "SCMP_CMP_LE":
			*word = fmt.Sprintf("<=%d", t.Value)
		case "SCMP_CMP_MASKED_EQ":
			if *word = fmt.Sprintf("%d|%d", t.Value, t.ValueTwo); ids {
				*word = fmt.Sprint(t.ValueTwo)
			}
		default:
			return "", false
		}
	}
	return strings.Join(words[:last], " "), true
}
