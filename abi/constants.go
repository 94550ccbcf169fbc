package abi

import "iter"

// A valueTable holds named values that can differ between ABIs.
type valueTable struct {
	names  *stringTable
	starts []uint16 // where the variants of name i start; one more at the end
	abis   []uint16 // of each variant: bit set of the ABIs where it holds
	values []uint64
}

// value returns the value of name on a.
func (t *valueTable) value(a ABI, name string) (uint64, bool) {
	i, ok := t.names.find(name)
	if !ok {
		return 0, false
	}
	for v := t.starts[i]; v < t.starts[i+1]; v++ {
		if t.abis[v]>>a&1 != 0 {
			return t.values[v], true
		}
	}
	return 0, false
}

// Constant returns the value on a of a constant that system-call arguments use,
// as the kernel's headers name and define it: O_LARGEFILE is never 0. A negative
// one (AT_FDCWD) is sign-extended to 64 bits. ok is false if the tables do not
// know the name on a.
func (a ABI) Constant(name string) (value uint64, ok bool) { return constants.value(a, name) }

// Constants returns the names of the constants that a has, sorted, with their
// values.
func (a ABI) Constants() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for i := range constants.names.ends {
			name := constants.names.at(i)
			if v, ok := constants.value(a, name); ok && !yield(name, v) {
				return
			}
		}
	}
}
