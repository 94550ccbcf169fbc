package record

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
)

// The beginnings of strace's lines (strace(1)): the process with -f, times with -t,
// -tt, -ttt and -r, the number with -n, the address with -i.
var (
	stracePID    = regexp.MustCompile(`^(?:\[pid +(\d+)(?:<[^>]*>)?\] *|(\d+)(?:<[^>]*>)? +)`)
	straceTimes  = regexp.MustCompile(`^ *(?:\d\d:\d\d:\d\d(?:\.\d+)? +|\d+\.\d+ +|\(\+ *\d+\.\d+\) +|\[ *([0-9a-f?]+)\] +)`)
	straceCall   = regexp.MustCompile(`^([a-z_][a-z0-9_]*)\(`)
	straceResume = regexp.MustCompile(`^<\.\.\. ([a-z_][a-z0-9_]*) resumed>,? ?`)
	straceMode   = regexp.MustCompile(`\[ Process PID=(\d+) runs in (32 bit|x32|64 bit) mode\. \]`)
	straceNumber = regexp.MustCompile(`^syscall_0x([0-9a-f]+)$`)
)

const unfinished = "<unfinished ...>"

// straceLine splits a line into the process and the number of the call, "" if it does not
// say, and the rest. An address has 8 digits or more.
func straceLine(line string) (pid, number, rest string) {
	rest = line
	if m := stracePID.FindStringSubmatch(rest); m != nil {
		pid, rest = m[1]+m[2], rest[len(m[0]):]
	}
	for {
		m := straceTimes.FindStringSubmatch(rest)
		if m == nil {
			return pid, number, rest
		}
		if len(m[1]) > 0 && len(m[1]) < 8 {
			number = m[1]
		}
		rest = rest[len(m[0]):]
	}
}

func isStrace(line string) bool {
	_, _, rest := straceLine(line)
	m := straceCall.FindStringSubmatch(rest)
	return m != nil && (abi.Known(m[1]) || straceNumber.MatchString(m[1])) && (strings.Contains(rest, ") ") || strings.HasSuffix(rest, unfinished))
}

// readStrace reads the text that strace writes.
func readStrace(c *imported, lines []string) {
	r := straceReader{c: c, modes: map[string]abi.ABI{}, open: map[string]string{}}
	for _, line := range lines {
		r.line(line)
	}
	for _, pid := range sortedPIDs(r.open) {
		r.call(pid, "", r.open[pid]) // the recording or the process ended in it
	}
	if r.guessed {
		c.doubt("strace's text does not say by which ABI a call was made: with -n it does")
	}
}

func sortedPIDs(m map[string]string) []string {
	set := map[string]int{}
	for k := range m {
		set[k] = 0
	}
	return sortedKeys(set)
}

type straceReader struct {
	c     *imported
	modes map[string]abi.ABI // of processes that strace says it of; "": of lines that name none
	open  map[string]string  // calls without their end, by process

	guessed bool // a call had no number
}

func (r *straceReader) line(line string) {
	if m := straceMode.FindStringSubmatch(line); m != nil {
		r.modes[m[1]] = modeABI(r.c.native, m[2])
		if pid, _, _ := straceLine(line); pid == "" { // the only process so far
			r.modes[""] = r.modes[m[1]]
		}
		return
	}
	pid, number, rest := straceLine(line)
	if m := straceResume.FindStringSubmatch(rest); m != nil {
		head, ok := r.open[pid]
		delete(r.open, pid)
		if !ok || !strings.HasPrefix(head, m[1]+"(") {
			r.c.doubt("calls whose beginning is not in the file have unknown arguments")
			r.c.add(r.abi(pid, number, m[1]), m[1], 1, nil)
			return
		}
		r.call(pid, number, head+rest[len(m[0]):])
		return
	}
	if !straceCall.MatchString(rest) {
		return // signals, ends, stacks, messages, the program's own output
	}
	if head, ok := strings.CutSuffix(rest, unfinished); ok {
		r.open[pid] = strings.TrimRight(head, " ")
		return
	}
	if i := strings.Index(rest, "strace: Process "); i > 0 { // on a terminal, in the middle of a call
		rest = rest[:i]
	}
	r.call(pid, number, rest)
}

// abi returns the ABI of a call: that on which its name has the number that strace wrote,
// else the one of the process.
func (r *straceReader) abi(pid, number, name string) abi.ABI {
	a, ok := r.modes[pid]
	if !ok {
		a = r.c.native
	}
	if nr, err := strconv.ParseUint(number, 10, 32); err == nil {
		for _, candidate := range append([]abi.ABI{a, r.c.native}, r.c.native.Compat()...) {
			if has, ok := candidate.Lookup(name); ok && has == uint32(nr) {
				return candidate
			}
			if mux, _, ok := candidate.Multiplexed(name); ok && mux == uint32(nr) {
				return candidate
			}
		}
	}
	r.guessed = true
	return a
}

// modeABI returns the ABI that strace calls a mode of a machine.
func modeABI(native abi.ABI, mode string) abi.ABI {
	for _, a := range native.Compat() {
		if (mode == "x32") == (a == abi.X32) && mode != "64 bit" {
			return a
		}
	}
	return native
}

// call reads "name(arguments) = result".
func (r *straceReader) call(pid, number, text string) {
	m := straceCall.FindStringSubmatch(text)
	if m == nil {
		return
	}
	if unnamed := straceNumber.FindStringSubmatch(m[1]); unnamed != nil {
		nr, err := strconv.ParseUint(unnamed[1], 16, 32)
		if err != nil {
			r.c.unknown[m[1]]++
			return
		}
		made, _ := r.c.tally.Call(r.abi(pid, number, m[1]), uint32(nr))
		made.Count++
		return
	}
	args, whole := splitArgs(text[len(m[0]):])
	r.c.add(r.abi(pid, number, m[1]), m[1], 1, func(a abi.ABI, nr uint32) ([6]uint64, bool) {
		if !whole {
			return [6]uint64{}, false
		}
		return straceValues(a, nr, args)
	})
}

// straceValues returns the arguments that say what a call is.
func straceValues(a abi.ABI, nr uint32, args []string) (values [6]uint64, ok bool) {
	masks, _ := observe.Modes(a, nr)
	signature, _ := a.Args(nr)
	named := map[string]string{} // clone(child_stack=NULL, flags=…)
	for _, arg := range args {
		if name, value, ok := strings.Cut(arg, "="); ok && straceWord.MatchString(name) {
			named[name] = value
		}
	}
	for i, mask := range masks {
		if mask == 0 {
			continue
		}
		text, has := "", false
		switch {
		case len(named) > 0 && i < len(signature):
			text, has = named[signature[i].Name]
		case i < len(args):
			text, has = args[i], true
		}
		v, known := straceValue(a, text)
		if !has || !known {
			return values, false
		}
		values[i] = v
	}
	return values, true
}

var (
	straceWord    = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	straceComment = regexp.MustCompile(`/\*.*?\*/`)
	straceIOC     = regexp.MustCompile(`^_IOC\(([^,]*), *([^,]*), *([^,]*), *([^,]*)\)$`)
)

// straceValue reads what strace writes for a number: 0x3, PROT_READ|PROT_WRITE,
// 0x1 /* AF_UNIX */, TCGETS or another name, _IOC(…).
func straceValue(a abi.ABI, text string) (uint64, bool) {
	text = strings.TrimSpace(straceComment.ReplaceAllString(text, ""))
	if m := straceIOC.FindStringSubmatch(text); m != nil {
		return ioctlNumber(a, m[1:])
	}
	if first, _, ok := strings.Cut(text, " or "); ok {
		text = first // names of the same value
	}
	var value uint64
	for part := range strings.SplitSeq(text, "|") {
		v, ok := straceTerm(a, strings.TrimSpace(part))
		if !ok {
			return 0, false
		}
		value |= v
	}
	return value, true
}

func straceTerm(a abi.ABI, text string) (uint64, bool) {
	if shifted, by, ok := strings.Cut(text, "<<"); ok { // 21<<MAP_HUGE_SHIFT
		v, ok1 := straceTerm(a, shifted)
		n, ok2 := straceTerm(a, by)
		return v << min(n, 63), ok1 && ok2
	}
	if v, err := strconv.ParseUint(text, 0, 64); err == nil {
		return v, true
	}
	if v, err := strconv.ParseInt(text, 0, 64); err == nil {
		return uint64(v), true
	}
	if v, ok := a.Constant(text); ok {
		return v, true
	}
	if sig := observe.SignalNumber(text); sig != 0 { // in clone's flags
		return uint64(sig), true
	}
	return 0, text == "NULL"
}

// ioctlNumber is _IOC of include/uapi/asm-generic/ioctl.h: direction, type, number,
// size.
func ioctlNumber(a abi.ABI, parts []string) (uint64, bool) {
	write, read, directionShift := uint64(1), uint64(2), 30
	switch a {
	case abi.PPC64, abi.PPC64LE, abi.MIPS, abi.MIPSLE, abi.MIPS64, abi.MIPS64LE: // arch/*/include/uapi/asm/ioctl.h
		write, directionShift = 4, 29
	}
	direction := uint64(0)
	for part := range strings.SplitSeq(parts[0], "|") {
		switch strings.TrimSpace(part) {
		case "_IOC_READ":
			direction |= read
		case "_IOC_WRITE":
			direction |= write
		case "_IOC_NONE", "0":
			if directionShift == 29 {
				direction = 1
			}
		default:
			return 0, false
		}
	}
	value := direction << directionShift
	for i, shift := range []int{8, 0, 16} {
		v, err := strconv.ParseUint(strings.TrimSpace(parts[i+1]), 0, 16)
		if err != nil {
			return 0, false
		}
		value |= v << shift
	}
	return value, true
}

// splitArgs splits what follows the opening parenthesis of a call at its commas; whole
// is false if the closing one is missing. Strings, structures, comments and what -y
// writes behind descriptors may hold all of these characters.
func splitArgs(text string) (args []string, whole bool) {
	depth, start := 0, 0
	flush := func(end int) {
		if arg := strings.TrimSpace(text[start:end]); arg != "" || len(args) > 0 {
			args = append(args, arg)
		}
		start = end + 1
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '/':
			if strings.HasPrefix(text[i:], "/*") {
				end := strings.Index(text[i:], "*/")
				if end < 0 {
					flush(len(text))
					return args, false
				}
				i += end + 1
			}
		case '<':
			if strings.HasPrefix(text[i:], "<<") { // a shift
				i++
				break
			}
			i = skipDecoration(text, i)
		case '(', '[', '{':
			depth++
		case ']', '}':
			depth--
		case ')':
			if depth == 0 {
				flush(i)
				return args, true
			}
			depth--
		case ',':
			if depth == 0 {
				flush(i)
			}
		}
	}
	flush(len(text))
	return args, false
}

// skipDecoration returns the index of the ">" that ends what starts at i:
// <TCP:[127.0.0.1:80->127.0.0.1:99]>, </a/path>. Nothing else in it is one: -y
// escapes them in paths.
func skipDecoration(text string, i int) int {
	nested := 0
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '<':
			nested++
		case '>':
			switch {
			case text[j-1] == '-':
			case nested == 0:
				return j
			default:
				nested--
			}
		}
	}
	return i
}
