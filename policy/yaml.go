package policy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Bounds of a document. The largest policies in use hold some hundred names.
const (
	maxSize  = 1 << 20
	maxDepth = 16
)

// readDocument reads the one YAML or JSON document in p's source. It establishes
// that the tree has no aliases, no anchors, no merge keys and no custom tags.
// It returns nil where there is a problem that it has added to p.
func (p *problems) readDocument(data []byte) *node {
	start := Pos{p.src.name, 1, 1}
	if len(data) > maxSize {
		p.add(Pos{File: p.src.name}, 0, "", "file of %d bytes is too large for a policy: the limit is %d", len(data), maxSize)
		return nil
	}
	if !utf8.Valid(data) {
		p.add(Pos{File: p.src.name}, 0, "", "the file is not UTF-8 text")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, next yaml.Node
	switch err := decoder.Decode(&document); {
	case err == io.EOF:
		p.add(start, 0, "", "the document is empty")
		return nil
	case err != nil:
		p.addSyntax(err)
		return nil
	}
	if err := decoder.Decode(&next); err == nil {
		p.add(Pos{p.src.name, next.Line, 1}, 3, "write one policy a file", "a second document")
		return nil
	} else if err != io.EOF {
		p.addSyntax(err)
		return nil
	}
	if len(document.Content) != 1 {
		p.add(start, 0, "", "the document is empty")
		return nil
	}
	before := len(p.list)
	root := p.node(document.Content[0], 0)
	if len(p.list) > before {
		return nil
	}
	root.head = joinComments(comment(document.HeadComment), root.head)
	root.foot = joinComments(root.foot, comment(document.FootComment))
	return root
}

// addSyntax adds the YAML library's complaint.
func (p *problems) addSyntax(err error) {
	var syntax *yaml.LoadError
	if !errors.As(err, &syntax) {
		p.add(Pos{File: p.src.name}, 0, "", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	msg := syntax.Message
	if syntax.ContextMsg != "" {
		msg += " " + syntax.ContextMsg
	}
	pos := Pos{p.src.name, max(1, syntax.Mark.Line), 1}
	pos.Col = p.byteCol(pos.Line, syntax.Mark.Column)
	hint := ""
	if strings.Contains(msg, "start any token") {
		hint = `quote text that starts with a reserved character: "@systemd/network-io"`
	}
	p.add(pos, 1, hint, "not YAML: %s", msg)
}

// byteCol turns a column counted in characters into one in bytes.
func (p *problems) byteCol(line, col int) int {
	n := 1
	for _, r := range p.src.line(line) {
		if col <= 1 {
			break
		}
		col--
		n += utf8.RuneLen(r)
	}
	return n
}

func (p *problems) node(y *yaml.Node, depth int) *node {
	n := &node{
		pos:   Pos{p.src.name, y.Line, p.byteCol(y.Line, y.Column)},
		width: 1,
		start: -1,
		head:  comment(y.HeadComment),
		line:  comment(y.LineComment),
		foot:  comment(y.FootComment),
	}
	switch {
	case depth > maxDepth:
		p.add(n.pos, 1, "", "nested more than %d deep", maxDepth)
		return n
	case y.Anchor != "":
		p.add(n.pos, 1+len(y.Anchor), "write the value out where it is used", "anchors are not allowed in a policy")
	case y.Style&yaml.TaggedStyle != 0:
		p.add(n.pos, max(1, len(y.Tag)), "leave the tag out", "tags are not allowed in a policy")
	}
	switch y.Kind {
	case yaml.AliasNode:
		p.add(n.pos, 1+len(y.Value), "write the value out here", "aliases are not allowed in a policy")
	case yaml.SequenceNode:
		n.kind = listNode
		for _, item := range y.Content {
			n.items = append(n.items, p.node(item, depth+1))
		}
	case yaml.MappingNode:
		n.kind = mapNode
		for i := 0; i+1 < len(y.Content); i += 2 {
			if y.Content[i].ShortTag() == "!!merge" {
				key := y.Content[i]
				p.add(Pos{p.src.name, key.Line, p.byteCol(key.Line, key.Column)}, 2,
					"write the keys out here", "merge keys are not allowed in a policy")
				continue
			}
			n.entries = append(n.entries, entry{p.node(y.Content[i], depth+1), p.node(y.Content[i+1], depth+1)})
		}
	default:
		n.kind = scalarNode
		n.tag = strings.TrimPrefix(y.ShortTag(), "!!")
		n.text = y.Value
		p.place(n, y.Style)
	}
	return n
}

// place finds n's text in its line.
func (p *problems) place(n *node, style yaml.Style) {
	quote := 0
	if style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		quote = 1
	}
	line := p.src.line(n.pos.Line)
	if from := n.pos.Col - 1 + quote; from <= len(line) && strings.HasPrefix(line[from:], n.text) {
		n.start = quote
		n.width = max(1, len(n.text)+2*quote)
	}
}

// comment strips the "#" of each line of a comment. Lines that the library
// separated with an empty one stay together.
func comment(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line = strings.TrimSpace(strings.TrimPrefix(line, "#")); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func joinComments(all ...string) string {
	var kept []string
	for _, c := range all {
		if c != "" {
			kept = append(kept, c)
		}
	}
	return strings.Join(kept, "\n")
}
