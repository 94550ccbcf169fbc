package proof

// A vector is a 32-bit register as a function of the input: a condition for each
// bit, the least significant first.
type vector [wordBits]ref

// constant returns the vector that is k for every input.
func constant(k uint32) vector {
	var v vector
	for i := range v {
		v[i] = ref(k >> i & 1) // no is 0, yes is 1
	}
	return v
}

// constant returns the word that v is for every input, if it is one.
func (v vector) constant() (k uint32, ok bool) {
	for i, bit := range v {
		if bit > yes {
			return 0, false
		}
		k |= uint32(bit) << i
	}
	return k, true
}

// load returns the vector of an input word.
func (d *diagram) load(word int) vector {
	var v vector
	for i := range v {
		v[i] = d.branch(int32(word*wordBits+wordBits-1-i), no, yes)
	}
	return v
}

// choose returns a where test holds, otherwise b, bit by bit.
func (d *diagram) choose(test ref, a, b vector) vector {
	for i := range a {
		a[i] = d.ite(test, a[i], b[i])
	}
	return a
}

func (d *diagram) bitAnd(a, b vector) vector {
	for i := range a {
		a[i] = d.and(a[i], b[i])
	}
	return a
}

func (d *diagram) bitOr(a, b vector) vector {
	for i := range a {
		a[i] = d.or(a[i], b[i])
	}
	return a
}

func (d *diagram) bitXor(a, b vector) vector {
	for i := range a {
		a[i] = d.xor(a[i], b[i])
	}
	return a
}

func (d *diagram) complement(a vector) vector {
	for i := range a {
		a[i] = d.not(a[i])
	}
	return a
}

func (d *diagram) xor(a, b ref) ref { return d.ite(a, d.not(b), b) }

// add returns a+b+carry modulo 2^32.
func (d *diagram) add(a, b vector, carry ref) vector {
	var sum vector
	for i := range a {
		odd := d.xor(a[i], b[i])
		sum[i] = d.xor(odd, carry)
		carry = d.ite(odd, carry, a[i])
	}
	return sum
}

// sub returns a-b modulo 2^32.
func (d *diagram) sub(a, b vector) vector { return d.add(a, d.complement(b), yes) }

// left returns a << (b & 31).
func (d *diagram) left(a, b vector) vector { return d.shift(a, b, 1) }

// right returns a >> (b & 31).
func (d *diagram) right(a, b vector) vector { return d.shift(a, b, -1) }

// shift moves the bits of a up by sign times the low five bits of b: one stage
// for each of them.
func (d *diagram) shift(a, b vector, sign int) vector {
	for stage := range 5 {
		var moved vector // zeros, that is no, come in
		for i := range moved {
			if from := i - sign<<stage; from >= 0 && from < wordBits {
				moved[i] = a[from]
			}
		}
		a = d.choose(b[stage], moved, a)
	}
	return a
}

// mul returns a*b modulo 2^32.
func (d *diagram) mul(a, b vector) vector {
	var product vector
	for i := range b {
		if b[i] != no {
			shifted := d.left(a, constant(uint32(i)))
			product = d.choose(b[i], d.add(product, shifted, no), product)
		}
	}
	return product
}

// div returns a/b; where b is 0, anything.
func (d *diagram) div(a, b vector) vector {
	var quotient, rest vector
	for i := wordBits - 1; i >= 0; i-- {
		// Bring down the next bit; the rest has 33 bits for a moment.
		over := rest[wordBits-1]
		copy(rest[1:], rest[:wordBits-1])
		rest[0] = a[i]
		quotient[i] = d.or(over, d.greaterOrEqual(rest, b))
		rest = d.choose(quotient[i], d.sub(rest, b), rest)
	}
	return quotient
}

// The comparisons fold from the least significant bit up, so that each step puts
// one test on top of what is there.

// equal returns the condition a == b.
func (d *diagram) equal(a, b vector) ref {
	out := yes
	for i := range a {
		out = d.ite(a[i], d.and(b[i], out), d.ite(b[i], no, out))
	}
	return out
}

// greater returns the condition a > b, unsigned.
func (d *diagram) greater(a, b vector) ref { return d.exceeds(a, b, no) }

// greaterOrEqual returns the condition a >= b, unsigned.
func (d *diagram) greaterOrEqual(a, b vector) ref { return d.exceeds(a, b, yes) }

func (d *diagram) exceeds(a, b vector, tie ref) ref {
	out := tie
	for i := range a {
		out = d.ite(a[i], d.ite(b[i], out, yes), d.ite(b[i], no, out))
	}
	return out
}

// anyBits returns the condition a & b != 0.
func (d *diagram) anyBits(a, b vector) ref {
	out := no
	for i := range a {
		out = d.or(d.and(a[i], b[i]), out)
	}
	return out
}
