package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// ParsePattern reads a call pattern, the one notation for calls: a name, a set,
// or nr:N or nr:LO-HI for numbers; before it, amd64: or another ABI that alone
// is meant; after it, in parentheses, conditions that must all hold:
//
//	socket(domain in {AF_UNIX, AF_INET}, type & 0xf == SOCK_STREAM)
//	amd64:socket(AF_ALG, _, 0)
//	nr:424-450(arg0 == 1, ...)
//
// docs/policy.md describes it in full. Names are checked against the tables of
// all ABIs; what needs one ABI is left to [Policy.Resolve]. An error is an
// [*Error] with the position in s.
func ParsePattern(s string) (Pattern, error) {
	p, bad := parsePattern(s)
	if bad != nil {
		return Pattern{}, bad.in(s)
	}
	return p, nil
}

// parsePattern is ParsePattern; the conditions' positions are columns in s.
func parsePattern(s string) (Pattern, *mistake) {
	l := lexer{text: s}
	p, bad := l.target()
	if bad != nil {
		return Pattern{}, bad
	}
	if open := l.peek(); l.accept("(") {
		p.Conditions, bad = l.conditions()
		if bad == nil && isSet(p.Name) && len(p.Conditions) > 0 {
			bad = open.mistake("write one pattern for each call", "a set takes no conditions")
		}
	}
	if bad == nil {
		bad = l.end()
	}
	if bad != nil {
		return Pattern{}, bad
	}
	return p, nil
}

// target reads what stands before the parentheses.
func (l *lexer) target() (Pattern, *mistake) {
	var p Pattern
	t := l.next()
	if l.peek().text == ":" && t.text != "nr" {
		var ok bool
		if p.ABI, ok = abi.Parse(t.text); !ok {
			return p, t.mistake(abiHint(t.text), "unknown ABI %q", t.text)
		}
		l.next()
		t = l.next()
	}
	switch {
	case t.text == "nr" && l.accept(":"):
		numbers, bad := l.numbers()
		p.Numbers = numbers
		return p, bad
	case t.kind == tokenName, t.kind == tokenSet:
		p.Name = t.text
		if msg, hint := checkName(p.Name); msg != "" {
			return p, t.mistake(hint, "%s", msg)
		}
		return p, nil
	}
	return p, t.mistake("", "want the name of a system call, got %s", t)
}

func (l *lexer) numbers() (*NumberRange, *mistake) {
	lo, bad := l.callNumber()
	if bad != nil {
		return nil, bad
	}
	hi := lo
	if l.accept("-") {
		at := l.peek()
		if hi, bad = l.callNumber(); bad == nil && hi < lo {
			bad = at.mistake("", "the range ends before it starts")
		}
	}
	return &NumberRange{lo, hi}, bad
}

func (l *lexer) callNumber() (uint32, *mistake) {
	t := l.next()
	n, bad := t.number()
	if bad == nil && n > 0xffffffff {
		bad = t.mistake("", "a call number has 32 bits")
	}
	return uint32(n), bad
}

// conditions reads the arguments up to the closing parenthesis.
func (l *lexer) conditions() ([]Condition, *mistake) {
	var all []Condition
	named := false
	for position := 0; ; position++ {
		switch t := l.peek(); {
		case t.text == ")":
			if position > 0 {
				return nil, t.mistake("", "want an argument, got %s", t)
			}
			l.next()
			return all, nil
		case t.text == "..." || t.text == "…":
			l.next()
			return all, l.want(")")
		case t.kind == tokenName && t.text == "_":
			l.next()
		default:
			c, bad := l.condition(position, &named)
			if bad != nil {
				return nil, bad
			}
			all = append(all, c)
		}
		if l.accept(")") {
			return all, nil
		}
		if bad := l.want(","); bad != nil {
			return nil, bad
		}
	}
}

// condition reads one condition: on the argument that it names, else on the one
// at this position.
func (l *lexer) condition(position int, named *bool) (Condition, *mistake) {
	start := l.peek()
	c := Condition{Index: position, Pos: Pos{Line: 1, Col: 1 + start.off}}
	if start.kind == tokenName && l.namesArgument() {
		*named = true
		l.next()
		c.setArg(start.text)
		if l.accept(":") {
			if t := l.next(); t.text != "64" {
				return c, t.mistake("", "want 64, the whole word, got %s", t)
			}
			c.Wide = true
		}
		return c, l.test(&c)
	}
	switch {
	case *named:
		return c, start.mistake("write name == value", "an argument without a name after one with a name")
	case position > 5:
		return c, start.mistake("", "a call has six arguments")
	case start.kind == tokenMark && start.text != "-" && start.text != "~" && start.text != "(":
		return c, l.test(&c)
	case start.text == "in" || start.text == "not":
		return c, l.test(&c)
	}
	value, bad := l.expr(0)
	if bad != nil {
		return c, bad
	}
	c.Op, c.Values = Equal, []string{value.String()}
	return c, nil
}

// namesArgument looks behind the name that comes next: an operator there makes
// it an argument's, else it is a constant.
func (l *lexer) namesArgument() bool {
	ahead := lexer{text: l.text, off: l.peek().off}
	if first := ahead.next().text; first == "in" || first == "not" {
		return false
	}
	switch t := ahead.next(); {
	case t.kind == tokenName:
		return true
	case t.kind == tokenMark:
		return !slices.Contains([]string{",", ")", "|", "...", "…"}, t.text)
	}
	return false
}

// setArg makes c a condition on the argument called name.
func (c *Condition) setArg(name string) {
	if name == "ip" {
		c.Index = IPWord
		return
	}
	if digit, ok := strings.CutPrefix(name, "arg"); ok && len(digit) == 1 && '0' <= digit[0] && digit[0] <= '5' {
		c.Index = int(digit[0] - '0')
		return
	}
	c.Arg, c.Index = name, -1
}

// comparisons are the operators with one value.
var comparisons = []struct {
	mark string
	op   Op
}{
	{"==", Equal}, {"!=", NotEqual}, {"<", Less}, {"<=", LessOrEqual}, {">", Greater}, {">=", GreaterOrEqual},
}

// test reads the operator and the values of c.
func (l *lexer) test(c *Condition) *mistake {
	t := l.next()
	switch t.text {
	case "in":
		c.Op = In
		return l.set(c)
	case "not":
		if in := l.next(); in.text != "in" {
			return in.mistake("", "want %q after %q, got %s", "in", "not", in)
		}
		c.Op = NotIn
		return l.set(c)
	case "&":
		return l.masked(c)
	}
	for _, op := range comparisons {
		if t.text == op.mark {
			value, bad := l.expr(0)
			if bad != nil {
				return bad
			}
			c.Op, c.Values = op.op, []string{value.String()}
			return nil
		}
	}
	hint := "the operators are == != < <= > >=, in {…}, not in {…}, & MASK == VALUE"
	if t.text == "=" {
		hint = "write =="
	}
	return t.mistake(hint, "want an operator, got %s", t)
}

func (l *lexer) set(c *Condition) *mistake {
	if bad := l.want("{"); bad != nil {
		return bad
	}
	for {
		if t := l.peek(); t.text == "}" {
			return t.mistake("", "want a value, got %s", t)
		}
		value, bad := l.expr(0)
		if bad != nil {
			return bad
		}
		c.Values = append(c.Values, value.String())
		if l.accept("}") {
			return nil
		}
		if bad := l.want(","); bad != nil {
			return bad
		}
	}
}

// masked reads what follows "&": a mask, == or !=, and a value.
func (l *lexer) masked(c *Condition) *mistake {
	mask, bad := l.operand(0)
	if bad != nil {
		return bad
	}
	c.Mask = mask.String()
	t := l.next()
	switch t.text {
	case "==":
		c.Op = MaskedEqual
	case "!=":
		c.Op = MaskedNotEqual
	case "|":
		return t.mistake("put the mask in parentheses: & (A | B) == 0", "& binds tighter than |")
	default:
		return t.mistake("compare the masked bits: & MASK == VALUE, & MASK != 0", "want == or !=, got %s", t)
	}
	value, bad := l.expr(0)
	switch {
	case bad != nil:
		return bad
	case value.op == 'n' && value.num == 0 && c.Op == MaskedEqual:
		c.Op = NoBits
	case value.op == 'n' && value.num == 0:
		c.Op = AnyBits
	default:
		c.Values = []string{value.String()}
	}
	return nil
}

// abiHint helps with the name of an ABI.
func abiHint(name string) string {
	var names []string
	for _, a := range abi.All() {
		names = append(names, a.String())
	}
	if hint := didYouMean(name, names); hint != "" {
		return hint
	}
	return "the ABIs are " + strings.Join(names, ", ")
}

// String returns p in the notation that [ParsePattern] reads.
func (p Pattern) String() string {
	var b strings.Builder
	if p.ABI != abi.None {
		b.WriteString(p.ABI.String() + ":")
	}
	switch {
	case p.Numbers == nil:
		b.WriteString(p.Name)
	case p.Numbers.Lo == p.Numbers.Hi:
		b.WriteString("nr:" + shortNumber(uint64(p.Numbers.Lo)))
	default:
		b.WriteString("nr:" + shortNumber(uint64(p.Numbers.Lo)) + "-" + shortNumber(uint64(p.Numbers.Hi)))
	}
	if len(p.Conditions) > 0 {
		b.WriteString("(" + strings.Join(conditionStrings(p.Conditions), ", ") + ")")
	}
	return b.String()
}

// conditionStrings writes values alone where all conditions are equalities on
// ascending positions: socket(AF_ALG, _, 0).
func conditionStrings(conditions []Condition) []string {
	var all []string
	if positional(conditions) {
		for _, c := range conditions {
			for len(all) < c.Index {
				all = append(all, "_")
			}
			all = append(all, c.Values[0])
		}
		return all
	}
	for _, c := range conditions {
		all = append(all, c.String())
	}
	return all
}

func positional(conditions []Condition) bool {
	next := 0
	for _, c := range conditions {
		if c.Op != Equal || c.Arg != "" || c.Wide || len(c.Values) != 1 || c.Index < next || c.Index > 5 {
			return false
		}
		next = c.Index + 1
	}
	return true
}

// String returns c in the notation of call patterns.
func (c Condition) String() string {
	arg := c.Arg
	switch {
	case arg == "" && c.Index == IPWord:
		arg = "ip"
	case arg == "":
		arg = "arg" + strconv.Itoa(c.Index)
	}
	if c.Wide {
		arg += ":64"
	}
	mask := c.Mask
	if strings.Contains(mask, "|") {
		mask = "(" + mask + ")"
	}
	first := ""
	if len(c.Values) > 0 {
		first = c.Values[0]
	}
	switch c.Op {
	case In:
		return arg + " in {" + strings.Join(c.Values, ", ") + "}"
	case NotIn:
		return arg + " not in {" + strings.Join(c.Values, ", ") + "}"
	case MaskedEqual:
		return arg + " & " + mask + " == " + first
	case MaskedNotEqual:
		return arg + " & " + mask + " != " + first
	case AnyBits:
		return arg + " & " + mask + " != 0"
	case NoBits:
		return arg + " & " + mask + " == 0"
	}
	for _, op := range comparisons {
		if op.op == c.Op {
			return arg + " " + op.mark + " " + first
		}
	}
	return arg + " ?"
}
