package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/monitor"
)

// Options say what a page is about. The zero value, with Native, is for a server that
// listens on a loopback address.
type Options struct {
	Host   string  // that is monitored
	Native abi.ABI // calls through it are written without it
	Token  string  // that a request has to know; "": none, and the host that it names must be a loopback address

	now func() time.Time // nil: time.Now
}

// A Server keeps what the page shows, and serves it.
type Server struct {
	o       Options
	state   *state
	clients atomic.Int64
}

// New returns a server of nothing yet.
func New(o Options) *Server {
	if o.now == nil {
		o.now = time.Now
	}
	return &Server{o: o, state: newState(o.Native, o.now)}
}

// Write takes an event. It implements [monitor.Sink], and never fails.
func (s *Server) Write(e monitor.Event) error {
	s.state.add(e)
	return nil
}

// Handler returns what serves the page at "/".
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /events", s.events)
	return s.guard(mux)
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// policy returns the Content-Security-Policy of the page: its own script and style,
// known by their hashes, and its own events; nothing else is loaded or run.
func contentPolicy() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + hash(pageJS) + "; style-src " + hash(pageCSS) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	all, _, _, _ := s.state.since(0, 0)
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Host": s.o.Host, "CSS": template.CSS(pageCSS), "JS": template.JS(pageJS), "Groups": all.Groups, "Totals": all.Totals,
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", contentPolicy())
	_, _ = b.WriteTo(w) // a reader that went away misses nothing
}

const (
	pace       = 250 * time.Millisecond // between two updates
	heartbeat  = 5 * time.Second        // the timeline moves, and a reader that is gone is noticed
	maxClients = 64
	patience   = 10 * time.Second // for a reader to take an update
)

// events sends updates until the reader goes away.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if s.clients.Add(1) > maxClients {
		s.clients.Add(-1)
		http.Error(w, "too many readers", http.StatusServiceUnavailable)
		return
	}
	defer s.clients.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	var revision, seen uint64
	for {
		u, upTo, events, changed := s.state.since(revision, seen)
		revision, seen = upTo, events
		data, err := json.Marshal(u)
		if err != nil {
			return
		}
		_ = out.SetWriteDeadline(time.Now().Add(patience)) // a writer without deadlines has none to keep
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(pace):
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-time.After(heartbeat):
		}
	}
}
