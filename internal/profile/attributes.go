package profile

import (
	"maps"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// Some functions of glibc make certain calls only where an object of attributes says
// so: of a mutex, a thread, a program to start. Such an object is made by functions of
// glibc alone, one for each attribute; what lies in it is glibc's own business. So
// where none of the functions that set an attribute can run, the calls for it are not
// made. Each rule is what glibc's source says, and is tested in TestAttributes.
type attributeRule struct {
	family familyOf
	calls  []string
	// setters are the functions that set the attribute; if flags is not 0, then
	// the only setter does so where its second argument has one of these bits.
	setters []string
	flags   uint32
	// copied says that functions of glibc's own call a setter to copy what is set.
	copied bool
}

// A familyOf finds the functions that make the calls.
type familyOf func(*attributes) map[int]bool

var schedulerCalls = []string{"sched_getparam", "sched_getscheduler", "sched_setscheduler", "sched_get_priority_min", "sched_get_priority_max"}

var attributeRules = []attributeRule{
	// A mutex may raise the priority of the thread that holds it to a ceiling
	// (nptl/tpp.c, pthread_mutex_init.c).
	{(*attributes).ofCeilings, schedulerCalls, []string{"pthread_mutexattr_setprotocol", "pthread_mutexattr_setprioceiling", "pthread_mutexattr_getprioceiling", "pthread_mutex_setprioceiling"}, 0, false},
	// A thread may have its own priority (nptl/pthread_create.c,
	// ATTR_FLAG_NOTINHERITSCHED), or processors.
	{(*attributes).ofThreads, schedulerCalls, []string{"pthread_attr_setinheritsched"}, 0, false},
	{(*attributes).ofThreads, []string{"sched_setaffinity"}, []string{"pthread_attr_setaffinity_np", "pthread_getattr_np"}, 0, true},
	// What posix_spawn starts may (sysdeps/unix/sysv/linux/spawni.c) …
	{(*attributes).ofChildren, []string{"getuid", "getgid", "setresuid", "setresgid"}, spawnFlags, 0x01, false},
	{(*attributes).ofChildren, []string{"setpgid"}, spawnFlags, 0x02, false},
	{(*attributes).ofChildren, []string{"sched_setparam", "sched_setscheduler"}, spawnFlags, 0x10 | 0x20, false},
	{(*attributes).ofChildren, []string{"setsid"}, spawnFlags, 0x80, false},
	{(*attributes).ofChildren, []string{"dup2"}, []string{spawnActions + "adddup2", spawnActions + "addopen"}, 0, false},
	{(*attributes).ofChildren, []string{"chdir"}, []string{spawnActions + "addchdir_np", spawnActions + "addchdir"}, 0, false},
	{(*attributes).ofChildren, []string{"fchdir"}, []string{spawnActions + "addfchdir_np", spawnActions + "addfchdir"}, 0, false},
	{(*attributes).ofChildren, []string{"close_range"}, []string{spawnActions + "addclosefrom_np"}, 0, false},
	{(*attributes).ofChildren, []string{"getpgid"}, []string{spawnActions + "addtcsetpgrp_np"}, 0, false},
}

const spawnActions = "posix_spawn_file_actions_"

var spawnFlags = []string{"posix_spawnattr_setflags"}

const attributesAssumed = "attributes of mutexes, threads and programs that are started are set by libc's functions for them alone"

// attributes are the rules that a program's C library keeps.
type attributes struct {
	a *analysis
	// names are the functions that glibc exports, by number; found are the same by name.
	names map[int][]string
	found map[string][]int
	// callees are what glibc's own functions call, by name, for the names of rules.
	callees map[int]map[string]bool

	edges   map[[2]int32]*attribute
	numbers map[[2]uint32]*attribute // function and number of a site
	setters map[int32][]*attribute
	all     []*attribute
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
		a: a, names: map[int][]string{}, found: map[string][]int{}, callees: map[int]map[string]bool{},
		edges: map[[2]int32]*attribute{}, numbers: map[[2]uint32]*attribute{}, setters: map[int32][]*attribute{},
	}
	for _, m := range a.prog.Modules {
		if !isGlibc(m) {
			continue
		}
		for s := range m.Symbols {
			if fn, ok := a.entryOf(s.Addr); ok && s.Exported && s.Kind == image.SymbolFunc {
				t.names[fn] = append(t.names[fn], s.Name)
				t.found[s.Name] = append(t.found[s.Name], fn)
			}
		}
	}
	if len(t.names) == 0 {
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
	return t
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
	for _, fn := range slices.Compact(slices.Sorted(slices.Values(t.found[name]))) {
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
	family := r.family(t)
	x := &attribute{attributeRule: r}
	found := false
	for _, name := range r.setters {
		for _, fn := range t.found[name] {
			found = true
			t.setters[int32(fn)] = append(t.setters[int32(fn)], x)
		}
	}
	if len(family) == 0 || !found {
		return
	}
	t.all = append(t.all, x)
	for _, name := range r.setters {
		for _, setter := range t.found[name] {
			for _, caller := range t.a.callers(setter) {
				if r.copied && isGlibc(t.a.prog.Module(caller)) && len(t.names[t.a.whole(caller)]) == 0 {
					t.edges[[2]int32{int32(caller), int32(setter)}] = x
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
					t.edges[[2]int32{int32(part), int32(to)}] = x
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
		for _, fn := range t.found[name] {
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
		if len(t.names[fn]) == 0 && like(calls) {
			out[fn] = true
		}
	}
	return out
}

// ofThreads finds pthread_create and the functions that it alone calls.
func (t *attributes) ofThreads() map[int]bool {
	family := map[int]bool{}
	for _, fn := range t.found["pthread_create"] {
		family[fn] = true
	}
	var parts []int
	for fn := range family {
		parts = append(parts, t.a.partsOf(fn)...)
	}
	for _, part := range parts {
		for _, callee := range t.calls(part) {
			fn := int(callee)
			if len(t.names[fn]) == 0 && !slices.ContainsFunc(t.a.callers(fn), func(caller int) bool { return !slices.Contains(parts, caller) && t.a.whole(caller) != fn }) {
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

// wait reports that function from does not call function to so far, for lack of an
// attribute.
func (t *attributes) wait(to, from int32, dist uint32) bool {
	x := t.edges[[2]int32{from, to}]
	if x == nil || x.set {
		return false
	}
	x.waiting = append(x.waiting, waiter{int(to), from, dist})
	return true
}

// madeIn returns which of the numbers v of a site in function fn are of calls that
// attributes do not keep it from making.
func (a *analysis) madeIn(fn int, v value) value {
	if a.reach == nil || v.why != nil {
		return v
	}
	numbers := a.reach.native.attributes.numbers
	return value{atoms: slices.DeleteFunc(slices.Clone(v.atoms), func(x atom) bool {
		t := numbers[[2]uint32{uint32(fn), uint32(x.n)}]
		return x.kind == constant && t != nil && !t.set
	})}
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
	t := a.reach.native.attributes
	if !slices.ContainsFunc(t.all, func(x *attribute) bool { return x.flags != 0 && !x.set }) {
		return false
	}
	flags := ^uint32(0)
	if found, lost := a.ask([]nameArgument{{spawnFlags[0], 1}}); len(lost) == 0 {
		flags = 0
		for n := range found {
			flags |= n
		}
	}
	for _, x := range t.all {
		if x.flags&flags != 0 && !x.set {
			a.reach.setAttribute(x)
			more = true
		}
	}
	a.reach.settle()
	return more
}

// unset reports that there are calls that are not made for lack of an attribute.
func (t *attributes) unset() bool {
	return slices.ContainsFunc(t.all, func(x *attribute) bool { return !x.set })
}
