package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// Parse reads a policy from YAML or JSON: sysgate's own form, or the form that
// libbeat and go-seccomp-bpf document, with or without the key seccomp around
// it. name is the file's, for messages. Everything that is wrong and does not
// depend on [Options] is in the one error: an [*Error], or [Errors] if it is
// more than one thing. docs/policy.md describes the language.
func Parse(name string, data []byte) (*Policy, error) {
	d := &decoder{problems: problems{src: newSource(name, data)}}
	root := d.readDocument(data)
	if root == nil {
		return nil, d.err()
	}
	p := d.document(root)
	if err := d.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// document reads the policy, within the keys that other tools put around it.
func (d *decoder) document(root *node) *Policy {
	p := &Policy{src: d.src}
	body := root
	var comments []string
	if _, ok := root.get("seccomp"); ok {
		d.mapping(root, "the document", []field{{"seccomp", func(n *node) { body = n }}})
		comments = append(comments, root.outerComments("seccomp")...)
	}
	if _, ok := body.get("policy"); ok {
		filter := body
		d.mapping(filter, "the filter", append(d.loading(p), field{"policy", func(n *node) { body = n }}))
		comments = append(comments, filter.outerComments("policy")...)
	}
	d.policy(p, body)
	p.Comment = joinComments(append(comments, body.outerComments("syscalls")...)...)
	return p
}

// get returns the value of a key of a mapping.
func (n *node) get(key string) (*node, bool) {
	for _, e := range n.entries {
		if e.key.kind == scalarNode && e.key.text == key {
			return e.value, true
		}
	}
	return nil, false
}

// outerComments returns the comments in the mapping n but for those in the value
// of key.
func (n *node) outerComments(key string) []string {
	all := []string{n.head}
	for _, e := range n.entries {
		all = append(all, e.key.comments()...)
		if e.key.text != key {
			all = append(all, e.value.allComments()...)
		} else {
			all = append(all, e.value.line)
		}
	}
	return append(all, n.line, n.foot)
}

// loading are the fields about installing the filter.
func (d *decoder) loading(p *Policy) []field {
	return []field{
		{"enabled", func(n *node) { p.Load.Disabled = !d.boolean(n, "enabled") }},
		{"no_new_privs", func(n *node) { on := d.boolean(n, "no_new_privs"); p.Load.NoNewPrivs = &on }},
		{"flag", func(n *node) { p.Load.Flags = d.flags(n) }},
	}
}

// loadFlags are the flags of the documented form, by bit.
var loadFlags = []string{"tsync", "log"}

// flags reads go-seccomp-bpf's FilterFlag: a number, or names joined by "|" as
// it prints them.
func (d *decoder) flags(n *node) []string {
	set := uint64(0)
	if n.kind == scalarNode && n.tag == "str" {
		for name := range strings.SplitSeq(n.text, "|") {
			i := slices.Index(loadFlags, strings.TrimSpace(name))
			if i < 0 {
				d.add(n.pos, n.width, "the flags are tsync and log, joined by |", "unknown flag %q", name)
				return nil
			}
			set |= 1 << i
		}
	} else if set = d.number(n, "flag"); set>>len(loadFlags) != 0 {
		d.add(n.pos, n.width, "the flags are 1 (tsync) and 2 (log)", "unknown flag bits in %s", n.text)
		return nil
	}
	var flags []string
	for i, name := range loadFlags {
		if set>>i&1 != 0 {
			flags = append(flags, name)
		}
	}
	return flags
}

func (d *decoder) policy(p *Policy, n *node) {
	own := func(read func(*node)) func(*node) {
		return func(n *node) { d.native = true; read(n) }
	}
	fields := append(d.loading(p),
		field{"version", own(func(n *node) { p.Version = d.version(n) })},
		field{"abis", own(func(n *node) { p.ABIs = d.abis(n) })},
		field{"complete", own(func(n *node) { p.Incomplete = !d.boolean(n, "complete") })},
		field{"kernel", own(func(n *node) { p.Kernel = d.kernel(n, "kernel") })},
		field{"default_action", func(n *node) { p.Default = d.action(n, "default_action") }},
		field{"unknown_action", own(func(n *node) { a := d.action(n, "unknown_action"); p.Unknown = &a })},
		field{"bad_arch_action", own(func(n *node) { a := d.action(n, "bad_arch_action"); p.BadArch = &a })},
		field{"x32_action", own(func(n *node) { a := d.action(n, "x32_action"); p.X32 = &a })},
		field{"syscalls", func(n *node) { p.Rules = d.rules(n) }},
	)
	seen := d.mapping(n, "the policy", fields)
	p.Documented = !d.native
	switch {
	case seen == nil:
	case p.Load.Disabled && !seen["syscalls"]:
		if !seen["default_action"] {
			p.Default = Action{Kind: abi.Allow} // what no filter does
		}
	default:
		if !seen["default_action"] {
			d.add(n.pos, 1, "add default_action: the action for calls that no rule matches", "missing default_action")
		}
		if !seen["syscalls"] {
			d.add(n.pos, 1, "add syscalls: the list of rules", "missing syscalls")
		}
		d.checkDocumented(p, n)
	}
}

func (d *decoder) version(n *node) int {
	before := len(d.problems.list)
	v := d.number(n, "version")
	if v != latestVersion && len(d.problems.list) == before {
		d.add(n.pos, n.width, "write version: 1", "unknown version %s of the policy language", n.text)
		return 0
	}
	return int(v)
}

func (d *decoder) abis(n *node) []abi.ABI {
	var all []abi.ABI
	for _, item := range d.list(n, "abis") {
		if item.kind == scalarNode && item.text == "386" {
			item.tag = "str" // the one ABI whose name is a number
		}
		name, ok := d.text(item, "abis")
		if !ok {
			continue
		}
		a, ok := abi.Parse(name)
		switch {
		case !ok:
			d.add(item.pos, item.width, abiHint(name), "unknown ABI %q", name)
		case slices.Contains(all, a):
			d.add(item.pos, item.width, "", "ABI %s stands twice", a)
		default:
			all = append(all, a)
		}
	}
	if n.kind == listNode && len(n.items) == 0 {
		d.add(n.pos, n.width, "leave abis out for the native ABI", "abis is empty")
	}
	return all
}

// kernel reads a release. It has to be quoted: as a number, 6.10 is 6.1.
func (d *decoder) kernel(n *node, what string) abi.Kernel {
	if n.kind == scalarNode && (n.tag == "float" || n.tag == "int") {
		d.add(n.pos, n.width, fmt.Sprintf("write %q, with the quotes: as a number, 6.10 is 6.1", n.text), "%s: want text, got a number", what)
		return abi.Kernel{}
	}
	s, ok := d.text(n, what)
	if !ok {
		return abi.Kernel{}
	}
	k, err := abi.ParseKernel(s)
	if err != nil {
		d.add(n.pos, n.width, "", "%s: %v", what, err)
	}
	return k
}

func (d *decoder) action(n *node, what string) Action {
	s, ok := d.text(n, what)
	if !ok {
		return Action{}
	}
	a, bad := parseAction(s)
	if bad != nil {
		d.mistake(n, bad)
	}
	return a
}
