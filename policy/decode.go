package policy

import (
	"slices"
	"strings"
)

// A decoder turns a document into a Policy and collects all that is wrong.
type decoder struct {
	problems
	native bool // a key or a set that the documented form does not have was seen
}

// A field is a key that a mapping may have.
type field struct {
	name string
	read func(*node)
}

// mapping reads n as a mapping with these keys, none other and none twice. It
// returns those that are there; a misspelt key counts as the one that was meant,
// so that it is not reported as missing too.
func (d *decoder) mapping(n *node, what string, fields []field) (seen map[string]bool) {
	seen = make(map[string]bool)
	if n.kind != mapNode {
		d.add(n.pos, n.width, "", "%s: want a mapping, got %s", what, n)
		return nil
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	lines := make(map[string]int)
	for _, e := range n.entries {
		key := e.key
		if key.kind != scalarNode || key.tag != "str" {
			d.add(key.pos, key.width, "", "%s: want a field name, got %s", what, key)
			continue
		}
		i := slices.Index(names, key.text)
		switch {
		case i < 0:
			meant := nearest(key.text, names)
			hint := didYouMean(key.text, names)
			if meant == "" {
				hint = "the fields here are " + strings.Join(names, ", ")
			}
			d.add(key.pos, key.width, hint, "unknown field %q", key.text)
			seen[meant] = true
		case lines[key.text] > 0:
			d.add(key.pos, key.width, "", "field %q stands twice: first on line %d", key.text, lines[key.text])
		default:
			lines[key.text] = key.pos.Line
			seen[key.text] = true
			fields[i].read(e.value)
		}
	}
	return seen
}

// list returns the items of n.
func (d *decoder) list(n *node, what string) []*node {
	if n.kind != listNode {
		hint := ""
		if n.kind == scalarNode && n.tag == "str" {
			hint = "write a list: [" + scalar(n.text) + "]"
		}
		d.add(n.pos, n.width, hint, "%s: want a list, got %s", what, n)
	}
	return n.items
}

// text returns the string that n holds. Other scalars are refused: yes, 1.0 or
// null are not what their text says once another reader has seen them.
func (d *decoder) text(n *node, what string) (string, bool) {
	if n.kind == scalarNode && n.tag == "str" {
		return n.text, true
	}
	hint := ""
	if n.kind == scalarNode && n.tag != "null" {
		hint = `quote it: "` + n.text + `"`
	}
	d.add(n.pos, n.width, hint, "%s: want text, got %s", what, n)
	return "", false
}

func (d *decoder) boolean(n *node, what string) bool {
	if n.kind != scalarNode || n.tag != "bool" {
		d.add(n.pos, n.width, "write true or false", "%s: want true or false, got %s", what, n)
		return false
	}
	return strings.EqualFold(n.text, "true")
}

func (d *decoder) number(n *node, what string) uint64 {
	if n.kind != scalarNode || n.tag == "str" && !startsWithDigit(n) {
		hint := ""
		if n.kind == scalarNode && n.tag == "str" {
			hint = "constants have names in call patterns, under calls"
		}
		d.add(n.pos, n.width, hint, "%s: want a number, got %s", what, n)
		return 0
	}
	v, hint, err := parseNumber(n.text)
	if err != nil {
		d.add(n.pos, n.width, hint, "%s: %v", what, err)
	}
	return v
}

// startsWithDigit reports whether n is a number that YAML takes for text: 08,
// 0o17 or 0b11.
func startsWithDigit(n *node) bool { return n.start == 0 && n.text != "" && isDigit(n.text[0]) }

// mistake adds what is wrong within n's text.
func (d *decoder) mistake(n *node, m *mistake) {
	width := m.width
	if n.start < 0 {
		width = n.width
	}
	hint := m.hint
	if hint == "" && strings.Count(n.text, "(") != strings.Count(n.text, ")") {
		hint = "between [ and ], a comma ends the item: quote the pattern, or give it a line of its own"
	}
	d.add(n.at(m.off), width, hint, "%s", m.msg)
}
