package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/sysgate/sysgate/policy"
)

// Bounds of a document.
const (
	maxSize  = 4 << 20
	maxDepth = 32
)

// A value is a JSON value with its place. Exactly one of the fields that hold
// the value is set; none is null.
type value struct {
	off, end int
	text     *string
	number   *json.Number
	boolean  *bool
	list     *[]*value
	object   *[]member
}

type member struct {
	name  string
	off   int
	value *value
}

// A document is a JSON file with its lines, for messages.
type document struct {
	name  string
	data  []byte
	lines []int // offset of each line
}

func newDocument(name string, data []byte) *document {
	d := &document{name, data, []int{0}}
	for i, c := range data {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	return d
}

func (d *document) pos(off int) policy.Pos {
	line := sort.SearchInts(d.lines, off+1)
	return policy.Pos{File: d.name, Line: line, Col: off - d.lines[line-1] + 1}
}

// errorf returns an error about the bytes from off to end.
func (d *document) errorf(off, end int, hint, format string, args ...any) *policy.Error {
	pos := d.pos(off)
	start := d.lines[pos.Line-1]
	source, _, _ := bytes.Cut(d.data[start:], []byte("\n"))
	return &policy.Error{
		Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint,
		Source: strings.TrimSuffix(string(source), "\r"), Width: max(1, end-off),
	}
}

// parse reads the one value of d. Names must be unique in their object.
func (d *document) parse() (*value, error) {
	if len(d.data) > maxSize {
		return nil, &policy.Error{Pos: policy.Pos{File: d.name}, Msg: fmt.Sprintf("file of %d bytes is too large for a profile: the limit is %d", len(d.data), maxSize)}
	}
	decoder := json.NewDecoder(bytes.NewReader(d.data))
	decoder.UseNumber()
	v, err := d.value(decoder, 0)
	if err != nil {
		return nil, d.syntax(decoder, err)
	}
	off := d.next(int(decoder.InputOffset()))
	if _, err := decoder.Token(); err != io.EOF {
		return nil, d.errorf(off, off+1, "", "something follows the document")
	}
	return v, nil
}

func (d *document) syntax(decoder *json.Decoder, err error) error {
	var positioned *policy.Error
	if errors.As(err, &positioned) {
		return err
	}
	off := int(decoder.InputOffset())
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		off = int(syntax.Offset) - 1
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		off, err = len(d.data), errors.New("unexpected end")
	}
	off = max(0, min(off, len(d.data)))
	hint := ""
	switch {
	case bytes.HasPrefix(d.data, []byte("\ufeff")):
		off, hint = 0, "take out the byte order mark that it starts with"
	case bytes.HasPrefix(d.data[off:], []byte("/")) || bytes.HasPrefix(d.data[off:], []byte("#")):
		hint = "JSON has no comments"
	case d.next(off) < len(d.data) && bytes.IndexByte([]byte("]}"), d.data[d.next(off)]) >= 0:
		off, hint = d.next(off), "no comma stands before a closing bracket"
	}
	return d.errorf(off, off+1, hint, "not JSON: %v", err)
}

// next returns the offset of the token that follows off.
func (d *document) next(off int) int {
	for off < len(d.data) && bytes.IndexByte([]byte(" \t\r\n,:"), d.data[off]) >= 0 {
		off++
	}
	return off
}

func (d *document) value(decoder *json.Decoder, depth int) (*value, error) {
	off := d.next(int(decoder.InputOffset()))
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, d.errorf(off, off+1, "", "nested more than %d deep", maxDepth)
	}
	v := &value{off: off}
	switch t := token.(type) {
	case string:
		v.text = &t
	case json.Number:
		v.number = &t
	case bool:
		v.boolean = &t
	case json.Delim:
		if t == '[' {
			v.list = new([]*value)
			for decoder.More() {
				item, err := d.value(decoder, depth+1)
				if err != nil {
					return nil, err
				}
				*v.list = append(*v.list, item)
			}
		} else if v.object, err = d.object(decoder, depth); err != nil {
			return nil, err
		}
		if _, err := decoder.Token(); err != nil {
			return nil, err
		}
		v.end = off + 1
		return v, nil
	}
	v.end = int(decoder.InputOffset())
	return v, nil
}

func (d *document) object(decoder *json.Decoder, depth int) (*[]member, error) {
	members := new([]member)
	seen := make(map[string]bool)
	for decoder.More() {
		off := d.next(int(decoder.InputOffset()))
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if seen[name] {
			return nil, d.errorf(off, int(decoder.InputOffset()), "take one out: readers differ in which of them counts", "field %q stands twice", name)
		}
		seen[name] = true
		v, err := d.value(decoder, depth+1)
		if err != nil {
			return nil, err
		}
		*members = append(*members, member{name, off, v})
	}
	return members, nil
}

// null reports whether v is null.
func (v *value) null() bool {
	return v.text == nil && v.number == nil && v.boolean == nil && v.list == nil && v.object == nil
}

// get returns the member called name, nil if it is absent or null.
func (v *value) get(name string) *value {
	if v == nil || v.object == nil {
		return nil
	}
	for _, m := range *v.object {
		if m.name == name && !m.value.null() {
			return m.value
		}
	}
	return nil
}
