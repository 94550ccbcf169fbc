package policy

import (
	"embed"
	"slices"
	"strings"
	"sync"

	"github.com/sysgate/sysgate/abi"
)

//go:embed sets/*.txt
var setFiles embed.FS

// knownSet has no members in its file: it is every call of the release that the
// policy's version fixes.
const knownSet = "@systemd/known"

// A setText is a set as its file has it.
type setText struct {
	description string
	members     []string // names, and other sets in full
	patterns    []string // calls with conditions
}

// Set returns the names of the calls in a named set without conditions, other sets
// that it holds included, sorted: Set("@systemd/network-io"). Names are those of
// any ABI; one ABI has only some of them. ok is false if there is no such set, or
// if it has conditions (see [SetPatterns]). The caller owns the slice.
func Set(name string) (members []string, ok bool) {
	sets := allSets()
	direct, ok := sets[name]
	switch {
	case !ok || len(direct.patterns) > 0:
		return nil, false
	case name == knownSet:
		return knownNames(), true
	}
	seen := map[string]bool{name: true}
	for left := direct.members; len(left) > 0; {
		m := left[0]
		left = left[1:]
		if seen[m] {
			continue
		}
		seen[m] = true
		if isSet(m) {
			left = append(slices.Clone(left), sets[m].members...)
			continue
		}
		members = append(members, m)
	}
	slices.Sort(members)
	return members, true
}

// SetPatterns returns the calls of a named set, with conditions or without, each
// of which says that it is the set's: what a rule means that lists the set under
// names. The caller owns the slice.
func SetPatterns(name string) (patterns []Pattern, ok bool) {
	set, ok := allSets()[name]
	if !ok {
		return nil, false
	}
	names := slices.Clone(set.members)
	if len(set.patterns) == 0 {
		names, _ = Set(name)
	}
	for _, n := range names {
		patterns = append(patterns, Pattern{Name: n, Set: name})
	}
	for _, text := range set.patterns {
		p, bad := parsePattern(text)
		if bad != nil { // which a test rules out
			return nil, false
		}
		p.Set = name
		for i := range p.Conditions {
			p.Conditions[i].Pos = Pos{}
		}
		patterns = append(patterns, p)
	}
	return patterns, true
}

// SetNames returns the names of all sets without conditions, sorted.
func SetNames() []string { return setNames(false) }

// PatternSetNames returns the names of all sets with conditions, sorted.
func PatternSetNames() []string { return setNames(true) }

func setNames(conditions bool) []string {
	var names []string
	for name, set := range allSets() {
		if len(set.patterns) > 0 == conditions {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// SetDescription says in a few words what is in a set, "" if there is none.
func SetDescription(name string) string { return allSets()[name].description }

// hasConditions reports whether name is a set with conditions.
func hasConditions(name string) bool { return len(allSets()[name].patterns) > 0 }

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

// allSets is the embedded files: the direct members of each set. A file NAME.txt
// has the sets "@NAME/…", baselines.txt those without a namespace. Nothing is
// parsed until a policy uses a set.
var allSets = sync.OnceValue(func() map[string]setText {
	sets := make(map[string]setText)
	files, err := setFiles.ReadDir("sets")
	if err != nil {
		return nil
	}
	for _, f := range files {
		data, err := setFiles.ReadFile("sets/" + f.Name())
		if err != nil {
			return nil
		}
		prefix := "@" + strings.TrimSuffix(f.Name(), ".txt") + "/"
		if prefix == "@baselines/" {
			prefix = "@"
		}
		current := ""
		for line := range strings.Lines(string(data)) {
			line = strings.TrimRight(line, "\n")
			switch {
			case strings.HasPrefix(line, "@"):
				name, description, _ := strings.Cut(line, " ")
				current = prefix + name[1:]
				sets[current] = setText{description: description}
			case strings.HasPrefix(line, "  : "):
				set := sets[current]
				set.patterns = append(set.patterns, line[len("  : "):])
				sets[current] = set
			case strings.HasPrefix(line, " "):
				set := sets[current]
				for _, m := range strings.Fields(line) {
					if isSet(m) {
						m = prefix + m[1:]
					}
					set.members = append(set.members, m)
				}
				sets[current] = set
			}
		}
	}
	return sets
})
