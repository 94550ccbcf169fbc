package proof

import (
	"fmt"

	"github.com/sysgate/sysgate/bpf"
)

// A value names a vector that some register can hold: index in walker.vectors.
type value int32

// zero is the value of the vector that is 0 for every input. Registers start
// with it, and dead registers are set to it.
const zero value = 0

// Registers: the scratch memory M, then A and X.
const (
	regA      = bpf.MemWords
	regX      = regA + 1
	registers = regX + 1
)

// A state is a place in the program and what the registers hold there.
type state struct {
	pc   int
	regs [registers]value
}

// An operation is an instruction code applied to two values.
type operation struct {
	code uint16
	a, b value
}

// A walker turns a program into a diagram. It follows both ways of every
// comparison that depends on the input, with the registers as functions of the
// input, and never visits a state twice.
type walker struct {
	*diagram
	program   bpf.Program
	live      []registerSet
	bigEndian bool

	vectors   []vector
	named     map[vector]value
	results   map[operation]value // of arithmetic
	tests     map[operation]ref   // of comparisons
	returns   map[state]ref       // at comparisons: what the program returns from there
	assembled map[vector]ref      // of assemble
}

// program returns the function from calls to the words that p returns on a
// machine of the given byte order. p must be valid.
func (d *diagram) program(p bpf.Program, bigEndian bool) ref {
	w := &walker{
		diagram:   d,
		program:   p,
		live:      liveness(p),
		bigEndian: bigEndian,
		named:     map[vector]value{},
		results:   map[operation]value{},
		tests:     map[operation]ref{},
		returns:   map[state]ref{},
		assembled: map[vector]ref{},
	}
	w.name(constant(0)) // becomes zero
	return w.run(state{})
}

// name returns the value that stands for v.
func (w *walker) name(v vector) value {
	n, ok := w.named[v]
	if !ok {
		n = value(len(w.vectors))
		w.vectors = append(w.vectors, v)
		w.named[v] = n
	}
	return n
}

// run returns what the program returns from s on.
func (w *walker) run(s state) ref {
	for w.spend() {
		i := w.program[s.pc]
		a, x := &s.regs[regA], &s.regs[regX]
		s.pc++
		switch i.Code {
		case bpf.LdAbs:
			*a = w.name(w.load(wordAt(i.K, w.bigEndian)))
		case bpf.LdLen:
			*a = w.name(constant(bpf.DataSize))
		case bpf.LdImm:
			*a = w.name(constant(i.K))
		case bpf.LdMem:
			*a = s.regs[i.K]
		case bpf.LdxLen:
			*x = w.name(constant(bpf.DataSize))
		case bpf.LdxImm:
			*x = w.name(constant(i.K))
		case bpf.LdxMem:
			*x = s.regs[i.K]
		case bpf.St:
			s.regs[i.K] = *a
		case bpf.Stx:
			s.regs[i.K] = *x
		case bpf.Tax:
			*x = *a
		case bpf.Txa:
			*a = *x
		case bpf.RetK:
			return w.word(i.K)
		case bpf.RetA:
			return w.assemble(w.vectors[*a], w.assembled)
		case bpf.Ja:
			s.pc += int(i.K)
		case bpf.DivX:
			byZero := w.test(operation{bpf.JeqK, *x, zero})
			if byZero == yes {
				return w.word(0)
			}
			*a = w.compute(operation{i.Code, *a, *x})
			if byZero != no {
				return w.ite(byZero, w.word(0), w.run(s))
			}
		default:
			op := operation{i.Code, *a, w.operand(i, *x)}
			if !i.IsBranch() {
				*a = w.compute(op)
				continue
			}
			switch w.test(op) {
			case yes:
				s.pc += int(i.JT)
			case no:
				s.pc += int(i.JF)
			default:
				s.pc--
				return w.fork(s, w.test(op))
			}
		}
	}
	return no
}

// fork returns what the program returns from s, which stands at a comparison
// whose outcome is test.
func (w *walker) fork(s state, test ref) ref {
	for r := range s.regs {
		if !w.live[s.pc].has(r) {
			s.regs[r] = zero
		}
	}
	if r, ok := w.returns[s]; ok {
		return r
	}
	if !w.spendState() {
		return no
	}
	then, otherwise := s, s
	then.pc += 1 + int(w.program[s.pc].JT)
	otherwise.pc += 1 + int(w.program[s.pc].JF)
	r := w.ite(test, w.run(then), w.run(otherwise))
	w.returns[s] = r
	return r
}

// operand returns what i combines with A: X, or its constant.
func (w *walker) operand(i bpf.Instruction, x value) value {
	if usesX(i) {
		return x
	}
	return w.name(constant(i.K))
}

// compute returns the result of an arithmetic operation.
func (w *walker) compute(op operation) value {
	if n, ok := w.results[op]; ok {
		return n
	}
	n := w.name(w.arithmetic(op.code, w.vectors[op.a], w.vectors[op.b]))
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
	if r, ok := w.tests[op]; ok {
		return r
	}
	r := w.compare(op.code, w.vectors[op.a], w.vectors[op.b])
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

// usesX reports whether i, an arithmetic instruction or a comparison, takes X.
func usesX(i bpf.Instruction) bool {
	const sourceX = 0x08 // BPF_X (include/uapi/linux/bpf_common.h)
	return i.Code&sourceX != 0
}
