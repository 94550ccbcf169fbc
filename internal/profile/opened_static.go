package profile

import (
	"bytes"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// A static program of glibc opens libraries, too: for dlopen, for name services and for
// character sets. Then it has the code of the dynamic loader in it, and it opens a C
// library beside its own. Nothing names the functions of a stripped one, but their
// complaints do (glibc, elf/dl-open.c, elf/dl-sym.c, dlfcn/dlopen.c, dlfcn/dlmopen.c).
const (
	openText      = "invalid mode for dlopen()" // of _dl_open
	lookText      = "RTLD_NEXT used in code not dynamically loaded"
	parameterText = "invalid mode parameter" // of dlopen_doit
	namespaceText = "invalid namespace"      // of dlmopen_doit
	// builtinText is in a static program that has the services "files" and "dns" in it:
	// since glibc 2.34 these are not opened.
	builtinText = "/etc/ethers"
)

// static reports that the program is linked statically.
func (a *analysis) static() bool { return a.prog.Loader == "" }

// An asker is a function of a static program that is given the name of what it opens or
// looks up.
type asker struct {
	fn, argument int
	own          bool // the C library uses it alone
}

// staticAskers returns the functions of a static program to which the names of libraries
// are given, and of functions in them. Each passes what it is to do to a function that
// catches errors, as the address of another, which calls the one with the complaint.
func (a *analysis) staticAskers() (open, look []asker) {
	if !a.static() || len(a.prog.Modules) == 0 {
		return nil, nil
	}
	at := func(text string) uint64 { return a.address([]byte(text)) }
	parameter, namespace := at(parameterText), at(namespaceText)
	for _, loader := range a.takers(at(openText)) {
		for _, caller := range a.callers(loader) {
			d := asker{own: !a.refersTo(caller, parameter) && !a.refersTo(caller, namespace)}
			if a.refersTo(caller, namespace) {
				d.argument = 1
			}
			for _, d.fn = range a.takers(a.entry(caller)) {
				open = append(open, d)
			}
		}
	}
	// Between the one with the complaint and that which is passed there may be another.
	for _, loader := range a.takers(at(lookText)) {
		for _, caller := range a.callers(loader) {
			for _, passed := range append([]int{caller}, a.callers(caller)...) {
				for _, fn := range a.takers(a.entry(passed)) {
					look = append(look, asker{fn: fn, argument: 1})
				}
			}
		}
	}
	return open, look
}

// expectedStatic is expected for a program that is linked statically, of which data is the
// file. It looks at the beginning.
func expectedStatic(data []byte, root string) []string {
	data = data[:min(len(data), 4<<20)]
	if !bytes.Contains(data, []byte(openText)) || !bytes.Contains(data, []byte(nssPrefix)) {
		return nil
	}
	return serviceLibraries(root, bytes.Contains(data, []byte(builtinText)))
}

// serviceLibraries returns the libraries of the name services that are asked, without those
// that a static program has in it.
func serviceLibraries(root string, builtin bool) (out []string) {
	for _, service := range nameServices(root) {
		if !builtin || service != "files" && service != "dns" {
			out = append(out, nssPrefix+service+nssRevision)
		}
	}
	return out
}

// address returns where the program itself has a text as a constant; 0 if it has not.
func (a *analysis) address(text []byte) uint64 {
	text = append(text, 0)
	for _, s := range a.prog.Segments {
		if s.Write || a.prog.ModuleAt(s.Addr) != a.prog.Modules[0] {
			continue
		}
		if i := bytes.Index(s.Data, text); i >= 0 {
			return s.Addr + uint64(i)
		}
	}
	return 0
}

// refersTo reports that function fn takes the address addr.
func (a *analysis) refersTo(fn int, addr uint64) bool {
	s := a.survey
	return addr != 0 && slices.ContainsFunc(s.refs[s.refAt[fn]:s.refAt[fn+1]], func(r uint32) bool {
		to, kind := s.ref(r)
		return to == addr && kind == refTaken
	})
}

// askStatic is ask for the reached ones of the askers too: those of the program, or those
// that the C library uses alone.
func (a *analysis) askStatic(list []nameArgument, askers []asker, own bool) (found map[uint32][]*link, lost []lostSite) {
	var more []demand
	for _, x := range askers {
		if x.own == own && a.reached(x.fn) {
			more = append(more, demand{demandKey{x.fn, a.argument(x.argument)}, &link{fn: x.fn, addr: a.entry(x.fn)}})
		}
	}
	found, lost = a.ask(list, more...)
	return found, slices.DeleteFunc(lost, func(l lostSite) bool {
		return slices.ContainsFunc(more, func(d demand) bool { return d.to == l.at }) && a.hooked(l.at.fn)
	})
}

// opensItself reports that module m is one whose code opens libraries for the C library:
// that library, or a static program.
func (a *analysis) opensItself(m *image.Module) bool {
	return m != nil && (isLibc(m) || a.static() && m == a.prog.Modules[0])
}

// hooks are the least that the table of those functions has which a static program gives
// to the C library that it opens (glibc, dlfcn/dlfcn.h, struct dlfcn_hook): two that open
// and two that look up, within so many words.
const (
	hooks     = 2
	hookWords = 10
)

// handleText is a text of _IO_vtable_check, which asks whether dlopen is linked (glibc,
// libio/vtables.c).
const handleText = "Fatal error: glibc detected an invalid stdio handle\n"

// hooked reports that of the address of fn, one of the askers, nothing else is known than
// that it is in that table: then the other C library calls it, for those who call its own.
func (a *analysis) hooked(fn int) bool {
	entry := a.entry(fn)
	if !a.asksWhetherLinked(a.takers(entry)) {
		return false
	}
	for _, p := range a.pointers {
		if p.Value != entry || a.isHook(p.Addr) {
			continue
		}
		if readers := a.takers(p.Addr); len(readers) == 0 || !a.asksWhetherLinked(readers) {
			return false
		}
	}
	return true
}

// isHook reports that the word at addr lies in a table of hooks.
func (a *analysis) isHook(addr uint64) bool {
	span := hookWords * a.prog.WordSize()
	held := func(askers []asker) (n int) {
		for k := a.firstPointer(addr - span); k < len(a.pointers) && a.pointers[k].Addr <= addr+span; k++ {
			if slices.ContainsFunc(askers, func(x asker) bool { return a.entry(x.fn) == a.pointers[k].Value }) {
				n++
			}
		}
		return n
	}
	return held(a.opened.open) >= hooks && held(a.opened.look) >= hooks
}

// asksWhetherLinked reports that all of some functions are _IO_vtable_check.
func (a *analysis) asksWhetherLinked(fns []int) bool {
	text := a.address([]byte(handleText))
	return !slices.ContainsFunc(fns, func(fn int) bool { return !a.refersTo(fn, text) })
}
