package monitor

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sysgate/sysgate/internal/audit"
)

// A Source gives events: an [audit.Reader], or an [audit.Listener] with its
// context. It returns io.EOF at its end, and may return [audit.ErrIdle] meanwhile.
type Source func() (audit.Event, error)

// A Sink writes events. One that keeps some back has a method Flush() error too, which
// is called whenever no event waits to be written.
type Sink interface{ Write(Event) error }

// flush has w, a sink or a writer, write what it kept back.
func flush(w any) error {
	if f, ok := w.(interface{ Flush() error }); ok {
		return f.Flush()
	}
	return nil
}

// Options say what a monitor does. The zero value, with a Sink, writes every
// event.
type Options struct {
	Filter Filter
	Window time.Duration // violations that differ in nothing but time, process and address are counted together for as long; 0: each is written
	Live   bool          // windows go by the clock, and not by the records' times
	Rate   int           // events a second at most; what is more is counted together until there is room; 0: no limit
	Sink   Sink
	Seen   func(Event) // is told each event that passes the filter, before anything is counted together; nil: nobody
	Enrich *Enricher   // nil: with nothing
}

// A Summary is what a monitor has seen.
type Summary struct {
	Violations int    // that passed the filter
	Others     int    // that did not
	Lost       uint64 // records, as far as it is known how many
	Losses     int    // times that records were lost
	Problems   int    // records that could not be read
}

// tick is how often the loop looks whether something waits for nothing.
const tick = 100 * time.Millisecond

// lastTime is how long what a source has when ctx ends is taken for.
const lastTime = 3 * time.Second

// Run hands the events of a source to the sink until the source ends or ctx does.
// Neither is an error. What the source has by then is still taken, for some seconds at
// most.
func Run(ctx context.Context, source Source, o Options) (Summary, error) {
	m := &run{Options: o, counts: aggregator{window: o.Window, enrich: o.Enrich}, room: throttle{rate: o.Rate}}
	quit := make(chan struct{})
	defer close(quit)
	type item struct {
		event audit.Event
		err   error
	}
	items := make(chan item, 1024)
	go func() {
		defer close(items)
		for {
			e, err := source()
			if errors.Is(err, audit.ErrIdle) {
				select {
				case <-quit:
					return
				default:
					continue
				}
			}
			select {
			case items <- item{e, err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	done := ctx.Done()
	ended, quiet := false, 0  // whether ctx has, and ticks without an event since
	var last <-chan time.Time // after which nothing more is taken
	for {
		var err error
		end := false
		select {
		case i, ok := <-items:
			switch {
			case !ok || errors.Is(i.err, io.EOF) || errors.Is(i.err, context.Canceled) || i.err != nil && ctx.Err() != nil:
				end = true // a source may see the end of a context before those that come of it
			case i.err != nil:
				return m.summary, errors.Join(i.err, m.finish())
			default:
				quiet = 0
				err = m.take(m.join.Add(i.event))
			}
		case now := <-ticker.C:
			// A source that waits for its input may not see the end.
			if quiet++; ended && quiet > 2 {
				end = true
				break
			}
			if o.Live {
				err = errors.Join(m.take(m.join.Flush()), m.write(m.counts.tick(now)))
			}
			if err == nil {
				err = m.pass(m.room.release(now))
			}
		case <-done:
			done, ended, quiet, last = nil, true, 0, time.After(lastTime)
		case <-last:
			end = true
		}
		if end {
			return m.summary, m.finish()
		}
		if err == nil && len(items) == 0 {
			err = flush(m.Sink)
		}
		if err != nil {
			return m.summary, err
		}
	}
}

type run struct {
	Options
	join    audit.Joiner
	counts  aggregator
	room    throttle
	summary Summary
}

// take filters, enriches and counts.
func (m *run) take(events []audit.Event) error {
	for _, e := range events {
		out := []Event{{Event: e}}
		switch v := e.Violation; {
		case v != nil:
			m.Enrich.names(v)
			if !m.Filter.Match(v) {
				m.summary.Others += v.Count
				continue
			}
			m.summary.Violations += v.Count
			m.seen(e)
			now := v.Time
			if m.Live {
				now = time.Now()
			}
			out = m.counts.add(v, now)
		case e.Loss != nil:
			m.summary.Losses++
			m.summary.Lost += e.Loss.Records
			m.seen(e)
		case e.Problem != nil:
			m.summary.Problems++
			m.seen(e)
		default:
			m.seen(e)
		}
		if err := m.write(out); err != nil {
			return err
		}
	}
	return nil
}

func (m *run) seen(e audit.Event) {
	if m.Seen != nil {
		m.Seen(Event{Event: e})
	}
}

// write passes on what there is room for.
func (m *run) write(events []Event) error {
	if m.Rate > 0 && len(events) > 0 {
		events = m.room.add(events, time.Now())
	}
	return m.pass(events)
}

func (m *run) pass(events []Event) error {
	for _, e := range events {
		if err := m.Sink.Write(e); err != nil {
			return err
		}
	}
	return nil
}

// finish writes what still waits.
func (m *run) finish() error {
	return errors.Join(m.take(m.join.Flush()), m.write(m.counts.flush()), m.pass(m.room.flush()), flush(m.Sink))
}
