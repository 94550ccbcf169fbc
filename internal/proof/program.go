package proof

import "github.com/sysgate/sysgate/bpf"

// A value is what a register can hold: below variable a constant, else an index
// in walker.vectors. Equal vectors are equal values. Registers start as 0, and
// dead registers are set to 0.
type value uint64

const variable value = 1 << wordBits

func (v value) constant() bool { return v < variable }

// Registers: the scratch memory M, then A and X, then two of the input, as a load
// of them gives it. Past a comparison that found the architecture or the number
// equal to a constant, they are that constant: then the rest of a program that
// goes on comparing folds to what it does for one number, and its whole list is
// not combined with the tests of that number's arguments.
const (
	regA = bpf.MemWords + iota
	regX
	regArch
	regNR
	registers
)

// A state is a place in the program and what the registers hold there.
type state struct {
	pc   int
	regs [registers]value
}

// A walker turns a program into a diagram. It follows both ways of every
// comparison that depends on the input, with the registers as functions of the
// input, and never visits a state twice.
type walker struct {
	*diagram
	program   bpf.Program
	live      []registerSet
	bigEndian bool
	listed    []uint32 // return words that are told apart where A is returned; nil: all

	vectors []vector
	named   map[vector]value
	results map[operation]value // of arithmetic
	tests   map[operation]ref   // of comparisons
	returns map[state]ref       // at comparisons: what the program returns from there
}

// program returns the function from calls to the words that p returns on a
// machine of the given byte order. p must be valid. Where p returns its
// accumulator, which can hold any of 2^32 words, all but the listed ones are
// otherWord; if listed is nil, all are told apart.
func (d *diagram) program(p bpf.Program, bigEndian bool, listed []uint32) ref {
	w := &walker{
		diagram:   d,
		program:   p,
		live:      liveness(p),
		bigEndian: bigEndian,
		listed:    listed,
		named:     map[vector]value{},
		results:   map[operation]value{},
		tests:     map[operation]ref{},
		returns:   map[state]ref{},
	}
	var start state
	start.regs[regArch] = w.name(d.load(wordArch))
	start.regs[regNR] = w.name(d.load(wordNR))
	return w.run(start)
}

// name returns the value that stands for v.
func (w *walker) name(v vector) value {
	if k, ok := v.constant(); ok {
		return value(k)
	}
	n, ok := w.named[v]
	if !ok {
		n = variable + value(len(w.vectors))
		w.vectors = append(w.vectors, v)
		w.named[v] = n
	}
	return n
}

// vector returns what v stands for.
func (w *walker) vector(v value) vector {
	if v.constant() {
		return constant(uint32(v))
	}
	return w.vectors[v-variable]
}

// stepsPerInstruction is about how many calls of ite take as long as following
// one instruction.
const stepsPerInstruction = 8

// run returns what the program returns from s on.
func (w *walker) run(s state) ref {
	for w.spend(stepsPerInstruction) {
		i := w.program[s.pc]
		a, x := &s.regs[regA], &s.regs[regX]
		s.pc++
		switch i.Code {
		case bpf.LdAbs:
			switch word := wordAt(i.K, w.bigEndian); word {
			case wordArch:
				*a = s.regs[regArch]
			case wordNR:
				*a = s.regs[regNR]
			default:
				*a = w.name(w.load(word))
			}
		case bpf.LdLen:
			*a = bpf.DataSize
		case bpf.LdImm:
			*a = value(i.K)
		case bpf.LdMem:
			*a = s.regs[i.K]
		case bpf.LdxLen:
			*x = bpf.DataSize
		case bpf.LdxImm:
			*x = value(i.K)
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
			return w.returnWord(*a)
		case bpf.Ja:
			s.pc += int(i.K)
		case bpf.DivX:
			byZero := w.test(operation{bpf.JeqK, *x, 0})
			if byZero == yes {
				return w.word(0)
			}
			*a = w.compute(s.pc, operation{i.Code, *a, *x})
			if byZero != no {
				return w.ite(byZero, w.word(0), w.run(s))
			}
		default:
			op := operation{i.Code, *a, w.operand(i, *x)}
			if !i.IsBranch() {
				*a = w.compute(s.pc, op)
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
			s.regs[r] = 0
		}
	}
	if r, ok := w.returns[s]; ok {
		return r
	}
	if !w.spendState() {
		return no
	}
	then, otherwise := s, s
	i := w.program[s.pc]
	then.pc += 1 + int(i.JT)
	otherwise.pc += 1 + int(i.JF)
	if a := s.regs[regA]; i.Code == bpf.JeqK && (a == s.regs[regArch] || a == s.regs[regNR]) {
		then.replace(a, value(i.K))
	}
	r := w.ite(test, w.run(then), w.run(otherwise))
	w.returns[s] = r
	return r
}

// returnWord returns what the program returns if v is it.
func (w *walker) returnWord(v value) ref {
	if v.constant() {
		return w.word(uint32(v))
	}
	if w.listed == nil {
		if bits := w.free(w.vector(v)); 1<<bits > w.limits.words {
			w.exhaust("return words", w.limits.words)
			return no
		}
		return w.everyWord(w.vector(v), wordBits-1, yes, 0)
	}
	out := otherWord
	for _, word := range w.listed {
		out = w.ite(w.test(operation{bpf.JeqK, v, value(word)}), w.word(word), out)
	}
	return out
}

// free returns a number of bits of v that can have all combinations: those whose
// first input bit, when it alone changes, changes them whatever the rest is. Of
// several with different first bits, each can so be set without changing those that
// start later.
func (w *walker) free(v vector) int {
	levels := map[int32]bool{}
	for _, bit := range v {
		if n := w.nodes[bit]; n.level < inputBits && w.not(n.low) == n.high {
			levels[n.level] = true
		}
	}
	return len(levels)
}

// everyWord returns the words that v is, given the bits above bit, prefix, which
// it has where the condition where holds. It visits every word that v can be.
func (w *walker) everyWord(v vector, bit int, where ref, prefix uint32) ref {
	if bit < 0 {
		return w.word(prefix)
	}
	if !w.spend(stepsPerInstruction) {
		return no
	}
	set, clear := w.and(where, v[bit]), w.ite(v[bit], no, where)
	switch no {
	case set:
		return w.everyWord(v, bit-1, where, prefix)
	case clear:
		return w.everyWord(v, bit-1, where, prefix|1<<bit)
	}
	return w.ite(v[bit], w.everyWord(v, bit-1, set, prefix|1<<bit), w.everyWord(v, bit-1, clear, prefix))
}

// replace puts v into every register that holds old.
func (s *state) replace(old, v value) {
	for r := range s.regs {
		if s.regs[r] == old {
			s.regs[r] = v
		}
	}
}
