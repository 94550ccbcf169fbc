package proof

import "fmt"

// A ref names a node of one diagram. Nodes are canonical: two refs are equal
// exactly if they stand for the same function of the input bits.
type ref int32

// The two constant conditions, and the terminal that stands for return words
// that nobody tells apart. None of them is a return word: filters can return the
// words 0, 1 and 2, and a function to words never mixes with a condition.
const (
	no ref = iota
	yes
	otherWord
)

// inputBits is the size of struct seccomp_data: the variables of a diagram,
// numbered by level. Level 0 is tested first.
const inputBits = 512

// A node tests the input bit of its level, or is a terminal (level inputBits),
// which has no branches.
type node struct {
	level     int32
	low, high ref // where the bit is 0, and where it is 1
}

// A diagram is a set of decision diagrams over the input bits that share their
// nodes: conditions, which end in no or yes, and functions to 32-bit words.
//
// It never grows past its limits: once one is reached, every operation returns
// at once with a meaningless ref and stopped says why. So look at stopped before
// trusting any result.
type diagram struct {
	nodes []node
	index []ref          // hash set of inner nodes; no marks a free slot
	words map[uint32]ref // terminals
	cache []choice       // of ite; direct-mapped, so entries may be lost

	// What descriptions of functions have found out; nil until they do.
	splits     map[ref][]labelled
	covers     map[coverKey]coverResult
	conditions map[conditionsKey]conditionsResult

	limits  limits
	steps   int
	states  int
	stopped string // why nothing more is computed; empty while all is well
}

// A choice records one result of ite.
type choice struct{ test, then, otherwise, result ref }

// maxCache bounds the entries of diagram.cache.
const maxCache = 1 << 20

func newDiagram(l limits) *diagram {
	terminal := node{level: inputBits} // no, yes and otherWord
	const size = 1 << 10               // a power of two, as the tables need
	return &diagram{
		nodes:  append(make([]node, 0, size), terminal, terminal, terminal),
		index:  make([]ref, 2*size),
		cache:  make([]choice, size),
		words:  map[uint32]ref{},
		limits: l,
	}
}

// spend takes n steps off the budget and reports whether there were so many left.
func (d *diagram) spend(n int) bool {
	if d.steps += n; d.steps > d.limits.steps {
		d.exhaust("steps", d.limits.steps)
	}
	return d.stopped == ""
}

// spendState takes one symbolic state of a program off the budget and reports
// whether there was one left.
func (d *diagram) spendState() bool {
	if d.states++; d.states > d.limits.states {
		d.exhaust("program states", d.limits.states)
	}
	return d.stopped == ""
}

func (d *diagram) exhaust(what string, limit int) {
	d.stop(fmt.Sprintf("budget exhausted: more than %d %s", limit, what))
}

// stop makes d useless for the given reason; the first one stays.
func (d *diagram) stop(reason string) {
	if d.stopped == "" {
		d.stopped = reason
	}
}

// word returns the terminal that stands for return word w.
func (d *diagram) word(w uint32) ref {
	r, ok := d.words[w]
	if !ok {
		if len(d.words) >= d.limits.words {
			d.exhaust("return words", d.limits.words)
			return no
		}
		r = d.insert(node{level: inputBits})
		d.words[w] = r
	}
	return r
}

// insert appends a node that is not there yet.
func (d *diagram) insert(n node) ref {
	if len(d.nodes) >= d.limits.nodes {
		d.exhaust("nodes", d.limits.nodes)
		return no
	}
	d.nodes = append(d.nodes, n)
	return ref(len(d.nodes) - 1)
}

// branch returns the canonical node that is low where the input bit of level is
// 0 and high where it is 1. Both must test later levels only.
func (d *diagram) branch(level int32, low, high ref) ref {
	if low == high {
		return low
	}
	n := node{level, low, high}
	slot := n.hash() & uint64(len(d.index)-1)
	for d.index[slot] != no {
		if d.nodes[d.index[slot]] == n {
			return d.index[slot]
		}
		slot = (slot + 1) & uint64(len(d.index)-1)
	}
	r := d.insert(n)
	if r == no {
		return no
	}
	d.index[slot] = r
	if n := len(d.nodes); 2*n >= len(d.index) && n < d.limits.nodes {
		d.grow()
	}
	return r
}

// grow doubles the hash set, and the space for nodes and the cache with it.
func (d *diagram) grow() {
	d.nodes = append(make([]node, 0, len(d.index)), d.nodes...)
	d.index = make([]ref, 2*len(d.index))
	for r, n := range d.nodes {
		if n.level == inputBits {
			continue
		}
		slot := n.hash() & uint64(len(d.index)-1)
		for d.index[slot] != no {
			slot = (slot + 1) & uint64(len(d.index)-1)
		}
		d.index[slot] = ref(r)
	}
	if len(d.cache) >= maxCache {
		return
	}
	old := d.cache
	d.cache = make([]choice, 2*len(old))
	for _, c := range old {
		if c != (choice{}) {
			*d.cached(c.test, c.then, c.otherwise) = c
		}
	}
}

// ite returns then where test holds and otherwise where it does not.
func (d *diagram) ite(test, then, otherwise ref) ref {
	if !d.spend(1) {
		return no
	}
	switch {
	case test == yes || then == otherwise:
		return then
	case test == no:
		return otherwise
	case then == yes && otherwise == no:
		return test
	}
	t, a, b := d.nodes[test], d.nodes[then], d.nodes[otherwise]
	if t.low == no && t.high == yes && t.level < a.level && t.level < b.level {
		return d.branch(t.level, otherwise, then)
	}
	if c := d.cached(test, then, otherwise); c.test == test && c.then == then && c.otherwise == otherwise {
		return c.result
	}
	level := min(t.level, a.level, b.level)
	t0, t1 := t.split(level, test)
	a0, a1 := a.split(level, then)
	b0, b1 := b.split(level, otherwise)
	result := d.branch(level, d.ite(t0, a0, b0), d.ite(t1, a1, b1))
	*d.cached(test, then, otherwise) = choice{test, then, otherwise, result}
	return result
}

// and returns the condition that both a and b hold.
func (d *diagram) and(a, b ref) ref { return d.ite(a, b, no) }

// or returns the condition that a or b holds.
func (d *diagram) or(a, b ref) ref { return d.ite(a, yes, b) }

// not returns the condition that a does not hold.
func (d *diagram) not(a ref) ref { return d.ite(a, no, yes) }

// split returns what n, named r, is where the input bit of level is 0 and 1. No
// node above n's own level depends on it.
func (n node) split(level int32, r ref) (low, high ref) {
	if n.level != level {
		return r, r
	}
	return n.low, n.high
}

func (d *diagram) cached(test, then, otherwise ref) *choice {
	h := mix(uint64(uint32(test))<<32|uint64(uint32(then)), uint64(uint32(otherwise)))
	return &d.cache[h&uint64(len(d.cache)-1)]
}

func (n node) hash() uint64 {
	return mix(uint64(uint32(n.low))<<32|uint64(uint32(n.high)), uint64(n.level))
}

// mix hashes two words to one whose low bits depend on all of theirs.
func mix(a, b uint64) uint64 {
	h := (a ^ b*0xff51afd7ed558ccd) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}
