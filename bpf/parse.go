package bpf

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// A SyntaxError is what is wrong with a program's text, and where.
type SyntaxError struct {
	Line, Col int    // from 1; Col in bytes
	Msg       string // lower case
	Hint      string // what to write instead; "" if there is nothing to say
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Msg) }

// Parse reads a program as [Program.Disassemble] writes it, for a machine of the
// same byte order: it gives back every program bit by bit. People can leave out
// the indexes before the colon, or write names of places there, and in jumps
// indexes, such names, or +N, the number of instructions to skip:
//
//	        ld arch
//	        jeq #0xc000003e, native, foreign
//	native: ret allow
//	foreign: ret kill_process    ; whatever it is
//
// A place stands before its instruction, on the same line or above it; what
// follows a semicolon is a comment. The program need not be valid; see
// [Program.Validate]. The error is a [*SyntaxError], or ErrEmpty or ErrTooLong.
func Parse(text string, bigEndian bool) (Program, error) {
	p := parser{bigEndian: bigEndian, places: make(map[string]int)}
	for line := range strings.Lines(text) {
		p.line++
		if bad := p.parseLine(line); bad != nil {
			return nil, bad
		}
		if len(p.program) > MaxLen {
			return nil, ErrTooLong
		}
	}
	if len(p.program) == 0 {
		return nil, ErrEmpty
	}
	for _, j := range p.jumps {
		if bad := p.resolve(j); bad != nil {
			return nil, bad
		}
	}
	return p.program, nil
}

type parser struct {
	bigEndian bool
	program   Program
	places    map[string]int // by name
	jumps     []target

	line int
	text string // the line, without its comment
	off  int    // of what comes next
}

// A target is where a jump goes, to be resolved when all places are known.
type target struct {
	pc   int
	kind targetKind
	to   string
	at   SyntaxError // its place in the text
}

type targetKind uint8

const (
	targetJT targetKind = iota
	targetJF
	targetK
)

func (p *parser) bad(off int, hint, format string, args ...any) *SyntaxError {
	return &SyntaxError{p.line, off + 1, fmt.Sprintf(format, args...), hint}
}

func (p *parser) parseLine(line string) *SyntaxError {
	p.text, _, _ = strings.Cut(strings.TrimRight(line, "\r\n"), ";")
	p.off = 0
	for {
		off, word := p.word()
		switch {
		case word == "":
			return p.end()
		case !p.accept(":"):
			return p.instruction(off, word)
		case isDigit(word[0]):
			if n, err := strconv.Atoi(word); err != nil || n != len(p.program) {
				return p.bad(off, "leave the indexes out, or number them from 0", "index %s before instruction %d", word, len(p.program))
			}
		default:
			if _, twice := p.places[word]; twice {
				return p.bad(off, "", "place %q stands twice", word)
			}
			p.places[word] = len(p.program)
		}
	}
}

// instruction reads what follows the name that is at off.
func (p *parser) instruction(off int, name string) *SyntaxError {
	pc := len(p.program)
	p.program = append(p.program, Instruction{})
	i := &p.program[pc]
	if name == "raw" {
		return p.raw(i)
	}
	start := p.off
	if _, second := p.word(); second != "" { // ld len, ret a
		if code, ok := codeOf(name+" "+second, bare); ok {
			i.Code = code
			return p.end()
		}
		p.off = start
	}
	known := false
	for _, f := range [...]form{withK, branchK, withX, branchX, withMem, withData, retK, jump, bare} {
		code, ok := codeOf(name, f)
		known = known || ok
		if !ok || !p.startsWith(f) {
			continue
		}
		i.Code = code
		if bad := p.operands(i, pc, f); bad != nil {
			return bad
		}
		return p.end()
	}
	if !known {
		return p.bad(off, instructionHint(name), "unknown instruction %q", name)
	}
	return p.bad(p.off, "", "%s: want another operand, got %s", name, p.rest())
}

// startsWith reports whether what comes next can be the first operand of form f.
func (p *parser) startsWith(f form) bool {
	p.space()
	rest := p.text[p.off:]
	switch f {
	case withK, branchK:
		return strings.HasPrefix(rest, "#")
	case withX, branchX:
		return rest == "x" || strings.HasPrefix(rest, "x,") || strings.HasPrefix(rest, "x ")
	case withMem:
		return strings.HasPrefix(rest, "M[")
	case bare:
		return rest == ""
	}
	return rest != "" && rest[0] != '#' && !strings.HasPrefix(rest, "M[")
}

// operands reads the operands of i, the instruction pc.
func (p *parser) operands(i *Instruction, pc int, f form) *SyntaxError {
	var bad *SyntaxError
	switch f {
	case bare:
	case withData:
		i.K, bad = p.dataWord()
	case withMem:
		i.K, bad = p.indexed("M[", "]", 1<<32-1)
	case withX:
		p.accept("x")
	case withK:
		i.K, bad = p.constant()
	case jump:
		bad = p.jump(pc, targetK)
	case retK:
		i.K, bad = p.action()
	case branchK, branchX:
		if f == branchX {
			p.accept("x")
		} else {
			i.K, bad = p.constant()
		}
		for _, kind := range []targetKind{targetJT, targetJF} {
			if bad == nil {
				bad = p.want(",")
			}
			if bad == nil {
				bad = p.jump(pc, kind)
			}
		}
	}
	return bad
}

func (p *parser) constant() (uint32, *SyntaxError) {
	p.accept("#")
	return p.number(1<<32 - 1)
}

// jump reads where instruction pc goes.
func (p *parser) jump(pc int, kind targetKind) *SyntaxError {
	p.space()
	at := SyntaxError{Line: p.line, Col: p.off + 1}
	sign := ""
	if p.accept("+") {
		sign = "+"
	}
	off, word := p.word()
	if word == "" || sign != "" && !isDigit(word[0]) {
		return p.bad(off, "", "want the place that the jump goes to, got %s", p.rest())
	}
	p.jumps = append(p.jumps, target{pc, kind, sign + word, at})
	return nil
}

// resolve sets the distance of a jump.
func (p *parser) resolve(t target) *SyntaxError {
	bad := func(hint, format string, args ...any) *SyntaxError {
		t.at.Msg, t.at.Hint = fmt.Sprintf(format, args...), hint
		return &t.at
	}
	next := uint64(t.pc) + 1
	var to uint64
	switch digits, relative := strings.CutPrefix(t.to, "+"); {
	case isDigit(digits[0]):
		n, err := strconv.ParseUint(digits, 0, 64)
		if err != nil || n > 1<<33 {
			return bad("", "bad number %q", digits)
		}
		if to = n; relative {
			to += next
		}
	default:
		place, ok := p.places[t.to]
		if !ok {
			return bad("", "no place is called %q", t.to)
		}
		to = uint64(place)
	}
	limit := uint64(0xff)
	if t.kind == targetK {
		limit = 1<<32 - 1
	}
	switch {
	case to < next:
		return bad("classic BPF jumps forward only", "the jump goes back")
	case to-next > limit:
		return bad("go by way of a ja", "the jump is too far: %d instructions, of at most %d", to-next, limit)
	}
	i := &p.program[t.pc]
	switch t.kind {
	case targetJT:
		i.JT = uint8(to - next)
	case targetJF:
		i.JF = uint8(to - next)
	default:
		i.K = uint32(to - next)
	}
	return nil
}

// dataWord reads the name of a word of seccomp_data and returns its offset.
func (p *parser) dataWord() (uint32, *SyntaxError) {
	half := func() (high bool, bad *SyntaxError) {
		switch {
		case p.accept(".hi"):
			return true, nil
		case p.accept(".lo"):
			return false, nil
		}
		return false, p.bad(p.off, "a 64-bit member is read as .hi and .lo", "want .hi or .lo, got %s", p.rest())
	}
	switch {
	case p.accept("nr"):
		return OffsetNR, nil
	case p.accept("arch"):
		return OffsetArch, nil
	case p.accept("ip"):
		high, bad := half()
		return OffsetIP(high, p.bigEndian), bad
	case strings.HasPrefix(p.text[p.off:], "args["):
		n, bad := p.indexed("args[", "]", 5)
		if bad != nil {
			return 0, bad
		}
		high, bad := half()
		return OffsetArg(int(n), high, p.bigEndian), bad
	case strings.HasPrefix(p.text[p.off:], "["):
		return p.indexed("[", "]", 1<<32-1)
	}
	return 0, p.bad(p.off, "the words are nr, arch, ip.lo, ip.hi, args[N].lo, args[N].hi", "want a word of seccomp_data, got %s", p.rest())
}

// action reads a return word: the name of an action with its data, or a number.
func (p *parser) action() (uint32, *SyntaxError) {
	off, name := p.word()
	if name != "" && isDigit(name[0]) {
		p.off = off
		return p.number(1<<32 - 1)
	}
	for _, a := range [...]abi.Action{abi.Allow, abi.Log, abi.Trace, abi.UserNotify, abi.Errno, abi.Trap, abi.KillThread, abi.KillProcess} {
		if kind, _, _ := strings.Cut(a.String(), "("); name != kind {
			continue
		}
		var data uint32
		var bad *SyntaxError
		switch {
		case a.TakesData():
			data, bad = p.indexed("(", ")", 0xffff)
		case p.accept("|"):
			data, bad = p.number(0xffff)
		}
		return uint32(a.WithData(uint16(data))), bad
	}
	p.off = off
	return 0, p.bad(off, "the actions are allow, log, trace(n), user_notify, errno(n), trap(n), kill_thread, kill_process", "unknown action %s", p.rest())
}

// raw reads the fields of an instruction as numbers.
func (p *parser) raw(i *Instruction) *SyntaxError {
	var fields [4]uint32
	for n, limit := range [...]uint32{0xffff, 0xff, 0xff, 1<<32 - 1} {
		if n > 0 {
			if bad := p.want(","); bad != nil {
				return bad
			}
		}
		var bad *SyntaxError
		if fields[n], bad = p.number(limit); bad != nil {
			return bad
		}
	}
	*i = Instruction{Code: uint16(fields[0]), JT: uint8(fields[1]), JF: uint8(fields[2]), K: fields[3]}
	return p.end()
}

// indexed reads a number up to limit between open and closing.
func (p *parser) indexed(open, closing string, limit uint32) (uint32, *SyntaxError) {
	if bad := p.want(open); bad != nil {
		return 0, bad
	}
	n, bad := p.number(limit)
	if bad == nil {
		bad = p.want(closing)
	}
	return n, bad
}

// number reads a number: decimal, 0x, 0o or 0b.
func (p *parser) number(limit uint32) (uint32, *SyntaxError) {
	off, word := p.word()
	if word == "" || !isDigit(word[0]) {
		p.off = off
		return 0, p.bad(off, "", "want a number, got %s", p.rest())
	}
	n, err := strconv.ParseUint(word, 0, 64)
	if len(word) > 1 && word[0] == '0' && isDigit(word[1]) || err != nil {
		return 0, p.bad(off, "numbers are decimal, 0x, 0o or 0b", "bad number %q", word)
	}
	if n > uint64(limit) {
		return 0, p.bad(off, "", "%s is out of range: the largest is %d", word, limit)
	}
	return uint32(n), nil
}

// word reads letters, digits and underscores; off is where they start.
func (p *parser) word() (off int, word string) {
	p.space()
	off = p.off
	for p.off < len(p.text) && isWord(p.text[p.off]) {
		p.off++
	}
	return off, p.text[off:p.off]
}

func (p *parser) space() {
	for p.off < len(p.text) && (p.text[p.off] == ' ' || p.text[p.off] == '\t') {
		p.off++
	}
}

// accept reads mark if it comes next.
func (p *parser) accept(mark string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.off:], mark) {
		return false
	}
	p.off += len(mark)
	return true
}

func (p *parser) want(mark string) *SyntaxError {
	if !p.accept(mark) {
		return p.bad(p.off, "", "want %q, got %s", mark, p.rest())
	}
	return nil
}

// end is an error unless the line ends.
func (p *parser) end() *SyntaxError {
	if p.space(); p.off < len(p.text) {
		return p.bad(p.off, "a comment starts with a semicolon", "want the end of the line, got %s", p.rest())
	}
	return nil
}

// rest is what comes next, for messages.
func (p *parser) rest() string {
	rest := strings.TrimSpace(p.text[p.off:])
	if rest == "" {
		return "the end of the line"
	}
	return strconv.Quote(rest)
}

// codeOf returns the code of the instruction with a name and a form.
func codeOf(name string, f form) (uint16, bool) {
	for code, op := range ops {
		if op.form == f && op.name == name {
			return uint16(code), true
		}
	}
	return 0, false
}

// instructionHint helps with what is no instruction, such as another assembler's
// word for one.
func instructionHint(name string) string {
	switch strings.ToLower(name) {
	case "ldh", "ldb", "ldi", "ldxi", "ldxb":
		return "seccomp has no such load: ld, ldx"
	case "jmp":
		return "write ja"
	case "jne", "jneq", "jlt", "jle":
		return "swap the places: jeq, jge, jgt"
	}
	return "the instructions are ld, ldx, st, stx, add, sub, mul, div, or, and, lsh, rsh, xor, neg, ja, jeq, jgt, jge, jset, ret, tax, txa, raw"
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}
