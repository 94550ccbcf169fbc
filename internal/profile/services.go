package profile

import (
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// The C library finds the functions of its name services, its own ("files",
// "dns") and those of libraries, by name: it asks a service for "getpwuid_r", and
// gets the function _nss_files_getpwuid_r, through tables that hold all of them
// (glibc, nss/nss_module.c). So such a function can run only if code that can run
// refers to the string.
const serviceMark = "_nss_"

// services are the functions of name services in a program.
type services struct {
	// functions are those of libc's own tables, by number, with the names that they
	// are asked for by.
	functions map[int]string
	waiting   map[string][]waiter
	// wanted are the names that code that can run refers to.
	wanted map[string]bool
}

// A waiter is a function that a table, or the code that fills one, leads to, until
// its name is wanted.
type waiter struct {
	fn   int
	node int32
	dist uint32
}

// serviceFunction returns the name that the function called symbol is asked for
// by.
func serviceFunction(symbol string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(symbol, serviceMark)
	if !ok {
		return "", false
	}
	_, name, ok = strings.Cut(rest, "_")
	return name, ok
}

func (a *analysis) findServices() *services {
	s := &services{functions: map[int]string{}, waiting: map[string][]waiter{}, wanted: map[string]bool{}}
	for _, m := range a.prog.Modules {
		if !isLibc(m) {
			continue
		}
		for x := range m.SymbolsFrom(serviceMark) {
			if name, ok := serviceFunction(x.Name); ok && x.Kind == image.SymbolFunc && x.Exported {
				if fn, ok := a.entryOf(x.Addr); ok {
					s.functions[fn] = name
				}
			}
		}
	}
	return s
}

// holdBack reports that function fn, whose address node has, is a service's that nobody asks for so far.
func (g *graph) holdBack(fn int, node int32, dist uint32) bool {
	s := g.native.services
	name, ok := s.functions[fn]
	if !ok || s.wanted[name] {
		return false
	}
	s.waiting[name] = append(s.waiting[name], waiter{fn, node, dist})
	return true
}

// want notes that code that can run refers to the data at addr: it may be the
// name of a service's function.
func (g *graph) want(addr uint64) {
	s := g.native.services
	if len(s.functions) == 0 {
		return
	}
	name, ok := g.a.identifier(addr)
	if !ok || s.wanted[name] {
		return
	}
	s.wanted[name] = true
	for _, w := range s.waiting[name] {
		g.take(w.fn, w.node, w.dist)
	}
	delete(s.waiting, name)
}

// identifier returns the string at addr if it cannot change and can be the name of a
// function in C. Most strings are none.
func (a *analysis) identifier(addr uint64) (string, bool) {
	if s := a.prog.Segment(addr); s == nil || s.Write && a.prog.Writable(addr) {
		return "", false
	}
	b := a.prog.Bytes(addr)
	for i, c := range b[:min(len(b), maxText)] {
		switch {
		case c == 0:
			return string(b[:i]), i > 0
		case c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9'):
			return "", false
		}
	}
	return "", false
}
