package monitor

import (
	"cmp"
	"slices"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/observe"
)

// maxKinds bounds how many kinds of violations are counted at a time. When there
// are more, all counts are written early.
const maxKinds = 4096

// A kind is what violations have in common that are counted together.
type kind struct {
	host, program string
	uid           uint32
	arch, nr      uint32
	action        abi.Action
}

func kindOf(v *observe.Violation) kind {
	program := v.Exe
	if program == "" {
		program = v.Comm
	}
	return kind{v.Host, program, v.UID, v.Arch, v.NR, v.Action}
}

// An aggregator passes on the first violation of a kind, and counts those that
// follow within a window into one. The counts of all that it passes on add up to
// those that it was given.
type aggregator struct {
	window time.Duration // 0: nothing is counted together
	enrich *Enricher
	kinds  map[kind]*counted
	ticked time.Time // when add last looked for windows that have ended
}

// counted is the violations of a kind since the last that was passed on.
type counted struct {
	until time.Time
	more  Event // the first of them, with their count; no violation: none yet
}

// event returns v with its process.
func (a *aggregator) event(v *observe.Violation) Event {
	return Event{Event: audit.Event{Violation: v}, Process: a.enrich.process(v)}
}

// add takes a violation at a time and returns what is to be written.
func (a *aggregator) add(v *observe.Violation, now time.Time) []Event {
	if a.window <= 0 {
		return []Event{a.event(v)}
	}
	var out []Event
	if now.Sub(a.ticked) >= a.window/8 || now.Before(a.ticked) {
		a.ticked = now
		out = a.tick(now)
	}
	k := kindOf(v)
	c, ok := a.kinds[k]
	switch {
	case !ok:
		if len(a.kinds) >= maxKinds {
			out = append(out, a.flush()...)
		}
		if a.kinds == nil {
			a.kinds = map[kind]*counted{}
		}
		a.kinds[k] = &counted{until: now.Add(a.window)}
		return append(out, a.event(v))
	case c.more.Violation == nil:
		first := *v
		c.more = a.event(&first)
	default:
		merge(c.more.Violation, v)
	}
	return out
}

// merge counts a later violation of the same kind to sum.
func merge(sum, v *observe.Violation) {
	sum.Count += v.Count
	sum.Ended = sum.Ended || v.Ended
	sum.Last = v.Time
	if !v.Last.IsZero() {
		sum.Last = v.Last
	}
}

// tick returns the counts whose window has ended, and forgets kinds of which
// nothing more came.
func (a *aggregator) tick(now time.Time) []Event {
	var out []Event
	for k, c := range a.kinds {
		switch {
		case now.Before(c.until):
		case c.more.Violation == nil:
			delete(a.kinds, k)
		default:
			out = append(out, c.more)
			*c = counted{until: now.Add(a.window)}
		}
	}
	return byTime(out)
}

// flush returns all counts and forgets all kinds.
func (a *aggregator) flush() []Event {
	var out []Event
	for _, c := range a.kinds {
		if c.more.Violation != nil {
			out = append(out, c.more)
		}
	}
	a.kinds = nil
	return byTime(out)
}

func byTime(events []Event) []Event {
	slices.SortFunc(events, func(x, y Event) int {
		return cmp.Or(x.Violation.Time.Compare(y.Violation.Time), cmp.Compare(x.Violation.Serial, y.Violation.Serial))
	})
	return events
}
