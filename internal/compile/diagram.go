package compile

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A variable is a word under a mask, the thing that one level of a diagram
// decides by.
type variable struct {
	word word
	mask uint32
}

// An id names a node of a diagram. The first two are the outcomes of a single
// condition, on the way to an action.
type id int32

const (
	no id = iota
	yes
)

// An edge leads from all values from lo up to the next edge's lo.
type edge struct {
	lo uint32
	to id
}

// A vertex decides by one variable. A leaf's level is past all variables.
type vertex struct {
	level  int32
	edges  []edge // at least two, neighbours differ; the first lo is 0
	action abi.Action
	next   id // with the same hash; 0: none
}

// A diagram is an ordered decision diagram whose vertices partition the values
// of a variable into intervals. Equal vertices are one vertex and no vertex has
// a single outcome, so that what always goes the same way is found by itself.
type diagram struct {
	vars     []variable
	vertices []vertex
	unique   map[uint64]id
	leaves   map[abi.Action]id
	memo     map[[3]id]id
	steps    int // left to spend
}

// newDiagram returns an empty diagram in the order of vars that gives up after
// a number of steps.
func newDiagram(vars []variable, steps int) *diagram {
	leaf := vertex{level: int32(len(vars))}
	return &diagram{
		vars:     vars,
		vertices: []vertex{leaf, leaf},
		unique:   make(map[uint64]id),
		leaves:   make(map[abi.Action]id),
		memo:     make(map[[3]id]id),
		steps:    steps,
	}
}

func (d *diagram) leaf(a abi.Action) id {
	if v, ok := d.leaves[a]; ok {
		return v
	}
	v := id(len(d.vertices))
	d.vertices = append(d.vertices, vertex{level: int32(len(d.vars)), action: a})
	d.leaves[a] = v
	return v
}

// vertex returns the vertex with these edges. They may repeat an outcome or a
// start (the last counts), and start at values that the mask never lets through.
func (d *diagram) vertex(level int32, edges []edge) id {
	edges = normalize(edges, d.vars[level].mask)
	if len(edges) == 1 {
		return edges[0].to
	}
	d.steps -= len(edges)
	hash := hashEdges(level, edges)
	for v := d.unique[hash]; v != 0; v = d.vertices[v].next {
		if d.vertices[v].level == level && slices.Equal(d.vertices[v].edges, edges) {
			return v
		}
	}
	v := id(len(d.vertices))
	d.vertices = append(d.vertices, vertex{level: level, edges: edges, next: d.unique[hash]})
	d.unique[hash] = v
	return v
}

// choose returns "if c then t else f", where c's leaves are yes and no.
func (d *diagram) choose(c, t, f id) id {
	switch {
	case c == yes || t == f:
		return t
	case c == no:
		return f
	}
	key := [3]id{c, t, f}
	if v, ok := d.memo[key]; ok {
		return v
	}
	if d.steps <= 0 {
		return f // the caller looks at steps, and throws the diagram away
	}
	level := min(d.vertices[c].level, d.vertices[t].level, d.vertices[f].level)
	cs, ts, fs := d.edges(c, level), d.edges(t, level), d.edges(f, level)
	var edges []edge
	for lo := uint32(0); ; {
		edges = append(edges, edge{lo, d.choose(cs[0].to, ts[0].to, fs[0].to)})
		next, more := fullMask, false
		for _, es := range [][]edge{cs, ts, fs} {
			if len(es) > 1 {
				next, more = min(next, es[1].lo), true
			}
		}
		if !more {
			break
		}
		lo = next
		cs, ts, fs = advance(cs, lo), advance(ts, lo), advance(fs, lo)
	}
	v := d.vertex(level, edges)
	d.memo[key] = v
	return v
}

// edges returns v's edges at a level, one for all values where v decides later.
func (d *diagram) edges(v id, level int32) []edge {
	if d.vertices[v].level == level {
		return d.vertices[v].edges
	}
	return []edge{{0, v}}
}

func advance(edges []edge, lo uint32) []edge {
	if len(edges) > 1 && edges[1].lo == lo {
		return edges[1:]
	}
	return edges
}

// condition returns the vertex that goes to yes where t holds: where the high word
// lies in one of its runs, and the low word in the intervals under that.
func (d *diagram) condition(t policy.Test) id {
	hi := variable{hiWord(t.Word), uint32(t.Mask >> 32)}
	lo := variable{loWord(t.Word), uint32(t.Mask)}
	slices := split64(t.In)
	if hi.mask == 0 {
		return d.within(lo, slices[0].low)
	}
	if lo.mask == 0 || d.level(hi) < d.level(lo) {
		var high []edge
		for _, s := range slices {
			high = append(high, edge{s.hi, d.within(lo, s.low)})
		}
		return d.vertex(d.level(hi), high)
	}
	v := no
	for i, s := range slices {
		run := interval32{s.hi, fullMask}
		if i+1 < len(slices) {
			run.hi = slices[i+1].hi - 1
		}
		v = d.choose(d.within(hi, []interval32{run}), d.within(lo, s.low), v)
	}
	return v
}

// within returns the vertex that goes to yes where v lies in the intervals.
func (d *diagram) within(v variable, in []interval32) id {
	if v.mask == 0 {
		if len(in) > 0 && in[0].lo == 0 {
			return yes
		}
		return no
	}
	edges := []edge{{0, no}}
	for _, i := range in {
		edges = append(edges, edge{i.lo, yes})
		if i.hi != fullMask {
			edges = append(edges, edge{i.hi + 1, no})
		}
	}
	return d.vertex(d.level(v), edges)
}

func (d *diagram) level(v variable) int32 { return int32(slices.Index(d.vars, v)) }

// decide returns the vertex of the clauses, the first of which that matches
// decides, and of last where none does; any vertex if it runs out of steps.
func (d *diagram) decide(clauses []clause, last abi.Action) id {
	v := d.leaf(last)
	for _, c := range slices.Backward(clauses) {
		action := d.leaf(c.action)
		for _, all := range slices.Backward(c.any) {
			match := action
			if d.steps <= 0 {
				return v
			}
			for _, t := range slices.Backward(all) {
				match = d.choose(d.condition(t), match, v)
			}
			v = match
		}
	}
	return v
}

// size returns the number of edges of v and everything below.
func (d *diagram) size(v id) int {
	seen := make(map[id]bool)
	total := 0
	var visit func(id)
	visit = func(v id) {
		edges := d.vertices[v].edges
		if len(edges) == 0 || seen[v] {
			return
		}
		seen[v] = true
		total += len(edges)
		for _, e := range edges {
			visit(e.to)
		}
	}
	visit(v)
	return total
}
