package monitor

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

type textSink struct {
	w      io.Writer
	native abi.ABI
}

// NewText returns a sink that writes one line for each event. Calls through the
// native ABI are written without it.
func NewText(w io.Writer, native abi.ABI) Sink { return textSink{w, native} }

func (s textSink) Write(e Event) error {
	_, err := io.WriteString(s.w, Line(e, s.native)+"\n")
	return err
}

func (s textSink) Flush() error { return flush(s.w) }

// Line returns an event as one line, without anything that a terminal would take
// for a command: processes choose their own names.
//
//	2020-06-15T15:38:32.578Z nc[6939] bind → kill_process, by vagrant: /usr/bin/nc -l -p 8000; unit nc.service
func Line(e Event, native abi.ABI) string {
	switch {
	case e.Loss != nil:
		return "LOST: " + e.Loss.String()
	case e.Problem != nil:
		return "UNREAD: " + Printable(e.Problem.Error())
	case e.Abend != nil:
		return fmt.Sprintf("%s process %d ended by %s, and its violation was not logged", stamp(e.Abend.Time), e.Abend.PID, signalName(e.Abend.Signal))
	}
	v := e.Violation
	var b strings.Builder
	fmt.Fprintf(&b, "%s ", stamp(v.Time))
	if v.Host != "" {
		fmt.Fprintf(&b, "%s ", Printable(v.Host))
	}
	fmt.Fprintf(&b, "%s[%d] %s → %s", Printable(v.Comm), v.PID, v.Call(native), actionText(v))
	if by := Printable(UserText(v.UID, v.User)); by != "" {
		fmt.Fprintf(&b, ", by %s", by)
	}
	switch {
	case e.Process != nil && len(e.Process.Args) > 0:
		fmt.Fprintf(&b, ": %s", Printable(e.Process.Command()))
	case v.Exe != "":
		fmt.Fprintf(&b, ": %s", Printable(v.Exe))
	}
	for _, what := range Places(e) {
		fmt.Fprintf(&b, "; %s", what)
	}
	if v.Count > 1 {
		fmt.Fprintf(&b, "; %d times", v.Count)
		if !v.Last.IsZero() {
			fmt.Fprintf(&b, " until %s", stamp(v.Last))
		}
	}
	for _, doubt := range v.Doubts {
		fmt.Fprintf(&b, "; %s", doubt)
	}
	return b.String()
}

// Places says where the process of an event belongs: its container, pod or unit.
func Places(e Event) []string {
	var all []string
	if p := e.Process; p != nil {
		if p.Container != "" {
			all = append(all, strings.TrimSpace(p.Runtime+" container ")+" "+Printable(ShortID(p.Container)))
		}
		if p.Pod != "" {
			all = append(all, "pod "+Printable(p.Pod))
		}
		if p.Unit != "" && p.Container == "" {
			all = append(all, "unit "+Printable(p.Unit))
		}
	}
	return all
}

// ShortID returns the start of a container's ID, as runtimes print it.
func ShortID(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return id
}

// stamp writes a time with the milliseconds that a record has.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// actionText returns the action, and the signal where it is another than the
// action's own.
func actionText(v *observe.Violation) string {
	text := v.Action.String()
	if v.Action.Known() {
		text, _, _ = strings.Cut(text, "(") // the record has no data
	}
	if killed := v.Action.Kind() == abi.KillProcess || v.Action.Kind() == abi.KillThread; v.Signal != 0 && !(killed && v.Signal == 31) {
		text += " with " + signalName(v.Signal)
	}
	return text
}

func signalName(n int) string {
	if name, ok := map[int]string{6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 31: "SIGSYS"}[n]; ok {
		return name
	}
	return "signal " + strconv.Itoa(n)
}

// UserText returns a user's name, or its number, "" for none.
func UserText(id uint32, name string) string {
	switch {
	case name != "":
		return name
	case id == observe.Unset:
		return ""
	}
	return "user " + strconv.FormatUint(uint64(id), 10)
}

// Printable returns s with what is not printable escaped as in Go's strings.
func Printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
