package audit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sysgate/sysgate/internal/observe"
)

// A scalar is a string or a number of JSON: Auditbeat has written IDs as both.
type scalar string

func (s *scalar) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*s = scalar(text)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("%s is no string and no number", data)
	}
	*s = scalar(n.String())
	return nil
}

// An ecsEvent is what is read of an event of sysgate monitor or Auditbeat, in the
// layouts of 6.x, 7.x and 8.x.
type ecsEvent struct {
	Timestamp string `json:"@timestamp"`
	Event     struct {
		Action   string          `json:"action"`
		Type     json.RawMessage `json:"type"` // a string in 6.x, a list from 7.9 on
		Original string          `json:"original"`
	} `json:"event"`
	Host struct {
		Hostname string `json:"hostname"`
	} `json:"host"`
	Process struct {
		PID        scalar `json:"pid"`
		Name       string `json:"name"`
		Executable string `json:"executable"`
		Exe        string `json:"exe"` // 6.x
	} `json:"process"`
	User struct {
		ID    scalar `json:"id"`
		Name  string `json:"name"`
		UID   scalar `json:"uid"` // 6.x, as are the next three
		GID   scalar `json:"gid"`
		AUID  scalar `json:"auid"`
		Names struct {
			UID, GID, AUID string
		} `json:"name_map"`
		Group struct {
			ID   scalar `json:"id"`
			Name string `json:"name"`
		} `json:"group"`
		Audit struct {
			ID   scalar `json:"id"`
			Name string `json:"name"`
		} `json:"audit"`
		SELinux struct {
			User string `json:"user"`
		} `json:"selinux"`
	} `json:"user"`
	Auditd struct {
		MessageType string            `json:"message_type"`
		Sequence    scalar            `json:"sequence"`
		Session     scalar            `json:"session"`
		Data        map[string]scalar `json:"data"`
	} `json:"auditd"`
	Seccomp struct {
		Syscall struct {
			NR *uint32 `json:"nr"`
		} `json:"syscall"`
		Args   []string `json:"args"`
		Count  int      `json:"count"`
		Last   string   `json:"last"`
		Label  string   `json:"label"`
		Ended  bool     `json:"ended"`
		Doubts []string `json:"doubts"`
	} `json:"seccomp"`
}

// parseECS reads an event. Events about something else are none.
func parseECS(data []byte) (Event, error) {
	var e ecsEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, fmt.Errorf("event: %w", err)
	}
	var kind string
	_ = json.Unmarshal(e.Event.Type, &kind) // a list is none of 6.x
	if e.Auditd.MessageType != "seccomp" && kind != "seccomp" && e.Event.Action != "violated-seccomp-policy" {
		return Event{}, nil
	}
	h := head{kind: typeSeccomp, host: e.Host.Hostname, raw: e.Event.Original}
	if h.raw == "" {
		h.raw = string(data)
	}
	if e.Timestamp != "" {
		t, err := time.Parse(time.RFC3339Nano, e.Timestamp)
		if err != nil {
			return Event{}, bad("@timestamp", e.Timestamp)
		}
		h.time = t.UTC()
	}
	if text := string(e.Auditd.Sequence); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return Event{}, bad("auditd.sequence", text)
		}
		h.serial = n
	}
	f := fields{
		{key: "pid", value: string(e.Process.PID)},
		{key: "uid", value: string(either(e.User.ID, e.User.UID))},
		{key: "gid", value: string(either(e.User.Group.ID, e.User.GID))},
		{key: "auid", value: string(either(e.User.Audit.ID, e.User.AUID))},
		{key: "ses", value: string(e.Auditd.Session)},
		{key: "comm", value: e.Process.Name, quoted: true},
		{key: "exe", value: either(e.Process.Executable, e.Process.Exe), quoted: true},
		{key: "subj", value: either(e.Seccomp.Label, e.User.SELinux.User)},
	}
	for key, value := range e.Auditd.Data {
		f = append(f, field{key: key, value: string(value)})
	}
	if nr := e.Seccomp.Syscall.NR; nr != nil {
		f = append(f, field{key: "syscall", value: strconv.FormatUint(uint64(*nr), 10)})
	}
	v, err := violation(h, f, nil, Options{})
	if err != nil {
		return Event{}, fmt.Errorf("event: %w", err)
	}
	v.User = either(v.User, e.User.Name, e.User.Names.UID)
	v.Group = either(v.Group, e.User.Group.Name, e.User.Names.GID)
	v.LoginUser = either(v.LoginUser, e.User.Audit.Name, e.User.Names.AUID)
	v.Ended = e.Seccomp.Ended
	if len(e.Seccomp.Doubts) > 0 {
		v.Doubts = e.Seccomp.Doubts
	}
	v.Count = max(1, e.Seccomp.Count)
	if e.Seccomp.Last != "" {
		if v.Last, err = time.Parse(time.RFC3339Nano, e.Seccomp.Last); err != nil {
			return Event{}, bad("seccomp.last", e.Seccomp.Last)
		}
	}
	return Event{Violation: v}, setArgs(v, e.Seccomp.Args)
}

func setArgs(v *observe.Violation, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if len(args) > 6 {
		return fmt.Errorf("event: %d arguments", len(args))
	}
	v.Args = new([6]uint64)
	for i, text := range args {
		n, err := strconv.ParseUint(strings.TrimSpace(text), 0, 64)
		if err != nil {
			return fmt.Errorf("event: argument %d: %w", i, bad("number", text))
		}
		v.Args[i] = n
	}
	return nil
}

// either returns the first that is not empty.
func either[T ~string](all ...T) T {
	for _, one := range all {
		if one != "" {
			return one
		}
	}
	return ""
}
