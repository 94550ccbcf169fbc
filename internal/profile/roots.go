package profile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// A root is where control enters a program that is not all Go: an address, and
// how well a path from there explains.
type root struct {
	addr uint64
	cost uint32
}

// calledByLoader are the functions that dynamic loaders look up by name: glibc's
// (elf/rtld.c, elf/dl-minimal.c, elf/dl-init-paths.c), and musl's, whose stages find
// each other so (ldso/dynlink.c).
var (
	calledByLoader = append([]string{"__libc_early_init", "__libc_main", "__dls2b", "__dls3"}, calledLate...)
	// calledLate are those of them that it calls later, too.
	calledLate = []string{"malloc", "calloc", "realloc", "free", "_dl_exception_create"}
)

// roots returns the entries of the program and of its dynamic loader, what the
// loader calls before and after, and the functions that choose others.
func (a *analysis) roots() []root {
	out := []root{{a.prog.File.Entry, 0}}
	if a.prog.Library {
		out = a.exported()
	}
	for _, m := range a.prog.Modules {
		if a.active[m] {
			out = append(out, a.rootsOf(m)...)
		}
	}
	if len(a.prog.Modules) > 1 {
		for _, name := range calledByLoader {
			for _, s := range a.lookup(name) {
				out = append(out, root{s.Addr, costRuntime})
			}
		}
	}
	return out
}

// exported returns what a library has for the programs that load it.
func (a *analysis) exported() (out []root) {
	for s := range a.prog.Modules[0].Symbols {
		if s.Exported && s.Kind != image.SymbolOther {
			out = append(out, root{s.Addr, 0})
		}
	}
	return out
}

// shared reports that programs which load this library can write the word at addr, as
// it lies in a variable that the library exports.
func (a *analysis) shared(addr uint64) bool {
	if !a.prog.Library {
		return false
	}
	for s := range a.prog.Modules[0].Symbols {
		if s.Exported && s.Kind == image.SymbolObject && addr >= s.Addr && addr < s.Addr+max(s.Size, 1) {
			return true
		}
	}
	return false
}

// rootsOf returns those of one module.
func (a *analysis) rootsOf(m *image.Module) (out []root) {
	if m.Loader {
		out = append(out, root{m.Entry, rootCost(a, m)})
	}
	for _, f := range m.Init {
		out = append(out, root{f, rootCost(a, m)})
	}
	return append(out, a.lateRootsOf(m)...)
}

func rootCost(a *analysis, m *image.Module) uint32 {
	if m == a.prog.Modules[0] {
		return costInit
	}
	return costRuntime
}

// lateRootsOf returns those through which control can enter a module when it has
// been started.
func (a *analysis) lateRootsOf(m *image.Module) (out []root) {
	for _, f := range m.Fini {
		out = append(out, root{f, rootCost(a, m)})
	}
	t := m.Threads()
	for k := a.firstPointer(t.Start); k < len(a.pointers) && a.pointers[k].Addr < t.End; k++ {
		out = append(out, root{a.pointers[k].Value, rootCost(a, m)})
	}
	for at, resolver := range a.prog.Resolvers {
		if at >= m.Range.Start && at < m.Range.End {
			out = append(out, root{resolver, costRuntime})
		}
	}
	return out
}

// lookup returns the definitions of name in active modules.
func (a *analysis) lookup(name string) []image.Symbol {
	return slices.DeleteFunc(a.prog.Lookup(name), func(s image.Symbol) bool { return !a.active[s.Module] })
}

// activate adds module m, and what it needs, to the process.
func (a *analysis) activate(m *image.Module) {
	if a.active[m] {
		return
	}
	a.active[m] = true
	if a.reach != nil {
		for _, r := range a.rootsOf(m) {
			a.reach.root(r)
		}
	}
	for _, name := range m.Needed {
		if n := a.prog.Named(name); n != nil {
			a.activate(n)
		}
	}
}

// root relaxes a root.
func (g *graph) root(r root) {
	r.addr = behindNops(g.a.prog, r.addr)
	if fn, ok := g.a.prog.Find(r.addr); ok {
		if g.a.entry(fn) == r.addr {
			g.take(fn, noNode, r.cost)
		} else {
			g.relax(int32(fn), noNode, r.cost)
		}
	} else if s := g.a.prog.Segment(r.addr); s != nil && !s.Exec {
		g.relax(g.node(r.addr), noNode, r.cost)
	}
}

// inLoader reports that addr lies in a dynamic loader that does nothing else: that
// of musl is also its C library.
func (a *analysis) inLoader(addr uint64) bool {
	m := a.prog.ModuleAt(addr)
	return m != nil && m.Loader && !isLibc(m)
}

// loaderHolds reports that data of the dynamic loader holds text.
func (a *analysis) loaderHolds(text string) bool {
	return slices.ContainsFunc(a.prog.Segments, func(s image.Segment) bool {
		return a.inLoader(s.Addr) && bytes.Contains(s.Data, []byte(text))
	})
}

// isLibc reports that m is the C library.
func isLibc(m *image.Module) bool {
	return strings.HasPrefix(m.Soname, "libc.so") || strings.HasPrefix(m.Soname, "libc.musl") || strings.HasPrefix(m.Soname, "ld-musl")
}
