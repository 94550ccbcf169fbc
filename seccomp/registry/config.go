package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sysgate/sysgate/seccomp"
)

// A config is what the configuration says.
type config struct {
	enabled, required bool
	policy            *seccomp.Policy // nil: none is configured
}

// The types below are what a configuration is unpacked to: always new values,
// and pointers where a key that is missing must not be taken for a zero. Actions
// and operations are text, so that every library reads them alike.
type (
	document struct {
		Seccomp *section `config:"seccomp" json:"seccomp" yaml:"seccomp"`
	}
	section struct {
		Enabled       *bool   `config:"enabled" json:"enabled" yaml:"enabled"`
		Required      *bool   `config:"required" json:"required" yaml:"required"`
		DefaultAction *string `config:"default_action" json:"default_action" yaml:"default_action"`
		BadArchAction *string `config:"bad_arch_action" json:"bad_arch_action" yaml:"bad_arch_action"`
		Syscalls      []group `config:"syscalls" json:"syscalls" yaml:"syscalls"`
	}
	group struct {
		Action        *string     `config:"action" json:"action" yaml:"action"`
		Names         []string    `config:"names" json:"names" yaml:"names"`
		NamesWithArgs []namedCall `config:"names_with_args" json:"names_with_args" yaml:"names_with_args"`
	}
	namedCall struct {
		Name      *string     `config:"name" json:"name" yaml:"name"`
		Arguments []condition `config:"arguments" json:"arguments" yaml:"arguments"`
	}
	condition struct {
		Argument  *uint32 `config:"argument" json:"argument" yaml:"argument"`
		Position  *uint32 `config:"position" json:"position" yaml:"position"` // the same, in go-seccomp-bpf's JSON and YAML
		Operation *string `config:"operation" json:"operation" yaml:"operation"`
		Value     uint64  `config:"value" json:"value" yaml:"value"` // documented to be 0 if it is missing
	}
)

// decode reads the configuration.
func decode(unpack func(any) error) (*config, error) {
	c := &config{enabled: true}
	if unpack == nil {
		return c, nil
	}
	tree := map[string]any{}
	if err := unpack(&tree); err != nil {
		return nil, err
	}
	var s section
	if below, ok := tree["seccomp"]; ok {
		var d document
		if err := unpack(&d); err != nil {
			return nil, err
		}
		if d.Seccomp == nil {
			return c, nil // seccomp: null
		}
		s = *d.Seccomp
		tree, ok = mapping(below)
		if !ok {
			return nil, errors.New("expected a mapping accessing 'seccomp'")
		}
	} else if err := unpack(&s); err != nil {
		return nil, err
	}
	if err := errors.Join(unknownKeys("seccomp", tree, sectionKeys)...); err != nil {
		return nil, err
	}
	c.enabled = s.Enabled == nil || *s.Enabled
	c.required = s.Required != nil && *s.Required
	if c.required && !c.enabled {
		return nil, errors.New("enabled: false does not go with required: true accessing 'seccomp.enabled'")
	}
	if !c.enabled || s.DefaultAction == nil && s.BadArchAction == nil && s.Syscalls == nil {
		return c, nil
	}
	var p problems
	c.policy = p.policy("seccomp", s)
	if err := errors.Join(p...); err != nil {
		return nil, err
	}
	if err := check(c.policy); err != nil {
		return nil, err
	}
	return c, nil
}

// problems are what is wrong with a configuration, in the words of go-ucfg.
type problems []error

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, fmt.Errorf(format+" accessing '%s'", append(args, path)...))
}

func (p *problems) missing(path string) { p.add(path, "missing required field") }

func (p *problems) policy(path string, s section) *seccomp.Policy {
	out := &seccomp.Policy{DefaultAction: p.action(path+".default_action", s.DefaultAction)}
	if s.BadArchAction != nil {
		action := p.action(path+".bad_arch_action", s.BadArchAction)
		out.BadArchAction = &action
	}
	if len(s.Syscalls) == 0 {
		p.missing(path + ".syscalls")
	}
	for i, g := range s.Syscalls {
		out.Syscalls = append(out.Syscalls, p.group(fmt.Sprintf("%s.syscalls.%d", path, i), g))
	}
	return out
}

func (p *problems) group(path string, g group) seccomp.SyscallGroup {
	out := seccomp.SyscallGroup{Action: p.action(path+".action", g.Action), Names: slices.Clone(g.Names)}
	if len(g.Names) == 0 && len(g.NamesWithArgs) == 0 {
		p.missing(path + ".names")
	}
	for i, call := range g.NamesWithArgs {
		out.NamesWithCondtions = append(out.NamesWithCondtions, p.call(fmt.Sprintf("%s.names_with_args.%d", path, i), call))
	}
	return out
}

func (p *problems) call(path string, c namedCall) seccomp.NameWithConditions {
	var out seccomp.NameWithConditions
	if c.Name == nil {
		p.missing(path + ".name")
	} else {
		out.Name = *c.Name
	}
	if len(c.Arguments) == 0 {
		p.missing(path + ".arguments")
	}
	for i, argument := range c.Arguments {
		out.Conditions = append(out.Conditions, p.condition(fmt.Sprintf("%s.arguments.%d", path, i), argument))
	}
	return out
}

func (p *problems) condition(path string, c condition) seccomp.Condition {
	out := seccomp.Condition{Value: c.Value}
	if c.Argument != nil && c.Position != nil {
		p.add(path, "argument and position say the same")
	}
	for _, index := range []*uint32{c.Argument, c.Position} {
		if index != nil {
			out.Argument = *index
		}
	}
	if c.Operation == nil {
		p.missing(path + ".operation")
	} else if err := out.Operation.Unpack(*c.Operation); err != nil {
		p.add(path+".operation", "%w", err)
	}
	return out
}

func (p *problems) action(path string, text *string) seccomp.Action {
	var a seccomp.Action
	if text == nil {
		p.missing(path)
	} else if err := a.Unpack(*text); err != nil {
		p.add(path, "%w", err)
	}
	return a
}

// keys are those that a mapping can have, with what is below them.
type keys map[string]keys

// sectionKeys are the keys of the configuration. Lists are not in it: their
// elements are below them.
var sectionKeys = keys{
	"enabled":         nil,
	"required":        nil,
	"default_action":  nil,
	"bad_arch_action": nil,
	"syscalls": {
		"action": nil,
		"names":  nil,
		"names_with_args": {
			"name": nil,
			"arguments": {
				"argument":  nil,
				"position":  nil,
				"operation": nil,
				"value":     nil,
			},
		},
	},
}

// unknownKeys returns an error for each key at and below path that is not known:
// a key with a typing error would be a rule that is left out.
func unknownKeys(path string, value any, known keys) []error {
	var all []error
	if list, ok := value.([]any); ok {
		for i, item := range list {
			all = append(all, unknownKeys(fmt.Sprintf("%s.%d", path, i), item, known)...)
		}
		return all
	}
	m, ok := mapping(value)
	if !ok {
		return nil // of the wrong type, which unpack refuses where it matters
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		below, ok := known[key]
		if !ok {
			all = append(all, fmt.Errorf("unknown key accessing '%s.%s'", path, key))
			continue
		}
		all = append(all, unknownKeys(path+"."+key, m[key], below)...)
	}
	return all
}

// mapping returns value as a mapping: libraries differ in the type of its keys.
func mapping(value any) (map[string]any, bool) {
	switch m := value.(type) {
	case map[string]any:
		return m, true
	case map[any]any:
		out := make(map[string]any, len(m))
		for key, v := range m {
			out[fmt.Sprint(key)] = v
		}
		return out, true
	}
	return nil, false
}
