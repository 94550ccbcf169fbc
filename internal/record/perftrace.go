package record

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// A line of perf-trace(1): "1.2 ( 0.004 ms): ls/123 openat(dfd: CWD, …) = 3", or
// " … [continued]: openat()) = 3" for the end of a call that others came in between;
// "?" for a time that is not known. The name of the process may hold anything.
var (
	perfLine    = regexp.MustCompile(`^ *(?:[0-9.]+|\?) \( *(?:[0-9.]+ ms)? *\): (.*)$`)
	perfCall    = regexp.MustCompile(`/\d+ ([a-z_][a-z0-9_]*)\((.*)$`)
	perfEnd     = regexp.MustCompile(`\.\.\. \[continued\]: ([a-z_][a-z0-9_]*)\(\)`)
	perfThread  = regexp.MustCompile(`^ ?.*\(\d+\), \d+ events?, [0-9.]+%`)
	perfRow     = regexp.MustCompile(`^ {1,4}([a-z_][a-z0-9_]*) +(\d+) +(\d+) +[0-9.]+ `)
	perfLost    = regexp.MustCompile(`LOST (\d+) events`)
	perfSummary = "Summary of events:"
)

func isPerfTrace(line string) bool { return perfLine.MatchString(line) }

func isPerfSummary(line string) bool { return strings.TrimSpace(line) == perfSummary }

// perfDoubt: it looks names up by the number alone.
const perfDoubt = "perf trace does not tell ABIs apart: calls of a 32-bit one have other names there"

// readPerfTrace reads what perf trace writes.
func readPerfTrace(c *imported, lines []string) {
	pending := map[string]int{} // calls whose end is still to come, by name
	for _, line := range lines {
		c.perfLost(line)
		m := perfLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if end := perfEnd.FindStringSubmatch(m[1]); end != nil {
			if pending[end[1]]--; pending[end[1]] < 0 { // its beginning is not in the file
				pending[end[1]] = 0
				c.add(c.native, end[1], 1, nil)
			}
			continue
		}
		call := perfCall.FindStringSubmatch(m[1])
		if call == nil {
			continue
		}
		args, whole := splitArgs(call[2])
		if !whole || strings.HasSuffix(strings.TrimSpace(line), "...") {
			pending[call[1]]++
		}
		c.add(c.native, call[1], 1, func(a abi.ABI, nr uint32) ([6]uint64, bool) { return perfValues(a, nr, args) })
	}
	c.doubt(perfDoubt)
}

func (c *imported) perfLost(line string) {
	if m := perfLost.FindStringSubmatch(line); m != nil {
		if n, err := strconv.ParseUint(m[1], 10, 64); err == nil {
			c.run.Lost += n
		}
	}
}

// readPerfSummary reads the tables of "perf trace -s", one for each thread.
func readPerfSummary(c *imported, lines []string) {
	in := false
	for _, line := range lines {
		c.perfLost(line)
		switch {
		case isPerfSummary(line), perfThread.MatchString(line):
			in = true
		case in:
			m := perfRow.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if n, err := strconv.ParseUint(m[2], 10, 64); err == nil {
				c.add(c.native, m[1], n, nil)
			}
		}
	}
	c.doubt("the table has no arguments")
	c.noExit()
	c.doubt(perfDoubt)
}

// perfPrefixes are what perf leaves off the names of constants, by the argument.
var perfPrefixes = map[string]string{
	"domain": "AF_", "family": "AF_", "type": "SOCK_", "prot": "PROT_", "flags": "MAP_", "clone_flags": "CLONE_", "option": "PR_",
	"cmd": "F_", "resource": "RLIMIT_", "advice": "MADV_",
}

// perfValues returns the arguments that say what a call is. perf writes them by name,
// and leaves out those that are 0.
func perfValues(a abi.ABI, nr uint32, args []string) (values [6]uint64, ok bool) {
	masks, _ := observe.Modes(a, nr)
	for _, arg := range args {
		name, text, ok := strings.Cut(arg, ": ")
		if !ok {
			return values, false
		}
		i, ok := a.ArgIndex(nr, name)
		if !ok || masks[i] == 0 {
			if masked(a, nr, name) {
				continue
			}
			return values, false
		}
		for part := range strings.SplitSeq(text, "|") {
			v, ok := perfTerm(a, a.SyscallName(nr), name, part)
			if !ok {
				return values, false
			}
			values[i] |= v
		}
	}
	return values, true
}

// masked reports whether an argument is none of those that say what the call is, as
// far as its name tells: perf has names of its own.
func masked(a abi.ABI, nr uint32, name string) bool {
	masks, _ := observe.Modes(a, nr)
	args, known := a.Args(nr)
	if !known {
		return false
	}
	for i, mask := range masks {
		if mask != 0 && (i >= len(args) || args[i].Name == name) {
			return false
		}
	}
	// Another name for one that does say it must not be taken for 0.
	return name != "family" && name != "personality" && name != "which" && name != "clone_flags"
}

func perfTerm(a abi.ABI, call, name, text string) (uint64, bool) {
	if v, ok := straceTerm(a, text); ok {
		return v, true
	}
	prefix := perfPrefixes[name]
	switch {
	case call == "ioctl":
		prefix = ""
	case call == "clone" || call == "unshare" || call == "setns":
		prefix = "CLONE_"
	}
	if text == "LOCAL" {
		text = "UNIX"
	}
	return a.Constant(prefix + text)
}
