package monitor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// A Layout is a version of the Elastic Common Schema, or of what came before it,
// as Auditbeat wrote seccomp events with it.
type Layout int

// The layouts.
const (
	ECS8 Layout = iota // current
	ECS7               // Auditbeat 7.7: "dac-decision", numbers as the record has them
	ECS6               // Auditbeat 6.x: event.type "seccomp", user.name_map, process.exe
)

// ParseLayout reads a version: 6, 7.7 or 8.
func ParseLayout(text string) (Layout, error) {
	switch text {
	case "8":
		return ECS8, nil
	case "7.7", "7":
		return ECS7, nil
	case "6":
		return ECS6, nil
	}
	return 0, fmt.Errorf("unknown version %q of the schema: 6, 7.7 or 8", text)
}

type ecsSink struct {
	w      io.Writer
	layout Layout
	pretty bool
	same   document // what every event says of machine and maker
	native abi.ABI
	next   document // the event that is being written
	line   []byte
}

// NewECS returns a sink that writes one JSON object for each event, on one line or,
// pretty, on several. It is for one goroutine.
func NewECS(w io.Writer, l Layout, h *Host, native abi.ABI, pretty bool) Sink {
	s := &ecsSink{w: w, layout: l, native: native, pretty: pretty}
	s.same.set("service.type", "auditd")
	h.set(&s.same, l)
	return s
}

func (s *ecsSink) Write(e Event) error {
	s.next.reset()
	s.document(&s.next, e)
	s.line = s.next.appendTo(s.line[:0])
	if s.pretty {
		var b bytes.Buffer
		if err := json.Indent(&b, s.line, "", "  "); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		s.line = b.Bytes()
	}
	s.line = append(s.line, '\n')
	_, err := s.w.Write(s.line)
	return err
}

func (s *ecsSink) Flush() error { return flush(s.w) }

func (s *ecsSink) document(d *document, e Event) {
	d.add(&s.same)
	d.set("event.module", "auditd")
	d.set("event.action", eventAction(e))
	switch v := e.Violation; {
	case v != nil:
		s.violation(d, e, v)
	case e.Abend != nil:
		d.set("@timestamp", ecsTime(e.Abend.Time))
		d.set("event.kind", "event")
		d.set("process.pid", e.Abend.PID)
		d.set("auditd.message_type", "anom_abend")
		d.set("auditd.sequence", e.Abend.Serial)
		d.set("message", Line(e, s.native))
	case e.Loss != nil:
		d.set("@timestamp", ecsTime(time.Now()))
		d.set("event.kind", "pipeline_error")
		d.set("seccomp.lost", e.Loss.Records)
		d.set("error.message", e.Loss.String())
	case e.Problem != nil:
		d.set("@timestamp", ecsTime(time.Now()))
		d.set("event.kind", "pipeline_error")
		d.set("error.message", e.Problem.Error())
	}
}

// violation sets the fields that Auditbeat has for a record, as it has them, and
// then those of our own.
func (s *ecsSink) violation(d *document, e Event, v *observe.Violation) {
	d.set("@timestamp", ecsTime(v.Time))
	if v.Host != "" {
		d.drop("host.")
		d.set("host.hostname", v.Host)
		d.set("host.name", v.Host)
	}
	user, login, group := idName{v.UID, v.User}, idName{v.LoginUID, v.LoginUser}, idName{v.GID, v.Group}
	arch, call, sig, how := strconv.FormatUint(uint64(v.Arch), 16), strconv.FormatUint(uint64(v.NR), 10), strconv.Itoa(v.Signal), v.Comm
	switch s.layout {
	case ECS8:
		d.set("event.kind", "event")
		d.set("event.category", []string{"intrusion_detection"})
		d.set("event.type", []string{eventType(v)})
		d.set("event.outcome", outcome(v))
		d.set("related.user", related(user, login))
		if v.ABI != abi.None {
			arch = auditName(v.ABI)
		}
		if v.Name != "" {
			call = v.Name
		}
		if v.Signal == 31 {
			sig = "SIGSYS"
		}
		if v.Exe != "" {
			how = v.Exe
		}
		s.selinux(d, v)
	case ECS7:
		d.set("event.category", "dac-decision")
		d.set("event.outcome", "unknown")
		s.selinux(d, v)
	case ECS6:
		d.set("event.category", "dac-decision")
		d.set("event.type", "seccomp")
		s.selinux(d, v)
	}
	if s.layout == ECS6 {
		d.set("user.uid", user.id())
		d.set("user.gid", group.id())
		d.set("user.auid", login.id())
		d.set("user.name_map.uid", user.name)
		d.set("user.name_map.gid", group.name)
		d.set("user.name_map.auid", login.name)
		d.set("process.pid", strconv.Itoa(v.PID))
		d.set("process.exe", v.Exe)
	} else {
		d.set("user.id", user.id())
		d.set("user.name", user.name)
		d.set("user.group.id", group.id())
		d.set("user.group.name", group.name)
		d.set("user.audit.id", login.id())
		d.set("user.audit.name", login.name)
		d.set("process.pid", v.PID)
		d.set("process.executable", v.Exe)
		d.set("auditd.message_type", "seccomp")
	}
	d.set("process.name", v.Comm)
	if v.Serial != 0 {
		d.set("auditd.sequence", v.Serial)
	}
	d.set("auditd.result", "unknown")
	d.set("auditd.session", idName{number: v.Session}.id())
	d.set("auditd.summary.actor.primary", login.either())
	d.set("auditd.summary.actor.secondary", user.either())
	d.set("auditd.summary.object.primary", call)
	d.set("auditd.summary.object.type", "process")
	d.set("auditd.summary.how", how)
	d.set("auditd.data.arch", arch)
	d.set("auditd.data.syscall", call)
	d.set("auditd.data.sig", sig)
	compat := "0"
	if v.Compat {
		compat = "1"
	}
	d.set("auditd.data.compat", compat)
	d.set("auditd.data.ip", hexText(v.IP))
	d.set("auditd.data.code", hexText(uint64(v.Action)))
	s.own(d, e, v)
}

// own sets the fields that only sysgate has.
func (s *ecsSink) own(d *document, e Event, v *observe.Violation) {
	d.set("seccomp.action", actionText(v))
	d.set("seccomp.code", uint32(v.Action))
	d.set("seccomp.call", v.Call(s.native))
	d.set("seccomp.syscall.nr", v.NR)
	d.set("seccomp.syscall.name", v.Name)
	d.set("seccomp.arch", hexText(uint64(v.Arch)))
	if v.ABI != abi.None {
		d.set("seccomp.abi", v.ABI.String())
	}
	d.set("seccomp.count", v.Count)
	if !v.Last.IsZero() {
		d.set("seccomp.last", ecsTime(v.Last))
	}
	d.set("seccomp.label", v.Subject)
	if v.Ended {
		d.set("seccomp.ended", true)
	}
	if v.Args != nil {
		var args []string
		for _, a := range v.Args {
			args = append(args, hexText(a))
		}
		d.set("seccomp.args", args)
	}
	d.set("seccomp.doubts", v.Doubts)
	d.set("event.original", v.Raw)
	if p := e.Process; p != nil {
		d.set("process.args", p.Args)
		d.set("process.command_line", strings.Join(p.Args, " "))
		d.set("process.working_directory", p.Cwd)
		if p.PPID != 0 {
			d.set("process.parent.pid", p.PPID)
			d.set("process.parent.name", p.Parent)
		}
		d.set("container.id", p.Container)
		d.set("container.runtime", p.Runtime)
		d.set("kubernetes.pod.uid", p.Pod)
		d.set("systemd.unit", p.Unit)
	}
}

// hexText writes a number as C does.
func hexText(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

func ecsTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// An idName is an ID with its name.
type idName struct {
	number uint32
	name   string
}

func (i idName) id() string {
	if i.number == observe.Unset {
		return ""
	}
	return strconv.FormatUint(uint64(i.number), 10)
}

func (i idName) either() string {
	if i.name != "" {
		return i.name
	}
	return i.id()
}

func related(users ...idName) []string {
	var all []string
	for _, u := range users {
		if u.name != "" && (len(all) == 0 || all[0] != u.name) {
			all = append(all, u.name)
		}
	}
	return all
}

// eventType and outcome are said of the call: a tracer or a supervisor decides
// later.
func eventType(v *observe.Violation) string {
	switch v.Action.Kind() {
	case abi.Log, abi.Allow:
		return "allowed"
	case abi.Trace, abi.UserNotify:
		return "info"
	}
	return "denied"
}

func outcome(v *observe.Violation) string {
	return map[string]string{"allowed": "success", "denied": "failure", "info": "unknown"}[eventType(v)]
}

// auditName returns the name that the audit tools have for an architecture.
func auditName(a abi.ABI) string {
	switch a {
	case abi.AMD64, abi.X32:
		return "x86_64"
	case abi.I386:
		return "i386"
	case abi.ARM64:
		return "aarch64"
	}
	return a.String()
}

// appArmor matches the label of a record as AppArmor spells it, with a "=" of its
// own. Auditbeat takes it for a user of SELinux, and dashboards have learned that.
var appArmor = regexp.MustCompile(`\bsubj=(=\S+)`)

// selinux sets what Auditbeat makes of a label: in the older layouts AppArmor's too.
func (s *ecsSink) selinux(d *document, v *observe.Violation) {
	parts := strings.SplitN(v.Subject, ":", 5)
	if len(parts) >= 3 {
		for i, name := range []string{"user", "role", "domain", "level", "category"} {
			if i < len(parts) {
				d.set("user.selinux."+name, parts[i])
			}
		}
		return
	}
	if s.layout == ECS8 || v.Subject == "" {
		return
	}
	if m := appArmor.FindStringSubmatch(v.Raw); m != nil {
		d.set("user.selinux.user", m[1])
	}
}
