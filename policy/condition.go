package policy

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// An operand is the argument that a condition compares, on one ABI.
type operand struct {
	word   uint8
	mask   uint64 // the bits that are compared
	signed bool
}

// test lowers one condition of pattern p, for the numbers n of a.
func (r *resolver) test(p *Pattern, c *Condition, a abi.ABI, n NumberRange) Test {
	if bad := c.check(); bad != "" {
		r.add(c.Pos, 1, "", "%s", bad)
		return Test{}
	}
	o, ok := r.operand(p, c, a, n)
	if !ok {
		return Test{}
	}
	if p.Documented {
		return r.documentedTest(c, o)
	}
	value := func(s string) uint64 {
		v, bad := evaluate(s, a, o.mask, o.signed)
		if bad != nil {
			r.add(c.Pos, r.widthOf(c), bad.hint, "%s", bad.msg)
		}
		return v
	}
	t := Test{Word: o.word, Mask: o.mask}
	switch c.Op {
	case Equal, In:
		for _, s := range c.Values {
			v := value(s)
			t.In = append(t.In, Interval{v, v})
		}
		t.In = normalIntervals(t.In)
	case NotEqual, NotIn:
		for _, s := range c.Values {
			v := value(s)
			t.In = append(t.In, Interval{v, v})
		}
		t.In = complement(normalIntervals(t.In), o.mask)
	case MaskedEqual, MaskedNotEqual, AnyBits, NoBits:
		t.Mask = r.mask(c, a, o)
		v := uint64(0)
		if len(c.Values) > 0 {
			v = value(c.Values[0])
		}
		if v&^t.Mask != 0 && len(r.list) == 0 {
			r.add(c.Pos, r.widthOf(c), "", "%#x has bits outside the mask %#x: it can never be equal", v, t.Mask)
		}
		t.In = []Interval{{v, v}}
		if c.Op == MaskedNotEqual || c.Op == AnyBits {
			t.In = complement(t.In, t.Mask)
		}
	default:
		v := value(c.Values[0])
		if o.signed && signExtend(v, bits.Len64(o.mask))>>63 == 1 && !strings.HasPrefix(c.Values[0], "-") && !isName(c.Values[0]) {
			r.add(c.Pos, r.widthOf(c), fmt.Sprintf("write %d", int64(signExtend(v, bits.Len64(o.mask)))), "%s is a negative number for a signed argument", c.Values[0])
		}
		t.In = order(c.Op, v, o)
	}
	return t
}

// isName reports whether the expression s is one constant, which may be
// negative by definition.
func isName(s string) bool { return s != "" && isWord(s[0]) && !isDigit(s[0]) }

// check returns what is wrong with a condition that no parser made.
func (c *Condition) check() string {
	masked, values := false, 1
	switch c.Op {
	case Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual:
	case In, NotIn:
		values = max(1, len(c.Values))
	case MaskedEqual, MaskedNotEqual:
		masked = true
	case AnyBits, NoBits:
		masked, values = true, 0
	default:
		return "a condition without an operator"
	}
	switch {
	case len(c.Values) != values:
		return fmt.Sprintf("condition %q has %d values", c, len(c.Values))
	case masked != (c.Mask != ""):
		return fmt.Sprintf("condition %q: a mask where none is wanted, or none where one is", c)
	case c.Arg == "" && (c.Index < 0 || c.Index > IPWord):
		return fmt.Sprintf("condition on argument %d: there are 0 to 5", c.Index)
	}
	return ""
}

func evaluate(s string, a abi.ABI, mask uint64, signed bool) (uint64, *mistake) {
	e, bad := parseExpr(s)
	if bad != nil {
		return 0, bad
	}
	return e.eval(a, mask, signed)
}

// mask returns the mask of a masked comparison.
func (r *resolver) mask(c *Condition, a abi.ABI, o operand) uint64 {
	m, bad := evaluate(c.Mask, a, o.mask, false)
	switch {
	case bad != nil:
		r.add(c.Pos, r.widthOf(c), bad.hint, "mask: %s", bad.msg)
	case m == 0:
		r.add(c.Pos, r.widthOf(c), "", "mask %s is 0: nothing is compared", c.Mask)
	}
	return m
}

// widthOf is how much of the line a message about c underlines.
func (r *resolver) widthOf(c *Condition) int {
	if line, text := r.src.line(c.Pos.Line), c.String(); c.Pos.Col >= 1 && c.Pos.Col <= len(line) && strings.HasPrefix(line[c.Pos.Col-1:], text) {
		return len(text)
	}
	return 1
}

// operand finds the argument that c compares.
func (r *resolver) operand(p *Pattern, c *Condition, a abi.ABI, n NumberRange) (operand, bool) {
	if c.Arg == "" && c.Index == IPWord {
		return operand{IPWord, ^uint64(0), false}, true
	}
	call := a.SyscallName(n.Lo)
	index := c.Index
	if c.Arg != "" {
		var ok bool
		if index, ok = a.ArgIndex(n.Lo, c.Arg); !ok || n.Lo != n.Hi {
			r.add(c.Pos, max(1, len(c.Arg)), argHint(c.Arg, a, n), "%s on %s has no argument %q that the tables know", orNumbers(call, n), a, c.Arg)
			return operand{}, false
		}
	}
	o := operand{uint8(index), a.ReadMask(n.Lo, index), false}
	args, known := a.Args(n.Lo)
	if c.Wide {
		o.mask = a.WordMask()
		return o, r.checkPointer(p, c, a, args, index)
	}
	switch {
	case !known || n.Lo != n.Hi:
	case index >= len(args) && p.Documented:
		o.mask = 0
		r.warn(CodeUnread, c.Pos, 1, "", fmt.Sprintf("%s on %s does not read argument %d: this condition is the same for every call", call, a, index))
	case index >= len(args):
		r.add(c.Pos, r.widthOf(c), "", "%s on %s has %d arguments: argument %d is not read", call, a, len(args), index)
		return operand{}, false
	default:
		o.signed = args[index].Signed
		return o, r.checkPointer(p, c, a, args, index)
	}
	return o, true
}

// checkPointer holds conditions on addresses to what they can say.
func (r *resolver) checkPointer(p *Pattern, c *Condition, a abi.ABI, args []abi.Arg, index int) bool {
	if index >= len(args) || args[index].Kind != abi.Pointer {
		return true
	}
	name := args[index].Name
	if p.Documented || c.Wide {
		r.warn(CodePointer, c.Pos, 1, "", fmt.Sprintf("%s of %s is a pointer: a filter compares the address, not what lies there", name, p.Name))
		return true
	}
	if v := c.Values; len(v) == 1 && (v[0] == null || v[0] == "0") && (c.Op == Equal || c.Op == NotEqual) {
		return true
	}
	r.add(c.Pos, r.widthOf(c), fmt.Sprintf("only %s == NULL and %s != NULL can be asked", name, name),
		"%s is a pointer: a filter sees the address, not what lies there, and another thread can change that after the check", name)
	return false
}

func orNumbers(call string, n NumberRange) string {
	if call != "" && n.Lo == n.Hi {
		return call
	}
	return Pattern{Numbers: &n}.String()
}

func argHint(arg string, a abi.ABI, n NumberRange) string {
	args, ok := a.Args(n.Lo)
	if !ok || n.Lo != n.Hi {
		return "number the argument: arg0 to arg5"
	}
	var names []string
	for _, known := range args {
		names = append(names, known.Name)
	}
	if hint := didYouMean(arg, names); hint != "" {
		return hint
	}
	if len(names) == 0 {
		return "the call takes no arguments"
	}
	return "its arguments are " + strings.Join(names, ", ")
}

// documentedTest lowers a condition of go-seccomp-bpf's form: unsigned, on
// pointers too. Bits that the kernel ignores never decide: equality and bit
// tests leave them out of the value, and an order compares what the kernel
// reads with the value as it is.
func (r *resolver) documentedTest(c *Condition, o operand) Test {
	text := c.Mask
	if c.Op != AnyBits && c.Op != NoBits {
		text = c.Values[0]
	}
	v, _, err := parseNumber(text)
	if err != nil {
		r.add(c.Pos, 1, "", "%v", err)
		return Test{}
	}
	if v&^o.mask != 0 {
		r.warn(CodeUnread, c.Pos, 1, "", fmt.Sprintf("%#x has bits that the kernel does not read: they never decide", v))
	}
	t := Test{Word: o.word, Mask: o.mask}
	masked := v & o.mask
	switch c.Op {
	case Equal:
		t.In = []Interval{{masked, masked}}
	case NotEqual:
		t.In = complement([]Interval{{masked, masked}}, o.mask)
	case AnyBits:
		t.Mask = masked
		t.In = complement([]Interval{{0, 0}}, masked)
	case NoBits:
		t.Mask = masked
		t.In = []Interval{{0, 0}}
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		t.In = unsignedOrder(c.Op, v, o.mask)
	default:
		r.add(c.Pos, 1, "", "condition %q has no documented form", c)
	}
	return t
}
