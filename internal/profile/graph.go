package profile

import (
	"container/heap"
	"slices"
	"strings"
)

// The costs of edges: a direct call explains best.
const (
	costCall  = 1
	costValue = 3
	costData  = 5
	// Every function can panic and grow its stack: that explains little.
	costFailure = 20
	// Every function that main.main reaches is explained from there before
	// package initialisation, and this before the runtime's own entry.
	costInit    = 1 << 20
	costRuntime = 1 << 21
)

// A graph is the shortest paths from the program's entry points to all
// functions, over functions and the data that leads to them.
type graph struct {
	a       *analysis
	objects []uint64 // addresses that code refers to, ascending: variables start there
	// The nodes are the functions, then the addresses in data.
	data   []uint64
	number map[uint64]int32
	dist   []uint32
	from   []int32
	detour []bool // functions that are called when something fails
	queue  queue
}

const (
	unreached = ^uint32(0)
	noNode    = -1
)

// graph is Dijkstra's algorithm from all entry points.
func (a *analysis) graph() *graph {
	n := len(a.prog.Funcs)
	g := &graph{a: a, number: map[uint64]int32{}, detour: make([]bool, n)}
	for _, r := range a.survey.refs {
		if addr, _ := a.survey.ref(r); addr < a.prog.Text || addr >= a.prog.Etext {
			g.objects = append(g.objects, addr)
		}
	}
	slices.Sort(g.objects)
	g.objects = slices.Compact(g.objects)
	for range n {
		g.dist, g.from = append(g.dist, unreached), append(g.from, noNode)
	}
	entry, _ := a.prog.Find(a.prog.File.Entry)
	for fn := range a.prog.Funcs {
		name := a.prog.Name(fn)
		g.detour[fn] = isFailure(name)
		switch {
		case name == "main.main":
			g.relax(int32(fn), noNode, 0)
		case fn == entry:
			g.relax(int32(fn), noNode, costRuntime)
		case isInit(name):
			g.relax(int32(fn), noNode, costInit)
		}
	}
	for len(g.queue) > 0 {
		x := heap.Pop(&g.queue).(queued)
		switch {
		case x.dist != g.dist[x.node]:
		case int(x.node) < n:
			g.function(x.node, x.dist)
		default:
			g.object(x.node, x.dist, g.data[int(x.node)-n])
		}
	}
	return g
}

func (g *graph) relax(node, from int32, dist uint32) {
	if dist < g.dist[node] {
		g.dist[node], g.from[node] = dist, from
		heap.Push(&g.queue, queued{dist, node})
	}
}

// node returns the node of the data at addr.
func (g *graph) node(addr uint64) int32 {
	k, ok := g.number[addr]
	if !ok {
		k = int32(len(g.dist))
		g.number[addr] = k
		g.data = append(g.data, addr)
		g.dist, g.from = append(g.dist, unreached), append(g.from, noNode)
	}
	return k
}

func (g *graph) function(fn int32, dist uint32) {
	s, p := g.a.survey, g.a.prog
	for _, c := range s.calls[s.callAt[fn]:s.callAt[fn+1]] {
		cost := uint32(costCall)
		if g.detour[c] {
			cost = costFailure
		}
		g.relax(int32(c), fn, dist+cost)
	}
	for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
		addr, kind := s.ref(r)
		switch {
		case kind == refWritten:
		case addr < p.Text || addr >= p.Etext:
			g.relax(g.node(addr), fn, dist)
		default:
			if to, ok := g.a.entryOf(addr); ok {
				g.relax(int32(to), fn, dist+costValue)
			}
		}
	}
}

// isInit recognises package initialisers: init, init.0 and so on, and the
// initialisers of maps.
func isInit(name string) bool {
	_, rest, ok := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ".")
	return ok && (rest == "init" || strings.HasPrefix(rest, "init.") && !strings.Contains(rest, "func"))
}

// isFailure recognises the runtime's panics, fatal errors and stack growth.
func isFailure(name string) bool {
	rest, ok := strings.CutPrefix(name, "runtime.")
	if !ok {
		return false
	}
	for _, word := range [...]string{"panic", "Panic", "throw", "fatal", "morestack"} {
		if strings.Contains(rest, word) {
			return true
		}
	}
	return false
}

type queued struct {
	dist uint32
	node int32
}

// A queue is a heap: the nearest node first, then the lowest.
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
