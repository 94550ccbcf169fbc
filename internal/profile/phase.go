package profile

import (
	"maps"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// A Phase is the part of a program's life that a profile is of.
type Phase string

// The phases. A filter that the program's starter loads is there for the whole
// life; one that the program loads itself, first thing in main, is for what comes
// after.
const (
	PhaseWhole Phase = ""
	PhaseMain  Phase = "main"
)

const phaseAssumed = "phase main: the program loads the filter itself, once its main was entered; what it calls before is not in it"

// A mainPhase is what can run once main has been entered.
//
// Start-up code is what runs before: the dynamic loader, the C library's start,
// constructors, the bring-up of Go's runtime. What it only calls falls away. What it
// leaves behind stays: a function whose address it takes or reads may lie in any
// variable, be a thread's, a signal's handler, or registered for the exit. So the
// functions that can run are those that main leads to, and all whose address is known
// to start-up code; where main returns to, and what the loader calls at the exit.
type mainPhase struct {
	a *analysis
	// bringUp are the functions of Go's runtime that only its entry leads to.
	bringUp map[int]bool
	// after is what can run of a program that is not all Go.
	after *graph
}

// enterMain finds what can run after main has been entered. It returns a reason where
// that is not known.
func (a *analysis) enterMain(o Options) (*mainPhase, string) {
	m := &mainPhase{a: a, bringUp: map[int]bool{}}
	if a.prog.Library {
		return nil, "it is a library"
	}
	entry, ok := a.prog.Find(a.prog.File.Entry)
	if !ok {
		return nil, "the program's entry is in no function"
	}
	main, frames := entry, []*link(nil)
	if a.native && !a.prog.IsGo(entry) {
		if main, frames, ok = a.findMain(); !ok {
			return nil, "no main is known: nothing passes one to the C library's start"
		}
	}
	if !a.prog.Foreign() && a.prog.IsGo(main) {
		m.bringUp = a.broughtUpBy(main)
	}
	if a.native {
		m.afterMain(main, frames, o)
	}
	return m, ""
}

// broughtUpBy returns function fn of Go and the functions that can run only if fn, and
// none but its callees, calls them: their address is nowhere.
func (a *analysis) broughtUpBy(fn int) map[int]bool {
	set := map[int]bool{fn: true}
	for todo := []int{fn}; len(todo) > 0; {
		s, f := a.survey, todo[0]
		todo = todo[1:]
		for _, c := range s.calls[s.callAt[f]:s.callAt[f+1]] {
			if to := int(c); a.prog.IsGo(to) && !set[to] {
				set[to] = true
				todo = append(todo, to)
			}
		}
	}
	named := a.namedFunctions()
	for again := true; again; {
		again = false
		for f := range maps.Keys(set) {
			entered := named[f] || slices.ContainsFunc(a.callers(f), func(by int) bool { return !set[by] }) || f > 0 && !set[f-1] && a.fallsThrough(f-1)
			if f != fn && entered {
				delete(set, f)
				again = true
			}
		}
	}
	return set
}

// namedFunctions returns the functions whose address is taken, or that are entered
// other than by a direct call of their entry.
func (a *analysis) namedFunctions() map[int]bool {
	named := map[int]bool{}
	add := func(addr uint64) {
		if fn, ok := a.prog.Find(addr); ok {
			named[fn] = true
		}
	}
	for _, r := range a.survey.refs {
		addr, _ := a.survey.ref(r)
		add(addr)
	}
	for _, w := range a.words {
		named[w.fn] = true
	}
	for _, w := range a.methods {
		named[w.fn] = true
	}
	for _, addr := range a.strays {
		add(addr)
	}
	for _, p := range a.pointers {
		add(p.Value)
	}
	return named
}

// afterMain finds what can run of a program that is not all Go.
func (m *mainPhase) afterMain(main int, frames []*link, o Options) {
	a, whole := m.a, m.a.reach
	assumptions := a.opened.assumptions
	defer func() { a.reach, a.opened.assumptions = whole, assumptions }()

	before := a.newGraph(whole.native)
	before.bar[int32(main)] = true
	a.fill(before, a.roots(), o)

	after := a.newGraph(whole.native)
	for fn := range m.bringUp {
		after.bar[int32(fn)] = true
	}
	// The program's entry and the loader's are compared with others, and start once.
	for _, mod := range a.prog.Modules {
		if fn, ok := a.entryOf(mod.Entry); ok && (mod.Loader || mod == a.prog.Modules[0]) {
			after.bar[int32(fn)] = true
		}
	}
	after.bar[int32(main)] = false // Go's entry is C's main
	after.relax(int32(main), noNode, 0)
	for _, f := range frames {
		after.goesOn(f)
	}
	h := a.newHolder(before)
	for fn, nodes := range before.native.taken {
		if !h.leaves(fn) {
			continue
		}
		for _, node := range nodes {
			if n := len(a.prog.Funcs); int(node) >= n {
				node = after.node(before.data[int(node)-n])
			}
			after.native.taken[fn] = append(after.native.taken[fn], node)
		}
		after.hold(fn)
	}
	for fn := range before.native.inside {
		after.hold(fn)
	}
	if !a.prog.Foreign() {
		after.enterGo()
		after.settle()
		after.keepGo()
	}
	a.fill(after, a.lateRoots(), o)
	m.after = after
}

// hold relaxes function fn, whose address start-up code has.
func (g *graph) hold(fn int) {
	g.native.held[fn] = true
	g.relax(int32(fn), noNode, costRuntime)
}

// fill draws g from its roots.
func (a *analysis) fill(g *graph, roots []root, o Options) {
	a.reach = g
	for _, r := range roots {
		g.root(r)
	}
	g.settle()
	for n := -1; len(a.prog.Modules) > 1 && n != g.reachedFunctions(); {
		n = g.reachedFunctions()
		a.lookUp(o)
		g.settle()
	}
}

// lateRoots returns the functions that are called after main was entered, whoever
// calls them: at the exit, for each thread, by the dynamic loader for others, and
// what opened libraries start with.
func (a *analysis) lateRoots() (out []root) {
	for _, m := range a.prog.Modules {
		switch {
		case !a.active[m]:
		case m.Extra:
			out = append(out, a.rootsOf(m)...)
		default:
			out = append(out, a.lateRootsOf(m)...)
		}
	}
	if len(a.active) > 1 {
		names := calledLate
		if a.static() {
			names = calledByLoader // there is nothing to call before
		}
		for _, name := range names {
			for _, s := range a.lookup(name) {
				out = append(out, root{s.Addr, costRuntime})
			}
		}
	}
	return out
}

// made reports that what a link says can happen after main was entered.
func (m *mainPhase) made(l *link) bool {
	for ; l != nil; l = l.next {
		if !m.runs(l) {
			return false
		}
	}
	return true
}

func (m *mainPhase) runs(l *link) bool {
	if m.after != nil && m.after.native.late[l.addr] {
		return true
	}
	parts := m.a.partsOf(m.a.whole(l.fn))
	if fn, ok := m.a.prog.Find(l.addr); ok {
		parts = append(slices.Clone(parts), fn)
	}
	return slices.ContainsFunc(parts, func(fn int) bool {
		return !m.bringUp[fn] && (m.after == nil || m.after.dist[fn] != unreached)
	})
}

// keep takes away what is only done before.
func (m *mainPhase) keep() {
	a := m.a
	for nr, links := range a.numbers {
		links = slices.DeleteFunc(links, func(l *link) bool { return !m.made(l) })
		if a.numbers[nr] = links; len(links) == 0 {
			delete(a.numbers, nr)
		}
	}
	a.lost = slices.DeleteFunc(a.lost, func(l lostSite) bool { return !l.opens && !m.made(l.at) })
}

// onlyMain reduces what was found to what can be done after main was entered. The
// paths of g, which are drawn, become those from there.
func (r *Result) onlyMain(a *analysis, g **graph, o Options) error {
	m, why := a.enterMain(o)
	if m == nil {
		return &image.RefusedError{Path: a.prog.Path, Reason: "where its main starts is not known: " + why, Hint: "profile its whole life: --phase whole"}
	}
	before := maps.Clone(a.numbers)
	m.keep()
	if m.after != nil {
		*g = m.after
	}
	r.Phase = PhaseMain
	for _, nr := range slices.Sorted(maps.Keys(before)) {
		if name := a.prog.ABI.SyscallName(nr); len(a.numbers[nr]) == 0 && name != "" {
			r.Before = append(r.Before, name)
		}
	}
	return nil
}
