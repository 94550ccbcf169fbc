package record

import (
	"bufio"
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// A File is a recording of another tool.
type File struct {
	Name string
	Data []byte
}

// An importer reads what one tool writes.
type importer struct {
	name       string
	recognizes func(line string) bool
	read       func(c *imported, lines []string)
}

// importers are tried in this order on the first lines of a file.
func importers() []importer {
	return []importer{
		{"strace -c", isCountHead, readCounts},
		{"perf trace -s", isPerfSummary, readPerfSummary},
		{"perf trace", isPerfTrace, readPerfTrace},
		{"strace", isStrace, readStrace},
	}
}

// looked is how many lines of a file are looked at to see which tool it is from: a
// program's own output may come first.
const looked = 200

// Recognizes reports whether data is a recording of another tool that [Import]
// reads.
func Recognizes(data []byte) bool {
	_, ok := importerOf(splitLines(data))
	return ok
}

func importerOf(lines []string) (importer, bool) {
	for _, line := range lines[:min(looked, len(lines))] {
		for _, i := range importers() {
			if i.recognizes(line) {
				return i, true
			}
		}
	}
	return importer{}, false
}

func splitLines(data []byte) []string {
	var lines []string
	in := bufio.NewScanner(bytes.NewReader(data))
	in.Buffer(nil, len(data)+1)
	for in.Scan() {
		lines = append(lines, strings.TrimRight(in.Text(), "\r"))
	}
	return lines
}

// Import reads recordings of other tools, each as a run of its own; those that
// "strace -ff" wrote, one a process, are one run. native is the ABI of calls of which
// a recording does not say it. What a file leaves open is in the run's doubts. The
// error says which file none of the tools wrote.
func Import(files []File, native abi.ABI) ([]*observe.Run, error) {
	var runs []*imported
	for _, f := range files {
		lines := splitLines(f.Data)
		tool, ok := importerOf(lines)
		if !ok {
			return nil, fmt.Errorf("%s: not of strace or perf trace", f.Name)
		}
		source := f.Name
		if tool.name == "strace" {
			source = familyOf(f.Name, files)
		}
		i := slices.IndexFunc(runs, func(c *imported) bool { return c.run.Source == source && c.run.Recorder == tool.name })
		if i < 0 || source == f.Name {
			i = len(runs)
			runs = append(runs, &imported{run: &observe.Run{Source: source, Recorder: tool.name}, native: native, unknown: map[string]int{}})
		}
		tool.read(runs[i], lines)
	}
	var all []*observe.Run
	for _, c := range runs {
		all = append(all, c.finish())
	}
	return all, nil
}

var processSuffix = regexp.MustCompile(`\.[0-9]+$`)

// familyOf returns the name that a file of "strace -ff -o NAME" has before the number
// of its process, if there are others; else its own.
func familyOf(name string, files []File) string {
	family := processSuffix.ReplaceAllString(name, "")
	if family == name || filepath.Base(family) == "" {
		return name
	}
	for _, f := range files {
		if f.Name != name && f.Name != family && processSuffix.ReplaceAllString(f.Name, "") == family {
			return family
		}
	}
	return name
}

// An imported run is one that is being read.
type imported struct {
	run     *observe.Run
	native  abi.ABI
	tally   observe.Tally
	unknown map[string]int // names that no table has
	guessed bool           // an ABI was taken from a name
}

// doubt notes what the recording leaves open, once.
func (c *imported) doubt(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(c.run.Doubts, text) {
		c.run.Doubts = append(c.run.Doubts, text)
	}
}

// noExit notes that a table has no calls that do not return, if it has none.
func (c *imported) noExit() {
	for _, m := range c.tally.Calls() {
		if m.Name == "exit_group" {
			return
		}
	}
	c.doubt("the table has no calls that do not return: programs need exit_group and exit (--allow exit_group,exit)")
}

func (c *imported) finish() *observe.Run {
	for _, name := range sortedKeys(c.unknown) {
		c.doubt("%s: no call of this name is known (%d times)", name, c.unknown[name])
	}
	if c.guessed {
		c.doubt("calls that %v does not have are taken for those of its other ABIs; of calls that both have, the recording does not say", c.native)
	}
	c.run.Calls = c.tally.Calls()
	return c.run
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// resolve returns the calls that a name is for on a, or on the ABI that has it beside
// a. A name of a sub-call stands for its multiplexer too: strace shows both alike.
func (c *imported) resolve(a abi.ABI, name string) (on abi.ABI, numbers []uint32) {
	for _, candidate := range append([]abi.ABI{a}, c.native.Compat()...) {
		if nr, ok := candidate.Lookup(name); ok {
			numbers = append(numbers, nr)
		}
		if mux, _, ok := candidate.Multiplexed(name); ok {
			numbers = append(numbers, mux)
		}
		if len(numbers) > 0 {
			c.guessed = c.guessed || candidate != a
			return candidate, numbers
		}
	}
	return a, nil
}

// add counts n calls by name. args returns the arguments on the ABI, ok false if they
// are not all known; nil: none is.
func (c *imported) add(a abi.ABI, name string, n uint64, args func(a abi.ABI, nr uint32) (values [6]uint64, ok bool)) {
	on, numbers := c.resolve(a, name)
	if len(numbers) == 0 {
		c.unknown[name]++
		return
	}
	for _, nr := range numbers {
		c.addNumber(on, nr, name, n, args)
	}
}

func (c *imported) addNumber(a abi.ABI, nr uint32, name string, n uint64, args func(abi.ABI, uint32) ([6]uint64, bool)) {
	m, _ := c.tally.Call(a, nr)
	m.Count += n
	if mux, sub, ok := a.Multiplexed(name); ok && mux == nr {
		c.tally.AddValue(a, nr, [6]uint64{sub}, n)
		return
	}
	if _, modes := observe.Modes(a, nr); !modes {
		return
	}
	if args != nil {
		if values, ok := args(a, nr); ok {
			c.tally.AddValue(a, nr, values, n)
			return
		}
	}
	m.Open = true
}
