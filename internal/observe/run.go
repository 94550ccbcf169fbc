package observe

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
)

// A Run is what a program and all that it started were seen to call: from the
// program's first instruction to the last process's end, or while somebody
// watched. Other runs may make other calls.
type Run struct {
	Source   string    // the command line, or the file that somebody else's recording is in
	Recorder string    // "ebpf", "notify", "ptrace", "strace", …
	Start    time.Time // zero: not known
	Calls    []Made    // by ABI and number
	Lost     uint64    // calls that are not in Calls
	Doubts   []string  // what the recording leaves open
}

// Made is one system call of a run.
type Made struct {
	ABI   abi.ABI
	NR    uint32 // as the kernel reports it
	Name  string // canonical; empty for a number that no table has
	Count uint64 // how often, 0 where the recording does not say
	// Denied is how many of them a filter kept from happening.
	Denied uint64
	Exe    string  // that made it first; "" if not known
	Values []Value // of the arguments that [Modes] names, each combination once
	// Open reports that Values are not all: the arguments were not recorded, not
	// each time, or are too many.
	Open  bool
	Stack []string // of the first such call, the innermost function first
}

// A Value is one combination of the arguments that say what a call is.
type Value struct {
	Args  [6]uint64 // under the masks of [Modes]
	Count uint64    // 0: not known
}

// maxValues is how many combinations are kept of one call. One that has more is
// not told apart by them.
const maxValues = 64

// A Tally counts the calls of a run. The zero value is ready; it is for one
// goroutine.
type Tally struct {
	calls map[tallyKey]*tallied
}

type tallyKey struct {
	a  abi.ABI
	nr uint32
}

type tallied struct {
	Made
	values map[[6]uint64]uint64
	masks  [6]uint64
	modes  bool
}

// Call returns the entry of a call, to be counted, and whether it is new.
func (t *Tally) Call(a abi.ABI, nr uint32) (m *Made, isNew bool) {
	c, isNew := t.at(a, nr)
	return &c.Made, isNew
}

func (t *Tally) at(a abi.ABI, nr uint32) (c *tallied, isNew bool) {
	key := tallyKey{a, nr}
	c = t.calls[key]
	if c != nil {
		return c, false
	}
	c = &tallied{Made: Made{ABI: a, NR: nr, Name: a.SyscallName(nr)}}
	c.masks, c.modes = Modes(a, nr)
	if t.calls == nil {
		t.calls = map[tallyKey]*tallied{}
	}
	t.calls[key] = c
	return c, true
}

// Add counts n calls with arguments args, of which only those matter that say
// what the call is.
func (t *Tally) Add(a abi.ABI, nr uint32, args [6]uint64, n uint64) (m *Made, isNew bool) {
	c, isNew := t.at(a, nr)
	c.Count += n
	t.value(c, args, n)
	return &c.Made, isNew
}

// AddValue notes arguments of calls that Call counts.
func (t *Tally) AddValue(a abi.ABI, nr uint32, args [6]uint64, n uint64) {
	c, _ := t.at(a, nr)
	t.value(c, args, n)
}

func (t *Tally) value(c *tallied, args [6]uint64, n uint64) {
	if !c.modes || c.Open {
		return
	}
	for i := range args {
		args[i] &= c.masks[i]
	}
	if c.values == nil {
		c.values = map[[6]uint64]uint64{}
	}
	if _, ok := c.values[args]; !ok && len(c.values) == maxValues {
		c.Open, c.values = true, nil
		return
	}
	c.values[args] += n
}

// Calls returns what was counted, by ABI and number.
func (t *Tally) Calls() []Made {
	calls := make([]Made, 0, len(t.calls))
	for _, c := range t.calls {
		m := c.Made
		if m.Open = m.Open || c.modes && len(c.values) == 0; !m.Open {
			for args, n := range c.values {
				m.Values = append(m.Values, Value{args, n})
			}
			sortValues(m.Values)
		}
		calls = append(calls, m)
	}
	slices.SortFunc(calls, byNumber)
	return calls
}

func byNumber(a, b Made) int { return cmp.Or(cmp.Compare(a.ABI, b.ABI), cmp.Compare(a.NR, b.NR)) }

func sortValues(values []Value) {
	slices.SortFunc(values, func(a, b Value) int { return slices.Compare(a.Args[:], b.Args[:]) })
}

// Violations returns the calls of the run as evidence that package refine takes:
// each combination of arguments as a call of its own. Bits of Args that were not
// recorded are not in Known.
func (r *Run) Violations() []*Violation {
	var all []*Violation
	for _, c := range r.Calls {
		one := Violation{
			Time: r.Start, Arch: c.ABI.AuditArch(), NR: c.NR, ABI: c.ABI, Name: c.Name,
			Action: abi.Allow, Exe: c.Exe, Count: int(max(1, c.Count)), Doubts: r.Doubts,
			UID: Unset, GID: Unset, LoginUID: Unset, Session: Unset,
		}
		if c.Denied > 0 {
			one.Action = abi.Errno
		}
		if len(c.Values) == 0 {
			all = append(all, &one)
			continue
		}
		masks, _ := Modes(c.ABI, c.NR)
		for _, value := range c.Values {
			with := one
			with.Args, with.Known = &value.Args, &masks
			with.Count = int(max(1, value.Count))
			all = append(all, &with)
		}
	}
	return all
}

// Together is several runs, and what static analysis says of the program.
type Together struct {
	Runs    int
	Sources []string // of runs and profiles, each once
	Calls   []MadeOften
	Lost    uint64
	Doubts  []string
	Sound   bool // profiles are among the sources, and all of them sound
}

// MadeOften is a call of several runs.
type MadeOften struct {
	Made
	Runs int // that made it
	// Static is the evidence of a profile for it, "" if none has it.
	Static string
}

// Join puts runs together, and the profiles of the programs: what a profile has
// and no run made is in Calls with Runs 0.
func Join(runs []*Run, profiles []*Set) *Together {
	t := &Together{Runs: len(runs), Sound: len(profiles) > 0}
	at := map[tallyKey]int{}
	find := func(a abi.ABI, nr uint32, name string) *MadeOften {
		i, ok := at[tallyKey{a, nr}]
		if !ok {
			i = len(t.Calls)
			at[tallyKey{a, nr}] = i
			t.Calls = append(t.Calls, MadeOften{Made: Made{ABI: a, NR: nr, Name: name}})
		}
		return &t.Calls[i]
	}
	for _, r := range runs {
		t.Sources = addOnce(t.Sources, r.Source)
		t.Lost += r.Lost
		for _, d := range r.Doubts {
			t.Doubts = addOnce(t.Doubts, d)
		}
		for _, c := range r.Calls {
			m := find(c.ABI, c.NR, c.Name)
			m.Runs++
			m.add(c)
		}
	}
	for _, s := range profiles {
		for _, source := range s.Sources {
			t.Sources = addOnce(t.Sources, source)
		}
		t.Sound = t.Sound && s.Sound
		for _, c := range s.Calls {
			m := find(s.ABI, c.NR, c.Name)
			if m.Static == "" {
				m.Static = strings.TrimSpace(c.Class.String() + ": " + c.Evidence)
			}
		}
	}
	slices.SortFunc(t.Calls, func(a, b MadeOften) int { return byNumber(a.Made, b.Made) })
	return t
}

// add puts what another run made of the call to what there is.
func (m *MadeOften) add(c Made) {
	m.Count += c.Count
	m.Denied += c.Denied
	m.Open = m.Open || c.Open
	if m.Exe == "" {
		m.Exe = c.Exe
	}
	if m.Stack == nil {
		m.Stack = c.Stack
	}
	counts := map[[6]uint64]uint64{}
	for _, v := range slices.Concat(m.Values, c.Values) {
		counts[v.Args] += v.Count
	}
	m.Values = nil
	if m.Open = m.Open || len(counts) > maxValues; m.Open {
		return
	}
	for args, n := range counts {
		m.Values = append(m.Values, Value{args, n})
	}
	sortValues(m.Values)
}

func addOnce(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
