package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/observe"
)

func newExplainCmd(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain RECORD…",
		Short: "Explain an audit record: which call, what denied it, what to do next",
		Long: `Explain an audit record: which call, through which ABI, what became of it and of
the program, and what to do next. A record can be pasted in any form in which logs
have it, also in several lines: from dmesg, audit.log, ausearch, the journal, or
sysgate monitor. With "-" the records are read from standard input.`,
		Example: `  sysgate explain 'type=1326 audit(1592235264.942:94): auid=1000 uid=1000 gid=1000 ses=4 pid=6664 comm="nc" exe="/usr/bin/nc" sig=31 arch=c000003e syscall=49 compat=0 ip=0x7ffb85de7497 code=0x0'
  dmesg | grep type=1326 | tail -1 | sysgate explain -`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			var in io.Reader = strings.NewReader(strings.Join(args, " "))
			if len(args) == 1 && args[0] == "-" {
				in = e.stdin
			}
			explained, err := e.explainAll(in)
			if err != nil {
				return err
			}
			if asJSON {
				return writeIndented(e.stdout, explained)
			}
			for i := range explained {
				if i > 0 {
					if _, err := io.WriteString(e.stdout, "\n"); err != nil {
						return err
					}
				}
				if err := explained[i].write(e.stdout); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// explainAll explains every record of a log. One that cannot be read is a warning
// where others can.
func (e *env) explainAll(in io.Reader) ([]explained, error) {
	r := audit.NewReader(in, audit.Options{})
	var joined audit.Joiner
	var events []audit.Event
	for {
		one, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		events = append(events, joined.Add(one)...)
	}
	var all []explained
	var problems []error
	for _, one := range append(events, joined.Flush()...) {
		switch {
		case one.Violation != nil:
			all = append(all, explainViolation(one.Violation))
		case one.Problem != nil:
			problems = append(problems, one.Problem)
		case one.Abend != nil:
			all = append(all, explained{Summary: fmt.Sprintf("process %d was ended by signal %d (SIGSYS); the record of the call that it died of is missing.", one.Abend.PID, one.Abend.Signal)})
		}
	}
	if len(all) == 0 && len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	for _, p := range problems {
		e.warningf("%v", p)
	}
	if len(all) == 0 {
		return nil, withHint(errors.New("no record about seccomp (type=1326, SECCOMP)"), "sysgate explain 'type=1326 audit(…): …'")
	}
	return all, nil
}

// An explained record is what it says, in words.
type explained struct {
	Summary string `json:"summary"`
	Facts   []fact `json:"facts,omitempty"`
	Next    []fact `json:"next,omitempty"`
}

type fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func (x *explained) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", x.Summary)
	for _, group := range []struct {
		title string
		facts []fact
	}{{"", x.Facts}, {"next:\n", x.Next}} {
		if len(group.facts) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s", group.title)
		width := 0
		for _, f := range group.facts {
			width = max(width, len(f.Name))
		}
		for _, f := range group.facts {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, f.Name, f.Text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func explainViolation(v *observe.Violation) explained {
	program := monitor.Printable(v.Comm)
	if program == "" {
		program = fmt.Sprintf("process %d", v.PID)
	}
	what, means := consequence(v)
	x := explained{Summary: fmt.Sprintf("%s called %s, and %s.", program, v.Call(abi.Native()), what)}
	add := func(name, text string) {
		if text != "" {
			x.Facts = append(x.Facts, fact{name, text})
		}
	}
	add("call", signature(v))
	add("abi", entry(v))
	add("action", means)
	if v.Ended {
		add("end", "the process ended by the signal (its ANOM_ABEND record is there)")
	}
	add("program", strings.Trim(fmt.Sprintf("%s, process %d", monitor.Printable(v.Exe), v.PID), ", "))
	add("user", users(v))
	add("time", when(v))
	add("host", monitor.Printable(v.Host))
	add("label", monitor.Printable(v.Subject))
	if v.IP != 0 {
		add("address", fmt.Sprintf("%#x, after the instruction that made the call", v.IP))
	}
	if v.Count > 1 {
		add("count", fmt.Sprintf("%d such calls", v.Count))
	}
	if v.Args == nil {
		add("unknown", "the arguments, and which filter it was: no record has them")
	}
	for _, doubt := range v.Doubts {
		add("doubt", doubt)
	}
	x.Next = nextSteps(v)
	return x
}

// consequence says what became of the call, shortly and in full (seccomp(2)).
func consequence(v *observe.Violation) (short, full string) {
	code := fmt.Sprintf(" (code %#x)", uint32(v.Action))
	switch v.Action.Kind() {
	case abi.KillProcess:
		short, full = "a filter killed the process", "kill_process"+code+": the call did not happen; every thread ended with SIGSYS"
	case abi.KillThread:
		short, full = "a filter killed the thread", "kill_thread"+code+": the call did not happen; the calling thread ended with SIGSYS, others go on"
	case abi.Trap:
		short, full = "a filter sent the program SIGSYS", "trap"+code+": the call did not happen; a handler of SIGSYS decides, without one the process ends"
	case abi.Errno:
		short, full = "a filter made the call fail", "errno"+code+": the call did not happen and returned an error; the record does not say which"
	case abi.UserNotify:
		short, full = "a filter left it to a supervisor", "user_notify"+code+": a supervising program decides; the record does not say how"
	case abi.Trace:
		short, full = "a filter left it to a tracer", "trace"+code+": a tracer decides; without one the call failed with ENOSYS"
	case abi.Log:
		short, full = "a filter let it through and logged it", "log"+code+": the call happened; the policy would deny it, or only watches it"
	case abi.Allow:
		return "a filter let it through", "allow" + code
	default:
		return "a filter killed the process", fmt.Sprintf("code %#x is no action that the kernel knows: it kills the process", uint32(v.Action))
	}
	return short, full
}

// signature names the call with its arguments and its number.
func signature(v *observe.Violation) string {
	if v.Name == "" {
		return fmt.Sprintf("number %d (%#x), which no table has: newer than Linux %v, or made up", v.NR, v.NR, abi.Latest)
	}
	text := v.Name
	if args, ok := v.ABI.Args(v.NR); ok {
		var names []string
		for i, a := range args {
			name := a.Name
			if v.Args != nil {
				name += fmt.Sprintf("=%#x", v.Args[i]&a.Mask)
			}
			names = append(names, name)
		}
		text += "(" + strings.Join(names, ", ") + ")"
	}
	text += fmt.Sprintf(", number %d", v.NR)
	if v.Name == "socketcall" || v.Name == "ipc" {
		text += "; it carries other calls, and its argument 0 says which"
	}
	return text
}

// entry says how the call reached the kernel.
func entry(v *observe.Violation) string {
	switch {
	case v.ABI == abi.None:
		return fmt.Sprintf("none that is known: arch %#x", v.Arch)
	case v.ABI == abi.X32:
		return fmt.Sprintf("x32: an amd64 call with bit 30 of the number set (%#x); kernels without x32 answer ENOSYS to it anyway", v.NR)
	case v.Compat:
		return fmt.Sprintf("%v (arch %x): the 32-bit entry, which a 64-bit program can use too", v.ABI, v.Arch)
	}
	return fmt.Sprintf("%v (arch %x)", v.ABI, v.Arch)
}

func users(v *observe.Violation) string {
	var all []string
	for _, one := range []struct {
		what, name string
		id         uint32
	}{{"", v.User, v.UID}, {"group ", v.Group, v.GID}, {"logged in as ", v.LoginUser, v.LoginUID}, {"session ", "", v.Session}} {
		switch {
		case one.id == observe.Unset && one.name == "":
		case one.id == observe.Unset:
			all = append(all, one.what+monitor.Printable(one.name))
		case one.name == "":
			all = append(all, fmt.Sprintf("%s%d", one.what, one.id))
		default:
			all = append(all, fmt.Sprintf("%s%s (%d)", one.what, monitor.Printable(one.name), one.id))
		}
	}
	return strings.Join(all, ", ")
}

func when(v *observe.Violation) string {
	var parts []string
	if !v.Time.IsZero() {
		parts = append(parts, v.Time.Format("2006-01-02 15:04:05.000 MST"))
	}
	if v.Serial != 0 {
		parts = append(parts, fmt.Sprintf("audit event %d", v.Serial))
	}
	return strings.Join(parts, ", ")
}

// nextSteps says what a person can do now.
func nextSteps(v *observe.Violation) []fact {
	if v.ABI == abi.None || v.Name == "" {
		return []fact{
			{"look", "a call that no table has is an attack, a bug, or a program for a newer kernel: find out which"},
			{"filters", fmt.Sprintf("sysgate show pid:%d, while the process is there", v.PID)},
		}
	}
	program := v.Exe
	if program == "" {
		program = v.Comm
	}
	next := []fact{{"admit it", fmt.Sprintf("sysgate refine POLICY FILE, with this record in FILE: it allows %s and nothing else", v.Call(abi.Native()))}}
	if v.Denied() {
		next = append(next, fact{"or not", "if the program has no business with it, nothing: the policy did its work"})
	}
	next = append(next,
		fact{"filters", fmt.Sprintf("sysgate show pid:%d, while the process is there", v.PID)},
		fact{"more", "sysgate monitor --exe " + shellQuote(program)},
	)
	return next
}

// shellQuote returns s as a word of a shell.
func shellQuote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(monitor.Printable(s), "'", `'\''`) + "'"
}
