package profile

import (
	"bytes"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
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
	costKept    = 1 << 22
)

// A graph is the shortest paths from the program's entry points to all
// functions, over functions and the data that leads to them.
type graph struct {
	a       *analysis
	size    uint64   // of an address
	objects []uint64 // addresses of writable data that code refers to, ascending: variables start there
	// The nodes are the functions, then the addresses in data.
	data   []uint64
	index  addressIndex // of data
	dist   []uint32
	from   []int32
	detour []bool // functions that are called when something fails
	queue  queue
	// scanned counts words of data; beyond the budget some paths are not found.
	scanned int
	// native is set for programs that are not all Go.
	native *nativeReach
	bar    map[int32]bool // nodes that are left out
	// walked are the ranges of data that were relaxed as a whole, and how far they were.
	walked map[image.Range]uint32
}

const (
	unreached = ^uint32(0)
	noNode    = -1
)

// graph is Dijkstra's algorithm from all entry points.
func (a *analysis) graph() *graph {
	g := a.newGraph(nil)
	if a.native {
		g.native = a.newNativeReach()
	}
	if a.prog.Foreign() {
		for _, r := range a.roots() {
			g.root(r)
		}
		g.settle()
		return g
	}
	g.enterGo()
	if a.native {
		for _, r := range a.roots() {
			g.root(r)
		}
		g.settle()
		g.keepGo()
	}
	g.settle()
	return g
}

// enterGo relaxes the entries of a program of Go.
func (g *graph) enterGo() {
	a := g.a
	for _, s := range a.prog.Segments {
		if !s.Write {
			continue
		}
		for _, r := range a.survey.refs {
			if addr, _ := a.survey.ref(r); addr-s.Addr < s.MemSize {
				g.objects = append(g.objects, addr)
			}
		}
	}
	slices.Sort(g.objects)
	g.objects = slices.Compact(g.objects)
	entry, _ := a.prog.Find(a.prog.File.Entry)
	for fn := range a.prog.Funcs {
		name := a.prog.NameBytes(fn)
		g.detour[fn] = isFailure(name)
		switch {
		case string(name) == "main.main":
			g.relax(int32(fn), noNode, 0)
		case fn == entry:
			g.relax(int32(fn), noNode, costRuntime)
		case isInit(name):
			g.relax(int32(fn), noNode, costInit)
		}
	}
}

// keepGo relaxes what the Go linker kept: it may run, whether a path is found or
// not.
func (g *graph) keepGo() {
	for fn := range g.a.prog.Funcs {
		if g.a.prog.IsGo(fn) && g.dist[fn] == unreached {
			g.native.kept[fn] = true
			g.relax(int32(fn), noNode, costKept)
		}
	}
}

// newGraph returns a graph without roots, which shares with another what does not
// depend on them.
func (a *analysis) newGraph(shared *nativeReach) *graph {
	n := len(a.prog.Funcs)
	g := &graph{a: a, size: a.prog.WordSize(), detour: make([]bool, n), bar: map[int32]bool{}, walked: map[image.Range]uint32{}}
	g.dist, g.from = slices.Repeat([]uint32{unreached}, n), slices.Repeat([]int32{noNode}, n)
	if a.native { // data has as many nodes, about
		g.dist, g.from = slices.Grow(g.dist, n), slices.Grow(g.from, n)
	}
	if shared != nil {
		native := *shared
		native.taken, native.inside, native.held = map[int][]int32{}, map[int]bool{}, map[int]bool{}
		native.late, native.relative = map[uint64]bool{}, map[*image.Module]bool{}
		native.scanned, native.kept = map[uint64]bool{}, map[int]bool{}
		g.native = &native
	}
	return g
}

// settle relaxes all that the nodes in the queue lead to.
func (g *graph) settle() {
	n := len(g.a.prog.Funcs)
	for len(g.queue) > 0 {
		x := g.queue.pop()
		switch {
		case x.dist != g.dist[x.node]:
		case int(x.node) < n:
			if g.native == nil || g.a.prog.IsGo(int(x.node)) {
				g.function(x.node, x.dist)
			}
			if g.native != nil {
				g.nativeFunction(x.node, x.dist)
			}
		default:
			addr := g.data[int(x.node)-n]
			if g.native == nil || !g.a.prog.Foreign() && addr&wordMark == 0 {
				g.object(x.node, x.dist, addr)
			}
			if g.native != nil {
				g.nativeObject(x.node, x.dist, addr)
			}
		}
	}
}

func (g *graph) relax(node, from int32, dist uint32) {
	if dist < g.dist[node] && !g.bar[node] {
		if g.native != nil && g.native.attributes.wait(node, from, dist) {
			return
		}
		g.dist[node], g.from[node] = dist, from
		g.queue.push(queued{dist, node})
	}
}

// node returns the node of the data at addr.
func (g *graph) node(addr uint64) int32 {
	k, added := g.index.add(&g.data, addr)
	if added {
		g.dist, g.from = append(g.dist, unreached), append(g.from, noNode)
	}
	return int32(len(g.a.prog.Funcs) + k)
}

// atMost reports that the data at addr is reached, and from no further than dist.
func (g *graph) atMost(addr uint64, dist uint32) bool {
	k, ok := g.index.find(g.data, addr)
	return ok && g.dist[len(g.a.prog.Funcs)+k] <= dist
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
func isInit(name []byte) bool {
	_, rest, ok := bytes.Cut(name[bytes.LastIndexByte(name, '/')+1:], []byte("."))
	return ok && (string(rest) == "init" || bytes.HasPrefix(rest, []byte("init.")) && !bytes.Contains(rest, []byte("func")))
}

// isFailure recognises the runtime's panics, fatal errors and stack growth.
func isFailure(name []byte) bool {
	rest, ok := bytes.CutPrefix(name, []byte("runtime."))
	if !ok {
		return false
	}
	for _, word := range [...]string{"panic", "Panic", "throw", "fatal", "morestack"} {
		if bytes.Contains(rest, []byte(word)) {
			return true
		}
	}
	return false
}
