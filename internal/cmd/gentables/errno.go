package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// secondErrnos are the second names of a number where one has two.
var secondErrnos = []string{"EDEADLOCK", "EFSBADCRC", "EFSCORRUPTED", "ENOTSUP", "EWOULDBLOCK"}

// emitErrnos writes the errno names, and for each number the names that it has,
// the first first.
func emitErrnos(out *source, errnos constants) {
	errnos.emit(out, "errnos")
	type reverse struct {
		number, name, abis uint16
		second             bool
		text               string
	}
	var all []reverse
	for i, name := range slices.Sorted(maps.Keys(errnos)) {
		for _, v := range errnos[name] {
			all = append(all, reverse{uint16(v.value), uint16(i), v.abis << 1, slices.Contains(secondErrnos, name), name})
		}
	}
	slices.SortFunc(all, func(a, b reverse) int {
		second := 0
		if a.second != b.second {
			second = -1
			if a.second {
				second = 1
			}
		}
		return cmp.Or(cmp.Compare(a.number, b.number), second, strings.Compare(a.text, b.text))
	})
	var numbers, names, sets []uint16
	for _, r := range all {
		numbers, names, sets = append(numbers, r.number), append(names, r.name), append(sets, r.abis)
	}
	out.printf("var errnoNumbers = ")
	uints(out, "uint16", numbers)
	out.printf("\n\nvar errnoNames = ")
	uints(out, "uint16", names)
	out.printf("\n\nvar errnoABIs = ")
	uints(out, "uint16", sets)
	out.printf("\n")
}
