package proc

import (
	"bytes"
	"strconv"
)

// A Status is what is used of /proc/PID/status (proc_pid_status(5)). A number of
// the protection is -1 where the kernel is too old to say it.
type Status struct {
	Name       string
	PPID       int
	UID, GID   uint32 // real
	Threads    int
	Mode       int // seccomp: 0 off, 1 strict, 2 filters
	Filters    int // Linux 5.9
	NoNewPrivs int // 1: set; Linux 4.10
	Dead       bool
}

// parseStatus reads a status file.
func parseStatus(text []byte) Status {
	s := Status{Mode: -1, Filters: -1, NoNewPrivs: -1}
	for len(text) > 0 {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimLeft(value, " \t")
		switch string(key) {
		case "Name":
			s.Name = unescape(string(value))
		case "State":
			s.Dead = len(value) > 0 && (value[0] == 'Z' || value[0] == 'X')
		case "PPid":
			s.PPID = max(0, number(value))
		case "Uid":
			s.UID = firstID(value)
		case "Gid":
			s.GID = firstID(value)
		case "Threads":
			s.Threads = max(0, number(value))
		case "NoNewPrivs":
			s.NoNewPrivs = number(value)
		case "Seccomp":
			s.Mode = number(value)
		case "Seccomp_filters":
			s.Filters = number(value)
		}
	}
	return s
}

func number(text []byte) int {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// firstID returns the first of four IDs.
func firstID(text []byte) uint32 {
	word, _, _ := bytes.Cut(text, []byte("\t"))
	n, err := strconv.ParseUint(string(word), 10, 32)
	if err != nil {
		return ^uint32(0)
	}
	return uint32(n)
}

// unescape undoes what the kernel writes for a newline and a backslash in a name,
// and other bytes in octal.
func unescape(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		switch next := s[i+1]; {
		case next == 'n':
			out, i = append(out, '\n'), i+1
		case next == '\\':
			out, i = append(out, '\\'), i+1
		default:
			if n, err := strconv.ParseUint(s[i+1:min(len(s), i+4)], 8, 8); err == nil && i+4 <= len(s) {
				out, i = append(out, byte(n)), i+3
				continue
			}
			out = append(out, '\\')
		}
	}
	return string(out)
}
