package record

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sysgate/sysgate/internal/launch"
)

// patience is how long a program that is asked to end may take.
const patience = 5 * time.Second

// grace is how long what ends with the program may take until it is said to go on: a limit
// is over at once where the program took all of it.
const grace = 50 * time.Millisecond

// wait waits for the program's end; at the target's limit, or when ctx ends, it asks
// the program to end, and then kills it. late says that it was the limit.
func wait(ctx context.Context, t *Target, program *launch.Program) (status launch.Status, late bool, err error) {
	done := make(chan struct{})
	stopped := make(chan bool, 1)
	go func() { stopped <- stopAt(ctx, t, program, done) }()
	status, err = program.Wait()
	close(done)
	return status, <-stopped, err
}

// stopAt asks the program to end when its time is over, unless it is done first.
func stopAt(ctx context.Context, t *Target, program *launch.Program, done <-chan struct{}) (late bool) {
	var limit <-chan time.Time
	if t.Limit > 0 {
		limit = time.After(t.Limit)
	}
	select {
	case <-done:
		return false
	case <-ctx.Done():
	case <-limit:
		late = true
		t.say("the time is over: asking the program to end")
	}
	_ = program.Signal(syscall.SIGTERM) // if it cannot be reached it has ended
	select {
	case <-done:
	case <-time.After(patience):
		_ = program.Signal(syscall.SIGKILL)
	}
	return late
}

// restOf returns a context for the time after the program's end, or for a process
// that ran already: it ends with ctx, by the limit, or by a signal that asks this
// process to end.
func restOf(ctx context.Context, t *Target, result *Result) (context.Context, func()) {
	rest, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if t.Limit == 0 {
		return rest, stop
	}
	if !t.attaches() {
		// What the program left of its time.
		left := t.Limit - time.Since(result.Run.Start)
		limited, cancel := context.WithTimeout(rest, max(0, left))
		return limited, func() { cancel(); stop() }
	}
	limited, cancel := context.WithTimeout(rest, t.Limit)
	return limited, func() { cancel(); stop() }
}

// sayLeft says which processes go on after the program's end.
func (t *Target) sayLeft(tids []int) {
	t.say("the program has ended and left %s: recording goes on until they end; interrupt to stop it", strings.Join(processes(tids), ", "))
}
