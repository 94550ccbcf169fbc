package audit

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// parseLine reads a line of a log. The zero Event and a nil error mean that it holds
// nothing about seccomp.
func parseLine(line string, o Options) (Event, error) {
	if written, ok := ofUserspace(line); ok && written {
		return Event{}, nil
	}
	h := head{raw: line}
	prefix, rest, ok := strings.Cut(line, "audit(")
	if !ok {
		if withoutAction(line) {
			return Event{}, errors.New("ausearch's text and csv say neither the action nor the process: use ausearch --format raw")
		}
		return parseJournalLine(line, o)
	}
	kind, named := typeOf(prefix)
	if named && kind != typeSeccomp && kind != typeAbend {
		return Event{}, nil
	}
	h.kind = kind
	if _, node, ok := strings.Cut(" "+prefix, " node="); ok {
		h.host, _ = cutWord(node)
	}
	stamp, body, ok := strings.Cut(rest, ")")
	body, colon := strings.CutPrefix(strings.TrimLeft(body, " "), ":")
	if !ok || !colon {
		if !named {
			return Event{}, nil // another program's words
		}
		return Event{}, bad("time and serial number", stamp)
	}
	if err := h.stamp(stamp, o); err != nil {
		if !named {
			return Event{}, nil
		}
		return Event{}, err
	}
	return parseBody(h, body, o)
}

// withoutAction reports whether a line is a record of seccomp as ausearch --format text
// ("At 15:34:24 06/15/20 root unsuccessfully called-seccomp-controlled-syscall bind using …",
// "On web1 at …") or csv (",SECCOMP,06/15/20,15:34:24,94,…") writes it: auparse/normalize.c
// of audit-userspace.
func withoutAction(line string) bool {
	if node, rest, _ := strings.Cut(line, ","); strings.HasPrefix(rest, "SECCOMP,") && !strings.Contains(node, " ") {
		return strings.Count(rest, ",") >= 10
	}
	return (strings.HasPrefix(line, "At ") || strings.HasPrefix(line, "On ") && strings.Contains(line, " at ")) &&
		(strings.Contains(line, " called-seccomp-controlled-syscall ") || strings.Contains(line, " violated-seccomp-policy "))
}

// ofUserspace reports whether a line is in the form of /dev/kmsg, and if so
// whether a program wrote it, and not the kernel: its facility is not 0
// (Documentation/ABI/testing/dev-kmsg). Anybody may write such a line.
func ofUserspace(line string) (written, isKmsg bool) {
	meta, _, ok := strings.Cut(line, ";")
	if !ok {
		return false, false
	}
	parts := strings.Split(meta, ",")
	if len(parts) < 4 {
		return false, false
	}
	priority, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil {
		return false, false
	}
	return priority>>3 != 0, true
}

// typeOf returns the record type that a line names before its time: by number,
// by name, or as auditd writes one that it does not know. A type that is not
// read is -1.
func typeOf(prefix string) (kind int, named bool) {
	i := strings.LastIndex(prefix, "type=")
	if i < 0 {
		return 0, false
	}
	word, _ := cutWord(prefix[i+len("type="):])
	word = strings.TrimSuffix(strings.TrimPrefix(word, "UNKNOWN["), "]")
	switch word {
	case "SECCOMP", "1326":
		return typeSeccomp, true
	case "ANOM_ABEND", "1701":
		return typeAbend, true
	}
	return -1, true
}

// stamp reads "1592235264.942:94", or the local time that ausearch -i prints in
// the place of the seconds.
func (h *head) stamp(text string, o Options) error {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return bad("time and serial number", text)
	}
	serial, err := strconv.ParseUint(text[i+1:], 10, 64)
	if err != nil {
		return bad("serial number", text[i+1:])
	}
	h.serial = serial
	if t, ok := unixTime(text[:i]); ok {
		h.time = t
		return nil
	}
	for _, layout := range []string{"01/02/2006", "01/02/06", "02/01/2006", "02/01/06", "02.01.2006", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout+" 15:04:05.000", text[:i], o.location()); err == nil {
			h.time = t.UTC()
			return nil
		}
	}
	return bad("time", text[:i])
}

// unixTime reads seconds with a fraction.
func unixTime(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<38 {
		return time.Time{}, false
	}
	nanos := int64(0)
	if fraction != "" {
		if len(fraction) > 9 {
			return time.Time{}, false
		}
		n, err := strconv.ParseUint(fraction, 10, 32)
		if err != nil {
			return time.Time{}, false
		}
		nanos = int64(n)
		for range 9 - len(fraction) {
			nanos *= 10
		}
	}
	return time.Unix(seconds, nanos).UTC(), true
}
