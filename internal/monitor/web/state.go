package web

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/monitor"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/refine"
)

// What is kept.
const (
	MaxGroups = 1000 // programs with one call and action each; further ones are counted together
	MaxRecent = 200

	buckets = 60
	step    = 30 * time.Second // of the timeline
)

// otherPrograms is the program of what there was no place for.
const otherPrograms = "(other programs)"

// A group is the violations of one program with the same call and action.
type group struct {
	ID         string `json:"id"`
	Program    string `json:"program"`
	Call       string `json:"call"`
	Action     string `json:"action"`
	Class      string `json:"class"`
	Count      int    `json:"count"`
	First      int64  `json:"first"` // milliseconds since 1970
	Last       int64  `json:"last"`
	User       string `json:"user,omitempty"`
	Where      string `json:"where,omitempty"`
	Command    string `json:"command,omitempty"`
	Danger     string `json:"danger,omitempty"` // why it is not to be admitted just so
	Suggestion string `json:"suggestion,omitempty"`

	revision uint64
	seen     refine.Seen
}

// An entry is one event of the list of the latest.
type entry struct {
	Time  int64  `json:"time"`
	Class string `json:"class"`
	Text  string `json:"text"`

	revision uint64
}

// A bucket is one step of the timeline.
type bucket struct {
	Killed int `json:"killed"`
	Denied int `json:"denied"`
	Logged int `json:"logged"`
}

// Totals are counts since the start.
type totals struct {
	Violations int    `json:"violations"`
	Killed     int    `json:"killed"`
	Denied     int    `json:"denied"`
	Logged     int    `json:"logged"`
	Lost       uint64 `json:"lost"`
	Losses     int    `json:"losses"`
	Unread     int    `json:"unread"`
}

// An update is what has changed since another one.
type update struct {
	Reset       bool              `json:"reset,omitempty"` // it is all there is
	Now         int64             `json:"now"`
	Started     int64             `json:"started"`
	Totals      totals            `json:"totals"`
	Groups      []group           `json:"groups,omitempty"`
	Suggestions map[string]string `json:"suggestions,omitempty"` // by program
	Recent      []entry           `json:"recent,omitempty"`
	Skipped     int               `json:"skipped,omitempty"` // events between two updates that are in no list
	Step        int64             `json:"step"`
	Timeline    []bucket          `json:"timeline"` // the last is now
}

// state is what the page shows.
type state struct {
	native abi.ABI
	now    func() time.Time

	mu       sync.Mutex
	started  time.Time
	revision uint64 // of the latest change
	changed  chan struct{}
	totals   totals
	groups   map[string]*group
	recent   []entry // the oldest first
	events   uint64  // that ever were in recent
	timeline [buckets]bucket
	newest   int64 // number of the step that the newest bucket is for
}

func newState(native abi.ABI, now func() time.Time) *state {
	return &state{native: native, now: now, started: now(), revision: 1, changed: make(chan struct{}), groups: map[string]*group{}, newest: now().UnixNano() / int64(step)}
}

// add takes an event.
func (s *state) add(e monitor.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	close(s.changed)
	s.changed = make(chan struct{})
	now := s.now()
	one := entry{Time: now.UnixMilli(), Class: "problem", Text: monitor.Line(e, s.native), revision: s.revision}
	switch {
	case e.Violation != nil:
		v := e.Violation
		one.Class = class(v)
		if !v.Time.IsZero() {
			one.Time = v.Time.UnixMilli()
		}
		s.count(v, now)
		s.group(e, one.Class, now)
	case e.Loss != nil:
		s.totals.Losses++
		s.totals.Lost += e.Loss.Records
	case e.Problem != nil:
		s.totals.Unread++
	}
	if len(s.recent) >= MaxRecent {
		s.recent = slices.Delete(s.recent, 0, 1)
	}
	s.recent = append(s.recent, one)
	s.events++
}

// class says what became of a call, in a word that has a color.
func class(v *observe.Violation) string {
	switch v.Action.Kind() {
	case abi.KillProcess, abi.KillThread:
		return "killed"
	case abi.Allow, abi.Log, abi.Trace, abi.UserNotify:
		return "logged"
	}
	return "denied"
}

func (s *state) count(v *observe.Violation, now time.Time) {
	s.totals.Violations += v.Count
	s.advance(now)
	place := buckets - 1 - int(min(max(s.newest-latest(v, now).UnixNano()/int64(step), 0), buckets))
	var counts bucket
	switch class(v) {
	case "killed":
		s.totals.Killed += v.Count
		counts.Killed = v.Count
	case "denied":
		s.totals.Denied += v.Count
		counts.Denied = v.Count
	default:
		s.totals.Logged += v.Count
		counts.Logged = v.Count
	}
	if place >= 0 {
		b := &s.timeline[place]
		b.Killed += counts.Killed
		b.Denied += counts.Denied
		b.Logged += counts.Logged
	}
}

// latest returns when the last of what v counts happened.
func latest(v *observe.Violation, now time.Time) time.Time {
	switch {
	case !v.Last.IsZero():
		return v.Last
	case !v.Time.IsZero():
		return v.Time
	}
	return now
}

// advance moves the timeline on to now.
func (s *state) advance(now time.Time) {
	newest := now.UnixNano() / int64(step)
	if steps := newest - s.newest; steps > 0 {
		kept := s.timeline[min(steps, buckets):]
		var moved [buckets]bucket
		copy(moved[:], kept)
		s.timeline, s.newest = moved, newest
	}
}

// group counts a violation to its group.
func (s *state) group(e monitor.Event, class string, now time.Time) {
	v := e.Violation
	program := v.Exe
	if program == "" {
		program = v.Comm
	}
	program = monitor.Printable(program)
	call := v.Call(s.native)
	action, _, _ := strings.Cut(v.Action.String(), "(")
	id := strings.Join([]string{program, call, action}, "\x00")
	g := s.groups[id]
	if g == nil && len(s.groups) >= MaxGroups {
		program, call = otherPrograms, "any call"
		id = strings.Join([]string{program, call, action}, "\x00")
		g = s.groups[id]
	}
	seen := refine.Gather([]*observe.Violation{v})[0]
	if g == nil {
		g = &group{ID: id, Program: program, Call: call, Action: action, Class: class, First: now.UnixMilli(), seen: seen}
		if !v.Time.IsZero() {
			g.First = v.Time.UnixMilli()
		}
		if program != otherPrograms {
			g.Danger = refine.Danger(v.Name)
		}
		s.groups[id] = g
	} else {
		g.seen.Merge(&seen)
	}
	g.revision = s.revision
	g.Count += v.Count
	g.Last = latest(v, now).UnixMilli()
	if program == otherPrograms {
		return
	}
	g.User = monitor.Printable(monitor.UserText(v.UID, v.User))
	if p := e.Process; p != nil {
		g.Command = monitor.Printable(p.Command())
		g.Where = strings.Join(monitor.Places(e), ", ")
	}
}

// since returns what has changed since a revision, 0 for all, the revision that it
// is up to, and a channel that is closed at the next change.
func (s *state) since(revision, events uint64) (u update, upTo, seen uint64, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.advance(now)
	u = update{
		Reset: revision == 0, Now: now.UnixMilli(), Started: s.started.UnixMilli(), Totals: s.totals,
		Step: step.Milliseconds(), Timeline: slices.Clone(s.timeline[:]), Suggestions: map[string]string{},
	}
	for _, g := range s.groups {
		if g.revision > revision {
			one := *g
			if g.Program != otherPrograms {
				one.Suggestion = refine.Suggest([]refine.Seen{g.seen}, s.native)
			}
			u.Groups = append(u.Groups, one)
			u.Suggestions[g.Program] = ""
		}
	}
	slices.SortFunc(u.Groups, func(a, b group) int { return cmp.Compare(a.ID, b.ID) })
	for program := range u.Suggestions {
		u.Suggestions[program] = s.suggestion(program)
	}
	for _, e := range s.recent {
		if e.revision > revision {
			u.Recent = append(u.Recent, e)
		}
	}
	if !u.Reset {
		u.Skipped = int(s.events-events) - len(u.Recent)
	}
	return u, s.revision, s.events, s.changed
}

// suggestion returns a rule for all calls of a program that are not set apart.
func (s *state) suggestion(program string) string {
	if program == otherPrograms {
		return ""
	}
	var all []refine.Seen
	for _, g := range s.groups {
		if g.Program != program || g.Danger != "" {
			continue
		}
		i := slices.IndexFunc(all, func(one refine.Seen) bool { return one.ABI == g.seen.ABI && one.NR == g.seen.NR })
		if i < 0 {
			one := g.seen
			one.Programs, one.Actions = slices.Clone(one.Programs), slices.Clone(one.Actions)
			all = append(all, one)
		} else {
			all[i].Merge(&g.seen)
		}
	}
	slices.SortFunc(all, func(a, b refine.Seen) int { return cmp.Or(cmp.Compare(a.ABI, b.ABI), cmp.Compare(a.NR, b.NR)) })
	return refine.Suggest(all, s.native)
}
