package cli

import (
	"path"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// A program is one that the command line names.
type program struct {
	file  string // that is profiled
	name  string // in messages and reports
	label string // in a policy, where it says who makes a call: short, of one program
}

// programs returns the programs that the arguments name.
func (e *env) programs(args []string) []program {
	list := make([]program, len(args))
	for i, arg := range args {
		list[i] = program{file: arg, name: arg}
	}
	label(list)
	return list
}

// label gives each program a label: the last part of its name, all of it where
// several have the same.
func label(list []program) {
	count := map[string]int{}
	for _, p := range list {
		count[path.Base(p.name)]++
	}
	for i := range list {
		p := &list[i]
		if p.label = path.Base(p.name); count[p.label] > 1 {
			p.label = p.name
		}
	}
}

// runtimeABI returns the ABI by which a container runtime starts programs of the
// sets: the machine's own, where it runs them, else theirs.
func runtimeABI(sets []*observe.Set) abi.ABI {
	native := abi.Native()
	for _, s := range sets {
		if s.ABI != native && !slices.Contains(native.Compat(), s.ABI) {
			return sets[0].ABI
		}
	}
	return native
}
