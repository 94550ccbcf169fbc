package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const signaturesHeader = `# What the kernel functions behind the system calls take, from the tracepoint
# formats of an x86-64 kernel (tracefs, events/syscalls/sys_enter_*/format), by
# gentables -tracefs. Corrections belong into signatures-extra.txt.
`

// fieldPattern is a field of a tracepoint's format.
var fieldPattern = regexp.MustCompile(`^\s*field:(.*?)\s*(\w+);\s*offset:(\d+);`)

// firstArgument is the offset in a trace record where the arguments start:
// after the common fields and the number.
const firstArgument = 16

// updateSignatures takes the tracepoint formats below a mounted tracefs over
// into signatures.txt. What this kernel was built without stays as it was.
func updateSignatures(in inputs, tracefs string) error {
	protos, err := readPrototypes(in, "signatures.txt")
	if err != nil {
		return err
	}
	formats, err := filepath.Glob(filepath.Join(tracefs, "events/syscalls/sys_enter_*/format"))
	if err != nil {
		return err
	}
	if len(formats) == 0 {
		return fmt.Errorf("%s has no events/syscalls: mount it (mount -t tracefs none DIR), on a kernel with CONFIG_FTRACE_SYSCALLS", tracefs)
	}
	for _, path := range formats {
		name := strings.TrimPrefix(filepath.Base(filepath.Dir(path)), "sys_enter_")
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		p := prototype{name: name}
		for text := range strings.SplitSeq(string(data), "\n") {
			m := fieldPattern.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			if offset, err := strconv.Atoi(m[3]); err != nil || offset < firstArgument {
				continue
			}
			p.parameters = append(p.parameters, parameter{m[1], m[2]})
		}
		protos[name] = p
	}
	var text strings.Builder
	text.WriteString(signaturesHeader)
	for _, name := range slices.Sorted(maps.Keys(protos)) {
		fmt.Fprintln(&text, protos[name])
	}
	return os.WriteFile(filepath.Join(in.dir, "signatures.txt"), []byte(text.String()), 0o644)
}

// readPrototypes reads one prototype a line.
func readPrototypes(in inputs, file string) (map[string]prototype, error) {
	lines, err := in.lines(file)
	if err != nil {
		return nil, err
	}
	protos := map[string]prototype{}
	for _, l := range lines {
		p, err := parsePrototype(strings.Join(l.fields, " "))
		if err != nil {
			return nil, l.errorf("%w", err)
		}
		if _, twice := protos[p.name]; twice {
			return nil, l.errorf("%s is listed twice", p.name)
		}
		protos[p.name] = p
	}
	return protos, nil
}
