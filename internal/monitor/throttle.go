package monitor

import (
	"fmt"
	"time"

	"github.com/sysgate/sysgate/internal/audit"
)

// A throttle lets so many events a second through. What is more is counted together,
// violations by kind, and released as there is room: the oldest first. The counts of
// all that it lets through add up to those that it was given.
type throttle struct {
	rate   int
	room   float64 // events that may pass at once
	filled time.Time

	kinds  map[kind]*Event // the violations in waiting, by what they have in common
	losses map[string]*Event
	queue  []*Event // all that waits

	beyond int   // violations of kinds, and ends of processes, for which there was no place
	unread int   // records that could not be read, beyond the one that waits
	last   error // of them
}

// add takes events and returns those that there is room for. What waits goes first.
func (t *throttle) add(events []Event, now time.Time) []Event {
	out := t.release(now)
	for _, e := range events {
		if len(t.queue) == 0 && t.take() {
			out = append(out, e)
			continue
		}
		t.hold(e)
	}
	return out
}

// release returns what there is room for by now.
func (t *throttle) release(now time.Time) []Event {
	if t.rate <= 0 {
		return nil
	}
	if t.filled.IsZero() {
		t.room = float64(t.rate)
	} else if passed := now.Sub(t.filled); passed > 0 {
		t.room = min(float64(t.rate), t.room+passed.Seconds()*float64(t.rate))
	}
	t.filled = now
	var out []Event
	for len(t.queue) > 0 && t.take() {
		out = append(out, t.next())
	}
	if len(t.queue) == 0 {
		out = append(out, t.summary()...)
	}
	return out
}

// take uses room for one event, if there is any.
func (t *throttle) take() bool {
	if t.room < 1 {
		return false
	}
	t.room--
	return true
}

// hold has an event wait, or counts it to one that waits.
func (t *throttle) hold(e Event) {
	v := e.Violation
	switch {
	case v != nil:
		k := kindOf(v)
		if first := t.kinds[k]; first != nil {
			merged := *first.Violation // the event may have been handed out before it came here
			merge(&merged, v)
			first.Violation = &merged
			return
		}
		if len(t.kinds) >= maxKinds {
			t.beyond += v.Count
			return
		}
		if t.kinds == nil {
			t.kinds = map[kind]*Event{}
		}
		t.kinds[k] = &e
	case e.Loss != nil:
		if first := t.losses[e.Loss.Reason]; first != nil {
			first.Loss = &audit.Loss{Reason: e.Loss.Reason, Records: sumKnown(first.Loss.Records, e.Loss.Records)}
			return
		}
		if t.losses == nil {
			t.losses = map[string]*Event{}
		}
		t.losses[e.Loss.Reason] = &e
	case e.Abend != nil && len(t.queue) >= 2*maxKinds:
		t.beyond++
		return
	case e.Problem != nil:
		if t.unread++; t.unread > 1 {
			t.last = e.Problem
			return
		}
	}
	t.queue = append(t.queue, &e)
}

// sumKnown adds numbers of records, of which 0 is an unknown one.
func sumKnown(a, b uint64) uint64 {
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// next takes the oldest event that waits.
func (t *throttle) next() Event {
	e := t.queue[0]
	t.queue = t.queue[1:]
	switch {
	case e.Violation != nil:
		delete(t.kinds, kindOf(e.Violation))
	case e.Loss != nil:
		delete(t.losses, e.Loss.Reason)
	case e.Problem != nil:
		if n := t.unread - 1; n > 0 {
			e.Problem = fmt.Errorf("%w; and %d more records, the last: %w", e.Problem, n, t.last)
		}
		t.unread, t.last = 0, nil
	}
	return *e
}

// summary says what there was no place for.
func (t *throttle) summary() []Event {
	if t.beyond == 0 {
		return nil
	}
	n := t.beyond
	t.beyond = 0
	return []Event{{Event: audit.Event{Loss: &audit.Loss{
		Records: uint64(n), Reason: fmt.Sprintf("they came faster than %[2]d events a second, of more than %[1]d kinds: they were counted, and not kept", maxKinds, t.rate),
	}}}}
}

// flush returns all that waits, whatever the rate.
func (t *throttle) flush() []Event {
	var out []Event
	for len(t.queue) > 0 {
		out = append(out, t.next())
	}
	return append(out, t.summary()...)
}
