package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// The types of the records that are read (include/uapi/linux/audit.h).
const (
	typeSeccomp = 1326 // AUDIT_SECCOMP
	typeAbend   = 1701 // AUDIT_ANOM_ABEND
)

// Options are what the reading of a log depends on besides the log.
type Options struct {
	Native   abi.ABI        // of the machine that wrote it, for records of kernels that name no architecture (before 3.17); None: this program's
	Location *time.Location // of times without a zone; nil: local
	Now      time.Time      // of reading, for times without a year; zero: now
}

func (o Options) native() abi.ABI {
	if o.Native != abi.None {
		return o.Native
	}
	return abi.Native()
}

func (o Options) location() *time.Location {
	if o.Location != nil {
		return o.Location
	}
	return time.Local
}

// An Abend is the record of a process that ended by a signal (type 1701). The
// kernel makes one beside the violation that killed it, with a serial number of
// its own, while auditing is enabled.
type Abend struct {
	Time   time.Time
	Serial uint64
	PID    int
	Signal int
}

// A head is what a log says of a record beside its text.
type head struct {
	kind   int // 0: not said
	time   time.Time
	serial uint64
	host   string
	raw    string
}

// parseBody reads the text of a record: its fields, and behind byte 0x1D what
// auditd added. What the head does not say of the type, the fields do.
func parseBody(h head, body string, o Options) (Event, error) {
	body, enriched := cutEnriched(body)
	f := splitFields(body)
	kind := h.kind
	if kind == 0 {
		switch {
		case f.last("syscall") != "" && f.last("code") != "" && f.last("sig") != "":
			kind = typeSeccomp
		case f.last("sig") != "" && f.first("syscall") == "":
			kind = typeAbend
		}
	}
	switch kind {
	case typeSeccomp:
		v, err := violation(h, f, splitFields(enriched), o)
		if err != nil {
			return Event{}, fmt.Errorf("seccomp record: %w", err)
		}
		return Event{Violation: v}, nil
	case typeAbend:
		pid, err := strconv.Atoi(f.first("pid"))
		if err != nil {
			return Event{}, fmt.Errorf("record of a process's end: %w", bad("pid", f.first("pid")))
		}
		sig, err := signal(f.last("sig"))
		if err != nil {
			return Event{}, fmt.Errorf("record of a process's end: %w", err)
		}
		return Event{Abend: &Abend{Time: h.time, Serial: h.serial, PID: pid, Signal: sig}}, nil
	}
	return Event{}, nil
}

// cutEnriched splits off what auditd's ENRICHED format adds. The byte before it
// is often lost, or spelled out, when a line is copied.
func cutEnriched(body string) (text, enriched string) {
	for _, mark := range []string{"\x1d", "<0x1D>", "^]", "#035"} {
		if text, enriched, ok := strings.Cut(body, mark); ok {
			return text, enriched
		}
	}
	if i := strings.Index(body, `AUID="`); i > 0 {
		return body[:i], body[i:]
	}
	return body, ""
}

func violation(h head, f, enriched fields, o Options) (*observe.Violation, error) {
	v := &observe.Violation{
		Time: h.time, Serial: h.serial, Host: h.host, Raw: h.raw, Count: 1,
		User: enrichedName(enriched, "UID"), Group: enrichedName(enriched, "GID"), LoginUser: enrichedName(enriched, "AUID"),
		Subject: strings.TrimPrefix(f.first("subj"), "="), // AppArmor's labels have a "=" of their own
	}
	// In the kernel's own order; the first error is the one to know.
	var err error
	if v.PID, err = strconv.Atoi(f.first("pid")); err != nil {
		return nil, bad("pid", f.first("pid"))
	}
	interpreted, err := setArch(v, f, o)
	if err != nil {
		return nil, err
	}
	if err := setCall(v, f.last("syscall")); err != nil {
		return nil, err
	}
	if err := setAction(v, f.last("code")); err != nil {
		return nil, err
	}
	if v.Signal, err = signal(f.last("sig")); err != nil {
		return nil, err
	}
	for _, id := range []struct {
		key  string
		to   *uint32
		name *string
	}{{"uid", &v.UID, &v.User}, {"gid", &v.GID, &v.Group}, {"auid", &v.LoginUID, &v.LoginUser}, {"ses", &v.Session, new(string)}} {
		if err := setID(id.to, id.name, f.first(id.key)); err != nil {
			return nil, fmt.Errorf("%s: %w", id.key, err)
		}
	}
	if text := f.last("ip"); text != "" {
		if v.IP, err = strconv.ParseUint(text, 0, 64); err != nil {
			return nil, bad("ip", text)
		}
	}
	v.Comm, v.Exe = f.name("comm", interpreted), f.name("exe", interpreted)
	return v, nil
}

func bad(key, value string) error {
	if value == "" {
		return fmt.Errorf("no %s", key)
	}
	return fmt.Errorf("%s %q is none", key, value)
}

// setArch reads arch and compat. interpreted reports that values are names, as
// ausearch -i prints them.
func setArch(v *observe.Violation, f fields, o Options) (interpreted bool, err error) {
	compat := f.last("compat")
	v.Compat = compat != "" && compat != "0"
	text := f.last("arch")
	if text == "" {
		a := o.native()
		for _, other := range a.Compat() {
			if v.Compat && other.Bits() == 32 && other != abi.X32 {
				a = other
			}
		}
		v.Arch, v.ABI = a.AuditArch(), a
		v.Doubts = append(v.Doubts, fmt.Sprintf("the record names no architecture (Linux before 3.17): taken for %v", a))
		return false, nil
	}
	if n, err := strconv.ParseUint(text, 16, 32); err == nil {
		v.Arch = uint32(n)
		return false, nil
	}
	a, ok := abi.Parse(text)
	if !ok {
		return false, bad("arch", text)
	}
	v.Arch, v.ABI = a.AuditArch(), a
	return true, nil
}

// setCall reads the number of the call, or its name where it is interpreted.
func setCall(v *observe.Violation, text string) error {
	number := text
	if inside, ok := strings.CutPrefix(text, "unknown-syscall("); ok {
		number = strings.TrimSuffix(inside, ")")
		if number == "-1" {
			v.Doubts = append(v.Doubts, "the writer of the log did not keep the call's number")
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= -1<<31 && n <= 1<<32-1 {
		v.NR = uint32(n)
		v.ABI, v.Name = observe.Identify(v.Arch, v.NR)
		return nil
	}
	if v.ABI != abi.None {
		if nr, ok := v.ABI.Lookup(text); ok {
			v.NR, v.Name = nr, v.ABI.SyscallName(nr)
			return nil
		}
	}
	return bad("syscall", text)
}

// killDoubt says what ausearch -i made of the code.
const killDoubt = "ausearch -i prints code=kill for kill_process and kill_thread alike"

// setAction reads the return word, or its name where it is interpreted.
func setAction(v *observe.Violation, text string) error {
	if n, err := strconv.ParseUint(text, 0, 32); err == nil {
		v.Action = abi.Action(n)
		if v.Action.Known() {
			v.Action = v.Action.Kind()
		}
		return nil
	}
	switch strings.ReplaceAll(text, "-", "_") {
	case "kill":
		v.Action = abi.KillProcess
		v.Doubts = append(v.Doubts, killDoubt)
	case "kill_process":
		v.Action = abi.KillProcess
	case "kill_thread":
		v.Action = abi.KillThread
	case "trap":
		v.Action = abi.Trap
	case "errno":
		v.Action = abi.Errno
	case "user_notif", "user_notify":
		v.Action = abi.UserNotify
	case "trace":
		v.Action = abi.Trace
	case "log":
		v.Action = abi.Log
	case "allow":
		v.Action = abi.Allow
	default:
		return bad("code", text)
	}
	return nil
}

func signal(text string) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		return int(n), nil
	}
	if n := observe.SignalNumber(text); n != 0 {
		return n, nil
	}
	if number, ok := strings.CutPrefix(text, "SIG"); ok { // ausearch -i: SIG0
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			return int(n), nil
		}
	}
	return 0, bad("sig", text)
}

// setID reads an ID, or a name where it is interpreted: "unset", "unknown(1000)".
func setID(id *uint32, name *string, text string) error {
	*id = observe.Unset
	text = strings.TrimSuffix(strings.TrimPrefix(text, "unknown("), ")")
	switch text {
	case "", "-1", "unset":
		return nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		if n > uint64(observe.Unset) {
			return fmt.Errorf("%s is larger than any ID", text)
		}
		*id = uint32(n)
		return nil
	}
	*name = text
	return nil
}

// enrichedName returns a name that auditd found, "" for its ways to say none.
func enrichedName(f fields, key string) string {
	switch name := f.last(key); {
	case name == "unset" || strings.HasPrefix(name, "unknown"):
		return ""
	default:
		return name
	}
}
