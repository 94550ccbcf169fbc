package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// nc is the violation that most tests have in one form or another.
func nc() observe.Violation {
	return observe.Violation{
		Time: time.Date(2020, 6, 15, 15, 38, 32, 578e6, time.UTC), Serial: 148,
		Arch: 0xc000003e, NR: 49, ABI: abi.AMD64, Name: "bind", IP: 0x7f67398a0497,
		Action: abi.KillThread, Signal: 31, PID: 6939, UID: 1000, GID: 1000, LoginUID: 1000, Session: 4,
		Comm: "nc", Exe: "/usr/bin/nc.traditional", Subject: "unconfined", Count: 1,
	}
}

// with returns nc with changes.
func with(change func(*observe.Violation)) observe.Violation {
	v := nc()
	change(&v)
	return v
}

const body = `auid=1000 uid=1000 gid=1000 ses=4 subj==unconfined pid=6939 comm="nc" exe="/usr/bin/nc.traditional" sig=31 arch=c000003e syscall=49 compat=0 ip=0x7f67398a0497 code=0x0`

// all reads a log to its end. Raw is left out of violations.
func all(t *testing.T, log string, o Options) (violations []observe.Violation, others []Event) {
	t.Helper()
	r := NewReader(strings.NewReader(log), o)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return violations, others
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Violation == nil {
			others = append(others, e)
			continue
		}
		v := *e.Violation
		v.Raw = ""
		violations = append(violations, v)
	}
}

// TestForms reads one violation in every form.
func TestForms(t *testing.T) {
	const record = "audit(1592235512.578:148): " + body
	o := Options{Native: abi.AMD64, Location: time.UTC, Now: time.Date(2020, 7, 1, 0, 0, 0, 0, time.UTC)}
	host := func(v *observe.Violation) { v.Host = "web1" }
	seconds := func(v *observe.Violation) {
		v.Time, v.Serial, v.Host = v.Time.Truncate(time.Second), 0, "web1"
	}
	enriched := func(v *observe.Violation) { v.LoginUser, v.User, v.Group = "vagrant", "vagrant", "staff" }
	for name, tt := range map[string]struct {
		log  string
		want observe.Violation
	}{
		"netlink payload":     {record, nc()},
		"netlink with its NL": {record + "\n", nc()},
		"audit.log":           {"type=SECCOMP msg=" + record, nc()},
		"audit.log, number":   {"type=1326 msg=" + record, nc()},
		"unknown to auditd":   {"type=UNKNOWN[1326] msg=" + record, nc()},
		"node":                {"node=web1 type=SECCOMP msg=" + record, with(host)},
		"audisp's syslog":     {"Jun 15 15:38:32 web0 audispd: node=web1 type=SECCOMP msg=" + record, with(host)},
		"enriched":            {"type=SECCOMP msg=" + record + "\x1d" + `AUID="vagrant" UID="vagrant" GID="staff" ARCH=x86_64 SYSCALL=unknown-syscall(-1)`, with(enriched)},
		"enriched, pasted":    {"type=SECCOMP msg=" + record + `AUID="vagrant" UID="vagrant" GID="staff" ARCH=x86_64 SYSCALL=read`, with(enriched)},
		"enriched, by syslog": {"type=SECCOMP msg=" + record + `#035AUID="vagrant" UID="vagrant" GID="staff"`, with(enriched)},
		"enriched, unset":     {"type=SECCOMP msg=" + record + "\x1d" + `AUID="unset" UID="unknown(1000)" GID="unset"`, nc()},
		"dmesg":               {"[  535.197019] audit: type=1326 " + record, nc()},
		"dmesg -T":            {"[Mon Jun 15 15:38:32 2020] audit: type=1326 " + record, nc()},
		"dmesg --raw":         {"<5>[  535.197019] audit: type=1326 " + record, nc()},
		"dmesg, old kernel":   {"[  535.197019] type=1326 " + record, nc()},
		"kmsg":                {"5,1234,535197019,-;audit: type=1326 " + record, nc()},
		"syslog":              {"Jun 15 15:38:32 web1 kernel: [  535.197019] audit: type=1326 " + record, nc()},
		"journalctl":          {"Jun 15 15:38:32 web1 audit[6939]: SECCOMP " + body, with(seconds)},
		"journalctl, ISO":     {"2020-06-15T17:38:32+0200 web1 audit[6939]: SECCOMP " + body, with(seconds)},
		"ausearch":            {"----\ntime->Mon Jun 15 15:38:32 2020\ntype=SECCOMP msg=" + record + "\n", nc()},
		"ausearch -i": {
			"----\ntype=SECCOMP msg=audit(06/15/2020 15:38:32.578:148) : auid=vagrant uid=vagrant gid=staff ses=4 subj==unconfined pid=6939 comm=nc exe=/usr/bin/nc.traditional sig=SIGSYS arch=x86_64 syscall=bind compat=0 ip=0x7f67398a0497 code=kill",
			with(func(v *observe.Violation) {
				v.UID, v.GID, v.LoginUID = observe.Unset, observe.Unset, observe.Unset
				v.LoginUser, v.User, v.Group = "vagrant", "vagrant", "staff"
				v.Action, v.Doubts = abi.KillProcess, []string{killDoubt}
			}),
		},
		"wrapped": {
			"[ 535.197019] audit: type=1326 audit(1592235512.578:148): auid=1000 uid=1000\n    gid=1000 ses=4 subj==unconfined pid=6939 comm=\"nc\" exe=\"/usr/bin/nc.traditional\"\n    sig=31 arch=c000003e syscall=49 compat=0 ip=0x7f67398a0497 code=0x0\n",
			nc(),
		},
		"journal JSON": {
			`{"__REALTIME_TIMESTAMP":"1592235519000000","_SOURCE_REALTIME_TIMESTAMP":"1592235512578000","_TRANSPORT":"audit","_AUDIT_TYPE":"1326","_AUDIT_ID":"148","_HOSTNAME":"web1","MESSAGE":"SECCOMP ` + strings.ReplaceAll(body, `"`, `\"`) + `"}`,
			with(host),
		},
		"journal JSON, bytes": {
			`{"_SOURCE_REALTIME_TIMESTAMP":"1592235512578000","_TRANSPORT":"audit","_AUDIT_TYPE_NAME":"SECCOMP","_AUDIT_ID":["148","9"],"MESSAGE":` + numbers("SECCOMP "+body) + `}`,
			nc(),
		},
		"journal JSON, kernel": {
			`{"_TRANSPORT":"kernel","_HOSTNAME":"web1","MESSAGE":"audit: type=1326 ` + strings.ReplaceAll(record, `"`, `\"`) + `"}`,
			with(host),
		},
		"journal export": {
			"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1592235519000000\n_SOURCE_REALTIME_TIMESTAMP=1592235512578000\n_TRANSPORT=audit\n_AUDIT_TYPE=1326\n_AUDIT_ID=148\n_HOSTNAME=web1\nMESSAGE=SECCOMP " + body + "\n\n",
			with(host),
		},
		"journal export, binary": {
			"__CURSOR=s=1\n_SOURCE_REALTIME_TIMESTAMP=1592235512578000\n_TRANSPORT=audit\n_AUDIT_TYPE=1326\n_AUDIT_ID=148\nX\n\x03\x00\x00\x00\x00\x00\x00\x00a\n\n\nMESSAGE\n" +
				string([]byte{byte(len("SECCOMP " + body)), 0, 0, 0, 0, 0, 0, 0}) + "SECCOMP " + body + "\n\n",
			nc(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, others := all(t, tt.log, o)
			if diff := cmp.Diff([]observe.Violation{tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(others) != 0 {
				t.Errorf("also %+v", others)
			}
		})
	}
}

func numbers(text string) string {
	return "[" + strings.Trim(strings.Join(strings.Fields(fmt.Sprint([]byte(text))), ","), "[]") + "]"
}

// TestFields reads what is special in single fields.
func TestFields(t *testing.T) {
	const head = "type=SECCOMP msg=audit(1.5:2): "
	for name, tt := range map[string]struct {
		record string
		check  func(*observe.Violation) any
		want   any
	}{
		"hex comm":                   {`comm=7669226F6C207820C3A9 exe="/x"`, func(v *observe.Violation) any { return v.Comm }, `vi"ol x é`},
		"hex exe":                    {`comm="x" exe=2F7573722F62696E2F7669226F6C207820C3A9`, func(v *observe.Violation) any { return v.Exe }, `/usr/bin/vi"ol x é`},
		"hex that looks like a name": {`comm="ABCD" exe="/x"`, func(v *observe.Violation) any { return v.Comm }, "ABCD"},
		"exe (null)":                 {`comm="x" exe=(null)`, func(v *observe.Violation) any { return v.Exe }, ""},
		"no exe":                     {`comm="x"`, func(v *observe.Violation) any { return v.Exe }, ""},
		"AppArmor":                   {`subj=docker-default (enforce) comm="x"`, func(v *observe.Violation) any { return v.Subject }, "docker-default (enforce)"},
		"SELinux":                    {`subj=system_u:system_r:container_t:s0:c1,c2 comm="x"`, func(v *observe.Violation) any { return v.Subject }, "system_u:system_r:container_t:s0:c1,c2"},
		"unset": {`auid=4294967295 ses=4294967295 uid=0 comm="x"`, func(v *observe.Violation) any {
			return v.LoginUID == observe.Unset && v.Session == observe.Unset && v.UID == 0
		}, true},
	} {
		got, others := all(t, head+"pid=1 "+tt.record+" sig=0 arch=c000003e syscall=83 compat=0 ip=0x1 code=0x7ffc0000", Options{})
		if len(got) != 1 || tt.check(&got[0]) != tt.want {
			t.Errorf("%s: %+v %v, want %v", name, got, others, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		record string
		call   string
		action abi.Action
	}{
		"x32":          {"arch=c000003e syscall=1073741934 compat=0 ip=0x1 code=0x50000", "x32:getppid", abi.Errno},
		"compat":       {"arch=40000003 syscall=64 compat=1 ip=0x1 code=0x50000", "386:getppid", abi.Errno},
		"unknown":      {"arch=c000003e syscall=9999 compat=0 ip=0x1 code=0x80000000", "nr:9999", abi.KillProcess},
		"-1":           {"arch=c000003e syscall=-1 compat=0 ip=0x1 code=0x80000000", "nr:4294967295", abi.KillProcess},
		"foreign arch": {"arch=12345678 syscall=1 compat=0 ip=0x1 code=0x30000", "arch:0x12345678:nr:1", abi.Trap},
		"arm64":        {"arch=c00000b7 syscall=200 compat=0 ip=0x1 code=0x7fc00000", "arm64:bind", abi.UserNotify},
		"trace":        {"arch=c000003e syscall=2 compat=0 ip=0x1 code=0x7ff00000", "open", abi.Trace},
		"no arch":      {"syscall=49 compat=0 ip=0x1 code=0x0", "bind", abi.KillThread},
		"no arch, 386": {"syscall=5 compat=1 ip=0x1 code=0x0", "386:open", abi.KillThread},
		"unknown code": {"arch=c000003e syscall=2 compat=0 ip=0x1 code=0x7ff10000", "open", 0x7ff10000},
	} {
		got, others := all(t, head+`pid=1 comm="x" sig=0 `+tt.record, Options{Native: abi.AMD64})
		if len(got) != 1 || got[0].Call(abi.AMD64) != tt.call || got[0].Action != tt.action {
			t.Errorf("%s: %+v %v; want %s, %v", name, got, others, tt.call, tt.action)
		}
	}
}

// TestAusearch reads what ausearch 3.0.9 makes of the same records, raw and
// interpreted: they say the same, but for what it loses.
func TestAusearch(t *testing.T) {
	read := func(name string) []observe.Violation {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got, others := all(t, string(data), Options{Location: time.UTC})
		if len(others) != 1 || others[0].Abend == nil {
			t.Errorf("%s: %+v", name, others)
		}
		return got
	}
	raw, interpreted := read("ausearch.txt"), read("ausearch-i.txt")
	if len(raw) != 5 || len(interpreted) != 5 {
		t.Fatalf("%d and %d violations, want 5", len(raw), len(interpreted))
	}
	for i := range raw {
		want, got := raw[i], interpreted[i]
		got.UID, got.GID, got.LoginUID = want.UID, want.GID, want.LoginUID // names there
		got.User, got.Group, got.LoginUser = "", "", ""
		if want.Action == abi.KillThread || want.Action == abi.KillProcess {
			want.Action, want.Doubts = abi.KillProcess, []string{killDoubt}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d (-raw +interpreted):\n%s", i, diff)
		}
	}
	if got := raw[1].Comm + " " + raw[2].Call(abi.AMD64) + " " + raw[3].Call(abi.AMD64) + " " + raw[4].Call(abi.AMD64); got != `vi"ol x é nr:9999 x32:getppid 386:getppid` {
		t.Error(got)
	}
}

// TestOtherLines: what is not about seccomp is passed over, what is and cannot be
// read is told, and a line that a program wrote to the kernel's log counts nothing.
func TestOtherLines(t *testing.T) {
	for _, log := range []string{
		"", "\n\n", "hello", "time->Mon Jun 15 15:38:32 2020", "Jun 15 15:38:32 web1 sshd[1]: SECCOMP auid=1",
		`type=SYSCALL msg=audit(1.2:3): arch=c000003e syscall=83 success=yes exit=0 a0=1 pid=3 comm="x" exe="/x" key=(null)`,
		`type=EVENT_LISTENER msg=audit(1.2:3): pid=1 uid=0 auid=4294967295 tty=(none) ses=4294967295 comm="x" exe="/x" nl-mcgrp=1 op=connect res=1`,
		"12,1,2,-;audit: type=1326 audit(1592235512.578:148): " + body,
		`{"a":1}`, `{"MESSAGE":"hello"}`, "At 15:34:24 06/15/20 root logged-in", ",SECCOMP,of,what", "the call audit(x) is", "audit(1.2:3)", "__CURSOR=x\nMESSAGE=hello\n",
	} {
		if got, others := all(t, log, Options{}); len(got)+len(others) != 0 {
			t.Errorf("%q: %+v %+v", log, got, others)
		}
	}
	for log, want := range map[string]string{
		"\ntype=SECCOMP msg=audit(1.2:3): pid=1 sig=0 arch=zz syscall=1 code=0x0":                                                             `line 2: seccomp record: arch "zz"`,
		"type=SECCOMP msg=audit(1.2:3): sig=0 arch=c000003e syscall=1 code=0x0":                                                               "no pid",
		"type=SECCOMP msg=audit(1.2:3): pid=1 sig=0 arch=c000003e code=0x0":                                                                   "no syscall",
		"type=SECCOMP msg=audit(1.2:3): pid=1 sig=0 arch=c000003e syscall=1":                                                                  "no code",
		"type=SECCOMP msg=audit(1.2:3): pid=1 sig=0 arch=c000003e syscall=1 code=maim":                                                        `code "maim"`,
		"type=SECCOMP msg=audit(yesterday:3): pid=1 sig=0 arch=c000003e syscall=1 code=0x0":                                                   `time "yesterday"`,
		"type=SECCOMP msg=audit(1.2:x): pid=1 sig=0 arch=c000003e syscall=1 code=0x0":                                                         `serial number "x"`,
		"type=SECCOMP msg=audit(1.2:3): pid=1 uid=4294967296 sig=0 arch=0 syscall=1 code=0x0":                                                 "larger than any ID",
		"At 15:34:24 06/15/20 root unsuccessfully called-seccomp-controlled-syscall bind using /usr/bin/nc":                                   "--format raw",
		"On web1 at 15:34:24 06/15/20 root unsuccessfully called-seccomp-controlled-syscall bind using /usr/bin/nc":                           "--format raw",
		",SECCOMP,06/15/20,15:34:24,94,dac-decision,4,root,root,user-acct,called-seccomp-controlled-syscall,failed,bind,,process,/usr/bin/nc": "--format raw",
		"{": "json",
		"__CURSOR=1\nMESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff":  "too many",
		"__CURSOR=1\nMESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00x": "unexpected EOF",
		strings.Repeat("x", maxLine+2):                           "longer than",
	} {
		got, others := all(t, log, Options{})
		if len(got) != 0 || len(others) != 1 || others[0].Problem == nil || !strings.Contains(others[0].Problem.Error(), want) {
			t.Errorf("%.80q: %+v %+v, want a problem with %q", log, got, others, want)
		}
	}
}

// A wrapped record that another line cuts short is told, and the other is read.
func TestWrappedBadly(t *testing.T) {
	got, others := all(t, "type=SECCOMP msg=audit(1.2:3): auid=1 uid=1\ntype=SECCOMP msg=audit(1592235512.578:148): "+body, Options{})
	if len(got) != 1 || got[0].Serial != 148 || len(others) != 1 || others[0].Problem == nil {
		t.Errorf("%+v %+v", got, others)
	}
}

// The journal has a record twice, from the audit socket and from the kernel's log.
func TestDuplicates(t *testing.T) {
	line := "type=SECCOMP msg=audit(1592235512.578:148): " + body + "\n"
	r := NewReader(strings.NewReader(line+line+strings.Replace(line, ":148", ":149", 1)), Options{})
	n := 0
	for {
		if _, err := r.Next(); err != nil {
			break
		}
		n++
	}
	if n != 2 || r.Duplicates() != 1 {
		t.Errorf("%d events, %d duplicates; want 2, 1", n, r.Duplicates())
	}
}

// What the kernel says instead of records is a loss with its number.
func TestSuppressed(t *testing.T) {
	_, others := all(t, "[  12.3] kauditd_printk_skb: 19990 callbacks suppressed\n"+overwritten+"\n", Options{})
	if len(others) != 2 || others[0].Loss == nil || others[0].Loss.Records != 19990 || others[1].Loss == nil || others[1].Loss.Records != 0 {
		t.Errorf("%+v", others)
	}
}

// The events that Auditbeat 7.7.1, later ones and 6.x write are evidence too.
func TestAuditbeat(t *testing.T) {
	want := observe.Violation{
		Time: time.Date(2020, 6, 17, 9, 4, 39, 841e6, time.UTC), Serial: 1077, Host: "contrib-buster",
		Arch: 0xc000003e, NR: 59, ABI: abi.AMD64, Name: "execve", IP: 0x7f3b19c3da07, Action: abi.Log,
		PID: 13490, UID: 1000, GID: 1000, LoginUID: 1000, Session: 5, User: "vagrant", Group: "vagrant", LoginUser: "vagrant",
		Comm: "python3", Exe: "/usr/bin/python3.7", Subject: "unconfined", Count: 1,
	}
	for _, name := range []string{"6", "7.7", "7.9"} {
		data, err := os.ReadFile("testdata/auditbeat-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		got, others := all(t, strings.Join(strings.Fields(string(data)), " "), Options{})
		if diff := cmp.Diff([]observe.Violation{want}, got); diff != "" || len(others) != 0 {
			t.Errorf("%s: %v (-want +got):\n%s", name, others, diff)
		}
	}
}

func TestJoin(t *testing.T) {
	killed := func(pid int) Event { return Event{Violation: &observe.Violation{PID: pid, Signal: 31}} }
	logged := func(pid int) Event { return Event{Violation: &observe.Violation{PID: pid}} }
	end := func(pid, signal int) Event { return Event{Abend: &Abend{PID: pid, Signal: signal}} }
	for _, tt := range []struct {
		name string
		in   []Event
		want string // of each event after Flush: its process, + if it is known to have ended, ! for an end alone
	}{
		{"right after", []Event{killed(1), end(1, 31), logged(2)}, "1+ 2"},
		{"others between", []Event{killed(1), logged(2), killed(3), end(3, 31), end(1, 31)}, "1+ 2 3+"},
		{"none", []Event{killed(1), logged(2)}, "1 2"},
		{"an end without its violation", []Event{logged(1), end(1, 31), end(2, 11)}, "1 1!"},
		{"the same process twice", []Event{killed(1), killed(1), end(1, 31)}, "1+ 1"},
	} {
		var j Joiner
		var out []string
		var events []Event
		for _, e := range tt.in {
			events = append(events, j.Add(e)...)
		}
		for _, e := range append(events, j.Flush()...) {
			switch {
			case e.Abend != nil:
				out = append(out, fmt.Sprintf("%d!", e.Abend.PID))
			case e.Violation.Ended:
				out = append(out, fmt.Sprintf("%d+", e.Violation.PID))
			default:
				out = append(out, fmt.Sprint(e.Violation.PID))
			}
		}
		if got := strings.Join(out, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	var j Joiner
	n := len(j.Add(killed(1)))
	for range joinSpan {
		n += len(j.Add(logged(2)))
	}
	if n != joinSpan+1 {
		t.Errorf("%d events came out of %d: a violation waits for ever", n, joinSpan+1)
	}
}

func TestGaps(t *testing.T) {
	now := time.Unix(0, 0)
	late := now.Add(gapPatience)
	for _, tt := range []struct {
		name    string
		serials []uint64
		want    uint64
	}{
		{"none", []uint64{5, 6, 7}, 0},
		{"records of one event", []uint64{5, 5, 5, 6}, 0},
		{"one", []uint64{5, 7}, 1},
		{"overtaken", []uint64{5, 7, 6, 9, 8}, 0},
		{"many", []uint64{5, 105}, 99},
		{"too many to keep", []uint64{5, 5 + 3*gapLimit, 6 + 3*gapLimit}, 3*gapLimit - 1},
		{"from before the start", []uint64{5, 3, 6}, 0},
		{"none at all", []uint64{0, 0}, 0},
	} {
		var g gaps
		for _, s := range tt.serials {
			g.saw(s, now)
		}
		early := g.take(now.Add(gapPatience - 1))
		if got := early + g.take(late); got != tt.want || early != 0 && tt.want < gapLimit {
			t.Errorf("%s: %d lost, %d of them early; want %d", tt.name, got, early, tt.want)
		}
		if again := g.take(late.Add(time.Hour)); again != 0 {
			t.Errorf("%s: %d told twice", tt.name, again)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("type=SECCOMP msg=audit(1592235512.578:148): " + body + "\x1dUID=\"x\"\n"))
	f.Add([]byte("[ 1.2] audit: type=1326 audit(1.2:3): auid=1\n gid=2\n sig=31 code=0x0\n"))
	f.Add([]byte("__CURSOR=1\nMESSAGE\n\x02\x00\x00\x00\x00\x00\x00\x00hi\n\n"))
	f.Add([]byte("{\n \"dmesg\": [\n {\n \"pri\": 5,\n \"msg\": \"x\"\n },{\n \"a\": {\n }\n }\n]}\n"))
	f.Add([]byte(`{"MESSAGE":[83,69],"_TRANSPORT":"audit","_AUDIT_TYPE":"1326"}`))
	f.Add([]byte(`{"event":{"type":"seccomp"},"process":{"pid":1},"auditd":{"data":{"arch":"x86_64","syscall":"bind","sig":"SIGSYS","code":"kill"}}}`))
	f.Fuzz(func(t *testing.T, log []byte) {
		r := NewReader(strings.NewReader(string(log)), Options{Native: abi.AMD64})
		for range len(log) + 2 {
			e, err := r.Next()
			if err != nil {
				return
			}
			if e == (Event{}) {
				t.Fatal("an event without anything")
			}
			if v := e.Violation; v != nil && (v.Count < 1 || v.ABI != abi.None && v.ABI.SyscallName(v.NR) != v.Name) {
				t.Fatalf("%+v", v)
			}
		}
		t.Fatal("more events than bytes")
	})
}
