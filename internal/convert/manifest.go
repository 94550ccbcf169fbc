package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/sysgate/sysgate/policy"
)

// manifests reads the documents of a YAML file, such as Kubernetes takes, as the
// values that a JSON file would have. Aliases are errors.
func (d *document) manifests() ([]*value, error) {
	if len(d.data) > maxSize {
		return nil, &policy.Error{Pos: policy.Pos{File: d.name}, Msg: fmt.Sprintf("file of %d bytes is too large for a manifest: the limit is %d", len(d.data), maxSize)}
	}
	if !utf8.Valid(d.data) {
		return nil, &policy.Error{Pos: policy.Pos{File: d.name}, Msg: "the file is not UTF-8 text"}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(d.data))
	var all []*value
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, d.notYAML(err)
		}
		for _, n := range root.Content {
			v, err := d.yamlValue(n, 0)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
	}
}

func (d *document) notYAML(err error) error {
	var syntax *yaml.LoadError
	if errors.As(err, &syntax) {
		off := d.offset(syntax.Mark.Line, syntax.Mark.Column)
		hint := ""
		if off < len(d.data) && d.data[off] == '\t' {
			hint = "YAML takes no tab there: indent with spaces"
		}
		return d.errorf(off, off+1, hint, "not YAML: %s", syntax.Message)
	}
	return &policy.Error{Pos: policy.Pos{File: d.name}, Msg: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
}

// offset returns the place of a column, which counts characters from 1.
func (d *document) offset(line, column int) int {
	if line < 1 || line > len(d.lines) {
		return len(d.data)
	}
	off := d.lines[line-1]
	for range column - 1 {
		_, size := utf8.DecodeRune(d.data[off:])
		if off += size; size == 0 || d.data[off-1] == '\n' {
			break
		}
	}
	return min(off, len(d.data))
}

// block returns the text of v, a block scalar, with everything before it blanked, so
// that each part of it stands where it does in the file; nil if v is none.
func (d *document) block(v *value) []byte {
	if v.off >= len(d.data) || d.data[v.off] != '|' {
		return nil
	}
	first := d.pos(v.off).Line // of the text, in lines from 0
	last := min(first+len(strings.Split(strings.TrimSuffix(*v.text, "\n"), "\n")), len(d.lines))
	if first >= len(d.lines) {
		return nil
	}
	end := len(d.data)
	if last < len(d.lines) {
		end = d.lines[last]
	}
	text := bytes.Clone(d.data[:end])
	for i := range text[:d.lines[first]] {
		if text[i] != '\n' {
			text[i] = ' '
		}
	}
	return text
}

func (d *document) yamlValue(n *yaml.Node, depth int) (*value, error) {
	off := d.offset(n.Line, n.Column)
	v := &value{off: off, end: min(off+max(1, len(n.Value)), len(d.data)+1)}
	if depth > maxDepth {
		return nil, d.errorf(off, off+1, "", "nested more than %d deep", maxDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return nil, d.errorf(off, v.end, "write the value out here", "aliases are not read")
	case yaml.SequenceNode:
		v.list = new([]*value)
		for _, item := range n.Content {
			i, err := d.yamlValue(item, depth+1)
			if err != nil {
				return nil, err
			}
			*v.list = append(*v.list, i)
		}
	case yaml.MappingNode:
		v.object = new([]member)
		seen := make(map[string]bool)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			at := d.offset(key.Line, key.Column)
			if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" || seen[key.Value] {
				hint := "take one out"
				if key.ShortTag() == "!!merge" {
					hint = "write the fields out here"
				}
				return nil, d.errorf(at, at+max(1, len(key.Value)), hint, "field %q: want a name that stands once", key.Value)
			}
			seen[key.Value] = true
			m, err := d.yamlValue(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			*v.object = append(*v.object, member{key.Value, at, m})
		}
	default:
		v.scalar(n)
	}
	return v, nil
}

func (v *value) scalar(n *yaml.Node) {
	text := n.Value
	switch n.ShortTag() {
	case "!!null":
	case "!!bool":
		on := strings.EqualFold(text, "true")
		v.boolean = &on
	case "!!int", "!!float":
		number := json.Number(text)
		if i, err := strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 0, 64); err == nil {
			number = json.Number(strconv.FormatUint(i, 10))
		}
		v.number = &number
	default:
		v.text = &text
	}
}
