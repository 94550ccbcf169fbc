package convert

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

var formatSeccompTools = filterFormat("seccomp-tools", "#", "filter in the assembly of seccomp-tools", isSeccompTools, parseSeccompTools, writeSeccompTools)

// toolsStart matches a line that only seccomp-tools writes: the head of a listing,
// or an assignment or a return of its assembly, behind labels or none.
var toolsStart = regexp.MustCompile(`(?m)\A(\s*(#.*)?\n)*\s*(line\s+CODE\s+JT\s+JF\s+K|(\w+:\s*)*(A\s*=\s*(arch|sys_number|args|instruction_pointer|data|len)\b|return\s+[A-Z]+))`)

// toolsListing matches a line of "seccomp-tools dump" and "disasm", which has the
// instruction in numbers.
var toolsListing = regexp.MustCompile(`(?m)^\s*\d+: 0x([0-9a-f]{2}) 0x([0-9a-f]{2}) 0x([0-9a-f]{2}) 0x([0-9a-f]{8})  .*$`)

func isSeccompTools(data []byte) bool { return toolsStart.Match(data) }

func parseSeccompTools(data []byte, native abi.ABI) (bpf.Program, bool, error) {
	if len(data) > maxText {
		return nil, false, fmt.Errorf("%d bytes are too many", len(data))
	}
	if lines := toolsListing.FindAllSubmatch(data, bpf.MaxLen+1); len(lines) > 0 {
		var p bpf.Program
		for _, m := range lines {
			var fields [4]uint64
			for i := range fields {
				fields[i], _ = strconv.ParseUint(string(m[i+1]), 16, 32) // the pattern fits
			}
			p = append(p, bpf.Instruction{Code: uint16(fields[0]), JT: uint8(fields[1]), JF: uint8(fields[2]), K: uint32(fields[3])})
		}
		return p, orderOf(p, native), p.Validate()
	}
	p, err := assembleTools(data, native, native.BigEndian())
	if err == nil && orderOf(p, native) != native.BigEndian() {
		p, err = assembleTools(data, native, orderOf(p, native))
	}
	if err != nil {
		return nil, false, err
	}
	return p, orderOf(p, native), nil
}

var toolsWords = lexicon{
	operators: []string{"<<=", ">>=", "==", "!=", "<=", ">=", "<<", ">>", "+=", "-=", "*=", "/=", "|=", "&=", "^=", "<", ">", "=", "(", ")", "[", "]", "&", "!", "?", ":", "-", "+", "*", "/", "|", "^"},
	comments:  []string{"#"},
	inWord:    ".",
}

var toolsActions = map[string]abi.Action{
	"KILL_PROCESS": abi.KillProcess, "KILL_THREAD": abi.KillThread, "KILL": abi.KillThread, "TRAP": abi.Trap, "ERRNO": abi.Errno,
	"USER_NOTIF": abi.UserNotify, "LOG": abi.Log, "TRACE": abi.Trace, "ALLOW": abi.Allow,
}

var toolsArchs = map[string]abi.ABI{
	"ARCH_X86_64": abi.AMD64, "ARCH_I386": abi.I386, "ARCH_AARCH64": abi.ARM64, "ARCH_RISCV64": abi.RISCV64, "ARCH_S390X": abi.S390X,
}

// toolsALU are the operations on A, with a constant; with X, bpf.AddX-bpf.AddK is
// added.
var toolsALU = map[string]uint16{
	"+=": bpf.AddK, "-=": bpf.SubK, "*=": bpf.MulK, "/=": bpf.DivK, "|=": bpf.OrK, "&=": bpf.AndK, "^=": bpf.XorK, "<<=": bpf.LshK, ">>=": bpf.RshK,
}

// toolsCompare are the comparisons; of some, the jump is that of their opposite.
var toolsCompare = map[string]struct {
	code uint16
	swap bool
}{
	"==": {bpf.JeqK, false}, "!=": {bpf.JeqK, true}, ">": {bpf.JgtK, false}, "<=": {bpf.JgtK, true},
	">=": {bpf.JgeK, false}, "<": {bpf.JgeK, true}, "&": {bpf.JsetK, false},
}

// withX is what a code with X in the place of K has more.
const withX = bpf.AddX - bpf.AddK

// A toolsParser assembles a text of seccomp-tools asm (lib/seccomp-tools/asm).
type toolsParser struct {
	parser
	abi       abi.ABI
	bigEndian bool
	asm       bpf.Assembler
	labels    map[string]bpf.Label
	bound     map[string]bool
	used      []token
	size      int
}

func assembleTools(data []byte, a abi.ABI, bigEndian bool) (bpf.Program, error) {
	d := newDocument("", data)
	tokens, bad := d.tokens(toolsWords, string(data), 0)
	if bad != nil {
		return nil, toolsError(bad.Pos.Line, bad.Pos.Col, bad.Msg, bad.Hint)
	}
	p := &toolsParser{parser: parser{document: d, all: tokens}, abi: a, bigEndian: bigEndian, labels: map[string]bpf.Label{}, bound: map[string]bool{}}
	for p.peek().kind != 0 && p.size <= bpf.MaxLen {
		p.statement()
	}
	for _, t := range p.used {
		if !p.bound[t.text] {
			p.fail(t, "", "no label %q", t.text)
		}
	}
	if p.err != nil {
		return nil, toolsError(p.err.Pos.Line, p.err.Pos.Col, p.err.Msg, p.err.Hint)
	}
	return p.asm.Assemble()
}

// toolsError returns an error as package bpf reports those of its own assembly.
func toolsError(line, col int, msg, hint string) error {
	return &bpf.SyntaxError{Line: line, Col: col, Msg: msg, Hint: hint}
}

func (p *toolsParser) statement() {
	t := p.next()
	if (t.kind == 'a' || t.kind == '0') && p.accept(":") {
		if p.bound[t.text] || t.text == "next" {
			p.fail(t, "", "label %q cannot stand here", t.text)
			return
		}
		p.bound[t.text] = true
		p.asm.Bind(p.label(t.text))
		return
	}
	p.size++
	switch strings.ToLower(t.text) {
	case "a":
		p.accumulator()
	case "x":
		p.expect("=")
		p.index()
	case "mem":
		i := p.element(16)
		p.expect("=")
		code := bpf.St
		if r := p.next(); strings.EqualFold(r.text, "x") {
			code = bpf.Stx
		} else if !strings.EqualFold(r.text, "a") {
			p.fail(r, "", "want A or X%s", p.instead(r))
		}
		p.asm.Stmt(code, i)
	case "if":
		p.condition()
	case "goto", "jmp", "jump":
		p.asm.Goto(p.target())
	case "return":
		p.result()
	default:
		p.fail(t, "", "want a statement%s", p.instead(t))
	}
}

// accumulator reads what follows A.
func (p *toolsParser) accumulator() {
	operator := p.next()
	if compare, ok := toolsCompare[operator.text]; ok { // A == v ? yes : no
		code, k := p.operand(compare.code)
		p.expect("?")
		yes := p.target()
		p.expect(":")
		no := p.target()
		p.jump(code, k, yes, no, compare.swap)
		return
	}
	if code, ok := toolsALU[operator.text]; ok {
		code, k := p.operand(code)
		p.asm.Stmt(code, k)
		return
	}
	if operator.text != "=" {
		p.fail(operator, "", "want an operator%s", p.instead(operator))
		return
	}
	if p.accept("-") {
		if t := p.next(); !strings.EqualFold(t.text, "a") {
			p.fail(t, "", "want A")
		}
		p.asm.Stmt(bpf.Neg, 0)
		return
	}
	switch word := p.peek(); strings.ToLower(word.text) {
	case "x":
		p.next()
		p.asm.Stmt(bpf.Txa, 0)
	case "mem":
		p.next()
		p.asm.Stmt(bpf.LdMem, p.element(16))
	case "len":
		p.next()
		p.asm.Stmt(bpf.LdLen, 0)
	case "arch":
		p.next()
		p.asm.Stmt(bpf.LdAbs, bpf.OffsetArch)
	case "sys_number":
		p.next()
		p.asm.Stmt(bpf.LdAbs, bpf.OffsetNR)
	case "data":
		p.next()
		p.asm.Stmt(bpf.LdAbs, p.element(bpf.DataSize))
	case "args", "args_h":
		p.next()
		high := strings.EqualFold(word.text, "args_h")
		i := p.element(6)
		p.asm.Stmt(bpf.LdAbs, bpf.OffsetArg(int(i), p.high() != high, p.bigEndian))
	case "instruction_pointer":
		p.next()
		p.asm.Stmt(bpf.LdAbs, bpf.OffsetIP(p.high(), p.bigEndian))
	default:
		p.asm.Stmt(bpf.LdImm, p.constant())
	}
}

// high reports whether ">> 32" follows.
func (p *toolsParser) high() bool {
	if !p.accept(">>") {
		return false
	}
	if t := p.next(); t.text != "32" {
		p.fail(t, "", "want 32%s", p.instead(t))
	}
	return true
}

// index reads what X is set to.
func (p *toolsParser) index() {
	switch t := p.peek(); strings.ToLower(t.text) {
	case "a":
		p.next()
		p.asm.Stmt(bpf.Tax, 0)
	case "mem":
		p.next()
		p.asm.Stmt(bpf.LdxMem, p.element(16))
	case "len":
		p.next()
		p.asm.Stmt(bpf.LdxLen, 0)
	default:
		p.asm.Stmt(bpf.LdxImm, p.constant())
	}
}

// condition reads what follows if.
func (p *toolsParser) condition() {
	p.expect("(")
	negated := false
	depth := 1
	for p.accept("!") {
		negated = !negated
		p.expect("(")
		depth++
	}
	if t := p.next(); !strings.EqualFold(t.text, "a") {
		p.fail(t, "", "want A%s", p.instead(t))
	}
	operator := p.next()
	compare, ok := toolsCompare[operator.text]
	if !ok {
		p.fail(operator, "", "want a comparison%s", p.instead(operator))
	}
	code, k := p.operand(compare.code)
	for range depth {
		p.expect(")")
	}
	yes := p.gotoTarget()
	no := bpf.Next
	if t := p.peek(); strings.EqualFold(t.text, "else") {
		p.next()
		no = p.gotoTarget()
	}
	p.jump(code, k, yes, no, compare.swap != negated)
}

func (p *toolsParser) jump(code uint16, k uint32, yes, no bpf.Label, swap bool) {
	if swap {
		yes, no = no, yes
	}
	p.asm.If(code, k, yes, no)
}

func (p *toolsParser) gotoTarget() bpf.Label {
	if t := p.next(); !slices.Contains([]string{"goto", "jmp", "jump"}, strings.ToLower(t.text)) {
		p.fail(t, "", "want goto%s", p.instead(t))
	}
	return p.target()
}

func (p *toolsParser) target() bpf.Label {
	t := p.next()
	if t.kind != 'a' && t.kind != '0' {
		p.fail(t, "", "want a label%s", p.instead(t))
		return bpf.Next
	}
	if t.text == "next" {
		return bpf.Next
	}
	if p.bound[t.text] {
		p.fail(t, "", "jumps go forward, not back to %q", t.text)
	}
	p.used = append(p.used, t)
	return p.label(t.text)
}

func (p *toolsParser) label(name string) bpf.Label {
	l, ok := p.labels[name]
	if !ok {
		l = p.asm.NewLabel()
		p.labels[name] = l
	}
	return l
}

// operand reads X or a constant, and returns the code for it.
func (p *toolsParser) operand(code uint16) (uint16, uint32) {
	if t := p.peek(); strings.EqualFold(t.text, "x") {
		p.next()
		return code + withX, 0
	}
	return code, p.constant()
}

// element reads [N], N below limit.
func (p *toolsParser) element(limit uint32) uint32 {
	p.expect("[")
	t := p.peek()
	v := p.constant()
	if v >= limit {
		p.fail(t, "", "there are 0 to %d", limit-1)
	}
	p.expect("]")
	return v
}

func (p *toolsParser) result() {
	t := p.peek()
	if strings.EqualFold(t.text, "a") && t.kind == 'a' {
		p.next()
		p.asm.Stmt(bpf.RetA, 0)
		return
	}
	action, ok := toolsActions[t.text]
	if !ok {
		p.asm.Stmt(bpf.RetK, p.constant())
		return
	}
	p.next()
	word := uint32(action)
	if p.accept("(") {
		word |= p.constant() & 0xffff
		p.expect(")")
	}
	p.asm.Stmt(bpf.RetK, word)
}

// constant reads a number, the name of an architecture or of a call.
func (p *toolsParser) constant() uint32 {
	if p.accept("(") {
		v := p.constant()
		p.expect(")")
		return v
	}
	negative := p.accept("-")
	t := p.next()
	switch {
	case t.kind == '0':
		base := 10
		digits := t.text
		if rest, ok := strings.CutPrefix(digits, "0x"); ok {
			digits, base = rest, 16
		}
		v, err := strconv.ParseUint(digits, base, 64)
		if err != nil {
			p.fail(t, "", "%q is no number", t.text)
		}
		if negative {
			v = -v
		}
		return uint32(v)
	case negative || t.kind != 'a':
		p.fail(t, "", "want a number%s", p.instead(t))
		return 0
	}
	if a, ok := toolsArchs[strings.ToUpper(t.text)]; ok {
		return a.AuditArch()
	}
	a, name := p.abi, t.text
	if arch, rest, ok := strings.Cut(name, "."); ok {
		if a, ok = abi.Parse(arch); !ok {
			p.fail(t, "", "unknown architecture %q", arch)
		}
		name = rest
	}
	if rest, ok := strings.CutPrefix(name, "x32_"); ok && a == abi.AMD64 {
		a, name = abi.X32, rest
	}
	nr, ok := a.Lookup(name)
	if !ok {
		hint := ""
		if s := abi.Suggest(name); s != "" && s != name {
			hint = "did you mean " + s + "?"
		}
		p.fail(t, hint, "%s has no call %q", a, name)
	}
	return nr
}

// writeSeccompTools writes a program in the assembly of seccomp-tools 1.6 and
// later. Calls are numbers: names depend on its option --arch.
func writeSeccompTools(program bpf.Program, bigEndian bool) ([]byte, error) {
	targets := map[int]bool{}
	for pc, in := range program {
		switch {
		case in.Code == bpf.Ja:
			targets[pc+1+int(in.K)] = true
		case in.IsBranch():
			targets[pc+1+int(in.JT)], targets[pc+1+int(in.JF)] = true, true
		}
	}
	var b bytes.Buffer
	for pc, in := range program {
		if targets[pc] {
			fmt.Fprintf(&b, "L%d:\n", pc)
		}
		text, err := toolsInstruction(pc, in, bigEndian)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  %s\n", text)
	}
	return b.Bytes(), nil
}

func toolsInstruction(pc int, in bpf.Instruction, bigEndian bool) (string, error) {
	label := func(skip uint32) string { return fmt.Sprintf("L%d", pc+1+int(skip)) }
	value := func(code uint16) string {
		if in.Code == code+withX {
			return "X"
		}
		return fmt.Sprintf("%#x", in.K)
	}
	switch in.Code {
	case bpf.LdAbs:
		return "A = " + toolsWord(in.K, bigEndian), nil
	case bpf.LdImm:
		return fmt.Sprintf("A = %#x", in.K), nil
	case bpf.LdMem:
		return fmt.Sprintf("A = mem[%d]", in.K), nil
	case bpf.LdLen:
		return "A = len", nil
	case bpf.LdxImm:
		return fmt.Sprintf("X = %#x", in.K), nil
	case bpf.LdxMem:
		return fmt.Sprintf("X = mem[%d]", in.K), nil
	case bpf.LdxLen:
		return fmt.Sprintf("X = %d", bpf.DataSize), nil
	case bpf.St:
		return fmt.Sprintf("mem[%d] = A", in.K), nil
	case bpf.Stx:
		return fmt.Sprintf("mem[%d] = X", in.K), nil
	case bpf.Tax:
		return "X = A", nil
	case bpf.Txa:
		return "A = X", nil
	case bpf.Neg:
		return "A = -A", nil
	case bpf.Ja:
		return "goto " + label(in.K), nil
	case bpf.RetA:
		return "return A", nil
	case bpf.RetK:
		return "return " + toolsAction(abi.Action(in.K)), nil
	}
	for operator, code := range toolsALU {
		if in.Code == code || in.Code == code+withX {
			return fmt.Sprintf("A %s %s", operator, value(code)), nil
		}
	}
	for operator, compare := range toolsCompare {
		if !compare.swap && (in.Code == compare.code || in.Code == compare.code+withX) {
			return fmt.Sprintf("if (A %s %s) goto %s else goto %s", operator, value(compare.code), label(uint32(in.JT)), label(uint32(in.JF))), nil
		}
	}
	return "", fmt.Errorf("instruction %d has no assembly", pc)
}

// toolsWord returns what the word of seccomp_data at an offset is called.
func toolsWord(offset uint32, bigEndian bool) string {
	switch {
	case offset == bpf.OffsetNR:
		return "sys_number"
	case offset == bpf.OffsetArch:
		return "arch"
	case offset == bpf.OffsetIP(false, bigEndian):
		return "instruction_pointer"
	case offset == bpf.OffsetIP(true, bigEndian):
		return "instruction_pointer >> 32"
	}
	for i := range 6 {
		if offset == bpf.OffsetArg(i, false, bigEndian) {
			return fmt.Sprintf("args[%d]", i)
		}
		if offset == bpf.OffsetArg(i, true, bigEndian) {
			return fmt.Sprintf("args[%d] >> 32", i)
		}
	}
	return fmt.Sprintf("data[%d]", offset)
}

func toolsAction(word abi.Action) string {
	for _, name := range []string{"KILL_PROCESS", "KILL", "TRAP", "ERRNO", "USER_NOTIF", "LOG", "TRACE", "ALLOW"} {
		if toolsActions[name] == word.Kind() {
			if word.Data() != 0 {
				return fmt.Sprintf("%s(%d)", name, word.Data())
			}
			return name
		}
	}
	return fmt.Sprintf("%#x", uint32(word))
}
