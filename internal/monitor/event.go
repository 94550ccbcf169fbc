package monitor

import (
	"time"

	"github.com/sysgate/sysgate/internal/audit"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proc"
)

// An Event is an event of the audit system with what is known of its process.
type Event struct {
	audit.Event
	Process *proc.Process // nil: it was gone, or it is not of this machine
}

// fresh is how old a record may be for its process to be looked for: process IDs
// are used again.
const fresh = 10 * time.Second

// young is how long what was read about a process is taken for what it is: a flood is
// one process's, and reading takes some 100 µs.
const young = time.Second

// An Enricher finds out what a record does not say. It is for one goroutine.
type Enricher struct {
	Root  string // "/proc"; "": its numbers are not those of records, and no process is looked at
	Host  string // this machine's name: IDs of another's records get no names
	Users proc.Users
	Cache *proc.Cache // of processes that may have ended; nil: none

	latest *proc.Process // that was read last, at a time
	read   time.Time
}

// names adds the names of IDs that a record of this machine does not have.
func (e *Enricher) names(v *observe.Violation) {
	if e == nil || v.Host != "" && v.Host != e.Host {
		return
	}
	for _, name := range []struct {
		to *string
		of func(uint32) string
		id uint32
	}{{&v.User, e.Users.User, v.UID}, {&v.Group, e.Users.Group, v.GID}, {&v.LoginUser, e.Users.User, v.LoginUID}} {
		if *name.to == "" {
			*name.to = name.of(name.id)
		}
	}
}

// process returns the process of v if it is still there, or was within the last second.
// It is for what is written, not for what is counted.
func (e *Enricher) process(v *observe.Violation) *proc.Process {
	if e == nil || e.Root == "" || v.Host != "" && v.Host != e.Host {
		return nil
	}
	if v.Time.IsZero() || time.Since(v.Time) > fresh || v.PID <= 0 {
		return nil
	}
	now := time.Now()
	if p := e.latest; p != nil && p.PID == v.PID && now.Sub(e.read) < young && isOf(p, v) {
		return p
	}
	if p, err := proc.Read(e.Root, v.PID); err == nil && !p.Dead && isOf(p, v) {
		e.latest, e.read = p, now
		return p
	}
	if p := e.Cache.Lookup(v.PID); p != nil && isOf(p, v) {
		return p
	}
	return nil // gone, or another one has its number
}

// isOf reports whether p can have made v's call, as far as its names say. A thread
// can have a name of its own; in a container the path differs. Of one that ended at once
// only what it had from its parent is known.
func isOf(p *proc.Process, v *observe.Violation) bool {
	return v.Exe == "" || p.Exe == v.Exe || p.Name == v.Comm || p.Dead && p.Name == ""
}
