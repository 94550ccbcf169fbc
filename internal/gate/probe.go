package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/profile"
)

// A Probe is Go source that links the functions of Go's own packages that a
// program does, so that a build of it shows what they come to with another Go
// release.
type Probe struct {
	// Source is the file. Each function stands on a line of its own: those that a
	// release does not have are taken out by their line.
	Source string
	// Functions is how many there are.
	Functions int
}

// handsOn are the functions whose number their caller chooses: as values they
// could be for any call.
var handsOn = []string{"Syscall", "Syscall6", "RawSyscall", "RawSyscall6", "AllThreadsSyscall", "AllThreadsSyscall6", "SyscallN"}

// NewProbe returns the probe of a program that was profiled with
// [profile.Options.Inventory]. Packages that need a C compiler are left out.
func NewProbe(p *profile.Result) Probe {
	var imports, functions strings.Builder
	n := 0
	packages := make([]string, 0, len(p.Linked))
	for pkg := range p.Linked {
		packages = append(packages, pkg)
	}
	slices.Sort(packages)
	for i, pkg := range packages {
		if pkg == "plugin" || pkg == "runtime/cgo" || pkg == "unsafe" {
			continue
		}
		// A function that the release lacks must not leave the import unused.
		fmt.Fprintf(&imports, "import p%d %q\n", i, pkg)
		for _, f := range p.Linked[pkg] {
			if pkg == "syscall" && slices.Contains(handsOn, f) {
				continue
			}
			name, star := strings.CutPrefix(f, "(*")
			if star {
				fmt.Fprintf(&functions, "\t(*p%d.%s,\n", i, name)
			} else {
				fmt.Fprintf(&functions, "\tp%d.%s,\n", i, name)
			}
			n++
		}
	}
	source := "package main\n\n" + imports.String() + "\nvar linked []any\n\nfunc main() {\n\tlinked = []any{\n" + functions.String() + "\t}\n}\n"
	return Probe{source, n}
}
