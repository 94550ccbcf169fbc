package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// bareJSON returns a line without blanks around it, and without what journalctl puts
// before an object of JSON in its forms json-sse and json-seq.
func bareJSON(line string) string {
	text := strings.TrimLeft(strings.TrimSpace(line), "\x1e")
	if object, ok := strings.CutPrefix(text, "data: "); ok && strings.HasPrefix(object, "{") {
		return object
	}
	return text
}

// readJSON reads an object of JSON: an entry of the journal or of dmesg, or an event
// of sysgate monitor or Auditbeat.
func (r *Reader) readJSON(text string) (Event, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return Event{}, fmt.Errorf("json: %w", err)
	}
	if _, ok := object["MESSAGE"]; ok {
		return journalJSON(object).parse(r.o)
	}
	if raw, ok := object["msg"]; ok {
		return dmesgJSON(object["pri"], raw, r.o)
	}
	return parseECS([]byte(text))
}

// dmesgJSON reads an entry of dmesg --json. Its priority has the facility: 0 is the
// kernel's, whatever a program wrote has another.
func dmesgJSON(priority, message json.RawMessage, o Options) (Event, error) {
	var n int
	var text string
	if json.Unmarshal(message, &text) != nil || json.Unmarshal(priority, &n) != nil || n >= 8 {
		return Event{}, nil
	}
	return parseLine(text, o)
}

// continueObject takes the next line of an object that goes over several, as people
// have them printed. ok is false for a line that cannot be of one: the object was cut
// off, and the line is one of its own.
func (r *Reader) continueObject(line string) (e Event, ok bool, err error) {
	text := strings.TrimSpace(line)
	switch {
	case text != "" && !strings.ContainsRune(" \t\"]}[", rune(line[0])), r.object.Len()+len(text) > maxLine:
		return Event{}, false, nil
	case strings.HasPrefix(text, `"dmesg":`):
		r.object.Reset() // each entry of the list is an object
		return Event{}, true, nil
	case strings.HasPrefix(text, "}"):
		whole := r.object.String() + "}"
		if json.Valid([]byte(whole)) {
			r.object.Reset()
			if strings.HasSuffix(text, "{") {
				r.object.WriteString("{")
			}
			e, err = r.readJSON(whole)
			return e, true, err
		}
	}
	r.object.WriteString("\n" + text)
	return Event{}, true, nil
}

// endObject says that an object was cut off, if one was.
func (r *Reader) endObject() (Event, error) {
	if r.object.Len() == 0 {
		return Event{}, nil
	}
	r.object.Reset()
	return Event{}, errors.New("json: an object of several lines is cut off")
}
