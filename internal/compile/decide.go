package compile

import (
	"cmp"
	"slices"

	"github.com/sysgate/sysgate/policy"
)

// Steps to spend on diagrams, for one order of the words and for all of a
// policy. What takes more is decided rule by rule.
const (
	maxSteps      = 1 << 15
	maxTotalSteps = 1 << 20
)

// decide turns the decision lists of all runs into graphs, and joins
// neighbouring runs that turn out to have the same.
func decide(u *unit) error {
	d := &decider{
		unit:   u,
		trees:  treeBuilder{g: u.graph, price: u.price},
		done:   make(map[listID]ref),
		chains: make(map[listID]ref),
		steps:  maxTotalSteps,
	}
	for i := range u.axes {
		a := &u.axes[i]
		for j := range a.runs {
			r := &a.runs[j]
			r.to = d.list(r.list)
		}
		a.runs = join(a.runs)
	}
	return nil
}

// join makes one run of neighbours with the same outcome. It works in place.
func join(runs []run) []run {
	out := runs[:0]
	for _, r := range runs {
		if n := len(out); n > 0 && out[n-1].to == r.to {
			out[n-1].weight += r.weight
			continue
		}
		out = append(out, r)
	}
	return out
}

// A decider turns decision lists into graphs.
type decider struct {
	*unit
	trees  treeBuilder
	done   map[listID]ref
	chains map[listID]ref
	steps  int // left for diagrams
}

// list returns the graph of a decision list: its diagram, unless that takes too
// long to build, or size counts and the chain is smaller.
func (d *decider) list(l listID) ref {
	if d.lists[l].rule == nil {
		return d.graph.ret(d.lists[l].action)
	}
	if r, ok := d.done[l]; ok {
		return r
	}
	r, ok := d.diagram(l)
	if !ok || d.options.Mode == Size {
		chain := d.chain(l)
		if !ok || d.graph.size(chain) < d.graph.size(r) {
			r = chain
		}
	}
	d.done[l] = r
	return r
}

// rules returns the rules of a list in order, and the list of one action that
// is left at the end.
func (d *decider) rules(l listID) ([]*policy.ResolvedRule, listID) {
	var rules []*policy.ResolvedRule
	for ; d.lists[l].rule != nil; l = d.lists[l].rest {
		rules = append(rules, d.lists[l].rule)
	}
	return rules, l
}

// chain asks one condition after the other, as the policy says. It is never
// larger than the policy, but tests a word as often as the policy names it.
func (d *decider) chain(l listID) ref {
	var todo []listID
	for ; d.lists[l].rule != nil; l = d.lists[l].rest {
		if _, ok := d.chains[l]; ok {
			break
		}
		todo = append(todo, l)
	}
	next, ok := d.chains[l]
	if !ok {
		next = d.graph.ret(d.lists[l].action)
	}
	for _, l := range slices.Backward(todo) {
		rule := d.lists[l].rule
		match := d.graph.ret(rule.Action)
		for _, all := range slices.Backward(rule.Any) {
			holds := match
			for _, t := range slices.Backward(all) {
				one := newDiagram(variables(t), maxSteps)
				holds = d.lower(one, one.condition(t), nil, map[id]ref{yes: holds, no: next})
			}
			next = holds
		}
		d.chains[l] = next
	}
	return next
}

// maxLowered is how many edges of diagrams are turned into trees to find the best
// order of the words of one list. The smallest diagram always is.
const maxLowered = 1 << 10

// diagram returns the cheapest graph that some diagrams of the list give; there
// is none if all take too many steps.
func (d *decider) diagram(l listID) (ref, bool) {
	rules, last := d.rules(l)
	type ordered struct {
		*diagram
		root  id
		edges int
	}
	said := clauses(rules)
	var all []ordered
	for _, vars := range orders(rules, d.lists[last].action) {
		if d.steps <= 0 {
			break
		}
		budget := min(maxSteps, d.steps)
		one := newDiagram(vars, budget)
		v := one.decide(said, d.lists[last].action)
		d.steps -= budget - one.steps
		if one.steps > 0 {
			all = append(all, ordered{one, v, one.size(v)})
		}
	}
	slices.SortStableFunc(all, func(a, b ordered) int { return cmp.Compare(a.edges, b.edges) })
	calls := witnesses(rules, d.lists[last].action, d.weights[l])
	best, least, lowered := ref(-1), int64(0), 0
	for i, o := range all {
		if lowered += o.edges; i > 0 && lowered > maxLowered {
			break
		}
		done := make(map[id]ref)
		for v, vertex := range o.vertices { // not over leaves: refs are to come in one order
			if id(v) > yes && len(vertex.edges) == 0 {
				done[id(v)] = d.graph.ret(vertex.action)
			}
		}
		r := d.lower(o.diagram, o.root, o.flow(o.root, calls), done)
		if cost := d.graph.cost(r, calls, d.price); best < 0 || cost < least {
			best, least = r, cost
		}
	}
	return best, best >= 0
}

// lower returns the graph of a diagram's vertex, whose edges weigh what flow says.
// It is known for the vertices in done.
func (d *decider) lower(from *diagram, v id, flow map[id][]int64, done map[id]ref) ref {
	if r, ok := done[v]; ok {
		return r
	}
	vertex := &from.vertices[v]
	weights := flow[v]
	cells := make([]cell, 0, len(vertex.edges))
	for i, e := range vertex.edges {
		c := cell{lo: e.lo, to: d.lower(from, e.to, flow, done)}
		if weights != nil {
			c.weight = weights[i]
		}
		if n := len(cells); n > 0 && cells[n-1].to == c.to {
			cells[n-1].weight += c.weight
			continue
		}
		cells = append(cells, c)
	}
	on := from.vars[vertex.level]
	done[v] = d.trees.tree(on.word, on.mask, cells)
	return done[v]
}
