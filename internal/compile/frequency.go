package compile

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// A Frequency is how often a program makes each system call, against the others.
type Frequency struct {
	shares []share
}

type share struct {
	name   string
	weight int64 // of all calls: frequencyScale
}

const frequencyScale = 1 << 32

// ParseFrequency reads a table: a name and a number a line, a tab between them.
// The numbers can be counts or shares; only their proportions matter. Empty lines
// and lines that start with # count for nothing, nor does a first line that
// starts with "syscall". The error has name, the file's, and the line.
func ParseFrequency(name string, data []byte) (*Frequency, error) {
	type entry struct {
		name  string
		count float64
	}
	var entries []entry
	seen := make(map[string]bool)
	sum, number := 0.0, 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' || number == 1 && strings.HasPrefix(line, "syscall\t") {
			continue
		}
		call, text, ok := strings.Cut(line, "\t")
		if !ok || call == "" {
			return nil, fmt.Errorf("%s:%d: want a system call, a tab and a number, got %q", name, number, line)
		}
		count, err := strconv.ParseFloat(text, 64)
		if err != nil || !(count >= 0 && count <= maxCount) {
			return nil, fmt.Errorf("%s:%d: want a number from 0 to %g, got %q", name, number, float64(maxCount), text)
		}
		if seen[call] {
			return nil, fmt.Errorf("%s:%d: %s is there twice", name, number, call)
		}
		seen[call] = true
		entries = append(entries, entry{call, count})
		sum += count
	}
	if sum == 0 {
		return nil, fmt.Errorf("%s: no call is ever made", name)
	}
	f := &Frequency{}
	for _, e := range entries {
		f.shares = append(f.shares, share{e.name, int64(e.count / sum * frequencyScale)})
	}
	return f, nil
}

// maxCount bounds a count, so that sums are finite.
const maxCount = 1e18

//go:embed frequency.tsv
var shippedFrequency []byte

// shipped returns the table that comes with sysgate: the mean of eight programs,
// traced (testdata/policies/README.md). It is read once a process.
var shipped = sync.OnceValues(func() (*Frequency, error) {
	return ParseFrequency("frequency.tsv", shippedFrequency)
})
