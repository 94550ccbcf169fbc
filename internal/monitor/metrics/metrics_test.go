package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/observe"
)

func violation(exe string, action abi.Action, count int) monitor.Event {
	return monitor.Event{Event: audit.Event{Violation: &observe.Violation{
		ABI: abi.AMD64, Arch: abi.AMD64.AuditArch(), NR: 49, Name: "bind", Exe: exe, Action: action, Count: count, Time: time.UnixMilli(1500),
	}}}
}

// scrape returns the lines about sysgate that a server gets.
func scrape(t *testing.T, m interface{ Handler() http.Handler }) map[string]bool {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "sysgate_") {
			lines[strings.TrimSpace(line)] = true
		}
	}
	return lines
}

func want(t *testing.T, got map[string]bool, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !got[line] {
			t.Errorf("no %s in %v", line, got)
		}
	}
}

func TestSeen(t *testing.T) {
	m := New("v1")
	m.Seen(violation("/usr/bin/nc", abi.Errno, 1))
	m.Seen(violation("/usr/bin/nc", abi.Errno.WithData(1), 5))
	m.Seen(violation("/bad\xff", abi.KillProcess, 1))
	for _, n := range []uint64{0, 7} {
		m.Seen(monitor.Event{Event: audit.Event{Loss: &audit.Loss{Records: n}}})
	}
	m.Seen(monitor.Event{Event: audit.Event{Problem: errors.New("x")}})
	m.Seen(monitor.Event{Event: audit.Event{Abend: &audit.Abend{}}})
	want(t, scrape(t, m),
		`sysgate_violations_total{action="errno",call="amd64:bind",program="/usr/bin/nc"} 6`,
		"sysgate_violations_total{action=\"kill_process\",call=\"amd64:bind\",program=\"/bad\ufffd\"} 1",
		`sysgate_lost_records_total 7`, `sysgate_losses_total 2`, `sysgate_unread_records_total 1`, `sysgate_ended_without_violation_total 1`,
		`sysgate_last_violation_timestamp_seconds 1.5`, `sysgate_build_info{version="v1"} 1`,
	)
}

// TestBound: programs that choose ever new names do not make ever more series, and
// are counted.
func TestBound(t *testing.T) {
	m := New("v1")
	for i := range MaxPrograms + 50 {
		m.Seen(violation(fmt.Sprintf("/p%d", i), abi.Errno, 1))
	}
	m.Seen(violation("/p0", abi.Errno, 1))
	lines := scrape(t, m)
	want(t, lines, `sysgate_violations_total{action="errno",call="amd64:bind",program="other"} 50`, `sysgate_violations_total{action="errno",call="amd64:bind",program="/p0"} 2`)
	if n := len(lines); n > MaxPrograms+20 {
		t.Errorf("%d series", n)
	}
}

func TestOutlet(t *testing.T) {
	m := New("v1")
	nowhere, err := monitor.NewSyslog("unix://"+t.TempDir()+"/none", "v1", abi.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	o := monitor.NewOutlet("syslog", nowhere, monitor.OutletOptions{Queue: 1, Pause: time.Hour})
	m.Outlet(o)
	for range 3 {
		o.Write(violation("/x", abi.Errno, 1))
	}
	want(t, scrape(t, m), `sysgate_waiting_events{output="syslog"} 1`, `sysgate_undelivered_events_total{output="syslog"} 2`)
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Close(now); err == nil {
		t.Error("nothing was lost")
	}
}

func TestDrift(t *testing.T) {
	d := NewDrift("v1")
	d.Set(Host{Processes: 9, Protected: 4, Declared: map[Declared]int{{"web", "drifted"}: 2, {"db", "equal"}: 1}, Time: time.UnixMilli(2500), Took: time.Second / 4})
	want(t, scrape(t, d), "sysgate_processes 9", "sysgate_protected_processes 4", `sysgate_declared_processes{policy="web",state="drifted"} 2`,
		`sysgate_declared_processes{policy="db",state="equal"} 1`, "sysgate_check_timestamp_seconds 2.5", "sysgate_check_duration_seconds 0.25")
	d.Set(Host{Declared: map[Declared]int{{"db", "equal"}: 2}})
	got := scrape(t, d)
	want(t, got, "sysgate_processes 0", `sysgate_declared_processes{policy="db",state="equal"} 2`)
	if got[`sysgate_declared_processes{policy="web",state="drifted"} 2`] {
		t.Error("a policy that is gone still has processes")
	}
	for line := range got {
		if strings.HasPrefix(line, "sysgate_losses_total") {
			t.Error("a host has the metrics of a monitor")
		}
	}
}
