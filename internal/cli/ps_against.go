package cli

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/proc"
	"github.com/sysgate/sysgate/internal/source"
)

// How a process does under the policy that is declared for it.
const (
	stateEqual       = "equal"       // every call of every thread gets what the policy says: proved
	stateDrifted     = "drifted"     // some call does not
	stateUnprotected = "unprotected" // no thread is under seccomp
	stateUnknown     = "unknown"     // its filters could not be read or compared
	stateUndeclared  = "undeclared"  // it is under seccomp, and no policy is declared for it
)

// A inspected process is one with how it does.
type inspected struct {
	proc.Protected
	State       string
	Policy      string
	Differences []string // between its filters and the policy, or what else is wrong
}

// A checker compares the filters of processes with the policies that are declared.
// It remembers filters: most processes share theirs with others.
type checker struct {
	declared declared
	o        diffOptions
	source   source.Options

	mu    sync.Mutex
	known map[string]verdict // by policy and filters
}

type verdict struct {
	state       string
	differences []string
}

// check looks at those of all processes that a policy is declared for, and passes on
// the others that are under seccomp.
func (c *checker) check(all []proc.Protected) []inspected {
	var out []inspected
	for _, p := range all {
		switch name, ok := c.declared.of(&p.Process); {
		case ok && p.Mode <= 0:
			out = append(out, inspected{Protected: p, State: stateUnprotected, Policy: name})
		case ok && p.Mode == 1:
			out = append(out, inspected{Protected: p, State: stateDrifted, Policy: name, Differences: []string{"it is in strict mode, under no filter"}})
		case ok:
			out = append(out, inspected{Protected: p, Policy: name})
		case p.Mode > 0:
			out = append(out, inspected{Protected: p, State: stateUndeclared})
		}
	}
	// Most of the time goes by with waiting for threads to stop.
	next := make(chan *inspected)
	var workers sync.WaitGroup
	for range stopsAtOnce {
		workers.Go(func() {
			for one := range next {
				one.State, one.Differences = c.process(one.PID, one.Policy)
			}
		})
	}
	for i := range out {
		if out[i].State == "" {
			next <- &out[i]
		}
	}
	close(next)
	workers.Wait()
	return out
}

// stopsAtOnce is how many threads of the host are stopped at a time at most.
const stopsAtOnce = 8

// keptDifferences bounds what is kept of a policy that has nothing to do with a filter.
const keptDifferences = 200

// process looks at every thread: a filter belongs to one.
func (c *checker) process(pid int, policy string) (string, []string) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return stateUnknown, []string{err.Error()}
	}
	state := stateEqual
	var differences []string
	bare, threads := 0, 0
	for _, entry := range entries {
		tid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		filters, err := kernel.Filters(tid)
		if gone := (*kernel.DumpError)(nil); errors.As(err, &gone) && gone.Errno == syscall.ESRCH {
			continue
		}
		threads++
		var v verdict
		switch {
		case err != nil:
			v = verdict{stateUnknown, []string{err.Error()}}
		case len(filters) == 0:
			bare++
			continue
		default:
			v = c.compare(policy, filters)
		}
		if v.state == stateDrifted || state == stateEqual {
			state = v.state
		}
		for _, d := range v.differences {
			if !slices.Contains(differences, d) {
				differences = append(differences, d)
			}
		}
	}
	switch {
	case threads == 0:
		return stateUnknown, []string{"it ended meanwhile"}
	case bare == threads:
		return stateUnprotected, nil
	case bare > 0:
		state = stateDrifted
		differences = append(differences, fmt.Sprintf("%d of %d threads are under no filter", bare, threads))
	}
	return state, differences
}

// compare proves what filters do together equal to a policy, or says where they are not.
func (c *checker) compare(policy string, filters []bpf.Program) verdict {
	key := policy + "\x00" + filtersKey(filters)
	c.mu.Lock() // for the proof too: others mostly wait for the same one
	defer c.mu.Unlock()
	if v, ok := c.known[key]; ok {
		return v
	}
	v := c.prove(policy, filters)
	if c.known == nil || len(c.known) >= 4096 {
		c.known = map[string]verdict{}
	}
	c.known[key] = v
	return v
}

func (c *checker) prove(policy string, filters []bpf.Program) verdict {
	live, err := source.Stacked("live", filters, c.source)
	if err != nil {
		return verdict{stateUnknown, []string{err.Error()}}
	}
	want := c.declared[policy]
	d, err := compare(want, live, c.o)
	if err != nil {
		return verdict{stateUnknown, []string{err.Error()}}
	}
	if d.count() == 0 {
		return verdict{state: stateEqual}
	}
	v := verdict{state: stateDrifted}
	for i := range d.regions {
		if len(v.differences) == keptDifferences {
			v.differences = append(v.differences, fmt.Sprintf("and more: %d in all", d.count()))
			break
		}
		r := &d.regions[i]
		if r.ABI == abi.None && c.o.listedOnly {
			continue
		}
		a := actionABI(r)
		v.differences = append(v.differences, fmt.Sprintf("%s: declared %s, live %s", describeRegion(r, want.Native()), a.ActionString(r.A), a.ActionString(r.B)))
	}
	return v
}

func filtersKey(filters []bpf.Program) string {
	h := sha256.New()
	for _, f := range filters {
		_ = binary.Write(h, binary.LittleEndian, uint32(len(f)))
		_ = binary.Write(h, binary.LittleEndian, f)
	}
	return string(h.Sum(nil))
}
