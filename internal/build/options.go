package build

import "github.com/sysgate/sysgate/internal/compile"

// Options say what to optimize for; the zero value is the mode Cached. They never
// change what a filter means.
type Options = compile.Options

// A Mode says what a program is made for.
type Mode = compile.Mode

// The modes.
const (
	Cached   = compile.Cached   // Linux 5.11 and later: only calls that still run the filter count
	Uncached = compile.Uncached // kernels that run the filter on every call
	Size     = compile.Size     // the fewest instructions
)

// ParseMode returns the mode of a name: cached, uncached or size.
func ParseMode(name string) (Mode, bool) { return compile.ParseMode(name) }

// A Frequency is how often a program makes each system call.
type Frequency = compile.Frequency

// ParseFrequency reads a table: a name and a number a line, a tab between them.
// name is the file's, for errors.
func ParseFrequency(name string, data []byte) (*Frequency, error) {
	return compile.ParseFrequency(name, data)
}
