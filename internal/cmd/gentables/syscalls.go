package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A call is one line of a table of numbers.
type call struct {
	nr    uint32
	name  string
	since uint16 // major<<8 | minor, 0: since before the records begin
}

// A table is the calls of one table of numbers, ascending, and what its other
// names denote.
type table struct {
	calls   []call
	aliases map[string]string // alias: real name
}

// number returns the number that name denotes: of two, the last.
func (t *table) number(name string) (uint32, bool) {
	for _, c := range slices.Backward(t.calls) {
		if c.name == name {
			return c.nr, true
		}
	}
	return 0, false
}

// syscalls is everything known of numbers and names.
type syscalls struct {
	latest uint16
	tables map[string]*table
	groups [][]string
	muxes  []mux
}

// A mux is a call that carries others, on some tables.
type mux struct {
	name   string
	tables []string
	subs   []sub
}

type sub struct {
	nr   uint8
	name string
}

func readSyscalls(in inputs) (*syscalls, error) {
	s := &syscalls{tables: map[string]*table{}}
	for _, name := range tableNames() {
		t, err := readTable(in, "syscalls/"+name+".txt")
		if err != nil {
			return nil, err
		}
		s.tables[name] = t
	}
	for _, read := range []func(inputs) error{s.readLatest, s.readAliases, s.readGroups, s.readMuxes} {
		if err := read(in); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readLatest reads the release that the tables are current to.
func (s *syscalls) readLatest(in inputs) error {
	lines, err := in.lines("release.txt")
	if err != nil {
		return err
	}
	if len(lines) != 1 || len(lines[0].fields) != 1 {
		return fmt.Errorf("release.txt: want one line, MAJOR.MINOR")
	}
	s.latest, err = parseRelease(lines[0].fields[0])
	return err
}

// readTable reads lines "NUMBER NAME [MAJOR.MINOR]".
func readTable(in inputs, file string) (*table, error) {
	lines, err := in.lines(file)
	if err != nil {
		return nil, err
	}
	t := &table{aliases: map[string]string{}}
	for _, l := range lines {
		if len(l.fields) != 2 && len(l.fields) != 3 {
			return nil, l.errorf("want NUMBER NAME [MAJOR.MINOR]")
		}
		nr, err := strconv.ParseUint(l.fields[0], 0, 32)
		if err != nil {
			return nil, l.errorf("number: %w", err)
		}
		c := call{nr: uint32(nr), name: l.fields[1]}
		if len(l.fields) == 3 {
			if c.since, err = parseRelease(l.fields[2]); err != nil {
				return nil, l.errorf("%w", err)
			}
		}
		if n := len(t.calls); n > 0 && t.calls[n-1].nr >= c.nr {
			return nil, l.errorf("number %d does not follow %d", c.nr, t.calls[n-1].nr)
		}
		t.calls = append(t.calls, c)
	}
	return t, nil
}

func parseRelease(s string) (uint16, error) {
	major, minor, _ := strings.Cut(s, ".")
	a, errA := strconv.ParseUint(major, 10, 8)
	b, errB := strconv.ParseUint(minor, 10, 8)
	if errA != nil || errB != nil || a == 0 {
		return 0, fmt.Errorf("release %q: want MAJOR.MINOR", s)
	}
	return uint16(a<<8 | b), nil
}

// readAliases reads lines "ALIAS NAME...".
func (s *syscalls) readAliases(in inputs) error {
	lines, err := in.lines("aliases.txt")
	if err != nil {
		return err
	}
	for _, l := range lines {
		used := false
		for _, t := range s.tables {
			if _, real := t.number(l.fields[0]); real {
				continue
			}
			for _, name := range l.fields[1:] {
				if _, ok := t.number(name); ok {
					if t.aliases[l.fields[0]] != "" {
						return l.errorf("%s is listed twice", l.fields[0])
					}
					t.aliases[l.fields[0]] = name
					used = true
					break
				}
			}
		}
		if !used {
			return l.errorf("%s denotes nothing anywhere", l.fields[0])
		}
	}
	return nil
}

// readGroups reads one group of names a line.
func (s *syscalls) readGroups(in inputs) error {
	lines, err := in.lines("groups.txt")
	if err != nil {
		return err
	}
	names := s.names()
	seen := map[string]bool{}
	for _, l := range lines {
		for _, n := range l.fields {
			if _, ok := slices.BinarySearch(names, n); !ok || seen[n] {
				return l.errorf("%s is no call, or in two groups", n)
			}
			seen[n] = true
		}
		s.groups = append(s.groups, slices.Sorted(slices.Values(l.fields)))
	}
	return nil
}

// readMuxes reads lines "MULTIPLEXER TABLE...", each with lines "SUB NAME" below.
func (s *syscalls) readMuxes(in inputs) error {
	lines, err := in.lines("multiplexers.txt")
	if err != nil {
		return err
	}
	names := s.names()
	for _, l := range lines {
		nr, notNumber := strconv.ParseUint(l.fields[0], 10, 8)
		if notNumber != nil {
			m := mux{name: l.fields[0], tables: l.fields[1:]}
			if err := checkTables(m.tables); err != nil {
				return l.errorf("%w", err)
			}
			for _, t := range m.tables {
				if _, ok := s.tables[t].number(m.name); !ok {
					return l.errorf("%s has no call %s", t, m.name)
				}
			}
			s.muxes = append(s.muxes, m)
			continue
		}
		if len(s.muxes) == 0 || len(l.fields) != 2 {
			return l.errorf("want SUB NAME below a multiplexer")
		}
		if _, ok := slices.BinarySearch(names, l.fields[1]); !ok {
			return l.errorf("no ABI has %s", l.fields[1])
		}
		m := &s.muxes[len(s.muxes)-1]
		m.subs = append(m.subs, sub{uint8(nr), l.fields[1]})
	}
	return nil
}

// names returns every name of every table, aliases included, sorted.
func (s *syscalls) names() []string {
	set := map[string]bool{}
	for _, t := range s.tables {
		for _, c := range t.calls {
			set[c.name] = true
		}
		for alias := range t.aliases {
			set[alias] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
