package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proc"
)

// python is the record behind the event that Auditbeat 7.7.1 is known to have
// written ("Seccomp for Developers").
const python = `type=SECCOMP msg=audit(1592384679.841:1077): auid=1000 uid=1000 gid=1000 ses=5 subj==unconfined pid=13490 comm="python3" exe="/usr/bin/python3.7" sig=0 arch=c000003e syscall=59 compat=0 ip=0x7f3b19c3da07 code=0x7ffc0000` +
	"\x1d" + `AUID="vagrant" UID="vagrant" GID="vagrant"`

func buster() *Host {
	return &Host{
		Name: "contrib-buster", Architecture: "x86_64", ID: "4b982cf35ae94632b1ed77cb8894e7f0", Version: "7.7.1",
		IP: []string{"10.0.2.15", "fe80::a00:27ff:fe8d:c04d"}, MAC: []string{"08:00:27:8d:c0:4d"},
		OS:    map[string]string{"family": "debian", "name": "Debian GNU/Linux", "kernel": "4.19.0-9-amd64", "codename": "buster", "platform": "debian", "version": "10 (buster)"},
		agent: "e058736d-35f3-41e3-81b7-bd4f53804118", run: "1da9116f-64c2-410d-ae4d-dbd58286e1d6",
	}
}

// monitored runs a monitor over a log and returns what it wrote.
func monitored(t *testing.T, log string, o Options, sink func(io.Writer) Sink) (string, Summary) {
	t.Helper()
	var out bytes.Buffer
	o.Sink = sink(&out)
	r := audit.NewReader(strings.NewReader(log), audit.Options{Native: abi.AMD64})
	summary, err := Run(t.Context(), r.Next, o)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), summary
}

func text(w io.Writer) Sink { return NewText(w, abi.AMD64) }

// TestECS compares the event in each layout with the one that Auditbeat writes,
// field by field: each of Auditbeat's is there with its value, and what is there
// besides is listed.
func TestECS(t *testing.T) {
	own := []string{
		"event.original", "seccomp.abi", "seccomp.action", "seccomp.arch", "seccomp.call", "seccomp.code", "seccomp.count", "seccomp.label",
		"seccomp.syscall.name", "seccomp.syscall.nr",
	}
	for layout, name := range map[Layout]string{ECS8: "8", ECS7: "7.7", ECS6: "6"} {
		data, err := os.ReadFile("testdata/ecs-" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		line, _ := monitored(t, python, Options{}, func(w io.Writer) Sink { return NewECS(w, layout, buster(), abi.AMD64, false) })
		if strings.Count(line, "\n") != 1 {
			t.Errorf("%s: not one line: %q", name, line)
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		expected, actual := flat("", want), flat("", got)
		for _, field := range own {
			if _, ok := actual[field]; !ok {
				t.Errorf("%s: no %s", name, field)
			}
			delete(actual, field)
		}
		if diff := cmp.Diff(expected, actual); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		// What is written is evidence again.
		again, err := audit.NewReader(strings.NewReader(line), audit.Options{}).Next()
		first, _ := audit.NewReader(strings.NewReader(python), audit.Options{}).Next()
		if err != nil {
			t.Fatal(err)
		}
		if layout != ECS6 {
			first.Violation.Host = "contrib-buster"
		} else {
			again.Violation.Host = ""
		}
		if diff := cmp.Diff(first.Violation, again.Violation); diff != "" {
			t.Errorf("%s: read back (-want +got):\n%s", name, diff)
		}
	}
}

// flat returns the fields of a document by their dotted names.
func flat(prefix string, v any) map[string]string {
	out := map[string]string{}
	m, ok := v.(map[string]any)
	if !ok {
		text, _ := json.Marshal(v)
		out[prefix] = string(text)
		return out
	}
	for key, inner := range m {
		name := key
		if prefix != "" {
			name = prefix + "." + key
		}
		for k, v := range flat(name, inner) {
			out[k] = v
		}
	}
	return out
}

func TestLine(t *testing.T) {
	at := time.Date(2020, 6, 15, 15, 38, 32, 578e6, time.UTC)
	v := observe.Violation{
		Time: at, PID: 6939, Comm: "nc", Exe: "/usr/bin/nc.traditional", UID: 1000, User: "vagrant", Count: 1,
		Arch: 0xc000003e, NR: 49, ABI: abi.AMD64, Name: "bind", Action: abi.KillThread, Signal: 31,
	}
	foreign, many, hostile := v, v, v
	foreign.ABI, foreign.Name, foreign.Action, foreign.Signal, foreign.User = abi.I386, "socketcall", abi.Errno, 0, ""
	many.Count, many.Last = 12, at.Add(time.Second)
	hostile.Comm, hostile.Exe, hostile.User = "a\x1b[2J\nb", "/\xff", "v"
	for _, tt := range []struct {
		e    Event
		want string
	}{
		{Event{Event: audit.Event{Violation: &v}}, "2020-06-15T15:38:32.578Z nc[6939] bind → kill_thread, by vagrant: /usr/bin/nc.traditional"},
		{Event{Event: audit.Event{Violation: &foreign}}, "2020-06-15T15:38:32.578Z nc[6939] 386:socketcall → errno, by user 1000: /usr/bin/nc.traditional"},
		{Event{Event: audit.Event{Violation: &many}}, "2020-06-15T15:38:32.578Z nc[6939] bind → kill_thread, by vagrant: /usr/bin/nc.traditional; 12 times until 2020-06-15T15:38:33.578Z"},
		{Event{Event: audit.Event{Violation: &hostile}}, `2020-06-15T15:38:32.578Z a\x1b[2J\nb[6939] bind → kill_thread, by v: /\xff`},
		{
			Event{Event: audit.Event{Violation: &v}, Process: &proc.Process{Args: []string{"nc", "-l"}, Place: proc.Place{Container: strings.Repeat("ab", 32), Runtime: "docker", Unit: "x.scope"}}},
			"2020-06-15T15:38:32.578Z nc[6939] bind → kill_thread, by vagrant: nc -l; docker container abababababab",
		},
		{Event{Event: audit.Event{Loss: &audit.Loss{Records: 3, Reason: "gaps"}}}, "LOST: 3 records were lost: gaps"},
		{Event{Event: audit.Event{Abend: &audit.Abend{Time: at, PID: 5, Signal: 31}}}, "2020-06-15T15:38:32.578Z process 5 ended by SIGSYS, and its violation was not logged"},
	} {
		if got := Line(tt.e, abi.AMD64); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// record returns a line of a log.
func record(ms, serial, nr int, exe string, uid int) string {
	return fmt.Sprintf("type=SECCOMP msg=audit(%d.%03d:%d): auid=4294967295 uid=%d gid=0 ses=4294967295 pid=9 comm=\"x\" exe=%q sig=0 arch=c000003e syscall=%d compat=0 ip=0x1 code=0x50000\n",
		1000+ms/1000, ms%1000, serial, uid, exe, nr)
}

func TestFilter(t *testing.T) {
	log := record(0, 1, 49, "/usr/bin/nc", 0) + record(1000, 2, 4, "/opt/web", 1000) + record(2000, 3, 9999, "/opt/web", 0)
	for _, tt := range []struct {
		filter Filter
		want   int
	}{
		{Filter{}, 3},
		{Filter{Calls: []string{"bind"}}, 1},
		{Filter{Calls: []string{"newstat"}}, 1}, // an alias
		{Filter{Calls: []string{"amd64:bind", "nr:9999"}}, 2},
		{Filter{Calls: []string{"9999"}}, 1},
		{Filter{Calls: []string{"386:bind"}}, 0},
		{Filter{Exes: []string{"nc"}}, 1},
		{Filter{Exes: []string{"/opt/*"}}, 2},
		{Filter{Exes: []string{"/opt/web"}, Users: []string{"1000"}}, 1},
		{Filter{Users: []string{"root"}}, 2},
		{Filter{Since: time.Unix(1001, 0)}, 2},
	} {
		if err := tt.filter.Check(); err != nil {
			t.Errorf("%+v: %v", tt.filter, err)
		}
		out, s := monitored(t, log, Options{Filter: tt.filter, Enrich: &Enricher{Root: "/nonexistent"}}, text)
		if got := strings.Count(out, "\n"); got != tt.want || s.Violations != tt.want || s.Others != 3-tt.want {
			t.Errorf("%+v: %+v, want %d\n%s", tt.filter, s, tt.want, out)
		}
	}
	for _, bad := range []Filter{{Calls: []string{"bnd"}}, {Calls: []string{"vax:bind"}}, {Exes: []string{"["}}} {
		if bad.Check() == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

// TestAggregate: floods become counts, and the counts add up.
func TestAggregate(t *testing.T) {
	var log strings.Builder
	for i := range 1000 {
		log.WriteString(record(i*10, i+1, 49+i%2, "/x", 0)) // 10 s of two kinds
	}
	out, s := monitored(t, log.String(), Options{Window: time.Second}, text)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	total := 0
	for _, line := range lines {
		n := 1
		if _, after, ok := strings.Cut(line, "; "); ok {
			fmt.Sscanf(after, "%d times", &n)
		}
		total += n
	}
	if s.Violations != 1000 || total != 1000 || len(lines) > 24 {
		t.Errorf("%+v, %d in %d lines\n%s", s, total, len(lines), out)
	}
	// More kinds than are kept: each is written, and none is lost.
	log.Reset()
	for i := range 3 * maxKinds {
		log.WriteString(record(i%1000, i+1, 49, fmt.Sprint("/x", i%(2*maxKinds)), 0))
	}
	var a aggregator
	if out, s = monitored(t, log.String(), Options{Window: time.Hour}, text); s.Violations != 3*maxKinds || strings.Count(out, "\n") < 2*maxKinds {
		t.Errorf("%+v in %d lines", s, strings.Count(out, "\n"))
	}
	if a.add(&observe.Violation{}, time.Time{}); a.kinds != nil {
		t.Error("without a window something is kept")
	}
}

// A sink that fails ends the monitor.
func TestSinkFails(t *testing.T) {
	r, w := io.Pipe()
	r.CloseWithError(os.ErrClosed)
	reader := audit.NewReader(strings.NewReader(record(0, 1, 49, "/x", 0)), audit.Options{})
	if _, err := Run(t.Context(), reader.Next, Options{Sink: text(w)}); err == nil {
		t.Error("no error")
	}
}

// TestEnrich looks up a process of this machine, and none that took its number.
func TestEnrich(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e := &Enricher{Root: "/proc", Host: "here"}
	v := observe.Violation{Time: time.Now(), PID: os.Getpid(), Exe: self, UID: 0, GID: observe.Unset, LoginUID: observe.Unset}
	other, old, away := v, v, v
	other.Exe, other.Comm = "/another", "another"
	old.Time = v.Time.Add(-time.Minute)
	away.Host = "there"
	e.names(&v)
	if p := e.process(&v); p == nil || p.PPID != os.Getppid() || v.User != "root" || v.Group != "" {
		t.Errorf("%+v of %+v", p, v)
	}
	for _, v := range []*observe.Violation{&other, &old, &away} {
		if p := e.process(v); p != nil {
			t.Errorf("%+v: %+v", v, p)
		}
	}
	if e.names(&away); away.User != "" {
		t.Errorf("the user of another host has the name %q", away.User)
	}
	var none *Enricher
	if none.names(&old); old.User != "" || none.process(&other) != nil {
		t.Error("something was found out without an enricher")
	}
}

// TestCanceled: that a source was told to end is no error, whoever hears of it first.
func TestCanceled(t *testing.T) {
	_, err := Run(t.Context(), func() (audit.Event, error) { return audit.Event{}, fmt.Errorf("read: %w", context.Canceled) }, Options{Sink: text(io.Discard)})
	if err != nil {
		t.Error(err)
	}
}

// TestEnd: what has come when the monitor is told to stop is written; a source that waits
// for its input, or that never ends, does not keep it.
func TestEnd(t *testing.T) {
	one := func(n int) audit.Event {
		return audit.Event{Violation: &observe.Violation{Exe: "/x", NR: uint32(n), Action: abi.Errno, Count: 1, Time: time.Now()}}
	}
	for _, tt := range []struct {
		name string
		then func(n int) (audit.Event, error) // after 5000 events
		min  int
	}{
		{"a source that ends", func(int) (audit.Event, error) { return audit.Event{}, context.Canceled }, 5000},
		{"a source that waits", func(int) (audit.Event, error) { select {} }, 5000},
		{"a source that goes on", func(n int) (audit.Event, error) { time.Sleep(time.Millisecond); return one(n), nil }, 5000},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		summary, err := Run(ctx, func() (audit.Event, error) {
			if n++; n == 2500 {
				cancel()
			}
			if n <= 5000 {
				return one(n), nil
			}
			return tt.then(n)
		}, Options{Sink: text(io.Discard), Live: true, Window: time.Second})
		if err != nil || summary.Violations < tt.min {
			t.Errorf("%s: %d violations, %v", tt.name, summary.Violations, err)
		}
	}
	// A context that never ends is none that has ended.
	slow := 0
	summary, err := Run(context.Background(), func() (audit.Event, error) {
		if slow++; slow > 2 {
			return audit.Event{}, io.EOF
		}
		time.Sleep(5 * tick)
		return one(slow), nil
	}, Options{Sink: text(io.Discard), Live: true})
	if err != nil || summary.Violations != 2 {
		t.Errorf("%+v, %v", summary, err)
	}
}

func BenchmarkECS(b *testing.B) {
	e, err := audit.NewReader(strings.NewReader(python), audit.Options{}).Next()
	if err != nil {
		b.Fatal(err)
	}
	sink := NewECS(io.Discard, ECS8, buster(), abi.AMD64, false)
	for b.Loop() {
		if err := sink.Write(Event{Event: e}); err != nil {
			b.Fatal(err)
		}
	}
}
