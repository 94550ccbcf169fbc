package convert

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A kafelCall is the call that conditions are about.
type kafelCall struct {
	nr     uint32
	custom bool     // by number: its arguments have no names
	named  bool     // its arguments have the names in args
	args   []string // each 64 bits wide
	any    bool     // for another ABI: what its arguments are called is not known
}

// argument returns the place of an argument, and whether it is compared as 64
// bits.
func (c *kafelCall) argument(a abi.ABI, name string) (index int, wide, ok bool) {
	switch {
	case c.any:
		return 0, true, true
	case c.named:
		index = slices.Index(c.args, name)
		return index, true, index >= 0
	case c.custom:
		return 0, false, false
	}
	args, known := a.Args(c.nr)
	if !known {
		return 0, false, false
	}
	index = slices.IndexFunc(args, func(arg abi.Arg) bool { return arg.Name == name })
	if index < 0 {
		// Names of ours that kafel has in another form, such as clone_flags.
		if index, ok = a.ArgIndex(c.nr, name); !ok {
			return 0, false, false
		}
	}
	// What clone declares as long, the kernel cuts to 32 bits.
	long := args[index].Mask > 1<<32-1 || a.SyscallName(c.nr) == "clone" && index == 0
	return index, long && a.Bits() == 64, true
}

// A kafelExpr is a condition: a comparison, or others joined.
type kafelExpr struct {
	op   string // "||", "&&", "!", or "" for test
	all  []*kafelExpr
	test policy.Test
}

// alternatives returns the condition, or its negation, as an OR of ANDs; none if
// it never holds.
func (e *kafelExpr) alternatives(negated bool) ([]policy.Alternative, error) {
	if e.op == "" {
		t := e.test
		if negated {
			t = opposite(t)
		}
		if len(t.In) == 0 {
			return nil, nil
		}
		return []policy.Alternative{{t}}, nil
	}
	if e.op == "!" {
		return e.all[0].alternatives(!negated)
	}
	if (e.op == "||") != negated {
		var any []policy.Alternative
		for _, part := range e.all {
			more, err := part.alternatives(negated)
			if any = append(any, more...); err != nil || len(any) > maxAlternatives {
				return nil, errTooManyAlternatives
			}
		}
		return any, nil
	}
	all := []policy.Alternative{nil}
	for _, part := range e.all {
		more, err := part.alternatives(negated)
		if err != nil {
			return nil, err
		}
		var next []policy.Alternative
		for _, before := range all {
			for _, one := range more {
				joined, ok := before, true
				for _, t := range one {
					if ok {
						joined, ok = narrowed(joined, t)
					}
				}
				if ok {
					next = append(next, joined)
				}
			}
			if len(next) > maxAlternatives {
				return nil, errTooManyAlternatives
			}
		}
		all = next
	}
	return all, nil
}

// list reads conditions with commas between them, of which one has to hold.
func (p *kafelParser) list(c *kafelCall, depth int) *kafelExpr {
	return p.joined("||", []string{",", "||"}, func() *kafelExpr {
		return p.joined("&&", []string{"&&"}, func() *kafelExpr { return p.primary(c, depth) })
	})
}

func (p *kafelParser) joined(op string, between []string, part func() *kafelExpr) *kafelExpr {
	e := &kafelExpr{op: op, all: []*kafelExpr{part()}}
	for p.err == nil && slices.ContainsFunc(between, p.accept) {
		e.all = append(e.all, part())
	}
	if len(e.all) == 1 {
		return e.all[0]
	}
	return e
}

// kafelDepth bounds parentheses and negations.
const kafelDepth = 200

func (p *kafelParser) primary(c *kafelCall, depth int) *kafelExpr {
	t := p.peek()
	if depth > kafelDepth {
		p.fail(t, "", "nested more than %d deep", kafelDepth)
		return &kafelExpr{}
	}
	if p.accept("!") {
		return &kafelExpr{op: "!", all: []*kafelExpr{p.primary(c, depth+1)}}
	}
	// A parenthesis opens a condition or a value: which one, what follows tells.
	if t.kind == '.' && t.text == "(" {
		saved := p.parser
		p.next()
		e := p.list(c, depth+1)
		if p.accept(")") && !p.comparing() {
			return e
		}
		p.parser = saved
	}
	return p.comparison(c, depth)
}

var kafelOps = map[string]policy.Op{
	"==": policy.Equal, "!=": policy.NotEqual, "<": policy.Less, "<=": policy.LessOrEqual, ">": policy.Greater, ">=": policy.GreaterOrEqual,
}

// comparing reports whether an operator of values follows.
func (p *kafelParser) comparing() bool {
	t := p.peek()
	_, ok := kafelOps[t.text]
	return t.kind == '.' && (ok || t.text == "&" || t.text == "|")
}

// A kafelValue is an argument under a mask, with other bits set: arg & mask |
// bits. Without an argument it is the bits.
type kafelValue struct {
	arg  int // -1: none
	mask uint64
	bits uint64
	wide bool // compared as 64 bits
}

// swapped is what an operator is seen from the other side.
var swapped = map[policy.Op]policy.Op{
	policy.Equal: policy.Equal, policy.NotEqual: policy.NotEqual, policy.Less: policy.Greater, policy.LessOrEqual: policy.GreaterOrEqual,
	policy.Greater: policy.Less, policy.GreaterOrEqual: policy.LessOrEqual,
}

func (p *kafelParser) comparison(c *kafelCall, depth int) *kafelExpr {
	left := p.or(c, depth)
	operator := p.next()
	op, ok := kafelOps[operator.text]
	if !ok || operator.kind != '.' {
		p.fail(operator, "", "want a comparison%s", p.instead(operator))
		return &kafelExpr{}
	}
	right := p.or(c, depth)
	if left.arg < 0 {
		left, right, op = right, left, swapped[op]
	}
	if right.arg >= 0 {
		if !c.any {
			p.fail(operator, "", "two arguments are compared with each other: no policy can say that")
		}
		return &kafelExpr{}
	}
	v := right.bits
	if left.arg < 0 {
		left.arg = 0 // two numbers: the same for every call
	}
	word := uint64(1<<32 - 1)
	if left.wide || right.wide {
		word = ^uint64(0)
	}
	// The mask and the bits have none in common: the value is their sum.
	left.mask, left.bits, v = left.mask&word, left.bits&word, v&word
	mask := left.mask & p.r.abi.WordMask() // the high word of a narrow ABI is 0
	never := policy.Test{Word: uint8(left.arg), Mask: mask}
	t := never
	switch op {
	case policy.Equal, policy.NotEqual:
		if v&^left.mask == left.bits {
			t = comparison(left.arg, mask, policy.Equal, v-left.bits)
		}
		if op == policy.NotEqual {
			t = opposite(t)
		}
	case policy.Less, policy.LessOrEqual:
		if v >= left.bits {
			t = comparison(left.arg, mask, op, v-left.bits)
		}
	default:
		t = comparison(left.arg, mask, policy.GreaterOrEqual, 0)
		if v >= left.bits {
			t = comparison(left.arg, mask, op, v-left.bits)
		}
	}
	return &kafelExpr{test: t}
}

// or reads values joined by |.
func (p *kafelParser) or(c *kafelCall, depth int) kafelValue {
	v := p.and(c, depth)
	for p.err == nil && p.accept("|") {
		v = p.combine(v, p.and(c, depth), c, false)
	}
	return v
}

// and reads values joined by &.
func (p *kafelParser) and(c *kafelCall, depth int) kafelValue {
	v := p.operand(c, depth)
	for p.err == nil && p.accept("&") {
		v = p.combine(v, p.operand(c, depth), c, true)
	}
	return v
}

func (p *kafelParser) combine(x, y kafelValue, c *kafelCall, and bool) kafelValue {
	if x.arg < 0 {
		x, y = y, x
	}
	if y.arg >= 0 && p.err == nil {
		if !c.any {
			p.fail(p.peek(), "", "two arguments are combined: no policy can say that")
		}
		return x
	}
	none, whole := uint64(0), ^uint64(0) // what changes nothing, and what leaves nothing
	if and {
		none, whole = whole, none
	}
	switch {
	case x.arg < 0 && and:
		return kafelNumber64(x.bits & y.bits)
	case x.arg < 0:
		return kafelNumber64(x.bits | y.bits)
	case y.bits == none: // kafel drops it, and its width
		return x
	case y.bits == whole:
		return kafelNumber64(whole)
	case and:
		x.mask, x.bits = x.mask&y.bits, x.bits&y.bits
	default:
		x.mask, x.bits = x.mask&^y.bits, x.bits|y.bits
	}
	x.wide = x.wide || y.wide
	return x
}

// kafelNumber64 returns a number, which has 64 bits if it needs more than 32.
func kafelNumber64(v uint64) kafelValue { return kafelValue{arg: -1, bits: v, wide: v > 1<<32-1} }

func (p *kafelParser) operand(c *kafelCall, depth int) kafelValue {
	t := p.peek()
	switch {
	case t.kind == '0':
		return kafelNumber64(p.number())
	case p.accept("("):
		if depth > kafelDepth {
			p.fail(t, "", "nested more than %d deep", kafelDepth)
			return kafelValue{}
		}
		v := p.or(c, depth+1)
		p.expect(")")
		return v
	case t.kind == 'a':
		p.next()
		if v, ok := p.r.constants[t.text]; ok {
			return kafelNumber64(v)
		}
		index, wide, ok := c.argument(p.r.abi, t.text)
		if !ok {
			p.fail(t, "name the arguments: call(a, b, …) { … }; constants need #define", "no argument or constant %q", t.text)
		}
		return kafelValue{arg: index, mask: ^uint64(0), wide: wide}
	}
	p.fail(t, "", "want a number, an argument or a constant%s", p.instead(t))
	return kafelValue{}
}
