package kernel

import (
	"bytes"
	"strconv"
)

// A Task is what /proc says of the protection of a thread (proc_pid_status(5)).
// A number is -1 where the kernel is too old to say it.
type Task struct {
	TID        int // 0: the calling thread
	Mode       int // as of [Mode] (Linux 3.8)
	NoNewPrivs int // 1: set (4.10)
	Filters    int // how many (5.9)
	Dead       bool
}

func parseTask(tid int, status []byte) Task {
	t := Task{TID: tid, Mode: -1, NoNewPrivs: -1, Filters: -1}
	for line := range bytes.Lines(status) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(key) {
		case "State":
			t.Dead = len(value) > 0 && (value[0] == 'Z' || value[0] == 'X')
		case "Seccomp":
			t.Mode = number(value)
		case "NoNewPrivs":
			t.NoNewPrivs = number(value)
		case "Seccomp_filters":
			t.Filters = number(value)
		}
	}
	return t
}

func number(text []byte) int {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}
