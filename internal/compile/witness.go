package compile

import (
	"cmp"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A witness is arguments, and the instruction pointer, that a program passes to a
// call, and how often it does so.
type witness struct {
	words  [policy.IPWord + 1]uint64
	weight int64
}

// maxWitnesses bounds the witnesses of one alternative.
const maxWitnesses = 16

// witnesses returns calls of a program that is written for the rules: for every
// alternative, calls that satisfy it. Where a condition has several values, each
// is a call. They weigh what the system call weighs. If what no rule matches is
// allowed, that is one more call.
func witnesses(rules []*policy.ResolvedRule, last abi.Action, weight int64) []witness {
	var out []witness
	for _, r := range rules {
		for _, all := range r.Any {
			n := uint64(1)
			for _, t := range all {
				n = max(n, min(count(t.In), maxWitnesses))
			}
			for i := range n {
				var w witness
				for _, t := range all {
					if values := count(t.In); values > 0 {
						w.words[t.Word] |= nth(t.In, i%min(n, values)*((values-1)/max(1, min(n, values)-1)))
					}
				}
				out = append(out, w)
			}
		}
	}
	if last == abi.Allow {
		out = append(out, witness{})
	}
	for i := range out {
		out[i].weight = weight / int64(len(out))
	}
	return out
}

// count returns the number of values in the intervals, 1<<64-1 if it is more.
func count(in []policy.Interval) uint64 {
	n := uint64(0)
	for _, i := range in {
		size := i.Hi - i.Lo
		if n+size < n || n+size+1 == 0 {
			return ^uint64(0)
		}
		n += size + 1
	}
	return n
}

// nth returns a value of the intervals, by its index.
func nth(in []policy.Interval, n uint64) uint64 {
	for _, i := range in {
		if n <= i.Hi-i.Lo {
			return i.Lo + n
		}
		n -= i.Hi - i.Lo + 1
	}
	return 0
}

// read returns a word of the call.
func (w *witness) read(of word) uint32 {
	v := w.words[(of-wordArgs)/2]
	if (of-wordArgs)%2 == 0 {
		v >>= 32
	}
	return uint32(v)
}

// flow returns what weighs on the edges of each vertex from root on that the calls
// reach.
func (d *diagram) flow(root id, calls []witness) map[id][]int64 {
	flow := make(map[id][]int64)
	for i := range calls {
		for v := root; ; {
			vertex := &d.vertices[v]
			if len(vertex.edges) == 0 {
				break
			}
			weights := flow[v]
			if weights == nil {
				weights = make([]int64, len(vertex.edges))
				flow[v] = weights
			}
			on := d.vars[vertex.level]
			at, ok := slices.BinarySearchFunc(vertex.edges, calls[i].read(on.word)&on.mask, func(e edge, v uint32) int { return cmp.Compare(e.lo, v) })
			if !ok {
				at--
			}
			weights[at] += calls[i].weight
			v = vertex.edges[at].to
		}
	}
	return flow
}

// cost returns the cost of the graph from root on, which is entered with the
// number in the accumulator, for some calls.
func (g *graph) cost(root ref, calls []witness, price int64) int64 {
	cost := price * int64(g.size(root))
	for i := range calls {
		steps := int64(0)
		held := accumulator{wordNR, fullMask}
		for r := root; g.nodes[r].op != opReturn; {
			n := g.nodes[r]
			steps += 1 + int64(held.loads(n))
			held = after(n)
			if r = n.f; n.holds(calls[i].read(n.word)) {
				r = n.t
			}
		}
		cost += steps * calls[i].weight
	}
	return cost
}

// size returns the number of instructions of the graph from root on, which is
// entered with the number in the accumulator.
func (g *graph) size(root ref) int {
	order := g.reach(root)
	loads := make(map[ref]int)
	enter := func(r ref, held accumulator) {
		if n := g.nodes[r]; n.op != opReturn {
			loads[r] = max(loads[r], held.loads(n))
		}
	}
	enter(root, accumulator{wordNR, fullMask})
	size := len(order)
	for _, r := range order {
		if n := g.nodes[r]; n.op != opReturn {
			enter(n.t, after(n))
			enter(n.f, after(n))
		}
	}
	for _, n := range loads {
		size += n
	}
	return size
}
