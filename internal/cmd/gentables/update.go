package main

import (
	"cmp"
	"fmt"
	"math/bits"
	"strings"
)

func onesCount(set uint16) int { return bits.OnesCount16(set) }
func lowest(set uint16) int    { return bits.TrailingZeros16(set) }

// update takes the facts of a version of golang.org/x/sys over.
func update(in inputs, version string) error {
	x, err := downloadXsys(version)
	if err != nil {
		return err
	}
	if err := updateNumbers(in, x); err != nil {
		return err
	}
	return updateConstants(in, x)
}

// updateConstants rewrites constants.txt and errno.txt.
func updateConstants(in inputs, x xsys) error {
	wanted, err := readFamilies(in)
	if err != nil {
		return err
	}
	arguments, errnos := constants{}, constants{}
	others := map[string]map[string]uint64{}
	for i, a := range abis {
		numbers := a.goos
		if a.name == "x32" {
			numbers = "amd64"
			others[a.name] = agreed(others["386"], others["amd64"])
		}
		errno, other, err := x.arguments(numbers)
		if err != nil {
			return err
		}
		for name, v := range errno {
			errnos.add(name, i, v)
		}
		if others[a.name] == nil {
			others[a.name] = other
		}
		for name, v := range others[a.name] {
			if wanted.match(name) {
				arguments.add(name, i, v)
			}
		}
	}
	header := "# From golang.org/x/sys " + x.version + " by gentables -update; corrections belong into constants-extra.txt.\n"
	if err := arguments.write(in.dir+"/constants.txt", header, strings.Compare); err != nil {
		return err
	}
	return errnos.write(in.dir+"/errno.txt", header, func(a, b string) int {
		return cmp.Or(cmp.Compare(errnos[a][0].value, errnos[b][0].value), strings.Compare(a, b))
	})
}

// agreed returns the constants on which 386 and amd64 agree: x32 has the
// registers of one and the structures of the other.
func agreed(a, b map[string]uint64) map[string]uint64 {
	both := map[string]uint64{}
	for name, v := range a {
		if w, ok := b[name]; ok && v == w {
			both[name] = v
		}
	}
	return both
}

func (c constants) add(name string, abi int, value uint64) {
	for i, v := range c[name] {
		if v.value == value {
			c[name][i].abis |= 1 << abi
			return
		}
	}
	c[name] = append(c[name], variant{1 << abi, value})
}

// families says which constants are wanted.
type families struct{ take, leave []string }

func readFamilies(in inputs) (families, error) {
	var f families
	lines, err := in.lines("families.txt")
	if err != nil {
		return f, err
	}
	for _, l := range lines {
		for _, p := range l.fields {
			if rest, ok := strings.CutPrefix(p, "-"); ok {
				f.leave = append(f.leave, rest)
			} else {
				f.take = append(f.take, p)
			}
		}
	}
	if len(f.take) == 0 {
		return f, fmt.Errorf("families.txt is empty")
	}
	return f, nil
}

func (f families) match(name string) bool { return matchAny(f.take, name) && !matchAny(f.leave, name) }

func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		whole, exact := strings.CutSuffix(p, "$")
		if exact && name == whole || !exact && strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
