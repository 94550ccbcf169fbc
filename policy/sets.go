package policy

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/sysgate/sysgate/abi"
)

//go:embed sets/systemd.txt
var systemdText string

const (
	systemdPrefix = "@systemd/"
	knownSet      = systemdPrefix + "known"
)

// Set returns the names of the calls in a named set, other sets that it holds
// included, sorted: Set("@systemd/network-io"). Names are those of any ABI; one
// ABI has only some of them. ok is false if there is no such set. The caller owns
// the slice.
func Set(name string) (members []string, ok bool) {
	sets := systemdSets()
	direct, ok := sets[name]
	switch {
	case !ok:
		return nil, false
	case name == knownSet:
		return knownNames(), true
	}
	seen := map[string]bool{name: true}
	for len(direct) > 0 {
		m := direct[0]
		direct = direct[1:]
		if seen[m] {
			continue
		}
		seen[m] = true
		if isSet(m) {
			direct = append(slices.Clone(direct), sets[m]...)
			continue
		}
		members = append(members, m)
	}
	slices.Sort(members)
	return members, true
}

// SetNames returns the names of all sets, sorted.
func SetNames() []string {
	var names []string
	for name := range systemdSets() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// knownNames returns every call, of any ABI, of the release that policy version
// 1 fixes.
func knownNames() []string {
	var names []string
	for _, a := range abi.All() {
		for nr, name := range a.Syscalls() {
			if since, ok := a.Since(nr); ok && !kernelOfVersion1.Before(since) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// systemdSets is the embedded file: the direct members of each set. Nothing is
// parsed until a policy uses a set.
var systemdSets = sync.OnceValue(func() map[string][]string {
	sets := make(map[string][]string)
	current := ""
	for line := range strings.Lines(systemdText) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "@"):
			name, _, _ := strings.Cut(line, " ")
			current = systemdPrefix + name[1:]
			sets[current] = nil
		case strings.HasPrefix(line, " "):
			for _, m := range strings.Fields(line) {
				if isSet(m) {
					m = systemdPrefix + m[1:]
				}
				sets[current] = append(sets[current], m)
			}
		}
	}
	return sets
})
