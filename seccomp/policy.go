package seccomp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// Policy defines the BPF seccomp filter.
type Policy struct {
	DefaultAction Action         `config:"default_action" json:"default_action" yaml:"default_action"` // Action when no syscalls match.
	Syscalls      []SyscallGroup `config:"syscalls"       json:"syscalls"       yaml:"syscalls"`       // Groups of syscalls and actions.

	// BadArchAction is for calls of another architecture than the program's, such
	// as 386's from a program for amd64; nil is ActionKillProcess. go-seccomp-bpf
	// let them take the default action: point to that one for its rule.
	BadArchAction *Action `config:"bad_arch_action" json:"bad_arch_action,omitempty" yaml:"bad_arch_action,omitempty"`

	abi abi.ABI // None: GOARCH's; only tests name another
}

// SyscallGroup is a logical block within a Policy that contains a set of
// syscalls to match against and an action to take.
type SyscallGroup struct {
	Names              []string             `config:"names"  json:"names"  yaml:"names"`                              // List of syscall names (all must exist).
	NamesWithCondtions []NameWithConditions `config:"names_with_args" json:"names_with_args"  yaml:"names_with_args"` // List of syscall with argument filters
	Action             Action               `config:"action" validate:"required" json:"action" yaml:"action"`         // Action to take upon a match.

	abi abi.ABI // None: GOARCH's; only tests name another
}

// InitDefaults marks a policy that has nothing yet as one whose default action is
// missing, so that Validate refuses a configuration without it instead of reading
// it as 0, kill_thread. go-ucfg calls it before it unpacks.
func (p *Policy) InitDefaults() {
	if p.DefaultAction == 0 && len(p.Syscalls) == 0 {
		p.DefaultAction = missingAction
	}
}

// Validate validates that the configuration has both a default action and a
// set of syscalls, and that every action and condition says something. Assemble
// looks at the names. go-ucfg calls it when it has unpacked.
func (p *Policy) Validate() error {
	if err := p.validate(); err != nil {
		return err
	}
	var problems []string
	for i := range p.Syscalls {
		problems = append(problems, p.Syscalls[i].problems()...)
	}
	return join(problems)
}

// validate validates what is not in the groups.
func (p *Policy) validate() error {
	switch {
	case p.DefaultAction == missingAction:
		return errors.New("missing default_action")
	case !p.DefaultAction.valid():
		return fmt.Errorf("invalid default_action value %d", p.DefaultAction)
	case len(p.Syscalls) == 0:
		return errors.New("syscalls must not be empty")
	case p.BadArchAction != nil && !p.BadArchAction.valid():
		return fmt.Errorf("invalid bad_arch_action value %d", *p.BadArchAction)
	}
	return nil
}

// problems returns what is wrong with the group on every architecture.
func (g *SyscallGroup) problems() []string {
	var problems []string
	if !g.Action.valid() {
		problems = append(problems, fmt.Sprintf("invalid action value %d", g.Action))
	}
	for _, n := range g.NamesWithCondtions {
		for _, problem := range n.Conditions.problems() {
			problems = append(problems, n.Name+": "+problem)
		}
	}
	return problems
}

// join makes one error of problems, one a line; nil of none.
func join(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "\n"))
}
