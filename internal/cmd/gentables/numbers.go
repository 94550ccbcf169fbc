package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// x32Bit is set in x32's numbers.
const x32Bit = 0x40000000

// firstCommon is where numbers begin that are the same on every ABI; x32 has
// them too.
const firstCommon = 424

// updateNumbers adds the numbers of x/sys that the tables lack; they came with
// its release. Numbers that x/sys lacks stay: older kernels serve them.
func updateNumbers(in inputs, x xsys) error {
	for _, name := range tableNames() {
		file := "syscalls/" + name + ".txt"
		t, err := readTable(in, file)
		if err != nil {
			return err
		}
		numbers, err := x.tableNumbers(name)
		if err != nil {
			return err
		}
		added, err := t.add(numbers, x.release)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if !added {
			continue
		}
		if err := t.write(filepath.Join(in.dir, filepath.FromSlash(file))); err != nil {
			return err
		}
	}
	text := "# The release that the tables are current to.\n" + releaseString(x.release) + "\n"
	return os.WriteFile(filepath.Join(in.dir, "release.txt"), []byte(text), 0o644)
}

// tableNumbers returns the numbers that x/sys has for a table.
func (x xsys) tableNumbers(table string) (map[string]uint32, error) {
	if table != "x32" {
		i := slices.IndexFunc(abis, func(a abiID) bool { return a.table == table })
		return x.numbers(abis[i].goos)
	}
	all, err := x.numbers("amd64")
	if err != nil {
		return nil, err
	}
	common := map[string]uint32{}
	for name, nr := range all {
		if nr >= firstCommon {
			common[name] = nr | x32Bit
		}
	}
	return common, nil
}

// add adds the calls that t lacks, and reports whether there were any. A number
// that t has under another name is an error.
func (t *table) add(numbers map[string]uint32, release uint16) (added bool, err error) {
	names := map[uint32]string{}
	for _, c := range t.calls {
		names[c.nr] = c.name
	}
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		nr := numbers[name]
		switch old := names[nr]; {
		case old == name:
		case old != "":
			return false, fmt.Errorf("%d is %s here and %s in golang.org/x/sys", nr, old, name)
		default:
			t.calls = append(t.calls, call{nr, name, release})
			added = true
		}
	}
	slices.SortFunc(t.calls, func(a, b call) int { return cmp.Compare(a.nr, b.nr) })
	return added, nil
}

// write writes the table, under the comments that the file has.
func (t *table) write(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var text strings.Builder
	for l := range strings.Lines(string(old)) {
		if strings.HasPrefix(l, "#") {
			text.WriteString(l)
		}
	}
	for _, c := range t.calls {
		fmt.Fprintf(&text, "%d\t%s", c.nr, c.name)
		if c.since != 0 {
			text.WriteString("\t" + releaseString(c.since))
		}
		text.WriteByte('\n')
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

func releaseString(r uint16) string { return fmt.Sprintf("%d.%d", r>>8, r&0xff) }
