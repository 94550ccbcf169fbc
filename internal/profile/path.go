package profile

import (
	"slices"

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
	EdgeNumber Edge = "passes number"  // the call before hands it the number
	EdgeKept   Edge = "kept by the linker, no path found"
)

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
			if edge != EdgeData && g.dist[nodes[i+1]]-g.dist[k] == costValue {
				edge = EdgeValue
			} else {
				edge = EdgeData
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
		target = g.data[int(node)-n]
	}
	addr, code := g.a.prog.Code(fn)
	sw := g.a.prog.Sweep(code, addr)
	var in image.Inst
	for sw.Next(&in) {
		if in.Target == target || refersTo(&in.Src, target) || refersTo(&in.Dst, target) {
			return in.Addr
		}
	}
	return addr
}

func refersTo(o *image.Operand, target uint64) bool {
	addr, ok := named(o)
	return ok && addr == target
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
