package profile

import (
	"container/heap"
	"slices"
	"sort"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// An Edge says how one step of a path leads to the next.
type Edge string

// The edges.
const (
	EdgeRoot   Edge = "entry"          // where the path starts
	EdgeCall   Edge = "call"           // a direct call or jump
	EdgeValue  Edge = "function value" // its address is taken as a function value
	EdgeData   Edge = "data"           // an interface table, a method table or a variable leads to it
	EdgeNumber Edge = "passes number"  // the call that hands the number to a wrapper
	EdgeSite   Edge = "system call"    // the instruction
	EdgeKept   Edge = "kept by the linker, no path found"
)

// The costs of edges: a direct call explains best.
const (
	costCall  = 1
	costValue = 3
	costData  = 5
	// Every function that main.main reaches is explained from there before
	// package initialisation, and this before the runtime's own entry.
	costInit    = 1 << 20
	costRuntime = 1 << 21
)

// A graph is the shortest paths from the program's entry points to all
// functions, over functions and the data that leads to them.
type graph struct {
	a       *analysis
	objects []uint64 // addresses that code refers to, ascending: data starts there
	// Nodes are the functions, then the objects.
	dist []uint32
	from []int32
}

const (
	unreached = ^uint32(0)
	noNode    = -1
)

func (a *analysis) graph() *graph {
	g := &graph{a: a}
	n := len(a.prog.Funcs)
	g.objects = make([]uint64, 0, len(a.survey.refs)/2)
	for _, r := range a.survey.refs {
		addr, _ := a.survey.ref(r)
		if addr < a.prog.Text || addr >= a.prog.Etext {
			g.objects = append(g.objects, addr)
		}
	}
	slices.Sort(g.objects)
	g.objects = slices.Compact(g.objects)
	g.dist = make([]uint32, n+len(g.objects))
	g.from = make([]int32, len(g.dist))
	for i := range g.dist {
		g.dist[i], g.from[i] = unreached, noNode
	}
	g.run()
	return g
}

type queued struct {
	dist uint32
	node int32
}

type queue []queued

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].dist < q[j].dist || q[i].dist == q[j].dist && q[i].node < q[j].node
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(queued)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// run is Dijkstra's algorithm from all entry points.
func (g *graph) run() {
	q := &queue{}
	relax := func(node int, from int32, dist uint32) {
		if dist < g.dist[node] {
			g.dist[node], g.from[node] = dist, from
			heap.Push(q, queued{dist, int32(node)})
		}
	}
	a := g.a
	entry, _ := a.prog.Find(a.prog.File.Entry)
	for fn := range a.prog.Funcs {
		name := a.prog.Name(fn)
		switch {
		case name == "main.main":
			relax(fn, noNode, 0)
		case fn == entry:
			relax(fn, noNode, costRuntime)
		case isInit(name):
			relax(fn, noNode, costInit)
		}
	}
	n := len(a.prog.Funcs)
	for q.Len() > 0 {
		x := heap.Pop(q).(queued)
		if x.dist != g.dist[x.node] {
			continue
		}
		if int(x.node) < n {
			g.function(int(x.node), x.dist, relax)
		} else {
			g.object(int(x.node)-n, func(fn int, cost uint32) { relax(fn, x.node, x.dist+cost) })
		}
	}
}

// isInit recognises package initialisers: init, init.0 and so on, and the
// initialisers of maps.
func isInit(name string) bool {
	dot := strings.LastIndexByte(name, '/') + 1
	_, rest, ok := strings.Cut(name[dot:], ".")
	return ok && (rest == "init" || strings.HasPrefix(rest, "init.") && !strings.Contains(rest, "func"))
}

func (g *graph) function(fn int, dist uint32, relax func(int, int32, uint32)) {
	s, p := g.a.survey, g.a.prog
	for _, c := range s.calls[s.callAt[fn]:s.callAt[fn+1]] {
		relax(int(c), int32(fn), dist+costCall)
	}
	for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
		addr, kind := s.ref(r)
		if kind == refWritten {
			continue
		}
		if addr >= p.Text && addr < p.Etext {
			if to, ok := g.a.entryOf(addr); ok {
				relax(to, int32(fn), dist+costValue)
			}
			continue
		}
		i, _ := slices.BinarySearch(g.objects, addr)
		relax(len(p.Funcs)+i, int32(fn), dist)
	}
}

// object yields the functions that the words of object i hold, with the cost of
// going there. An object ends where the next one that code refers to starts.
func (g *graph) object(i int, yield func(fn int, cost uint32)) {
	start := g.objects[i]
	end := start + maxObject
	if i+1 < len(g.objects) {
		end = min(end, g.objects[i+1])
	}
	for _, table := range [...][]entryWord{g.a.words, g.a.methods} {
		k := sort.Search(len(table), func(k int) bool { return table[k].addr >= start })
		for ; k < len(table) && table[k].addr < end; k++ {
			cost := uint32(costData)
			if table[k].addr == start {
				cost = costValue
			}
			yield(table[k].fn, cost)
		}
	}
}

// maxObject bounds an object that no other one follows closely.
const maxObject = 1 << 16

// A Step is one function on the way to a system call.
type Step struct {
	Edge Edge   // how the step before leads here
	Func string // the function's name
	Addr uint64 // of the call that goes on from here, or of the site; of the entry if unknown
	File string // where that is; "" if unknown
	Line int
}

// path returns the functions from an entry point to fn, or none if none leads
// there.
func (g *graph) path(fn int) []Step {
	if g.dist[fn] == unreached {
		return nil
	}
	n := int32(len(g.a.prog.Funcs))
	var nodes []int32
	for k := int32(fn); k != noNode; k = g.from[k] {
		nodes = append(nodes, k)
	}
	slices.Reverse(nodes)
	var out []Step
	edge := EdgeRoot
	for i, k := range nodes {
		if k >= n {
			edge = EdgeData
			if g.dist[nodes[i+1]]-g.dist[k] == costValue {
				edge = EdgeValue
			}
			continue
		}
		step := g.a.step(edge, int(k), g.a.entry(int(k)))
		if i+1 < len(nodes) {
			step = g.a.step(edge, int(k), g.leaves(int(k), nodes[i+1]))
			edge = EdgeCall
			if next := nodes[i+1]; next < n && g.dist[next]-g.dist[k] == costValue {
				edge = EdgeValue
			}
		}
		out = append(out, step)
	}
	return out
}

// leaves returns the address of the instruction of fn that leads to node.
func (g *graph) leaves(fn int, node int32) uint64 {
	n := len(g.a.prog.Funcs)
	var target uint64
	if int(node) < n {
		target = g.a.entry(int(node))
	} else {
		target = g.objects[int(node)-n]
	}
	addr, code := g.a.prog.Code(fn)
	sw := image.NewSweep(code, addr)
	var in image.Inst
	for sw.Next(&in) {
		if in.Target == target || names(&in.Src, target) || names(&in.Dst, target) {
			return in.Addr
		}
	}
	return addr
}

func names(o *image.Operand, target uint64) bool {
	return o.Kind == image.OperandMem && (o.Base == image.RegPC || o.Base == image.RegNone) && uint64(o.Disp) == target
}

func (a *analysis) step(edge Edge, fn int, addr uint64) Step {
	file, line := a.prog.Line(fn, addr)
	return Step{Edge: edge, Func: a.prog.Name(fn), Addr: addr, File: file, Line: line}
}

// full returns the path to where a number is known, followed by the calls that
// carry it to the site.
func (g *graph) full(l *link) []Step {
	steps := g.path(l.fn)
	if len(steps) == 0 {
		steps = []Step{g.a.step(EdgeKept, l.fn, l.addr)}
	}
	last := &steps[len(steps)-1]
	*last = g.a.step(last.Edge, l.fn, l.addr)
	for l = l.next; l != nil; l = l.next {
		steps = append(steps, g.a.step(EdgeNumber, l.fn, l.addr))
	}
	return steps
}
