package observe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sysgate/sysgate/abi"
)

// StreamVersion is the version of the stream that [WriteRun] writes.
const StreamVersion = 1

// maxLine bounds a line of a stream: a call with all its values takes some 10 KB.
const maxLine = 1 << 20

// A streamLine is one line of a stream: the head of a run, or one of its calls.
type streamLine struct {
	Run  *streamRun  `json:"run,omitempty"`
	Call *streamCall `json:"call,omitempty"`
}

type streamRun struct {
	Version  int      `json:"version"`
	Source   string   `json:"source"`
	Recorder string   `json:"recorder"`
	Start    string   `json:"start,omitempty"`
	Lost     uint64   `json:"lost,omitempty"`
	Doubts   []string `json:"doubts,omitempty"`
}

type streamCall struct {
	ABI    string        `json:"abi"`
	NR     uint32        `json:"nr"`
	Name   string        `json:"name,omitempty"` // for people: the number counts
	Count  uint64        `json:"count,omitempty"`
	Denied uint64        `json:"denied,omitempty"`
	Exe    string        `json:"exe,omitempty"`
	Values []streamValue `json:"values,omitempty"`
	Open   bool          `json:"open,omitempty"`
	Stack  []string      `json:"stack,omitempty"`
}

// A streamValue has the arguments that say what the call is by their position, in
// hexadecimal: {"args":{"0":"0x2"},"count":3}.
type streamValue struct {
	Args  map[string]string `json:"args"`
	Count uint64            `json:"count,omitempty"`
}

// WriteRun writes r as lines of JSON: a head ({"run":…}), then a line for each
// call ({"call":…}). Several runs may follow each other.
func WriteRun(w io.Writer, r *Run) error {
	head := &streamRun{Version: StreamVersion, Source: r.Source, Recorder: r.Recorder, Lost: r.Lost, Doubts: r.Doubts}
	if !r.Start.IsZero() {
		head.Start = r.Start.UTC().Format(time.RFC3339Nano)
	}
	lines := []streamLine{{Run: head}}
	for _, c := range r.Calls {
		call := &streamCall{
			ABI: c.ABI.String(), NR: c.NR, Name: c.Name, Count: c.Count, Denied: c.Denied,
			Exe: c.Exe, Open: c.Open, Stack: c.Stack,
		}
		masks, _ := Modes(c.ABI, c.NR)
		for _, v := range c.Values {
			value := streamValue{Args: map[string]string{}, Count: v.Count}
			for i, mask := range masks {
				if mask != 0 {
					value.Args[strconv.Itoa(i)] = fmt.Sprintf("%#x", v.Args[i])
				}
			}
			call.Values = append(call.Values, value)
		}
		lines = append(lines, streamLine{Call: call})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, line := range lines {
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("write the run: %w", err)
		}
	}
	return nil
}

// IsStream reports whether data begins like a stream of runs.
func IsStream(data []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(data, " \t\r\n"), []byte("\n"))
	return bytes.HasPrefix(line, []byte(`{"run":`))
}

// ReadRuns reads the runs of a stream. An error names the line.
func ReadRuns(r io.Reader) ([]*Run, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	var runs []*Run
	for n := 1; in.Scan(); n++ {
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		if err := readLine(in.Bytes(), &runs); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read the stream of runs: %w", err)
	}
	return runs, nil
}

func readLine(data []byte, runs *[]*Run) error {
	var line streamLine
	if err := json.Unmarshal(data, &line); err != nil {
		return err
	}
	switch {
	case line.Run != nil && line.Call == nil:
		r, err := line.Run.read()
		if err != nil {
			return err
		}
		*runs = append(*runs, r)
		return nil
	case line.Call == nil || line.Run != nil:
		return errors.New(`neither {"run":…} nor {"call":…}`)
	case len(*runs) == 0:
		return errors.New(`a call before the first {"run":…}`)
	}
	c, err := line.Call.read()
	if err != nil {
		return err
	}
	last := (*runs)[len(*runs)-1]
	last.Calls = append(last.Calls, c)
	return nil
}

func (h *streamRun) read() (*Run, error) {
	if h.Version != StreamVersion {
		return nil, fmt.Errorf("version %d of the stream is not known", h.Version)
	}
	r := &Run{Source: h.Source, Recorder: h.Recorder, Lost: h.Lost, Doubts: h.Doubts}
	if h.Start != "" {
		t, err := time.Parse(time.RFC3339Nano, h.Start)
		if err != nil {
			return nil, fmt.Errorf("start: %w", err)
		}
		if r.Start = t.UTC(); r.Start.Year() < 0 || r.Start.Year() > 9999 {
			return nil, fmt.Errorf("start: %s", h.Start)
		}
	}
	return r, nil
}

func (l *streamCall) read() (Made, error) {
	a, ok := abi.Parse(l.ABI)
	if !ok {
		return Made{}, fmt.Errorf("unknown ABI %q", l.ABI)
	}
	c := Made{
		ABI: a, NR: l.NR, Name: a.SyscallName(l.NR), Count: l.Count, Denied: l.Denied,
		Exe: l.Exe, Open: l.Open, Stack: l.Stack,
	}
	if l.Name != "" && l.Name != c.Name {
		return Made{}, fmt.Errorf("number %d is %q on %v, not %q", l.NR, c.Name, a, l.Name)
	}
	masks, modes := Modes(a, l.NR)
	if len(l.Values) > maxValues {
		c.Open = true
	}
	if !modes || c.Open {
		return c, nil
	}
	seen := map[[6]uint64]bool{}
	for _, v := range l.Values {
		value := Value{Count: v.Count}
		for i, mask := range masks {
			if mask == 0 {
				continue
			}
			text, ok := v.Args[strconv.Itoa(i)]
			n, err := strconv.ParseUint(text, 0, 64)
			if !ok || err != nil {
				return Made{}, fmt.Errorf("argument %d of a value of %s: %q", i, c.Name, text)
			}
			value.Args[i] = n & mask
		}
		if seen[value.Args] {
			return Made{}, fmt.Errorf("a value of %s twice", c.Name)
		}
		seen[value.Args] = true
		c.Values = append(c.Values, value)
	}
	c.Open = len(c.Values) == 0
	sortValues(c.Values)
	return c, nil
}
