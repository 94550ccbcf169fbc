package profile

import (
	"maps"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// maxParts bounds the parts of one function. Compilers make two or three;
// assembly in which everything jumps into everything stays apart.
const maxParts = 32

// findParts finds the functions of native code that are one: a compiler moves
// what is seldom run elsewhere (foo.cold), with unwind data of its own, and lets
// it jump back into the middle. The first of a group is the one that others call.
func (a *analysis) findParts() {
	a.leader = map[int]int{}
	a.parts = map[int][]int{}
	root := map[int]int{}
	inside := map[int]bool{} // functions that parts of them jump back into
	var find func(int) int
	find = func(fn int) int {
		r, ok := root[fn]
		if !ok || r == fn {
			root[fn] = fn
			return fn
		}
		r = find(r)
		root[fn] = r
		return r
	}
	for _, c := range a.survey.strays {
		to, _ := a.prog.Find(c.target)
		if c.jump && to != c.fn && !isGo(a.prog, c.fn) && !isGo(a.prog, to) {
			root[find(c.fn)] = find(to)
			inside[to] = true
		}
	}
	groups := map[int][]int{}
	for _, fn := range slices.Sorted(maps.Keys(root)) {
		groups[find(fn)] = append(groups[find(fn)], fn)
	}
	for _, g := range groups {
		if len(g) < 2 || len(g) > maxParts {
			continue
		}
		k := slices.IndexFunc(g, func(fn int) bool { return a.calledFromOutside(fn, g) })
		if k < 0 {
			k = slices.IndexFunc(g, func(fn int) bool { return inside[fn] })
		}
		k = max(k, 0)
		first := g[k]
		g = append([]int{first}, slices.Delete(slices.Clone(g), k, k+1)...)
		a.parts[first] = g
		for _, fn := range g {
			a.leader[fn] = first
		}
	}
}

// calledFromOutside reports that a function outside group calls or jumps to fn.
func (a *analysis) calledFromOutside(fn int, group []int) bool {
	return slices.ContainsFunc(a.callers(fn), func(by int) bool { return !slices.Contains(group, by) })
}

// whole returns the function that fn is a part of: itself, mostly.
func (a *analysis) whole(fn int) int {
	if l, ok := a.leader[fn]; ok {
		return l
	}
	return fn
}

// partsOf returns the parts of function fn, itself first.
func (a *analysis) partsOf(fn int) []int {
	if g, ok := a.parts[fn]; ok {
		return g
	}
	return []int{fn}
}

// enteredFrom reports that the part of function fn that starts at addr is called
// by others, or its address taken.
func (a *analysis) enteredFrom(fn int, addr uint64) bool {
	part, ok := a.entryOf(addr)
	return ok && (a.calledFromOutside(part, a.parts[fn]) || a.isTaken(part) || a.callsItself(part, a.parts[fn]))
}

// callsItself reports that a function of the group calls part, not jumps to it.
func (a *analysis) callsItself(part int, group []int) bool {
	entry := a.entry(part)
	for _, by := range a.callers(part) {
		if !slices.Contains(group, by) {
			continue
		}
		for in := range a.walk(by) {
			if in.Op == image.OpCall && in.Target == entry {
				return true
			}
		}
	}
	return false
}
