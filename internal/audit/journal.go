package audit

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A journalEntry is what is used of one entry of systemd's journal
// (systemd.journal-fields(7)).
type journalEntry map[string]string

// parse reads the record of an entry. What came through journald's audit socket
// has the type's name before the record's text, and time and serial number in
// fields of their own; what came through the kernel's log or a program is a line.
func (j journalEntry) parse(o Options) (Event, error) {
	message := j["MESSAGE"]
	h := head{raw: message, host: j["_HOSTNAME"]}
	name, body, _ := strings.Cut(message, " ")
	switch {
	case j["_TRANSPORT"] != "audit":
		e, err := parseLine(message, o)
		if e.Violation != nil && e.Violation.Host == "" {
			e.Violation.Host = h.host
		}
		return e, err
	case j["_AUDIT_TYPE"] == "1326" || name == "SECCOMP":
		h.kind = typeSeccomp
	case j["_AUDIT_TYPE"] == "1701" || name == "ANOM_ABEND":
		h.kind = typeAbend
	default:
		return Event{}, nil
	}
	h.serial, _ = strconv.ParseUint(j["_AUDIT_ID"], 10, 64)
	for _, key := range []string{"_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"} {
		if micros, err := strconv.ParseInt(j[key], 10, 64); err == nil && micros > 0 {
			h.time = time.UnixMicro(micros).UTC()
			break
		}
	}
	return parseBody(h, body, o)
}

// parseJournalLine reads what journalctl prints of an entry from journald's audit
// socket: "Jun 15 15:38:32 host audit[6664]: SECCOMP auid=…". Such a line has no
// serial number, and whole seconds.
func parseJournalLine(line string, o Options) (Event, error) {
	for name, kind := range map[string]int{"SECCOMP": typeSeccomp, "ANOM_ABEND": typeAbend} {
		prefix, body, ok := strings.Cut(line, "]: "+name+" ")
		i := strings.LastIndex(prefix, "audit[")
		if !ok || i < 0 {
			continue
		}
		h := head{kind: kind, raw: line}
		h.time, h.host = lineStart(strings.TrimSpace(prefix[:i]), o)
		return parseBody(h, body, o)
	}
	return Event{}, nil
}

// lineStart reads the time and the host at the start of a line of syslog or
// journalctl. A time without a year is of the last twelve months.
func lineStart(text string, o Options) (time.Time, string) {
	words := strings.Fields(text)
	host := ""
	if len(words) > 0 {
		host = words[len(words)-1]
		words = words[:len(words)-1]
	}
	stamp := strings.Join(words, " ")
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339Nano} {
		if t, err := time.Parse(layout, stamp); err == nil {
			return t.UTC(), host
		}
	}
	t, err := time.ParseInLocation("Jan 2 15:04:05", stamp, o.location())
	if err != nil {
		return time.Time{}, host
	}
	now := o.Now
	if now.IsZero() {
		now = time.Now()
	}
	t = t.AddDate(now.Year(), 0, 0)
	if t.After(now.AddDate(0, 0, 1)) {
		t = t.AddDate(-1, 0, 0)
	}
	return t.UTC(), host
}

// journalJSON makes an entry of a line of journalctl -o json. Values that are no
// text are lists of bytes; of a field that an entry has twice, the first counts.
func journalJSON(object map[string]json.RawMessage) journalEntry {
	j := journalEntry{}
	for key, raw := range object {
		var text string
		var raws []json.RawMessage
		var bytes []uint8
		switch {
		case json.Unmarshal(raw, &text) == nil:
			j[key] = text
		case json.Unmarshal(raw, &raws) != nil || len(raws) == 0:
		case json.Unmarshal(raws[0], &text) == nil:
			j[key] = text
		default:
			var numbers []uint16 // encoding/json takes a list for []uint8 as base64
			if json.Unmarshal(raw, &numbers) == nil {
				for _, n := range numbers {
					bytes = append(bytes, uint8(n))
				}
				j[key] = string(bytes)
			}
		}
	}
	return j
}

// isExport reports whether a line starts an entry of the journal's export form.
func isExport(line string) bool {
	for _, key := range []string{"__CURSOR=", "__REALTIME_TIMESTAMP=", "__MONOTONIC_TIMESTAMP=", "__SEQNUM="} {
		if strings.HasPrefix(line, key) {
			return true
		}
	}
	return false
}

// readExport reads the rest of an entry in the journal's export form, whose first
// line has been read: "KEY=value" lines up to an empty one; a line without "=" has
// a length of 8 bytes, little-endian, and as many bytes as its value. lines is how many lines were read.
func readExport(r *bufio.Reader, first string) (j journalEntry, lines int, err error) {
	j = journalEntry{}
	for line := first; ; lines++ {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			var size uint64
			if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
				return j, lines, fmt.Errorf("journal field %q: %w", shorten(key), io.ErrUnexpectedEOF)
			}
			if size > maxLine {
				return j, lines, fmt.Errorf("journal field %q: %d bytes are too many", shorten(key), size)
			}
			data := make([]byte, size+1) // and a newline
			if _, err := io.ReadFull(r, data); err != nil {
				return j, lines, fmt.Errorf("journal field %q: %w", shorten(key), io.ErrUnexpectedEOF)
			}
			value = string(data[:size])
		}
		if _, had := j[key]; !had {
			j[key] = value
		}
		var complete bool
		if line, complete, err = readLine(r); err != nil || line == "" && complete {
			if err == io.EOF {
				err = nil
			}
			return j, lines + 1, err
		}
	}
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
