package monitor

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A document is an event as nested objects: fields by their dotted names. It is written
// with its names in order, as encoding/json writes maps, at a tenth of their cost: a
// monitor writes tens of thousands a second.
type document struct {
	fields []documentField
	text   []byte // the values, encoded, one after the other

	// The order of the names, found before: most events have the same ones.
	names []string
	order []int
}

type documentField struct {
	name     string
	from, to int // in the text
}

// reset empties the document.
func (d *document) reset() { d.fields, d.text = d.fields[:0], d.text[:0] }

// set sets a field; an empty value is no field. One that is set again has its last value.
func (d *document) set(name string, value any) {
	from := len(d.text)
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
		d.text = appendString(d.text, v)
	case []string:
		if len(v) == 0 {
			return
		}
		d.text = append(d.text, '[')
		for i, s := range v {
			if i > 0 {
				d.text = append(d.text, ',')
			}
			d.text = appendString(d.text, s)
		}
		d.text = append(d.text, ']')
	case bool:
		d.text = strconv.AppendBool(d.text, v)
	case int:
		d.text = strconv.AppendInt(d.text, int64(v), 10)
	case uint32:
		d.text = strconv.AppendUint(d.text, uint64(v), 10)
	case uint64:
		d.text = strconv.AppendUint(d.text, v, 10)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return // no value that an event has
		}
		d.text = append(d.text, text...)
	}
	d.fields = append(d.fields, documentField{name, from, len(d.text)})
}

// add sets what another document has.
func (d *document) add(other *document) {
	base := len(d.text)
	d.text = append(d.text, other.text...)
	for _, f := range other.fields {
		d.fields = append(d.fields, documentField{f.name, base + f.from, base + f.to})
	}
}

// drop takes fields out whose names start with prefix.
func (d *document) drop(prefix string) {
	d.fields = slices.DeleteFunc(d.fields, func(f documentField) bool { return strings.HasPrefix(f.name, prefix) })
}

// appendTo appends the object to b.
func (d *document) appendTo(b []byte) []byte {
	d.sort()
	b = append(b, '{')
	open := "" // the names of the objects that are open, each with its dot
	first := true
	for i, at := range d.order {
		f := d.fields[at]
		if i+1 < len(d.order) && d.fields[d.order[i+1]].name == f.name {
			continue // of equal names the last one counts
		}
		for !strings.HasPrefix(f.name, open) {
			b = append(b, '}')
			open = open[:strings.LastIndexByte(open[:len(open)-1], '.')+1]
		}
		for {
			if !first {
				b = append(b, ',')
			}
			key, _, more := strings.Cut(f.name[len(open):], ".")
			b = append(append(append(b, '"'), key...), '"', ':')
			if first = more; !more {
				break
			}
			b = append(b, '{')
			open = f.name[:len(open)+len(key)+1]
		}
		b = append(b, d.text[f.from:f.to]...)
	}
	for range strings.Count(open, ".") {
		b = append(b, '}')
	}
	return append(b, '}')
}

// sort puts the fields in the order of their names. A dot sorts before whatever else
// names have, so that the members of an object come together.
func (d *document) sort() {
	if slices.EqualFunc(d.fields, d.names, func(f documentField, name string) bool { return f.name == name }) {
		return
	}
	d.names, d.order = d.names[:0], d.order[:0]
	for i, f := range d.fields {
		d.names, d.order = append(d.names, f.name), append(d.order, i)
	}
	slices.SortStableFunc(d.order, func(x, y int) int { return strings.Compare(d.fields[x].name, d.fields[y].name) })
}

// appendString appends s as a string of JSON.
func appendString(b []byte, s string) []byte {
	start := len(b)
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\': // records are full of them
			b = append(append(b, s[from:i]...), '\\')
			from = i
		case c < ' ' || c >= utf8.RuneSelf-1:
			return appendEscaped(b[:start], s)
		}
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscaped(b []byte, s string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil {
		return append(b, '"', '"') // which strings do not cause
	}
	return append(b, bytes.TrimRight(out.Bytes(), "\n")...)
}
