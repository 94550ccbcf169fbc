package image

import "encoding/binary"

// An evaluation computes registers of a caller from those of the function that it
// called.
type evaluation struct {
	regs *Registers
	read func(addr uint64) (uint64, bool)
	size int // of an address
}

// cut returns v as a register or an address of the machine holds it.
func (e *evaluation) cut(v uint64) uint64 {
	if e.size == 4 {
		return uint64(uint32(v))
	}
	return v
}

// register applies the rule of register n, in a frame whose address is cfa.
func (e *evaluation) register(n int, rule registerRule, cfa uint64) (uint64, bool) {
	switch rule.kind {
	case ruleSame:
		return e.regs.Get(n)
	case ruleOffset:
		return e.read(e.cut(cfa + uint64(rule.offset)))
	case ruleValueOffset:
		return e.cut(cfa + uint64(rule.offset)), true
	case ruleRegister:
		return e.regs.Get(int(rule.offset))
	case ruleExpression:
		if at, ok := e.value(rule.expression, cfa); ok {
			return e.read(at)
		}
	case ruleValueExpression:
		return e.value(rule.expression, cfa)
	}
	return 0, false
}

// Bounds of an expression: compilers write some ten operations.
const (
	maxOperations = 1000
	maxOperands   = 64
)

// value evaluates an expression of DWARF (version 5, section 2.5): those operations that
// unwind data is made of. given is on its stack to begin with.
func (e *evaluation) value(expression []byte, given ...uint64) (uint64, bool) {
	x := expressionRun{evaluation: e, all: expression, stack: given}
	x.rest.b = expression
	for n := 0; len(x.rest.b) > 0; n++ {
		if n == maxOperations || len(x.stack) > maxOperands {
			return 0, false
		}
		x.operate(x.rest.byte())
		if x.rest.bad {
			return 0, false
		}
	}
	return x.pop(), !x.rest.bad
}

type expressionRun struct {
	*evaluation
	all   []byte
	rest  dwarf // marked bad by whatever goes wrong
	stack []uint64
}

func (x *expressionRun) push(v uint64) { x.stack = append(x.stack, x.cut(v)) }

// pop takes the top of the stack.
func (x *expressionRun) pop() uint64 {
	v := x.pick(0)
	x.stack = x.stack[:max(len(x.stack)-1, 0)]
	return v
}

// pick returns an element of the stack, 0 for the top.
func (x *expressionRun) pick(n uint64) uint64 {
	if n >= uint64(len(x.stack)) {
		x.rest.bad = true
		return 0
	}
	return x.stack[uint64(len(x.stack))-1-n]
}

// number reads a constant of n bytes.
func (x *expressionRun) number(n uint64, signed bool) uint64 {
	var b [8]byte
	copy(b[:], x.rest.take(n))
	v := binary.LittleEndian.Uint64(b[:])
	if signed {
		shift := 64 - 8*n
		v = uint64(int64(v<<shift) >> shift)
	}
	return v
}

func (x *expressionRun) operate(op byte) {
	switch {
	case op >= 0x30 && op <= 0x4f: // lit
		x.push(uint64(op - 0x30))
		return
	case op >= 0x70 && op <= 0x8f: // breg
		v, ok := x.regs.Get(int(op - 0x70))
		x.push(v + uint64(x.rest.signed()))
		x.rest.bad = x.rest.bad || !ok
		return
	case op >= 0x08 && op <= 0x0f: // const1u to const8s
		x.push(x.number(1<<((op-8)/2), op&1 == 1))
		return
	}
	switch op {
	case 0x06: // deref
		v, ok := x.read(x.pop())
		x.push(v)
		x.rest.bad = x.rest.bad || !ok
	case 0x10: // constu
		x.push(x.rest.unsigned())
	case 0x11: // consts
		x.push(uint64(x.rest.signed()))
	case 0x12: // dup
		x.push(x.pick(0))
	case 0x13: // drop
		x.pop()
	case 0x14: // over
		x.push(x.pick(1))
	case 0x15: // pick
		x.push(x.pick(uint64(x.rest.byte())))
	case 0x16: // swap
		b, a := x.pop(), x.pop()
		x.push(b)
		x.push(a)
	case 0x19: // abs
		if v := x.pop(); int64(v) < 0 {
			x.push(-v)
		} else {
			x.push(v)
		}
	case 0x1f: // neg
		x.push(-x.pop())
	case 0x20: // not
		x.push(^x.pop())
	case 0x23: // plus_uconst
		x.push(x.pop() + x.rest.unsigned())
	case 0x28: // bra
		to := x.number(2, true)
		if x.pop() != 0 {
			x.skip(to)
		}
	case 0x2f: // skip
		x.skip(x.number(2, true))
	case 0x96: // nop
	default:
		b, a := x.pop(), x.pop()
		x.push(x.binary(op, a, b))
	}
}

// skip goes on n bytes further, or before.
func (x *expressionRun) skip(n uint64) {
	at := uint64(len(x.all)-len(x.rest.b)) + n
	if at > uint64(len(x.all)) {
		x.rest.bad = true
		return
	}
	x.rest.b = x.all[at:]
}

func (x *expressionRun) binary(op byte, a, b uint64) uint64 {
	truth := map[bool]uint64{true: 1}
	switch op {
	case 0x1a:
		return a & b
	case 0x1c:
		return a - b
	case 0x1e:
		return a * b
	case 0x21:
		return a | b
	case 0x22:
		return a + b
	case 0x24:
		return a << b
	case 0x25:
		return a >> b
	case 0x26:
		return uint64(int64(a) >> b)
	case 0x27:
		return a ^ b
	case 0x29:
		return truth[a == b]
	case 0x2a:
		return truth[int64(a) >= int64(b)]
	case 0x2b:
		return truth[int64(a) > int64(b)]
	case 0x2c:
		return truth[int64(a) <= int64(b)]
	case 0x2d:
		return truth[int64(a) < int64(b)]
	case 0x2e:
		return truth[a != b]
	}
	x.rest.bad = true // none that unwind data has
	return 0
}
