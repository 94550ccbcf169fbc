package policy

import (
	"slices"
	"strings"
)

func (d *decoder) rules(n *node) []Rule {
	var rules []Rule
	for _, item := range d.list(n, "syscalls") {
		rules = append(rules, d.rule(item))
	}
	return rules
}

func (d *decoder) rule(n *node) Rule {
	r := Rule{Pos: n.pos}
	var names, calls, documented []Pattern
	own := func(read func(*node)) func(*node) {
		return func(n *node) { d.native = true; read(n) }
	}
	seen := d.mapping(n, "rule", []field{
		{"action", func(n *node) { r.Action = d.action(n, "action") }},
		{"names", func(n *node) { names = d.names(n) }},
		{"calls", own(func(n *node) { calls = d.calls(n) })},
		{"names_with_args", func(n *node) { documented = d.namesWithArgs(n) }},
		{"except", own(func(n *node) { r.Except = d.exceptions(n) })},
		{"when", own(func(n *node) { r.When = d.when(n) })},
		{"optional", own(func(n *node) { r.Optional = d.boolean(n, "optional") })},
		{"only", own(func(n *node) { r.Only = d.boolean(n, "only") })},
		{"reason", own(func(n *node) { r.Reason, _ = d.text(n, "reason") })},
	})
	r.Calls = slices.Concat(names, calls, documented)
	r.Comment = joinComments(n.ruleComments()...)
	if seen == nil {
		return r
	}
	if !seen["action"] {
		d.add(n.pos, 1, "add action: what happens to these calls", "missing action")
	}
	if !seen["names"] && !seen["calls"] && !seen["names_with_args"] {
		d.add(n.pos, 1, "add names: [read, write]", "the rule names no system calls")
	}
	return r
}

// patternKeys are the fields of a rule whose items keep comments of their own.
var patternKeys = []string{"names", "calls", "names_with_args", "except"}

// ruleComments returns the comments of a rule that are not a pattern's.
func (n *node) ruleComments() []string {
	all := []string{n.head, n.line}
	for _, e := range n.entries {
		all = append(all, e.key.comments()...)
		if slices.Contains(patternKeys, e.key.text) {
			all = append(all, e.value.comments()...)
		} else {
			all = append(all, e.value.allComments()...)
		}
	}
	return append(all, n.foot)
}

// items returns the items of a list that must not be empty.
func (d *decoder) items(n *node, what string) []*node {
	items := d.list(n, what)
	if n.kind == listNode && len(items) == 0 {
		d.add(n.pos, n.width, "", "%s is empty", what)
	}
	return items
}

func (d *decoder) names(n *node) []Pattern {
	var all []Pattern
	for _, item := range d.items(n, "names") {
		name, ok := d.text(item, "names")
		if !ok {
			continue
		}
		if isSet(name) {
			d.native = true
		}
		if hasConditions(name) {
			all = append(all, item.members(name)...)
			continue
		}
		if msg, hint := checkName(name); msg != "" {
			d.add(item.pos, item.width, hint, "%s", msg)
		}
		all = append(all, Pattern{Name: name, Comment: joinComments(item.comments()...), Pos: item.pos})
	}
	return all
}

// members returns the patterns of a set with conditions, which n names.
func (n *node) members(set string) []Pattern {
	members, _ := SetPatterns(set)
	for i := range members {
		members[i].Pos = n.pos
		for j := range members[i].Conditions {
			members[i].Conditions[j].Pos = n.pos
		}
	}
	members[0].Comment = joinComments(n.comments()...)
	return members
}

func (d *decoder) calls(n *node) []Pattern { return d.patterns(n, "calls", false) }

// exceptions reads names, sets and patterns.
func (d *decoder) exceptions(n *node) []Pattern { return d.patterns(n, "except", true) }

// patterns reads a list of patterns; sets with conditions may be among them, if
// sets is set.
func (d *decoder) patterns(n *node, what string, sets bool) []Pattern {
	var all []Pattern
	for _, item := range d.items(n, what) {
		s, ok := d.text(item, what)
		if !ok {
			continue
		}
		if sets && hasConditions(s) {
			all = append(all, item.members(s)...)
			continue
		}
		p, bad := parsePattern(s)
		if bad != nil {
			d.mistake(item, bad)
			continue
		}
		p.Comment, p.Pos = joinComments(item.comments()...), item.pos
		for i := range p.Conditions {
			c := &p.Conditions[i]
			c.Pos = item.at(c.Pos.Col - 1)
		}
		all = append(all, p)
	}
	return all
}

func (d *decoder) when(n *node) When {
	var w When
	caps := func(into *[]string, what string) func(*node) {
		return func(n *node) {
			for _, item := range d.items(n, what) {
				s, ok := d.text(item, what)
				if !ok {
					continue
				}
				name, hint := capability(s)
				if name == "" {
					d.add(item.pos, item.width, hint, "unknown capability %q", s)
				}
				*into = append(*into, name)
			}
		}
	}
	d.mapping(n, "when", []field{
		{"caps", caps(&w.Caps, "caps")},
		{"not_caps", caps(&w.NotCaps, "not_caps")},
		{"kernel", func(n *node) { w.MinKernel = d.kernel(n, "kernel") }},
	})
	return w
}

// namesWithArgs reads go-seccomp-bpf's conditions.
func (d *decoder) namesWithArgs(n *node) []Pattern {
	var all []Pattern
	for _, item := range d.items(n, "names_with_args") {
		p := Pattern{Documented: true, Comment: joinComments(item.allComments()...), Pos: item.pos}
		seen := d.mapping(item, "names_with_args", []field{
			{"name", func(n *node) {
				name, ok := d.text(n, "name")
				if !ok {
					return
				}
				msg, hint := checkName(name)
				if isSet(name) {
					msg, hint = "a set takes no arguments", "list the set under names"
				}
				if msg != "" {
					d.add(n.pos, n.width, hint, "%s", msg)
				}
				p.Name = name
			}},
			{"arguments", func(n *node) {
				for _, argument := range d.items(n, "arguments") {
					p.Conditions = append(p.Conditions, d.documentedCondition(argument))
				}
			}},
		})
		for _, key := range []string{"name", "arguments"} {
			if seen != nil && !seen[key] {
				d.add(item.pos, 1, "", "missing %s", key)
			}
		}
		all = append(all, p)
	}
	return all
}

// operations are the documented operators.
var operations = []struct {
	name string
	op   Op
}{
	{"Equal", Equal},
	{"NotEqual", NotEqual},
	{"GreaterThan", Greater},
	{"LessThan", Less},
	{"GreaterOrEqual", GreaterOrEqual},
	{"LessOrEqual", LessOrEqual},
	{"BitsSet", AnyBits},
	{"BitsNotSet", NoBits},
}

// documentedCondition reads one argument condition. As documented, argument (in
// JSON and in YAML tags: position) and value are 0 where they are left out.
func (d *decoder) documentedCondition(n *node) Condition {
	c := Condition{Pos: n.pos}
	value := "0"
	index := func(n *node) {
		i := d.number(n, "argument")
		if i > 5 {
			d.add(n.pos, n.width, "", "argument must be between 0 and 5 (inclusive), but is %s", n.text)
			i = 0
		}
		c.Index = int(i)
	}
	seen := d.mapping(n, "arguments", []field{
		{"argument", index},
		{"position", index},
		{"operation", func(n *node) { c.Op = d.operation(n) }},
		{"value", func(n *node) {
			d.number(n, "value")
			value = n.text
		}},
	})
	switch {
	case seen == nil:
	case seen["argument"] && seen["position"]:
		d.add(n.pos, 1, "", "argument and position say the same: write one")
	case !seen["operation"]:
		d.add(n.pos, 1, "", "missing operation")
	}
	if c.Op == AnyBits || c.Op == NoBits {
		c.Mask = value
	} else {
		c.Values = []string{value}
	}
	return c
}

func (d *decoder) operation(n *node) Op {
	s, ok := d.text(n, "operation")
	if !ok {
		return 0
	}
	var names []string
	for _, o := range operations {
		if strings.EqualFold(o.name, s) {
			return o.op
		}
		names = append(names, o.name)
	}
	hint := didYouMean(s, names)
	if hint == "" {
		hint = "the operations are " + strings.Join(names, ", ")
	}
	d.add(n.pos, n.width, hint, "unknown operation %q", s)
	return 0
}
