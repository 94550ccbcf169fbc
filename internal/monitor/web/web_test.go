package web

import (
	"bufio"
	"encoding/json"
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
	"github.com/sysgate/sysgate/internal/proc"
	"github.com/sysgate/sysgate/policy"
)

// violation returns an event of a program.
func violation(exe, call string, action abi.Action, count int, at time.Time) monitor.Event {
	a := abi.AMD64
	nr, _ := a.Lookup(call)
	name := exe[strings.LastIndexByte(exe, '/')+1:]
	return monitor.Event{Event: audit.Event{Violation: &observe.Violation{
		ABI: a, Arch: a.AuditArch(), NR: nr, Name: call, Exe: exe, Comm: name, Action: action, Count: count, Time: at, PID: 4711, User: "www-data", UID: 33,
	}}}
}

// TestState holds what the page is told to what happened.
func TestState(t *testing.T) {
	now := time.Unix(100000, 0)
	s := newState(abi.AMD64, func() time.Time { return now })
	first, revision, events, changed := s.since(0, 0)
	if !first.Reset || len(first.Groups) != 0 || len(first.Timeline) != buckets {
		t.Errorf("at the start: %+v", first)
	}
	s.add(violation("/usr/sbin/nginx", "bind", abi.Errno, 3, now))
	s.add(violation("/usr/sbin/nginx", "bind", abi.Errno, 2, now.Add(-2*step)))
	s.add(violation("/usr/sbin/nginx", "ptrace", abi.KillProcess, 1, now.Add(-time.Hour)))
	s.add(violation("/bin/x", "getpid", abi.Log, 1, time.Time{}))
	s.add(monitor.Event{Event: audit.Event{Loss: &audit.Loss{Records: 9, Reason: "gaps"}}})
	s.add(monitor.Event{Event: audit.Event{Problem: errors.New("no record")}})
	select {
	case <-changed:
	default:
		t.Error("a change is not announced")
	}
	u, revision2, events2, _ := s.since(revision, events)
	if u.Totals != (totals{Violations: 7, Killed: 1, Denied: 5, Logged: 1, Lost: 9, Losses: 1, Unread: 1}) {
		t.Errorf("%+v", u.Totals)
	}
	if len(u.Groups) != 3 || len(u.Recent) != 6 || u.Skipped != 0 {
		t.Errorf("%d groups, %d events, %d skipped", len(u.Groups), len(u.Recent), u.Skipped)
	}
	if got := u.Timeline[buckets-1]; got != (bucket{Denied: 3, Logged: 1}) {
		t.Errorf("now: %+v", got)
	}
	if got := u.Timeline[buckets-3]; got != (bucket{Denied: 2}) {
		t.Errorf("two steps ago: %+v", got)
	}
	byCall := map[string]group{}
	for _, g := range u.Groups {
		byCall[g.Call] = g
	}
	if g := byCall["bind"]; g.Count != 5 || g.Danger != "" || g.Suggestion != "- action: allow\n  names:\n  - bind # seen 5 times, errno: /usr/sbin/nginx\n" {
		t.Errorf("%+v", g)
	}
	if g := byCall["ptrace"]; g.Danger == "" || g.Class != "killed" || g.First != now.Add(-time.Hour).UnixMilli() {
		t.Errorf("%+v", g)
	}
	if got := u.Suggestions["/usr/sbin/nginx"]; strings.Contains(got, "ptrace") || !strings.Contains(got, "bind") {
		t.Errorf("for the program: %s", got)
	}
	// Only what has changed since; time passes.
	now = now.Add(step)
	s.add(violation("/usr/sbin/nginx", "bind", abi.Errno, 1, now))
	u, _, _, _ = s.since(revision2, events2)
	if len(u.Groups) != 1 || u.Groups[0].Count != 6 || len(u.Recent) != 1 || u.Reset || u.Timeline[buckets-2].Denied != 3 {
		t.Errorf("%+v", u)
	}
	if _, err := policy.Parse("x", []byte("version: 1\ndefault_action: errno(EPERM)\nsyscalls:\n"+u.Groups[0].Suggestion)); err != nil {
		t.Error(err)
	}
}

// TestBounds: ever new programs and a flood of events take no more room, and are
// counted.
func TestBounds(t *testing.T) {
	now := time.Unix(100000, 0)
	s := newState(abi.AMD64, func() time.Time { return now })
	_, _, events, _ := s.since(0, 0)
	const n = MaxGroups + 70
	for i := range n {
		s.add(violation(fmt.Sprintf("/p%d", i), "bind", abi.Errno, 2, now))
	}
	if len(s.groups) > MaxGroups+10 || len(s.recent) > MaxRecent {
		t.Errorf("%d groups, %d events", len(s.groups), len(s.recent))
	}
	u, _, _, _ := s.since(1, events)
	total := 0
	for _, g := range u.Groups {
		total += g.Count
	}
	if u.Totals.Violations != 2*n || len(u.Recent)+u.Skipped != n {
		t.Errorf("%d violations, %d events and %d skipped", u.Totals.Violations, len(u.Recent), u.Skipped)
	}
	u, _, _, _ = s.since(0, 0)
	total = 0
	for _, g := range u.Groups {
		total += g.Count
		if g.Program == otherPrograms && (g.Count != 2*70 || g.Suggestion != "") {
			t.Errorf("%+v", g)
		}
	}
	if total != 2*n {
		t.Errorf("%d violations in groups, want %d", total, 2*n)
	}
	// A clock that goes back or jumps does no harm.
	for _, jump := range []time.Duration{-100 * step, 1000 * step} {
		now = now.Add(jump)
		s.add(violation("/p0", "bind", abi.Errno, 1, now))
		s.since(0, 0)
	}
}

// TestGuard: who may read.
func TestGuard(t *testing.T) {
	open := New(Options{Native: abi.AMD64}).Handler()
	const secret = "TOKEN"
	closed := New(Options{Native: abi.AMD64, Token: secret}).Handler()
	get := func(h http.Handler, method, target, host string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, nil)
		r.Host = host
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, tt := range []struct {
		name    string
		handler http.Handler
		method  string
		target  string
		host    string
		headers []string
		want    int
	}{
		{"loopback", open, "GET", "/", "127.0.0.1:80", nil, 200},
		{"localhost", open, "GET", "/", "LocalHost:1", nil, 200},
		{"loopback 6", open, "GET", "/", "[::1]:1", nil, 200},
		{"rebinding", open, "GET", "/", "evil.example:80", nil, 421},
		{"rebinding events", open, "GET", "/events", "evil.example", nil, 421},
		{"an address that is no loopback", open, "GET", "/", "10.0.0.1", nil, 421},
		{"another name of it", open, "GET", "/", "127.0.0.1.evil.example", nil, 421},
		{"no host", open, "GET", "/", "", nil, 421},
		{"another origin", open, "GET", "/", "127.0.0.1:80", []string{"Origin", "http://evil.example"}, 403},
		{"another port's page", open, "GET", "/", "127.0.0.1:80", []string{"Origin", "http://127.0.0.1:81"}, 403},
		{"embedded elsewhere", open, "GET", "/", "127.0.0.1:80", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"events for elsewhere", open, "GET", "/events", "127.0.0.1:80", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"a link from elsewhere", open, "GET", "/", "127.0.0.1:80", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200},
		{"a change", open, "POST", "/", "127.0.0.1:80", nil, 405},
		{"another path", open, "GET", "/x", "127.0.0.1:80", nil, 404},
		{"no token", closed, "GET", "/", "10.0.0.1:80", nil, 401},
		{"no token for events", closed, "GET", "/events", "10.0.0.1:80", nil, 401},
		{"a wrong token", closed, "GET", "/?token=TOKE", "10.0.0.1:80", nil, 401},
		{"the token", closed, "GET", "/?token=TOKEN", "10.0.0.1:80", nil, 303},
		{"the cookie", closed, "GET", "/", "10.0.0.1:80", []string{"Cookie", "sysgate-80=TOKEN"}, 200},
		{"a wrong cookie", closed, "GET", "/", "10.0.0.1:80", []string{"Cookie", "sysgate-80=TOKENN"}, 401},
		{"another port's cookie", closed, "GET", "/", "10.0.0.1:81", []string{"Cookie", "sysgate-80=TOKEN"}, 401},
	} {
		w := get(tt.handler, tt.method, tt.target, tt.host, tt.headers...)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, w.Code, tt.want, w.Body)
		}
		if w.Header().Get("X-Frame-Options") != "DENY" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", tt.name, w.Header())
		}
	}
	w := get(closed, "GET", "/?token=TOKEN", "10.0.0.1:80")
	if c := w.Header().Get("Set-Cookie"); w.Header().Get("Location") != "/" || !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Strict") {
		t.Errorf("%v", w.Header())
	}
	if a, b := NewToken(), NewToken(); a == b || len(a) < 20 {
		t.Errorf("tokens %q and %q", a, b)
	}
}

// TestPage: one file that loads nothing, with a policy that says so, and nothing of a
// program's choice as markup.
func TestPage(t *testing.T) {
	s := New(Options{Host: `web1<script>`, Native: abi.AMD64})
	e := violation(`/x"><img src=y onerror=alert(1)>`, "bind", abi.Errno, 1, time.Now())
	e.Process = &proc.Process{Args: []string{"<b>"}}
	s.Write(e)
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "localhost"
	s.Handler().ServeHTTP(w, r)
	body := w.Body.String()
	csp := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("%s", csp)
	}
	if strings.Contains(body, "<img") || strings.Count(body, "<script>") != 1 || !strings.Contains(body, "&lt;img") {
		t.Errorf("%s", body)
	}
	for _, external := range []string{"<script src", "@import", `href="http`, `src="http`, "url(http"} {
		if strings.Contains(body, external) {
			t.Errorf("loads something: %s", external)
		}
	}
	if strings.Contains(pageJS, "innerHTML") || strings.Contains(pageJS, "eval(") {
		t.Error("the script makes markup of text")
	}
}

// TestEvents reads the stream as a browser does.
func TestEvents(t *testing.T) {
	s := New(Options{Native: abi.AMD64})
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	s.Write(violation("/a", "bind", abi.Errno, 1, time.Now()))
	response, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%v", response.Header)
	}
	r := bufio.NewReader(response.Body)
	next := func() (u update) {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				if err := json.Unmarshal([]byte(data), &u); err != nil {
					t.Fatal(err)
				}
				return u
			}
		}
	}
	if u := next(); !u.Reset || len(u.Groups) != 1 {
		t.Errorf("first: %+v", u)
	}
	s.Write(violation("/b", "bind", abi.Errno, 4, time.Now()))
	u := next()
	for len(u.Groups) == 0 {
		u = next()
	}
	if u.Reset || len(u.Groups) != 1 || u.Groups[0].Program != "/b" || u.Groups[0].Count != 4 {
		t.Errorf("then: %+v", u)
	}
	// Too many readers are told so, and those that went away make room.
	var others []io.Closer
	for range maxClients - 1 {
		other, err := http.Get(server.URL + "/events")
		if err != nil || other.StatusCode != 200 {
			t.Fatal(err)
		}
		others = append(others, other.Body)
	}
	last, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	last.Body.Close()
	if last.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("reader %d: %d", maxClients+1, last.StatusCode)
	}
	for _, other := range others {
		other.Close()
	}
	for range 500 {
		if s.clients.Load() == 1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d readers, though all but one went away", s.clients.Load())
}
