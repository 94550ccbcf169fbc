package profile

import (
	"maps"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// attributes are the rules that a program's C library keeps.
type attributes struct {
	a *analysis
	// exported says of each function whether glibc exports it.
	exported []bool
	known    map[string][]int // see found
	// callees are what glibc's own functions call, by name, for the names of rules.
	callees map[int]map[string]bool

	edges   map[[2]int32]*attribute
	gated   []bool                   // the functions to which there are edges
	numbers map[[2]uint32]*attribute // function and number of a site
	setters map[int32][]*attribute
	all     []*attribute
	events  []*attribute // those of all that are about systemd's event loop
}

// An attribute is one rule, as it applies to a program.
type attribute struct {
	*attributeRule
	set     bool     // it can be
	waiting []waiter // until then
}

// findAttributes applies the rules to glibc, as far as it is a library.
func (a *analysis) findAttributes() *attributes {
	t := &attributes{
		a: a, exported: make([]bool, len(a.prog.Funcs)), known: map[string][]int{}, callees: map[int]map[string]bool{},
		edges: map[[2]int32]*attribute{}, numbers: map[[2]uint32]*attribute{}, setters: map[int32][]*attribute{},
	}
	any := false
	for _, m := range a.prog.Modules {
		if !isGlibc(m) {
			continue
		}
		for addr := range m.Exports {
			if fn, ok := a.entryOf(addr); ok {
				t.exported[fn], any = true, true
			}
		}
	}
	if !any {
		return t
	}
	for i := range attributeRules {
		for _, name := range attributeRules[i].calls {
			t.noteCallers(name)
		}
	}
	for i := range attributeRules {
		t.apply(&attributeRules[i])
	}
	t.applyRPC()
	t.applyEvents()
	for _, x := range t.all {
		x.set = a.prog.Library // who loads it may set all
	}
	return t
}

// found returns the functions that glibc exports under a name.
func (t *attributes) found(name string) []int {
	out, known := t.known[name]
	if !known {
		for _, s := range t.a.prog.Lookup(name) {
			if fn, ok := t.a.entryOf(s.Addr); ok && isGlibc(s.Module) && s.Kind == image.SymbolFunc {
				out = append(out, fn)
			}
		}
		t.known[name] = out
	}
	return out
}

// isGlibc reports that m is the part of glibc that holds functions for threads.
func isGlibc(m *image.Module) bool {
	return m != nil && (strings.HasPrefix(m.Soname, "libc.so.6") || strings.HasPrefix(m.Soname, "libpthread.so.0"))
}

// noteCallers notes which functions of glibc call the one that is called name.
func (t *attributes) noteCallers(name string) {
	for _, to := range t.entries(name) {
		for _, fn := range t.a.callers(to) {
			if !isGlibc(t.a.prog.Module(fn)) {
				continue
			}
			fn = t.a.whole(fn)
			if t.callees[fn] == nil {
				t.callees[fn] = map[string]bool{}
			}
			t.callees[fn][name] = true
		}
	}
}

// entries returns the functions that make the call name, and the stubs that lead
// there.
func (t *attributes) entries(name string) (out []int) {
	for _, fn := range slices.Compact(slices.Sorted(slices.Values(t.found(name)))) {
		out = append(out, fn)
		for _, caller := range t.a.callers(fn) {
			if _, stub := t.a.prog.Stub(caller); stub && isGlibc(t.a.prog.Module(caller)) {
				out = append(out, caller)
			}
		}
	}
	return out
}

// apply applies one rule, if its functions are all there.
func (t *attributes) apply(r *attributeRule) {
	family := r.in(t)
	x := &attribute{attributeRule: r}
	found := false
	for _, name := range r.setters {
		for _, fn := range t.found(name) {
			found = true
			t.setters[int32(fn)] = append(t.setters[int32(fn)], x)
		}
	}
	if len(family) == 0 || !found {
		return
	}
	t.all = append(t.all, x)
	for _, name := range r.setters {
		for _, setter := range t.found(name) {
			for _, caller := range t.a.callers(setter) {
				if r.copied && isGlibc(t.a.prog.Module(caller)) && !t.exported[t.a.whole(caller)] {
					t.gate(caller, setter, x)
				}
			}
		}
	}
	for fn := range family {
		for _, name := range r.calls {
			if nr, ok := t.a.prog.ABI.Lookup(name); ok {
				t.numbers[[2]uint32{uint32(fn), nr}] = x
			}
			for _, to := range t.entries(name) {
				for _, part := range t.a.partsOf(fn) {
					t.gate(part, to, x)
				}
			}
		}
	}
}

// ofCeilings finds the functions for mutexes with a priority ceiling:
// __pthread_tpp_change_priority, which alone calls all of the scheduler's
// functions, and those like it that serve the same callers.
func (t *attributes) ofCeilings() map[int]bool {
	changes := t.local(func(calls map[string]bool) bool {
		return !slices.ContainsFunc(schedulerCalls, func(name string) bool { return !calls[name] })
	})
	if len(changes) != 1 {
		return nil
	}
	family := map[int]bool{}
	served := map[int]bool{}
	for change := range maps.Keys(changes) {
		family[change], served[change] = true, true
		for _, fn := range t.a.callers(change) {
			served[t.a.whole(fn)] = true
		}
	}
	for _, name := range []string{"pthread_mutex_init", "pthread_mutexattr_setprioceiling", "pthread_mutexattr_getprioceiling"} {
		for _, fn := range t.found(name) {
			served[fn] = true
		}
	}
	for fn := range t.local(func(map[string]bool) bool { return true }) {
		by := t.a.callers(fn)
		if len(by) > 0 && !slices.ContainsFunc(by, func(caller int) bool { return !served[t.a.whole(caller)] }) {
			family[fn] = true
		}
	}
	return family
}

// local returns the functions of glibc that call what the rules name, have the given
// callees, and that no other library can call.
func (t *attributes) local(like func(calls map[string]bool) bool) map[int]bool {
	out := map[int]bool{}
	for fn, calls := range t.callees {
		if !t.exported[fn] && like(calls) {
			out[fn] = true
		}
	}
	return out
}

// ofThreads finds pthread_create and the functions that it alone calls.
func (t *attributes) ofThreads() map[int]bool {
	family := map[int]bool{}
	for _, fn := range t.found("pthread_create") {
		family[fn] = true
	}
	var parts []int
	for fn := range family {
		parts = append(parts, t.a.partsOf(fn)...)
	}
	for _, part := range parts {
		for _, callee := range t.calls(part) {
			fn := int(callee)
			if !t.exported[fn] && !slices.ContainsFunc(t.a.callers(fn), func(caller int) bool { return !slices.Contains(parts, caller) && t.a.whole(caller) != fn }) {
				family[fn] = true
			}
		}
	}
	return family
}

// ofChildren finds the function that runs in the child of posix_spawn before the
// program does.
func (t *attributes) ofChildren() map[int]bool {
	family := t.local(func(calls map[string]bool) bool {
		return calls["setsid"] && calls["setpgid"] && calls["sched_setparam"] && calls["sched_setscheduler"] && calls["dup2"]
	})
	if len(family) != 1 {
		return nil
	}
	return family
}

// ofNames finds the functions that make temporary directories.
func (t *attributes) ofNames() map[int]bool {
	return t.local(func(calls map[string]bool) bool { return calls["mkdir"] })
}

// ofNamed returns what finds the functions with the given names.
func ofNamed(names ...string) func(*attributes) map[int]bool {
	return func(t *attributes) map[int]bool {
		out := map[int]bool{}
		for _, name := range names {
			for _, fn := range t.found(name) {
				out[fn] = true
			}
		}
		return out
	}
}

// gate makes the calls of function to by function from depend on x.
func (t *attributes) gate(from, to int, x *attribute) {
	if t.gated == nil {
		t.gated = make([]bool, len(t.a.prog.Funcs))
	}
	t.edges[[2]int32{int32(from), int32(to)}], t.gated[to] = x, true
}

// wait reports that function from does not call function to so far, for lack of an
// attribute.
func (t *attributes) wait(to, from int32, dist uint32) bool {
	if int(to) >= len(t.gated) || !t.gated[to] {
		return false
	}
	x := t.edges[[2]int32{from, to}]
	if x == nil || x.set {
		return false
	}
	x.waiting = append(x.waiting, waiter{int(to), from, dist})
	return true
}

// made reports that function fn is not kept by attributes from making the call with
// number nr, which it chooses.
func (a *analysis) made(fn int, nr uint32) bool {
	if a.reach == nil || a.named {
		return true
	}
	x := a.reach.native.attributes.numbers[[2]uint32{uint32(fn), nr}]
	return x == nil || x.set
}

// setBy notes that function fn can run.
func (g *graph) setBy(fn int32) {
	for _, x := range g.native.attributes.setters[fn] {
		if x.flags == 0 {
			g.setAttribute(x)
		}
	}
}

func (g *graph) setAttribute(x *attribute) {
	if x.set {
		return
	}
	x.set = true
	for _, w := range x.waiting {
		g.relax(int32(w.fn), w.node, w.dist)
	}
	x.waiting = nil
}

// setFlags sets the attributes for which the flags are passed that set them, and
// reports whether one was set anew.
func (a *analysis) setFlags() (more bool) {
	for _, x := range a.reach.native.attributes.all {
		if x.flags != 0 && !x.set && a.flags(x.setters, x.argument)&x.flags != 0 {
			a.reach.setAttribute(x)
			more = true
		}
	}
	a.reach.settle()
	return more
}

// flags returns all bits that callers of the given functions pass as an argument.
func (a *analysis) flags(functions []string, argument int) (bits uint32) {
	var list []nameArgument
	for _, name := range functions {
		list = append(list, nameArgument{name, argument})
	}
	found, lost := a.ask(list)
	for n := range found {
		bits |= n
	}
	for _, l := range lost {
		// A function that calls itself passes on no more than it got.
		if next := l.at.next; next == nil || next.next != nil || next.fn != l.at.fn {
			return ^uint32(0)
		}
	}
	return bits
}

// assumptions returns what it rests on that there are calls that are not made for lack
// of an attribute.
func (t *attributes) assumptions() (out []string) {
	waits := func(x *attribute) bool { return !x.set }
	if slices.ContainsFunc(t.all, func(x *attribute) bool { return waits(x) && !slices.Contains(t.events, x) }) {
		out = append(out, attributesAssumed)
	}
	if slices.ContainsFunc(t.events, waits) {
		out = append(out, eventsAssumed)
	}
	return out
}
