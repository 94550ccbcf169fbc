package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// inputs is the directory of the text inputs.
type inputs struct{ dir string }

// A line of a text input, split at white space, its comment removed.
type line struct {
	fields []string
	pos    string // file:line
}

func (l line) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", l.pos, fmt.Errorf(format, args...))
}

// lines returns the lines of a file that hold something. A '#' that starts a
// field starts a comment.
func (in inputs) lines(name string) ([]line, error) {
	path := filepath.Join(in.dir, filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []line
	for i, text := range strings.Split(string(data), "\n") {
		fields := strings.Fields(text)
		for j, f := range fields {
			if f[0] == '#' {
				fields = fields[:j]
				break
			}
		}
		if len(fields) > 0 {
			out = append(out, line{fields, fmt.Sprintf("%s:%d", name, i+1)})
		}
	}
	return out, nil
}
