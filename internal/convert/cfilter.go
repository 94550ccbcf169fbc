package convert

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// cArray matches the start of an array of instructions, up to its first element: of one
// that is declared, or of a compound literal.
var cArray = regexp.MustCompile(`\bsock_filter\b(\s+\w+\s*\[[^\]]*\][^;{}=]*=|\s*\[[^\]]*\]\s*\))\s*\{`)

// cStart matches what a C array has and no policy: the structure's name, or an
// element at its start.
var cStart = regexp.MustCompile(`\bsock_filter\b|^\{\s*[0-9]`)

// cElement matches an element of one.
var cElement = regexp.MustCompile(`\{\s*(\.\w+\s*=\s*)?[0-9]|\bBPF_[A-Z]+\b`)

// parseC reads a C array of struct sock_filter, or its elements alone: in braces, or by
// the macros of <linux/filter.h>, with the constants of the kernel's headers, numbers of
// calls by their names on the machine, and macros that the file defines.
func parseC(data []byte, native abi.ABI) (bpf.Program, bool, error) {
	p, bad := readC(data, native)
	if bad != nil {
		return nil, false, &bpf.SyntaxError{Line: bad.Pos.Line, Col: bad.Pos.Col, Msg: bad.Msg, Hint: bad.Hint}
	}
	return p, orderOf(p, native), p.Validate()
}

func readC(data []byte, native abi.ABI) (bpf.Program, *policy.Error) {
	d := newDocument("", data)
	m, text, conditions, bad := readMacros(d)
	if bad != nil {
		return nil, bad
	}
	start, end := 0, len(text)
	if all := cArray.FindAllStringIndex(text, 2); len(all) > 0 {
		if len(all) > 1 {
			return nil, d.errorf(all[1][0], all[1][1], "leave one of them in the file", "a second array of struct sock_filter")
		}
		start = all[0][1]
		if end = closing(text, start); end < 0 {
			return nil, d.errorf(all[0][0], all[0][1], "", "the array has no end")
		}
	}
	for _, at := range conditions {
		if at >= start && at < end {
			return nil, d.errorf(at, at+1, "gcc -E FILE has the array without them", "conditions of the preprocessor are not followed")
		}
	}
	tokens, bad := d.tokens(cWords, text[start:end], start)
	if bad != nil {
		return nil, bad
	}
	last := tokens[len(tokens)-1]
	if tokens, bad = m.expand(tokens[:len(tokens)-1], nil); bad != nil {
		return nil, bad
	}
	c := &cParser{parser{document: d, all: append(tokens, last)}, native, 0}
	p := c.elements()
	return p, c.err
}

// closing returns where the brace closes that stands before text[start:], -1 if it does
// not. Comments may have braces in them.
func closing(text string, start int) int {
	depth := 1
	for i := start; i < len(text); i++ {
		skip := -1
		switch rest := text[i:]; {
		case rest[0] == '{':
			depth++
		case rest[0] == '}':
			if depth--; depth == 0 {
				return i
			}
		case strings.HasPrefix(rest, "//"):
			skip = strings.IndexByte(rest, '\n')
		case strings.HasPrefix(rest, "/*"):
			skip = strings.Index(rest, "*/")
		default:
			continue
		}
		if skip > 0 {
			i += skip
		}
	}
	return -1
}

type cParser struct {
	parser
	abi   abi.ABI
	depth int // of parentheses
}

// elements reads all instructions.
func (c *cParser) elements() (p bpf.Program) {
	for c.peek().kind != 0 {
		if len(p) == bpf.MaxLen {
			c.fail(c.peek(), "", "%v", bpf.ErrTooLong)
			return nil
		}
		p = append(p, c.element())
		if c.peek().kind != 0 {
			c.expect(",")
		}
	}
	return p
}

// cFields are the fields of struct sock_filter, in its order, and cMacros those that the
// macros of <linux/filter.h> take, in theirs.
var (
	cFields = []string{"code", "jt", "jf", "k"}
	cMacros = map[string][]string{"BPF_STMT": {"code", "k"}, "BPF_JUMP": {"code", "k", "jt", "jf"}}
)

// element reads one instruction.
func (c *cParser) element() (i bpf.Instruction) {
	t := c.next()
	if fields := cMacros[t.text]; fields != nil {
		for k, name := range fields {
			c.expect([]string{"(", ","}[min(k, 1)])
			c.set(&i, name)
		}
		c.expect(")")
		return i
	}
	if t.kind != '.' || t.text != "{" {
		c.fail(t, "BPF_STMT(CODE, K), BPF_JUMP(CODE, K, JT, JF) or { CODE, JT, JF, K }", "want an instruction%s", c.instead(t))
	}
	for at := 0; c.err == nil && !c.accept("}"); at++ {
		name := ""
		if c.accept(".") {
			name = c.word("a field of struct sock_filter").text
			c.expect("=")
		} else if at < len(cFields) {
			name = cFields[at]
		}
		c.set(&i, name)
		if !c.accept(",") && c.peek().text != "}" {
			c.expect("}")
		}
	}
	return i
}

// set reads the value of a field of an instruction.
func (c *cParser) set(i *bpf.Instruction, name string) {
	switch name {
	case "code":
		i.Code = uint16(c.field(16))
	case "jt":
		i.JT = uint8(c.field(8))
	case "jf":
		i.JF = uint8(c.field(8))
	case "k":
		i.K = uint32(c.field(32))
	default:
		c.fail(c.peek(), "", "no field of struct sock_filter: it has code, jt, jf and k")
	}
}

// field reads an expression that fits into bits.
func (c *cParser) field(bits int) int64 {
	t := c.peek()
	v := c.expression(0)
	if limit := int64(1) << bits; c.err == nil && (v >= limit || v < -limit/2) {
		c.fail(t, "", "%d does not fit into %d bits", v, bits)
	}
	return v
}

// cOperators are the binary operators, those that bind least first.
var cOperators = [][]string{{"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*"}}

// expression reads an expression of operators from level on.
func (c *cParser) expression(level int) int64 {
	if level == len(cOperators) {
		return c.unary()
	}
	v := c.expression(level + 1)
	for {
		op := c.peek()
		if op.kind != '.' || !slices.Contains(cOperators[level], op.text) {
			return v
		}
		c.next()
		w := c.expression(level + 1)
		switch op.text {
		case "|":
			v |= w
		case "^":
			v ^= w
		case "&":
			v &= w
		case "+":
			v += w
		case "-":
			v -= w
		case "*":
			v *= w
		default:
			if w < 0 || w > 63 {
				c.fail(op, "", "a shift by %d bits", w)
				return 0
			}
			if op.text == "<<" {
				v <<= w
			} else {
				v >>= w
			}
		}
	}
}

// cTypes are words that a cast begins with.
var cTypes = []string{
	"unsigned", "signed", "int", "long", "short", "char", "const", "__u8", "__u16", "__u32", "__u64",
	"u8", "u16", "u32", "u64", "uint8_t", "uint16_t", "uint32_t", "uint64_t", "size_t",
}

func (c *cParser) unary() int64 {
	t := c.peek()
	if c.depth++; c.depth > maxNested {
		c.fail(t, "", "more than %d parentheses in each other", maxNested)
	}
	defer func() { c.depth-- }()
	switch {
	case c.accept("~"):
		return int64(^uint32(c.unary())) // unsigned int is what the headers have
	case c.accept("-"):
		return -c.unary()
	case c.accept("+"):
		return c.unary()
	case c.accept("("):
		if first := c.peek(); first.kind == 'a' && slices.Contains(cTypes, first.text) {
			for c.err == nil && !c.accept(")") {
				c.word("a type")
			}
			return int64(uint32(c.unary()))
		}
		v := c.expression(0)
		c.expect(")")
		return v
	case t.kind == '0':
		v, err := strconv.ParseUint(strings.TrimRight(t.text, "uUlL"), 0, 64)
		if err != nil || v > math.MaxInt64 {
			c.fail(t, "", "%s is no number of C", t.text)
		}
		c.next()
		return int64(v)
	case c.accept("offsetof"), c.accept("__builtin_offsetof"):
		return c.offset()
	case t.kind == 'a':
		v, err := c.constant(t.text)
		if err != nil {
			hint := "#define " + t.text + " in the file says what it is"
			c.fail(t, hint, "%v", err)
		}
		c.next()
		return v
	}
	c.fail(t, "", "want a number%s", c.instead(t))
	return 0
}

// offset reads the rest of offsetof(struct seccomp_data, FIELD).
func (c *cParser) offset() int64 {
	c.expect("(")
	c.accept("struct")
	c.expect("seccomp_data")
	c.expect(",")
	t := c.word("a field of struct seccomp_data")
	v := int64(0)
	switch t.text {
	case "nr":
		v = bpf.OffsetNR
	case "arch":
		v = bpf.OffsetArch
	case "instruction_pointer":
		v = int64(bpf.OffsetIP(false, false))
	case "args":
		v = int64(bpf.OffsetArg(0, false, false))
		if c.accept("[") {
			at := c.peek()
			n := c.expression(0)
			if n < 0 || n > 5 {
				c.fail(at, "", "a call has 6 arguments")
			}
			v += 8 * n
			c.expect("]")
		}
	default:
		c.fail(t, "", "struct seccomp_data has nr, arch, instruction_pointer and args, not %s", t.text)
	}
	c.expect(")")
	return v
}

// bpfConstants are those of <linux/bpf_common.h>, <linux/filter.h> and
// <linux/seccomp.h> for classic BPF.
var bpfConstants = map[string]int64{
	"LD": 0, "LDX": 1, "ST": 2, "STX": 3, "ALU": 4, "JMP": 5, "RET": 6, "MISC": 7,
	"W": 0, "H": 8, "B": 0x10, "IMM": 0, "ABS": 0x20, "IND": 0x40, "MEM": 0x60, "LEN": 0x80, "MSH": 0xa0,
	"ADD": 0, "SUB": 0x10, "MUL": 0x20, "DIV": 0x30, "OR": 0x40, "AND": 0x50, "LSH": 0x60, "RSH": 0x70, "NEG": 0x80, "MOD": 0x90, "XOR": 0xa0,
	"JA": 0, "JEQ": 0x10, "JGT": 0x20, "JGE": 0x30, "JSET": 0x40, "K": 0, "X": 8, "A": 0x10, "TAX": 0, "TXA": 0x80,
}

// seccompMasks are the constants SECCOMP_RET_… that are no actions.
var seccompMasks = map[string]int64{"ACTION_FULL": 0xffff0000, "ACTION": 0x7fff0000, "DATA": 0xffff}

// auditArchs are the names AUDIT_ARCH_… of <linux/audit.h>.
var auditArchs = map[string]abi.ABI{
	"X86_64": abi.AMD64, "I386": abi.I386, "AARCH64": abi.ARM64, "ARM": abi.ARM, "RISCV64": abi.RISCV64, "LOONGARCH64": abi.LOONG64,
	"S390X": abi.S390X, "PPC64": abi.PPC64, "PPC64LE": abi.PPC64LE, "MIPS": abi.MIPS, "MIPSEL": abi.MIPSLE, "MIPS64": abi.MIPS64, "MIPSEL64": abi.MIPS64LE,
}

var errUnknownName = errors.New("an unknown name")

// constant returns the value of a name on the machine.
func (c *cParser) constant(name string) (int64, error) {
	if rest, ok := strings.CutPrefix(name, "BPF_"); ok {
		if v, ok := bpfConstants[rest]; ok {
			return v, nil
		}
	}
	if rest, ok := strings.CutPrefix(name, "SECCOMP_RET_"); ok {
		if action, ok := toolsActions[rest]; ok {
			return int64(action), nil
		}
		if v, ok := seccompMasks[rest]; ok {
			return v, nil
		}
	}
	if rest, ok := strings.CutPrefix(name, "AUDIT_ARCH_"); ok {
		if a, ok := auditArchs[rest]; ok {
			return int64(a.AuditArch()), nil
		}
	}
	for _, prefix := range []string{"__NR_", "SYS_"} {
		if call, ok := strings.CutPrefix(name, prefix); ok {
			if nr, ok := c.abi.Lookup(call); ok {
				return int64(nr), nil
			}
			return 0, fmt.Errorf("%v has no call %s", c.abi, call)
		}
	}
	if name == "__X32_SYSCALL_BIT" || name == "X32_SYSCALL_BIT" {
		return 0x40000000, nil
	}
	if n, ok := c.abi.Errno(name); ok {
		return int64(n), nil
	}
	if v, ok := c.abi.Constant(name); ok && v <= math.MaxInt64 {
		return int64(v), nil
	}
	return 0, errUnknownName
}
