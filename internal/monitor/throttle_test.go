package monitor

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/observe"
)

func seen(nr uint32, count int) Event {
	v := &observe.Violation{Arch: abi.AMD64.AuditArch(), ABI: abi.AMD64, NR: nr, Name: abi.AMD64.SyscallName(nr), Action: abi.Errno, Comm: "x", Exe: "/x", Count: count, Time: time.Unix(1, 0)}
	return Event{Event: audit.Event{Violation: v}}
}

// TestThrottle lets the rate through at once, and the rest as one event a kind, the
// oldest first, when there is room: nothing is left out.
func TestThrottle(t *testing.T) {
	th := throttle{rate: 2}
	now := time.Unix(100, 0)
	var lines []string
	write := func(events []Event) {
		for _, e := range events {
			switch {
			case e.Violation != nil:
				lines = append(lines, fmt.Sprintf("%s %d", e.Violation.Name, e.Violation.Count))
			case e.Loss != nil:
				lines = append(lines, fmt.Sprintf("lost %d", e.Loss.Records))
			case e.Problem != nil:
				lines = append(lines, e.Problem.Error())
			}
		}
	}
	held := seen(49, 1)
	write(th.add([]Event{seen(1, 1), seen(1, 1), held, seen(2, 3), seen(49, 4)}, now))
	lost := func(n uint64) Event {
		return Event{Event: audit.Event{Loss: &audit.Loss{Records: n, Reason: "gaps"}}}
	}
	unread := func(text string) Event { return Event{Event: audit.Event{Problem: errors.New(text)}} }
	write(th.add([]Event{lost(2), lost(3), unread("a"), unread("b"), unread("c")}, now))
	if got := strings.Join(lines, ", "); got != "write 1, write 1" {
		t.Fatalf("at once: %s", got)
	}
	if held.Violation.Count != 1 {
		t.Error("an event was changed that others may have")
	}
	write(th.release(now.Add(time.Second)))
	write(th.release(now.Add(time.Second))) // no time has passed
	if got := strings.Join(lines[2:], ", "); got != "bind 5, open 3" {
		t.Fatalf("after a second: %s", got)
	}
	write(th.flush())
	if got := strings.Join(lines[4:], ", "); got != "lost 5, a; and 2 more records, the last: c" {
		t.Errorf("at the end: %s", got)
	}
}

// TestThrottleBound holds what waits to a bound, and says what did not.
func TestThrottleBound(t *testing.T) {
	th := throttle{rate: 1}
	total, now := 0, time.Unix(100, 0)
	count := func(events []Event) {
		for _, e := range events {
			switch {
			case e.Violation != nil:
				total += e.Violation.Count
			case e.Loss != nil:
				total += int(e.Loss.Records)
			}
		}
	}
	const n = 3 * maxKinds
	for i := range n {
		count(th.add([]Event{seen(uint32(1000+i), 2)}, now))
	}
	if len(th.queue) > maxKinds {
		t.Errorf("%d events wait", len(th.queue))
	}
	count(th.flush())
	if total != 2*n {
		t.Errorf("%d violations of %d", total, 2*n)
	}
}

// TestRate runs a monitor with a rate over a log: the counts add up.
func TestRate(t *testing.T) {
	var log strings.Builder
	for i := range 500 {
		log.WriteString(record(i, i+1, 49+i%3, "/x", 0) + "\n")
	}
	var events []Event
	_, summary := monitored(t, log.String(), Options{Rate: 5}, func(io.Writer) Sink {
		return sinkFunc(func(e Event) error { events = append(events, e); return nil })
	})
	total := 0
	for _, e := range events {
		total += e.Violation.Count
	}
	if total != 500 || summary.Violations != 500 || len(events) > 20 {
		t.Errorf("%d violations in %d events, summary %+v", total, len(events), summary)
	}
}

type sinkFunc func(Event) error

func (f sinkFunc) Write(e Event) error { return f(e) }
