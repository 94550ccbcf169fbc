package seccomp

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The documented types say nothing of a key that is not there, and a zero Action
// is kill_thread. So the types that have such keys read their own JSON and YAML.
// go-ucfg reads by its tags, with Policy.InitDefaults and Policy.Validate.

// A reader decodes one mapping into a value, as often as it is asked to: what
// YAML libraries hand to UnmarshalYAML.
type reader func(any) error

func jsonReader(data []byte) reader {
	return func(v any) error { return json.Unmarshal(data, v) }
}

// keys checks the keys of a mapping: a "!" marks those that must be there.
func (read reader) keys(all ...string) error {
	var got map[string]any
	if err := read(&got); err != nil {
		return err
	}
	var problems []string
	for _, key := range all {
		if name, required := strings.CutSuffix(key, "!"); required && got[name] == nil {
			problems = append(problems, "missing "+name)
		}
	}
	for key := range got {
		if !slices.Contains(all, key) && !slices.Contains(all, key+"!") {
			problems = append(problems, fmt.Sprintf("unknown key %q", key))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	return errors.New(strings.Join(problems, ", "))
}

// UnmarshalJSON reads a policy. A key that is missing or unknown is an error.
func (p *Policy) UnmarshalJSON(data []byte) error { return p.decode(jsonReader(data)) }

// UnmarshalYAML reads a policy, as UnmarshalJSON does. YAML libraries call it.
func (p *Policy) UnmarshalYAML(unmarshal func(any) error) error { return p.decode(unmarshal) }

func (p *Policy) decode(read reader) error {
	type plain Policy
	var decoded plain
	if err := read.keys("default_action!", "syscalls!", "bad_arch_action"); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := read(&decoded); err != nil {
		return err
	}
	*p = Policy(decoded)
	return nil
}

// UnmarshalJSON reads a group. A key that is missing or unknown is an error.
func (g *SyscallGroup) UnmarshalJSON(data []byte) error { return g.decode(jsonReader(data)) }

// UnmarshalYAML reads a group, as UnmarshalJSON does. YAML libraries call it.
func (g *SyscallGroup) UnmarshalYAML(unmarshal func(any) error) error { return g.decode(unmarshal) }

func (g *SyscallGroup) decode(read reader) error {
	type plain SyscallGroup
	var decoded plain
	if err := read.keys("action!", "names", "names_with_args"); err != nil {
		return fmt.Errorf("group of syscalls: %w", err)
	}
	if err := read(&decoded); err != nil {
		return err
	}
	*g = SyscallGroup(decoded)
	return nil
}

// UnmarshalJSON reads a name with its conditions. A key that is missing or
// unknown is an error.
func (n *NameWithConditions) UnmarshalJSON(data []byte) error { return n.decode(jsonReader(data)) }

// UnmarshalYAML reads a name with its conditions, as UnmarshalJSON does. YAML
// libraries call it.
func (n *NameWithConditions) UnmarshalYAML(unmarshal func(any) error) error {
	return n.decode(unmarshal)
}

func (n *NameWithConditions) decode(read reader) error {
	type plain NameWithConditions
	var decoded plain
	if err := read.keys("name!", "arguments!"); err != nil {
		return fmt.Errorf("names_with_args: %w", err)
	}
	if err := read(&decoded); err != nil {
		return err
	}
	*n = NameWithConditions(decoded)
	return nil
}

// UnmarshalJSON reads a condition. Its argument is called position, as the tags
// say, or argument, as in configurations; left out, it is 0, as is the value. A
// missing operation and an unknown key are errors.
func (c *Condition) UnmarshalJSON(data []byte) error { return c.decode(jsonReader(data)) }

// UnmarshalYAML reads a condition, as UnmarshalJSON does. YAML libraries call it.
func (c *Condition) UnmarshalYAML(unmarshal func(any) error) error { return c.decode(unmarshal) }

func (c *Condition) decode(read reader) error {
	var decoded struct {
		Argument  *uint32   `json:"argument" yaml:"argument"`
		Position  *uint32   `json:"position" yaml:"position"`
		Operation Operation `json:"operation" yaml:"operation"`
		Value     uint64    `json:"value" yaml:"value"`
	}
	if err := read.keys("argument", "position", "operation!", "value"); err != nil {
		return fmt.Errorf("condition: %w", err)
	}
	if err := read(&decoded); err != nil {
		return err
	}
	if decoded.Argument != nil && decoded.Position != nil {
		return errors.New("condition: argument and position say the same: write one")
	}
	*c = Condition{Operation: decoded.Operation, Value: decoded.Value}
	if argument := cmp.Or(decoded.Argument, decoded.Position); argument != nil {
		c.Argument = *argument
	}
	return nil
}
