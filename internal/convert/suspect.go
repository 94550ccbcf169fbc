package convert

import (
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// Suspects returns the formats that data, which Detect cannot tell, could be in, and
// what these have in common: two dialects share a syntax, or there is nothing in it
// that another file could not have.
func Suspects(data []byte) (what string, formats []string) {
	const most = 200 // lines that are looked at
	text := string(data)
	if strings.Contains(text, "\n# pseudo filter code start") || strings.HasPrefix(text, "#\n# pseudo filter code") {
		return "libseccomp's pseudo filter code, which is for people", nil
	}
	lines, minijail, snap := 0, 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if lines++; lines > most {
			break
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "@default", "@frequency", "@include", "@denylist":
			minijail++
			continue
		case "@unrestricted", "@complain":
			snap++
			continue
		}
		if name, _, ok := strings.Cut(line, ":"); ok {
			name, _, _ = strings.Cut(strings.TrimLeft(name, "{ "), "[")
			name, _, _ = strings.Cut(name, ",")
			if _, own := strings.CutPrefix(name, minijailARM); own || abi.Known(strings.TrimRight(name, "} ")) {
				minijail++
			}
		} else if abi.Known(strings.TrimPrefix(word, "~")) && !strings.ContainsAny(rest, "{(") {
			snap++
		}
	}
	switch {
	case minijail*2 > lines:
		return "a policy of minijail", []string{formatMinijailC.Name, formatMinijailPy.Name}
	case snap*2 > lines:
		return "a profile for snap-seccomp, or a list of calls", []string{formatSnap.Name}
	}
	return "", nil
}
