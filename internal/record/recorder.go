package record

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/launch"
	"github.com/sysgate/sysgate/internal/observe"
)

// A Target is what to record: a command, or a process that runs already.
type Target struct {
	Command launch.Command // Path is empty where PID is set
	PID     int
	// Filter returns the filter of the recorder notify: user_notify for the calls
	// that it is to hear of, allow for the launcher's own execve and for those that
	// are known. Based says that some are known, so that the recording is not all.
	Filter func(execve abi.Call) (bpf.Program, error)
	Based  bool
	// Guard is the arguments with which this program is supervise.RunGuard: it lets
	// the calls of what notify records go on when this process cannot. nil: none.
	Guard []string
	// Limit ends the recording, and the command, after a while; 0: none.
	Limit time.Duration
	// Say is told what a person who waits should know.
	Say func(format string, args ...any)
}

// attaches reports whether the target is a process that runs already.
func (t *Target) attaches() bool { return t.PID != 0 }

func (t *Target) say(format string, args ...any) {
	if t.Say != nil {
		t.Say(format, args...)
	}
}

// A Result is a recording.
type Result struct {
	Run    *observe.Run
	Status launch.Status // how the command ended; zero for a process that ran already
	Ended  bool          // by the limit
	Setup  time.Duration // from the call of Record to the program's first instruction
	Took   time.Duration // from there to the program's end; zero for a process that ran already
}

// A Recorder watches a program.
type Recorder interface {
	// Name is what --backend calls it.
	Name() string
	// Usable returns why it cannot record the target on this machine, nil if it
	// can. It starts nothing.
	Usable(t *Target) error
	// Record starts the target, or attaches to it, and returns when it and all that
	// it started have ended, when its limit is over, or when ctx ends, which lets
	// go of them. Signals that this process gets are passed on to a command.
	Record(ctx context.Context, t *Target) (*Result, error)
}

// ErrUnusable is wrapped by the error of [Choose]: no recorder works.
var ErrUnusable = errors.New("cannot record here")

// Choose returns the first recorder that can record t, in the order of
// [Recorders], and why it is that one. name asks for one of them, "" for none.
func Choose(name string, t *Target) (r Recorder, reason string, err error) {
	var not, names []string
	for _, r := range Recorders() {
		names = append(names, r.Name())
		if name != "" && name != r.Name() {
			continue
		}
		err := r.Usable(t)
		switch {
		case err != nil:
			not = append(not, fmt.Sprintf("%s: %v", r.Name(), err))
			continue
		case name != "":
			return r, "asked for", nil
		case len(not) > 0:
			return r, "because not " + strings.Join(not, ", and not "), nil
		}
		return r, "counts in the kernel, and loses nothing", nil
	}
	switch {
	case len(names) == 0:
		return nil, "", fmt.Errorf("%w: the system calls of programs can be watched on Linux alone", ErrUnusable)
	case len(not) == 0:
		return nil, "", fmt.Errorf("unknown recorder %q: one of %s", name, strings.Join(names, ", "))
	}
	return nil, "", fmt.Errorf("%w: %s", ErrUnusable, strings.Join(not, "; "))
}
