package record

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// countMode starts the table of another ABI in the output of "strace -c".
var countMode = regexp.MustCompile(`^System call usage summary for (32 bit|x32|64 bit) mode:$`)

// isCountHead reports whether a line names the columns of "strace -c": at least how
// often and what (-U chooses them).
func isCountHead(line string) bool {
	columns := countColumns(line)
	return slices.Contains(columns, "calls") && slices.Contains(columns, "syscall") && !strings.Contains(line, "(")
}

// countColumns returns the names of the columns. "% time" is one.
func countColumns(line string) []string {
	columns := strings.Fields(strings.Replace(line, "% time", "%time", 1))
	for _, name := range columns {
		if !slices.Contains([]string{
			"%time", "time", "seconds", "usecs/call", "calls", "errors", "syscall", "total", "min-time", "max-time", "avg-time",
			"shortest", "longest", "name", "count", "error",
		}, name) {
			return nil
		}
	}
	return columns
}

// readCounts reads the tables of "strace -c" and "-C": a head, a line of dashes, a
// line for each call, dashes, the sum. The column of errors is empty where there are
// none.
func readCounts(c *imported, lines []string) {
	a := c.native
	var columns []string
	rows := false
	for _, line := range lines {
		if m := countMode.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			a = modeABI(c.native, m[1])
			continue
		}
		if isCountHead(line) {
			columns, rows = countColumns(line), false
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(line), "---") {
			rows = !rows && columns != nil
			continue
		}
		if rows {
			readCount(c, a, columns, strings.Fields(line))
		}
	}
	c.doubt("the table has no arguments")
	c.noExit()
}

func readCount(c *imported, a abi.ABI, columns, fields []string) {
	if len(fields) == len(columns)-1 {
		columns = slices.DeleteFunc(slices.Clone(columns), func(name string) bool { return name == "errors" })
	}
	if len(fields) != len(columns) {
		c.doubt("a line of the table that cannot be read: %q", strings.Join(fields, " "))
		return
	}
	name := fields[slices.Index(columns, "syscall")]
	n, err := strconv.ParseUint(fields[slices.Index(columns, "calls")], 10, 64)
	if err != nil {
		c.doubt("a line of the table that cannot be read: %q", strings.Join(fields, " "))
		return
	}
	c.add(a, name, n, nil)
}
