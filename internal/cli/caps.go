package cli

import (
	"fmt"
	"os"
	"regexp"
	"strconv"

	"github.com/sysgate/sysgate/policy"
)

// programCaps returns the capabilities that a program which this process starts
// will have, for rules that depend on them (capabilities(7), "Transformation of
// capabilities during execve()"; capabilities that the program's own file grants
// are not counted).
func programCaps(keepPrivileges bool) ([]string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("find out the program's capabilities: %w", err)
	}
	sets := map[string]uint64{}
	for _, m := range capLine.FindAllSubmatch(status, -1) {
		if sets[string(m[1])], err = strconv.ParseUint(string(m[2]), 16, 64); err != nil {
			return nil, fmt.Errorf("find out the program's capabilities: %w", err)
		}
	}
	return capNames(capsAfterExec(sets, os.Geteuid() == 0, keepPrivileges)), nil
}

var capLine = regexp.MustCompile(`(?m)^Cap(Inh|Prm|Bnd|Amb):\s*([0-9a-f]+)$`)

func capsAfterExec(sets map[string]uint64, root, keepPrivileges bool) uint64 {
	if !root {
		return sets["Amb"]
	}
	caps := sets["Inh"] | sets["Bnd"]
	if !keepPrivileges { // no_new_privs: nothing that this process lacks
		caps &= sets["Prm"]
	}
	return caps
}

func capNames(set uint64) []string {
	var names []string
	for i, name := range policy.Capabilities() {
		if set>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return names
}
