package monitor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakeReceiver takes events while it is there.
type fakeReceiver struct {
	mu    sync.Mutex
	away  bool
	part  int // how many of a batch arrive before it fails
	got   []string
	calls int
}

func (r *fakeReceiver) Send(_ context.Context, events []Event) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	n := len(events)
	var err error
	if r.away {
		n, err = min(n, r.part), errors.New("away")
	}
	for _, e := range events[:n] {
		if e.Loss != nil {
			r.got = append(r.got, fmt.Sprintf("lost %d", e.Loss.Records))
		} else {
			r.got = append(r.got, fmt.Sprint(e.Violation.NR))
		}
	}
	return n, err
}

func (r *fakeReceiver) Close() error { return nil }

func (r *fakeReceiver) set(away bool, part int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away, r.part = away, part
}

func (r *fakeReceiver) list() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.got, " ")
}

// waitFor gives something a minute to come true.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// TestOutlet: a receiver that is away for a while misses nothing that there was room
// for, gets everything once and in order, and is told of the rest.
func TestOutlet(t *testing.T) {
	r := &fakeReceiver{away: true, part: 1}
	var mu sync.Mutex
	var said []string
	o := NewOutlet("test", r, OutletOptions{Queue: 4, Batch: 2, Pause: time.Millisecond, Say: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, text)
	}})
	r.set(true, 0)
	for i := range 7 {
		if err := o.Write(seen(uint32(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "an attempt", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.calls > 2 })
	if waiting, lost := o.State(); waiting != 4 || lost != 3 {
		t.Errorf("%d wait, %d lost; want 4 and 3", waiting, lost)
	}
	r.set(true, 1) // a part of each batch arrives
	waitFor(t, "a part", func() bool { return r.list() != "" })
	r.set(false, 0)
	waitFor(t, "all", func() bool { waiting, _ := o.State(); return waiting == 0 })
	err := o.Close(t.Context())
	if err == nil || err.Error() != "test: not delivered: 3 events" {
		t.Errorf("close: %v", err)
	}
	// The report comes first in a batch; which one depends on when it was lost.
	got := strings.Fields(strings.ReplaceAll(r.list(), "lost ", "lost"))
	var events []string
	reports := 0
	for _, g := range got {
		if strings.HasPrefix(g, "lost") {
			reports++
			continue
		}
		events = append(events, g)
	}
	if strings.Join(events, " ") != "0 1 2 3" || reports == 0 {
		t.Errorf("arrived: %s", r.list())
	}
	mu.Lock()
	defer mu.Unlock()
	if len(said) != 2 || !strings.Contains(said[0], "away") || !strings.Contains(said[1], "again") {
		t.Errorf("said: %q", said)
	}
}

// TestOutletWaits: what there is room for waits as long as it takes.
func TestOutletWaits(t *testing.T) {
	r := &fakeReceiver{away: true}
	o := NewOutlet("test", r, OutletOptions{Pause: time.Millisecond})
	o.Write(seen(1, 1))
	waitFor(t, "many attempts", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.calls > 20 })
	o.Write(seen(2, 1))
	r.set(false, 0)
	if err := o.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := r.list(); got != "1 2" {
		t.Errorf("arrived: %s", got)
	}
}

// TestOutletEnds: closing does not wait for a receiver that does not come back.
func TestOutletEnds(t *testing.T) {
	r := &fakeReceiver{away: true}
	o := NewOutlet("test", r, OutletOptions{Pause: time.Hour})
	o.Write(seen(1, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := o.Close(ctx); err == nil || !strings.Contains(err.Error(), "not delivered: 1 event") {
		t.Errorf("%v", err)
	}
	if err := NewOutlet("test", r, OutletOptions{}).Close(t.Context()); err != nil {
		t.Errorf("nothing written: %v", err)
	}
}

// TestOutletRejected: what a receiver will never take is not sent again, and counts
// as lost.
func TestOutletRejected(t *testing.T) {
	calls := 0
	o := NewOutlet("test", senderFunc(func(events []Event) (int, error) {
		if calls++; calls == 1 {
			return len(events), fmt.Errorf("wrapped: %w", &RejectedError{Events: 1, Reason: "too old"})
		}
		if len(events) != 1 || events[0].Loss == nil {
			t.Errorf("sent again: %+v", events)
		}
		return len(events), nil
	}), OutletOptions{})
	o.Write(seen(1, 1))
	if err := o.Close(t.Context()); err == nil || err.Error() != "test: not delivered: 1 event" {
		t.Errorf("%v", err)
	}
	if calls != 2 {
		t.Errorf("%d calls, want 2: the event, and the report", calls)
	}
	// One that takes nothing is not told of it for ever.
	o = NewOutlet("test", senderFunc(func(events []Event) (int, error) {
		return len(events), &RejectedError{Events: uint64(len(events)), Reason: "no"}
	}), OutletOptions{})
	for i := range 5 {
		o.Write(seen(uint32(i), 1))
	}
	if err := o.Close(t.Context()); err == nil || err.Error() != "test: not delivered: 5 events" {
		t.Errorf("%v", err)
	}
	// One is refused, and those behind it are not.
	var got []uint32
	o = NewOutlet("test", senderFunc(func(events []Event) (int, error) {
		for i, e := range events {
			if e.Loss == nil && e.Violation.NR == 2 {
				return i + 1, &RejectedError{Events: 1, Reason: "too long"}
			}
			if e.Violation != nil {
				got = append(got, e.Violation.NR)
			}
		}
		return len(events), nil
	}), OutletOptions{})
	for i := range 5 {
		o.Write(seen(uint32(i), 1))
	}
	if err := o.Close(t.Context()); err == nil || err.Error() != "test: not delivered: 1 event" || fmt.Sprint(got) != "[0 1 3 4]" {
		t.Errorf("%v, arrived: %v", err, got)
	}
}

type senderFunc func([]Event) (int, error)

func (f senderFunc) Send(_ context.Context, events []Event) (int, error) { return f(events) }
func (f senderFunc) Close() error                                        { return nil }
