package compile

import "github.com/sysgate/sysgate/abi"

// A word is one 32-bit word of struct seccomp_data, by what it means and not by
// where it lies: byte order is a matter of the layout. Words are ordered as the
// program reads them: the architecture, the number, then arguments.
type word uint8

const (
	wordArch word = iota
	wordNR
	wordArgs // hi half of argument 0, lo half of argument 0, hi of argument 1, …
)

const numWords = wordArgs + 2*7 // six arguments and the instruction pointer

// hiWord and loWord are the halves of a policy.Test's word.
func hiWord(arg uint8) word { return wordArgs + 2*word(arg) }
func loWord(arg uint8) word { return wordArgs + 2*word(arg) + 1 }

const fullMask = ^uint32(0)

// A ref names a node of a graph.
type ref int32

// An op is what a node does.
type op uint8

const (
	opReturn         op = iota // return k
	opEqual                    // word & mask == k
	opGreaterOrEqual           // word & mask >= k
	opAnyBits                  // word & k != 0; k has no bit outside mask
)

// A node tests one word, or returns. It says which word, never what the
// accumulator holds: loads are the layout's business, so that no path can
// compare a stale accumulator.
type node struct {
	op   op
	word word
	mask uint32
	k    uint32
	t, f ref // where to go when the test holds, and when not
}

// A graph is a decision graph in which equal nodes are one node.
type graph struct {
	nodes []node
	index map[node]ref
}

func newGraph() *graph { return &graph{index: make(map[node]ref)} }

func (g *graph) add(n node) ref {
	if r, ok := g.index[n]; ok {
		return r
	}
	r := ref(len(g.nodes))
	g.nodes = append(g.nodes, n)
	g.index[n] = r
	return r
}

func (g *graph) ret(a abi.Action) ref { return g.add(node{op: opReturn, k: uint32(a)}) }

// test returns the node that goes to t or f; none is needed where both are one.
func (g *graph) test(o op, w word, mask, k uint32, t, f ref) ref {
	if t == f {
		return t
	}
	return g.add(node{o, w, mask, k, t, f})
}

// holds reports whether n's test holds on a value of its word.
func (n node) holds(v uint32) bool {
	switch n.op {
	case opEqual:
		return v&n.mask == n.k
	case opGreaterOrEqual:
		return v&n.mask >= n.k
	default:
		return v&n.k != 0
	}
}

// An accumulator is what the accumulator holds: a word under a mask.
type accumulator variable

// nothing is the word of an accumulator that has not been loaded.
const nothing = numWords

// after returns what the accumulator holds after n's test, always the same
// because a test has its word loaded however it is reached.
func after(n node) accumulator { return accumulator{n.word, n.mask} }

// loads returns how many instructions it takes before n's test can be made: none,
// a mask, a load, or both.
func (a accumulator) loads(n node) int {
	count := 0
	switch {
	case a == after(n):
		return 0
	case a.word != n.word || a.mask&n.mask != n.mask:
		count++
	}
	if n.mask != fullMask {
		count++
	}
	return count
}

// reach returns the nodes that root leads to, each after its successors.
func (g *graph) reach(root ref) []ref {
	var order []ref
	seen := make([]bool, len(g.nodes))
	var visit func(ref)
	visit = func(r ref) {
		if seen[r] {
			return
		}
		seen[r] = true
		if n := g.nodes[r]; n.op != opReturn {
			visit(n.t)
			visit(n.f)
		}
		order = append(order, r)
	}
	visit(root)
	return order
}
