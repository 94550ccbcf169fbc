package monitor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// A Field is one thing that is known of an event, by the name that the Elastic
// Common Schema or sysgate's own part of it ("seccomp.…") has for it. Its value is a
// string, an int64 or a bool.
type Field struct {
	Name  string
	Value any
}

// Text returns the value as text.
func (f Field) Text() string {
	switch v := f.Value.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(f.Value)
}

// Fields returns what is known of an event, for outputs that are no documents: a
// flat list in a fixed order, without what is not known.
func Fields(e Event, native abi.ABI) []Field {
	var f fieldList
	f.text("event.action", eventAction(e))
	switch v := e.Violation; {
	case v != nil:
		f.violation(v, native)
	case e.Abend != nil:
		f.number("process.pid", int64(e.Abend.PID))
		f.number("auditd.sequence", int64(e.Abend.Serial))
	case e.Loss != nil:
		f.number("seccomp.lost", int64(e.Loss.Records))
		f.text("error.message", e.Loss.String())
	case e.Problem != nil:
		f.text("error.message", e.Problem.Error())
	}
	if p := e.Process; p != nil {
		f.text("process.command_line", strings.Join(p.Args, " "))
		f.text("process.working_directory", p.Cwd)
		f.number("process.parent.pid", int64(p.PPID))
		f.text("process.parent.name", p.Parent)
		f.text("container.id", p.Container)
		f.text("container.runtime", p.Runtime)
		f.text("kubernetes.pod.uid", p.Pod)
		f.text("systemd.unit", p.Unit)
	}
	return f
}

// eventAction names the kind of an event, in every output.
func eventAction(e Event) string {
	switch {
	case e.Violation != nil:
		return "violated-seccomp-policy"
	case e.Abend != nil:
		return "ended-without-violation"
	case e.Loss != nil:
		return "lost-records"
	}
	return "unread-record"
}

type fieldList []Field

func (f *fieldList) text(name, value string) {
	if value != "" {
		*f = append(*f, Field{name, value})
	}
}

func (f *fieldList) number(name string, value int64) {
	if value != 0 {
		*f = append(*f, Field{name, value})
	}
}

func (f *fieldList) violation(v *observe.Violation, native abi.ABI) {
	f.text("seccomp.call", v.Call(native))
	f.text("seccomp.action", actionText(v))
	f.text("seccomp.code", fmt.Sprintf("%#x", uint32(v.Action)))
	*f = append(*f, Field{"seccomp.syscall.nr", int64(v.NR)})
	f.text("seccomp.syscall.name", v.Name)
	f.text("seccomp.arch", fmt.Sprintf("%#x", v.Arch))
	if v.ABI != abi.None {
		f.text("seccomp.abi", v.ABI.String())
	}
	f.number("seccomp.count", int64(v.Count))
	f.text("seccomp.last", ecsTime(v.Last))
	if v.Ended {
		*f = append(*f, Field{"seccomp.ended", true})
	}
	f.text("seccomp.label", v.Subject)
	f.text("seccomp.doubts", strings.Join(v.Doubts, "; "))
	f.text("event.outcome", outcome(v))
	f.text("host.name", v.Host)
	f.number("auditd.sequence", int64(v.Serial))
	f.number("process.pid", int64(v.PID))
	f.text("process.name", v.Comm)
	f.text("process.executable", v.Exe)
	f.text("user.id", idName{number: v.UID}.id())
	f.text("user.name", v.User)
	f.text("user.audit.id", idName{number: v.LoginUID}.id())
	f.text("user.audit.name", v.LoginUser)
	f.text("event.original", v.Raw)
}
