package proof

import "github.com/sysgate/sysgate/abi"

// witness returns a call for which a and b, different functions to words, give
// different ones. It goes down both at once and prefers 0 bits, so that what
// does not matter is 0.
func (d *diagram) witness(a, b ref) abi.Call {
	var w [words]uint32
	for {
		m, n := d.nodes[a], d.nodes[b]
		level := min(m.level, n.level)
		if level == inputBits {
			return call(w)
		}
		a0, a1 := m.split(level, a)
		b0, b1 := n.split(level, b)
		if a, b = a0, b0; a == b { // then the other halves differ, nodes being canonical
			a, b = a1, b1
			w[level/wordBits] |= bitOf(level)
		}
	}
}
