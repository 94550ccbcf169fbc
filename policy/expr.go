package policy

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/sysgate/sysgate/abi"
)

// An expr is a constant expression: numbers and names joined by |, with ~ and
// parentheses. It stays symbolic because names mean other numbers on other ABIs.
type expr struct {
	op   byte // 'n' number, '-' negative number, 'c' constant, '~', '|'
	num  uint64
	tok  token // the number or the name
	a, b *expr
}

// maxExprDepth bounds nesting, and with it recursion.
const maxExprDepth = 32

// expr reads A | B | …
func (l *lexer) expr(depth int) (*expr, *mistake) {
	left, bad := l.operand(depth)
	for bad == nil && l.accept("|") {
		var right *expr
		right, bad = l.operand(depth)
		left = &expr{op: '|', a: left, b: right}
	}
	return left, bad
}

// operand reads a number, a name, -number, ~operand or (expr).
func (l *lexer) operand(depth int) (*expr, *mistake) {
	t := l.next()
	switch {
	case depth > maxExprDepth:
		return nil, t.mistake("", "nested more than %d deep", maxExprDepth)
	case t.kind == tokenNumber:
		n, bad := t.number()
		return &expr{op: 'n', num: n, tok: t}, bad
	case t.kind == tokenName && t.text != "_":
		if bad := t.checkConstant(); bad != nil {
			return nil, bad
		}
		return &expr{op: 'c', tok: t}, nil
	case t.kind == tokenMark && t.text == "-":
		t = l.next()
		n, bad := t.number()
		return &expr{op: '-', num: n, tok: t}, bad
	case t.kind == tokenMark && t.text == "~":
		a, bad := l.operand(depth + 1)
		return &expr{op: '~', a: a}, bad
	case t.kind == tokenMark && t.text == "(":
		e, bad := l.expr(depth + 1)
		if bad == nil {
			bad = l.want(")")
		}
		return e, bad
	}
	return nil, t.mistake("", "want a number or a constant, got %s", t)
}

// parseExpr reads s as one expression.
func parseExpr(s string) (*expr, *mistake) {
	l := lexer{text: s}
	e, bad := l.expr(0)
	if bad == nil {
		bad = l.end()
	}
	if bad != nil {
		return nil, bad
	}
	return e, nil
}

// null is the one value that a pointer can be compared with.
const null = "NULL"

func (t token) checkConstant() *mistake {
	if t.text == null {
		return nil
	}
	for _, a := range abi.All() {
		if _, ok := a.Constant(t.text); ok {
			return nil
		}
	}
	return t.mistake(didYouMean(t.text, constantNames()), "unknown constant %q", t.text)
}

// constantNames returns every constant that some ABI has.
func constantNames() []string {
	names := map[string]bool{null: true}
	for _, a := range abi.All() {
		for name := range a.Constants() {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// String returns the canonical text of e.
func (e *expr) String() string {
	switch e.op {
	case '-':
		return "-" + e.tok.text
	case '~':
		if e.a.op == '|' {
			return "~(" + e.a.String() + ")"
		}
		return "~" + e.a.String()
	case '|':
		right := e.b.String()
		if e.b.op == '|' {
			right = "(" + right + ")"
		}
		return e.a.String() + " | " + right
	}
	return e.tok.text
}

// eval returns e's value on a within mask, the bits of the argument that count.
// A value outside them is a mistake: it could never be equal. Constants of the
// kernel that are negative numbers (AT_FDCWD) fit as such. ~ complements within
// mask. signed says whether a negative number may be written.
func (e *expr) eval(a abi.ABI, mask uint64, signed bool) (uint64, *mistake) {
	width := bits.Len64(mask)
	switch e.op {
	case 'n':
		if e.num&^mask != 0 {
			return 0, e.tok.mistake("", "%s is outside the %d bits that are compared", e.tok.text, width)
		}
		return e.num, nil
	case 'c':
		v, ok := a.Constant(e.tok.text)
		if e.tok.text == null {
			v, ok = 0, true
		}
		switch {
		case !ok:
			return 0, e.tok.mistake("", "%s has no constant %s", a, e.tok.text)
		case v&^mask != 0 && v != signExtend(v&mask, width):
			return 0, e.tok.mistake("", "%s = %#x is outside the %d bits that are compared", e.tok.text, v, width)
		}
		return v & mask, nil
	case '-':
		switch {
		case !signed:
			return 0, e.tok.mistake(fmt.Sprintf("write %#x", -e.num&mask), "a negative number for an unsigned argument")
		case width == 0 || e.num > 1<<(width-1):
			return 0, e.tok.mistake("", "-%s is outside the %d bits that are compared", e.tok.text, width)
		}
		return -e.num & mask, nil
	case '~':
		v, bad := e.a.eval(a, mask, signed)
		return mask &^ v, bad
	}
	left, bad := e.a.eval(a, mask, signed)
	if bad != nil {
		return 0, bad
	}
	right, bad := e.b.eval(a, mask, signed)
	return left | right, bad
}

// signExtend widens the two's complement number v of that many bits to 64.
func signExtend(v uint64, width int) uint64 {
	shift := 64 - width
	return uint64(int64(v<<shift) >> shift)
}
