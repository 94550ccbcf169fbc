package refine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// AdmitList returns the list of calls data, called source ([ParseList] reads it), with
// the names of calls that were seen and that it does not have, each below a line with
// its evidence. All lines stay as they are; where the list is one name a line in
// alphabetical order, it stays so, else new names come at its end. What is dangerous, or
// has an action of its own in the list, is set apart unless accept takes its call; a
// number without a name cannot be listed. It establishes that the new list means the
// calls of the old one and those that were admitted, and no others. The change has no
// policy.
func AdmitList(source string, data []byte, seen []Seen, accept func(call string) bool) (text []byte, c *Change, err error) {
	items, err := ParseList(source, string(data))
	if err != nil {
		return nil, nil, err
	}
	c = &Change{}
	decided := map[string]string{} // what an entry of the list says, by name
	for _, item := range items {
		if item.Action != nil && item.Action.Kind != abi.Allow {
			names, _ := Names([]Item{item}, abi.All()...)
			for _, name := range names {
				decided[name] = item.Name + ":" + item.Action.String()
			}
		}
	}
	has := func(items []Item, s Seen) bool {
		names, _ := Names(items, s.ABI)
		return slices.Contains(names, s.Name)
	}
	var added []Seen
	for _, s := range seen {
		v := Verdict{Seen: s}
		switch {
		case s.ABI == abi.None || s.Name == "":
			v.Why = "a list has names, and no table has one for it"
			c.Never = append(c.Never, v)
			continue
		case decided[s.Name] != "":
			v.Why = "the list decides it: " + decided[s.Name]
		case has(items, s):
			c.Already = append(c.Already, v)
			continue
		default:
			v.Why = Danger(s.Name)
		}
		if v.Why != "" {
			if !accept(s.Call(abi.None)) && !accept(s.Name) || decided[s.Name] != "" {
				c.Apart = append(c.Apart, v)
				continue
			}
			v.Why = "accepted, though " + v.Why
		}
		c.Admitted = append(c.Admitted, v)
		if i := slices.IndexFunc(added, func(one Seen) bool { return one.Name == s.Name }); i >= 0 {
			added[i].Merge(&s) // the same name by another ABI
		} else {
			s.Programs, s.Actions = slices.Clone(s.Programs), slices.Clone(s.Actions)
			added = append(added, s)
		}
	}
	if text, err = insertNames(source, data, added); err != nil {
		return nil, nil, err
	}
	return text, c, sameList(source, items, text, added)
}

// insertNames puts the names of calls into a list.
func insertNames(source string, data []byte, added []Seen) ([]byte, error) {
	if len(added) == 0 {
		return data, nil
	}
	slices.SortFunc(added, func(a, b Seen) int { return strings.Compare(a.Name, b.Name) })
	lines := bytes.SplitAfter(data, []byte("\n"))
	if n := len(lines); len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	}
	end := "\n"
	if len(lines) > 0 && bytes.HasSuffix(lines[0], []byte("\r\n")) {
		end = "\r\n"
	}
	names := make([]string, len(lines)) // of each line, "" where it has none
	ordered, last := true, ""
	for i, line := range lines {
		items, err := ParseList(source, string(line))
		if err != nil {
			return nil, err // not for a list that was read as a whole
		}
		if len(items) > 0 {
			ordered = ordered && len(items) == 1 && items[0].Name >= last
			names[i], last = items[0].Name, items[0].Name
		}
	}
	at := map[int][]Seen{} // what comes before a line
	for _, s := range added {
		place := len(lines)
		if ordered {
			place = placeOf(names, s.Name)
		}
		at[place] = append(at[place], s)
	}
	var out bytes.Buffer
	for i := range len(lines) + 1 {
		for _, s := range at[i] {
			out.WriteString("# " + s.Evidence() + end + s.Name + end)
		}
		if i < len(lines) {
			out.Write(lines[i])
			if !bytes.HasSuffix(lines[i], []byte("\n")) {
				out.WriteString(end)
			}
		}
	}
	return out.Bytes(), nil
}

// placeOf returns the line that name comes before: that behind the last smaller name, so
// that comments stay with the name below them; the first name's where there is none.
func placeOf(names []string, name string) int {
	first, place := len(names), -1
	for i, n := range names {
		if n == "" {
			continue
		}
		first = min(first, i)
		if n < name {
			place = i + 1
		}
	}
	if place < 0 {
		return first
	}
	return place
}

// sameList returns an error unless text is a list of what items mean and of the calls
// that were added.
func sameList(source string, items []Item, text []byte, added []Seen) error {
	now, err := ParseList(source, string(text))
	if err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	want := slices.Clone(items)
	for _, s := range added {
		want = append(want, Item{Name: s.Name})
	}
	for _, a := range abi.All() {
		before, _ := Names(want, a)
		after, _ := Names(now, a)
		if !slices.Equal(before, after) {
			return fmt.Errorf("%w: the list means other calls of %v", ErrNotExact, a)
		}
	}
	return nil
}
