package refine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// Seen is what evidence says of one call, by one ABI and with the same arguments
// where they are known.
type Seen struct {
	ABI      abi.ABI
	NR       uint32
	Name     string
	Args     *[6]uint64 // nil: not known
	Known    *[6]uint64 // the bits of Args that are known; nil: all
	Count    int
	Programs []string // sorted
	Actions  []string // sorted
	Last     time.Time

	arch uint32
}

// Gather puts violations together by call, sorted by ABI and number.
func Gather(violations []*observe.Violation) []Seen {
	type key struct {
		arch, nr uint32
		known    bool
		args     [6]uint64
		bits     [6]uint64
	}
	at := map[key]int{}
	var all []Seen
	for _, v := range violations {
		k := key{arch: v.Arch, nr: v.NR}
		if v.Args != nil {
			k.known, k.args = true, *v.Args
			if v.Known != nil {
				k.bits = *v.Known
			}
		}
		i, ok := at[k]
		if !ok {
			i = len(all)
			at[k] = i
			all = append(all, Seen{ABI: v.ABI, NR: v.NR, Name: v.Name, Args: v.Args, Known: v.Known, arch: v.Arch})
		}
		program := v.Exe
		if program == "" {
			program = v.Comm
		}
		action, _, _ := strings.Cut(v.Action.String(), "(")
		last := v.Time
		if v.Last.After(last) {
			last = v.Last
		}
		all[i].Merge(&Seen{Count: max(1, v.Count), Programs: []string{program}, Actions: []string{action}, Last: last})
	}
	slices.SortStableFunc(all, func(a, b Seen) int { return cmp.Or(cmp.Compare(a.ABI, b.ABI), cmp.Compare(a.NR, b.NR)) })
	return all
}

// Merge adds what was seen besides of the same call.
func (s *Seen) Merge(more *Seen) {
	s.Count += more.Count
	for _, program := range more.Programs {
		s.Programs = insert(s.Programs, program)
	}
	for _, action := range more.Actions {
		s.Actions = insert(s.Actions, action)
	}
	if more.Last.After(s.Last) {
		s.Last = more.Last
	}
}

// insert adds text to a sorted list that does not have it yet.
func insert(list []string, text string) []string {
	i, found := slices.BinarySearch(list, text)
	if found || text == "" {
		return list
	}
	return slices.Insert(list, i, text)
}

// Call returns the call in the notation of patterns, without arguments.
func (s *Seen) Call(native abi.ABI) string {
	v := observe.Violation{Arch: s.arch, NR: s.NR, ABI: s.ABI, Name: s.Name}
	return v.Call(native)
}

// Evidence returns one line: how often, with which actions, by which programs. That a
// recording let the call go on is no action.
func (s *Seen) Evidence() string {
	times := fmt.Sprintf("seen %d times", s.Count)
	if s.Count == 1 {
		times = "seen once"
	}
	text := times
	if !slices.Equal(s.Actions, []string{abi.Allow.String()}) {
		text += ", " + strings.Join(s.Actions, ", ")
	}
	const most = 3
	if n := len(s.Programs); n > most {
		text += fmt.Sprintf(": %s and %d more", clean(strings.Join(s.Programs[:most], ", ")), n-most)
	} else if n > 0 {
		text += ": " + clean(strings.Join(s.Programs, ", "))
	}
	return text
}

// clean keeps what programs choose to be called from ending a comment's line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}
