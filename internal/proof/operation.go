package proof

import (
	"fmt"

	"github.com/sysgate/sysgate/bpf"
)

// An operation is an instruction code applied to two values.
type operation struct {
	code uint16
	a, b value
}

// operand returns what i combines with A: X, or its constant.
func (w *walker) operand(i bpf.Instruction, x value) value {
	if usesX(i) {
		return x
	}
	return value(i.K)
}

// compute returns the result of an arithmetic operation for use from next on, or
// just 0 if it has no use there.
func (w *walker) compute(next int, op operation) value {
	if !w.live[next].has(regA) {
		return 0
	}
	if n, ok := w.results[op]; ok {
		return n
	}
	n := w.name(w.arithmetic(op.code, w.vector(op.a), w.vector(op.b)))
	w.results[op] = n
	return n
}

func (w *walker) arithmetic(code uint16, a, b vector) vector {
	switch code {
	case bpf.AddK, bpf.AddX:
		return w.add(a, b, no)
	case bpf.SubK, bpf.SubX:
		return w.sub(a, b)
	case bpf.MulK, bpf.MulX:
		return w.mul(a, b)
	case bpf.DivK, bpf.DivX:
		return w.div(a, b)
	case bpf.AndK, bpf.AndX:
		return w.bitAnd(a, b)
	case bpf.OrK, bpf.OrX:
		return w.bitOr(a, b)
	case bpf.XorK, bpf.XorX:
		return w.bitXor(a, b)
	case bpf.LshK, bpf.LshX:
		return w.left(a, b)
	case bpf.RshK, bpf.RshX:
		return w.right(a, b)
	case bpf.Neg:
		return w.sub(constant(0), a)
	}
	w.stop(fmt.Sprintf("instruction code %#04x is not supported", code))
	return vector{}
}

// test returns the condition that a comparison finds true.
func (w *walker) test(op operation) ref {
	if op.a.constant() && op.b.constant() {
		return decide(op.code, uint32(op.a), uint32(op.b))
	}
	if r, ok := w.tests[op]; ok {
		return r
	}
	r := w.compare(op.code, w.vector(op.a), w.vector(op.b))
	w.tests[op] = r
	return r
}

func (w *walker) compare(code uint16, a, b vector) ref {
	switch code {
	case bpf.JeqK, bpf.JeqX:
		return w.equal(a, b)
	case bpf.JgtK, bpf.JgtX:
		return w.greater(a, b)
	case bpf.JgeK, bpf.JgeX:
		return w.greaterOrEqual(a, b)
	case bpf.JsetK, bpf.JsetX:
		return w.anyBits(a, b)
	}
	w.stop(fmt.Sprintf("instruction code %#04x is not supported", code))
	return no
}

// decide returns the outcome of a comparison of constants.
func decide(code uint16, a, b uint32) ref {
	var holds bool
	switch code {
	case bpf.JeqK, bpf.JeqX:
		holds = a == b
	case bpf.JgtK, bpf.JgtX:
		holds = a > b
	case bpf.JgeK, bpf.JgeX:
		holds = a >= b
	case bpf.JsetK, bpf.JsetX:
		holds = a&b != 0
	}
	if holds {
		return yes
	}
	return no
}

// usesX reports whether i, an arithmetic instruction or a comparison, takes X.
func usesX(i bpf.Instruction) bool {
	const sourceX = 0x08 // BPF_X (include/uapi/linux/bpf_common.h)
	return i.Code&sourceX != 0
}
