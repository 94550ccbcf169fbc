package profile

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// An Edge says how one step of a path leads to the next.
type Edge string

// The edges.
const (
	EdgeRoot    Edge = "entry"            // where the path starts
	EdgeCall    Edge = "call"             // a direct call or jump
	EdgePLT     Edge = "PLT"              // a call through a slot that the dynamic loader fills
	EdgeInlined Edge = "inlined call"     // the same, of a function that the compiler inlined
	EdgeValue   Edge = "function value"   // its address is taken as a function value
	EdgeItab    Edge = "interface method" // the method table of a type as an interface holds it
	EdgeMethod  Edge = "type method"      // a method of a type that may be called by reflection
	EdgeTable   Edge = "table"            // a table or another object of data holds its address
	EdgeNumber  Edge = "passes number"    // the call before hands it the number
	EdgeKept    Edge = "kept by the linker, no path found"
	EdgeHeld    Edge = "left by start-up code" // which knew its address, before main
)

// A Step is one function on the way to a system call.
type Step struct {
	Edge Edge   // how the step before leads here
	Func string // the function's name
	Addr uint64 // of the call that goes on from here, or of the site; of the entry if unknown
	// Offset is how far Addr lies behind the entry of the function, or of the one
	// that it was inlined into.
	Offset uint64
	File   string // where that is; "" if unknown
	Line   int
	// Module brought the function: a Go module, or the file of a library.
	Module image.GoModule
}

// Place returns where a step goes on, for people: file and line of source code,
// else the distance from the function's entry.
func (s Step) Place() string {
	if s.File == "" {
		return fmt.Sprintf("+%#x", s.Offset)
	}
	dir, file := path.Split(s.File)
	return path.Join(path.Base(dir), file) + ":" + strconv.Itoa(s.Line)
}

// A hop is one function of the code on the way to a system call.
type hop struct {
	edge Edge
	fn   int
	addr uint64
}

// path returns the functions from an entry point to fn, or none if none leads
// there.
func (g *graph) path(fn int) []hop {
	if g.dist[fn] == unreached {
		return nil
	}
	n := int32(len(g.a.prog.Funcs))
	var nodes []int32
	for k := int32(fn); k != noNode; k = g.from[k] {
		nodes = append(nodes, k)
	}
	slices.Reverse(nodes)
	var out []hop
	edge := EdgeRoot
	for i, k := range nodes {
		if k >= n {
			if len(out) > 0 { // else it is an object that a library exports
				edge = g.through(edge, k, nodes[i+1])
			}
			continue
		}
		h := hop{edge, int(k), g.a.entry(int(k))}
		if i+1 < len(nodes) {
			h.addr = g.leaves(int(k), nodes[i+1])
			edge = g.between(k, nodes[i+1])
		}
		out = append(out, h)
	}
	return out
}

// between returns how function fn leads on to node.
func (g *graph) between(fn, node int32) Edge {
	p := g.a.prog
	if int(node) >= len(p.Funcs) {
		return EdgeCall // of what the data leads to: see through
	}
	_, stub := p.Stub(int(fn))
	switch {
	case stub || p.Module(int(fn)) != p.Module(int(node)):
		return EdgePLT
	case g.dist[node]-g.dist[fn] == costValue:
		return EdgeValue
	}
	return EdgeCall
}

// through returns how the data of node leads on to next, where edge led to it.
func (g *graph) through(edge Edge, node, next int32) Edge {
	addr, function := g.data[int(node)-len(g.a.prog.Funcs)], int(next) < len(g.a.prog.Funcs)
	_, itab := g.isItab(addr)
	switch {
	case edge != EdgeTable && edge != EdgeMethod && g.dist[next]-g.dist[node] == costValue:
		return EdgeValue
	case function && itab:
		return EdgeItab
	case function && g.inTypes(addr):
		return EdgeMethod
	}
	return EdgeTable
}

// leaves returns the address of the instruction of fn that leads to node.
func (g *graph) leaves(fn int, node int32) uint64 {
	p, n := g.a.prog, len(g.a.prog.Funcs)
	var start, end uint64 // what it names
	if int(node) < n {
		start = g.a.entry(int(node))
		if end = start + 1; !p.IsGo(int(node)) {
			end = p.Text + uint64(p.Funcs[node].End)
		}
	} else {
		start = g.data[int(node)-n] &^ wordMark
		end = start + 1
	}
	addr, code := p.Code(fn)
	_, absolute := fixedRange(p, fn)
	sw := sweepOf(p, fn, code, addr)
	var in image.Inst
	within := func(to uint64) bool { return to >= start && to < end }
	for sw.Next(&in) {
		if within(targetOf(p, &in)) || namesWithin(p, fn, &in.Src, absolute, within) || namesWithin(p, fn, &in.Dst, absolute, within) {
			return in.Addr
		}
	}
	return addr
}

func refersTo(o *image.Operand, target uint64) bool {
	addr, ok := named(o)
	return ok && addr == target
}

// namesWithin reports that operand o of function fn names an address that within
// holds for.
func namesWithin(p *image.Program, fn int, o *image.Operand, absolute bool, within func(uint64) bool) bool {
	addr, ok := named(o)
	if !p.IsGo(fn) {
		addr, ok = nativeNamed(o, absolute)
	}
	return ok && within(addr)
}

// source returns a hop as the source has it: the function, then what was inlined
// there.
func (a *analysis) source(h hop) []Step {
	var out []Step
	for i, f := range a.prog.Frames(h.fn, h.addr) {
		edge := h.edge
		if i > 0 {
			edge = EdgeInlined
		}
		out = append(out, Step{
			Edge: edge, Func: f.Func, Addr: h.addr, Offset: h.addr - a.entry(h.fn), File: f.File, Line: f.Line, Module: a.module(h.fn, f.Func),
		})
	}
	return out
}

// seen returns a path as the program sees it.
func (a *analysis) seen(path string) string {
	if rest, ok := strings.CutPrefix(path, a.root); ok && a.root != "" && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

// module returns what brought a function.
func (a *analysis) module(fn int, name string) image.GoModule {
	if !a.prog.IsGo(fn) {
		if m := a.prog.Module(fn); m != nil {
			return image.GoModule{Path: a.seen(m.Path)}
		}
		return image.GoModule{Path: a.prog.Path}
	}
	// Only assembly of Go's own has names without a package.
	return Brought(&a.prog.Build, cmp.Or(PackageOf(name), "runtime"))
}

// full returns the path to where a number is known, followed by the calls that
// carry it to the site.
func (g *graph) full(l *link) []Step {
	hops := g.path(l.fn)
	if len(hops) == 0 || g.native != nil && g.native.kept[l.fn] {
		hops = []hop{{edge: EdgeKept, fn: l.fn}}
		if g.native != nil && g.native.late[l.addr] {
			hops[0].edge = EdgeRoot // main returns there
		}
	} else if g.native != nil && g.native.held[hops[0].fn] {
		hops[0].edge = EdgeHeld
	}
	hops[len(hops)-1].addr = l.addr
	for l = l.next; l != nil; l = l.next {
		hops = append(hops, hop{EdgeNumber, l.fn, l.addr})
	}
	var steps []Step
	for _, h := range hops {
		steps = append(steps, g.a.source(h)...)
	}
	return steps
}

// every returns the paths that end in the given links, shortest first, and one
// more than [MaxChains] at most.
func (g *graph) every(links []*link) [][]Step {
	links = slices.Clone(links)
	slices.SortStableFunc(links, g.nearer)
	var all [][]Step
	for _, l := range links {
		steps := g.full(l)
		if !slices.ContainsFunc(all, func(have []Step) bool { return slices.Equal(have, steps) }) {
			all = append(all, steps)
		}
		if len(all) > MaxChains {
			break
		}
	}
	return all
}

// nearer orders links by their distance from an entry point.
func (g *graph) nearer(x, y *link) int {
	return cmp.Or(cmp.Compare(g.dist[x.fn], g.dist[y.fn]), cmp.Compare(x.addr, y.addr))
}
