package monitor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sysgate/sysgate/internal/audit"
)

// A Sender hands events to another program, which may be slow, or away.
type Sender interface {
	// Send hands over events, in order, and returns how many of them are done with. All
	// are if there is no error. With a [RejectedError] some of these were not taken;
	// after any other error the rest is sent again.
	Send(ctx context.Context, events []Event) (int, error)
	Close() error
}

// A RejectedError says that events arrived and were not taken, so that sending them
// again is in vain.
type RejectedError struct {
	Events uint64
	Reason string
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("rejected: %s: %s", eventCount(e.Events), e.Reason)
}

// OutletOptions say how an [Outlet] deals with a receiver that does not take
// events. Zero values are the defaults.
type OutletOptions struct {
	Queue int           // events that may wait: 8192
	Batch int           // that are sent together: 256
	Pause time.Duration // before a failed attempt is repeated, doubled each time up to 30 times as much: 1 s
	Say   func(string)  // is told when deliveries begin to fail, and when they work again
}

// An Outlet is a sink that gives its events to a [Sender] in a goroutine of its
// own: a receiver that is away holds nothing up. What waits is bounded; what has no
// place, or is rejected, is counted, and the receiver is told the number as soon as
// it listens again.
type Outlet struct {
	name string
	to   Sender
	o    OutletOptions

	ctx   context.Context // ends when nothing is to be tried any more
	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	filled  *sync.Cond
	queue   []Event
	closing bool
	lost    uint64 // events that were not delivered
	told    uint64 // of these, what the receiver knows of
}

// NewOutlet starts an outlet, which has to be closed.
func NewOutlet(name string, to Sender, o OutletOptions) *Outlet {
	if o.Queue <= 0 {
		o.Queue = 8192
	}
	if o.Batch <= 0 {
		o.Batch = 256
	}
	if o.Pause <= 0 {
		o.Pause = time.Second
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	out := &Outlet{name: name, to: to, o: o, ended: make(chan struct{})}
	out.filled = sync.NewCond(&out.mu)
	out.ctx, out.stop = context.WithCancel(context.Background())
	go out.run()
	return out
}

// Name returns what the outlet is called.
func (o *Outlet) Name() string { return o.name }

// Write puts an event into the queue. It never waits, and never fails.
func (o *Outlet) Write(e Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || len(o.queue) >= o.o.Queue {
		o.lost++
		return nil
	}
	o.queue = append(o.queue, e)
	o.filled.Signal()
	return nil
}

// State returns how many events wait, and how many were not delivered.
func (o *Outlet) State() (waiting int, lost uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue), o.lost
}

// Close delivers what waits, for as long as ctx lasts. The error says how many
// events were not delivered in the outlet's whole life.
func (o *Outlet) Close(ctx context.Context) error {
	o.mu.Lock()
	o.closing = true
	o.filled.Signal()
	o.mu.Unlock()
	select {
	case <-o.ended:
	case <-ctx.Done():
		o.stop()
		<-o.ended
	}
	o.stop()
	err := o.to.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	if lost := o.lost + uint64(len(o.queue)); lost > 0 {
		o.lost, o.queue = lost, nil
		return fmt.Errorf("%s: not delivered: %s", o.name, eventCount(lost))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	return nil
}

func (o *Outlet) run() {
	defer close(o.ended)
	for {
		batch, report := o.next()
		if len(batch) == 0 {
			return
		}
		o.deliver(batch, report)
	}
}

// next waits for events and returns the first of them, which stay in the queue; none
// when the outlet is closed and all is delivered. What was lost comes first, as an
// event that is in no queue; report is how many events that is about, or 0.
func (o *Outlet) next() (batch []Event, report uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) == 0 && !o.closing {
		o.filled.Wait()
	}
	if o.ctx.Err() != nil {
		return nil, 0
	}
	if report = o.lost - o.told; report > 0 {
		batch = append(batch, Event{Event: audit.Event{Loss: &audit.Loss{Records: report, Reason: o.name + " did not take events as fast as they came"}}})
	}
	return append(batch, o.queue[:min(len(o.queue), o.o.Batch)]...), report
}

// deliver tries until the batch is sent.
func (o *Outlet) deliver(batch []Event, report uint64) {
	failing := false
	pause := o.o.Pause
	for {
		n, err := o.to.Send(o.ctx, batch)
		batch = batch[n:]
		if n > 0 && report > 0 { // the first was no event
			o.take(0, 0, report)
			n, report = n-1, 0
		}
		var lost uint64
		rejected := (*RejectedError)(nil)
		if errors.As(err, &rejected) {
			lost = min(rejected.Events, uint64(n))
			o.o.Say(fmt.Sprintf("%s: %v", o.name, rejected))
		}
		o.take(n, lost, 0)
		if len(batch) == 0 {
			if failing {
				o.o.Say(o.name + ": events are delivered again")
			}
			return
		}
		if rejected != nil && n > 0 {
			continue
		}
		if !failing && o.ctx.Err() == nil {
			failing = true
			o.o.Say(fmt.Sprintf("%s: events wait for being delivered: %v", o.name, err))
		}
		select {
		case <-o.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 30*o.o.Pause)
	}
}

// take takes n events from the queue, and counts those that were lost, and those of
// whose loss the receiver knows now.
func (o *Outlet) take(n int, lost, told uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost += lost
	o.told += told
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
}

func eventCount(n uint64) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}
