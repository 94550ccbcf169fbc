package policy

// A node is a value of a document with its place: what the YAML library's tree
// becomes, so that nothing else here depends on it.
type node struct {
	kind    kind
	tag     string // of a scalar: "str", "int", "float", "bool" or "null"
	text    string // of a scalar
	items   []*node
	entries []entry

	pos   Pos
	width int // in bytes, within the line
	start int // bytes from pos to the text, where it stands in the line as it is; else -1

	head, line, foot string // comments, without "#"
}

type entry struct{ key, value *node }

type kind uint8

const (
	scalarNode kind = iota
	listNode
	mapNode
)

// String names the type of n for a message.
func (n *node) String() string {
	switch n.kind {
	case listNode:
		return "a list"
	case mapNode:
		return "a mapping"
	}
	switch n.tag {
	case "int", "float":
		return "a number"
	case "bool":
		return "a boolean"
	case "null":
		return "nothing"
	}
	return "text"
}

// at returns the place of the byte at offset off of n's text.
func (n *node) at(off int) Pos {
	if n.start < 0 {
		return n.pos
	}
	p := n.pos
	p.Col += n.start + off
	return p
}

// comments returns every comment on n, from top to bottom.
func (n *node) comments() []string {
	var all []string
	for _, c := range []string{n.head, n.line, n.foot} {
		if c != "" {
			all = append(all, c)
		}
	}
	return all
}

// allComments returns every comment in and below n, in the order of the file.
func (n *node) allComments() []string {
	all := n.comments()
	for _, e := range n.entries {
		all = append(all, e.key.comments()...)
		all = append(all, e.value.allComments()...)
	}
	for _, item := range n.items {
		all = append(all, item.allComments()...)
	}
	return all
}
