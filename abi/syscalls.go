package abi

import (
	"iter"
	"slices"
)

// A table is the system calls of one ABI. Names are positions in syscallNames.
type table struct {
	numbers []uint32 // ascending, as the kernel reports them
	names   []uint16 // of each number
	since   []uint16 // of each number: major<<8 | minor of a release
	index   []uint16 // of each name, aliases included: 1 + position in numbers
	args    []uint16 // of each number: in argListStarts, 0 if unknown
}

// empty is the table of what is no ABI.
var empty table

func (a ABI) table() *table {
	if a == None || a >= numABIs {
		return &empty
	}
	return tables[a]
}

// position returns where in numbers the call with number nr stands.
func (t *table) position(nr uint32) (int, bool) { return slices.BinarySearch(t.numbers, nr) }

// named returns where in numbers the call that name denotes stands.
func (t *table) named(name string) (int, bool) {
	id, ok := syscallNames.find(name)
	if !ok || id >= len(t.index) || t.index[id] == 0 {
		return 0, false
	}
	return int(t.index[id]) - 1, true
}

// Lookup returns the number of the call that name denotes on a, as the kernel
// reports it: with the x32 bit or the MIPS base. Names are those of the kernel's
// headers without __NR_, and the aliases of tables/aliases.txt (newstat for
// stat); an alias never hides a real name. Of the x32 names that have two
// numbers, it is the one that x32 alone has; see [ABI.Numbers].
func (a ABI) Lookup(name string) (nr uint32, ok bool) {
	t := a.table()
	i, ok := t.named(name)
	if !ok {
		return 0, false
	}
	return t.numbers[i], true
}

// Numbers returns every number of the call that name denotes on a, ascending:
// two for the x32 calls that before Linux 5.4 could also be made by the number
// of the 64-bit call, else one or none.
func (a ABI) Numbers(name string) []uint32 {
	t := a.table()
	i, ok := t.named(name)
	if !ok {
		return nil
	}
	var numbers []uint32
	for j, id := range t.names {
		if id == t.names[i] {
			numbers = append(numbers, t.numbers[j])
		}
	}
	return numbers
}

// SyscallName returns the real name, never an alias, of the call with number nr
// on a, "" if there is none.
func (a ABI) SyscallName(nr uint32) string {
	t := a.table()
	i, ok := t.position(nr)
	if !ok {
		return ""
	}
	return syscallNames.at(int(t.names[i]))
}

// Aliases returns the other names that [ABI.Lookup] takes for number nr on a,
// sorted.
func (a ABI) Aliases(nr uint32) []string {
	t := a.table()
	var aliases []string
	for id, at := range t.index {
		if at == 0 || t.numbers[at-1] != nr {
			continue
		}
		if name := syscallNames.at(id); name != a.SyscallName(nr) {
			aliases = append(aliases, name)
		}
	}
	return aliases
}

// Syscalls returns the numbers and real names of a, by ascending number.
func (a ABI) Syscalls() iter.Seq2[uint32, string] {
	t := a.table()
	return func(yield func(uint32, string) bool) {
		for i, nr := range t.numbers {
			if !yield(nr, syscallNames.at(int(t.names[i]))) {
				return
			}
		}
	}
}

// Since returns the first release whose kernel serves number nr on a, with
// every option on. The zero Kernel means that the call is older than the
// records: 4.0 on 386, amd64, x32 and s390x, 4.15 on riscv64, 5.19 on loong64,
// 5.0 elsewhere. ok is false if the tables do not know the number.
func (a ABI) Since(nr uint32) (k Kernel, ok bool) {
	t := a.table()
	i, ok := t.position(nr)
	if !ok {
		return Kernel{}, false
	}
	return Kernel{uint8(t.since[i] >> 8), uint8(t.since[i])}, true
}

// Known reports whether name is a call, or an alias of one, on any ABI.
func Known(name string) bool {
	_, ok := syscallNames.find(name)
	return ok
}
