package profile

import (
	"bytes"
	"maps"
	"slices"
)

// codeMakers are the calls that can make memory executable.
var codeMakers = []string{"mmap", "mmap2", "mprotect", "pkey_mprotect"}

const (
	protection = 2 // which argument of them says so
	executable = 4 // PROT_EXEC
)

// makesCode returns the places where code of Go is known to ask for memory that can
// be executed, as compilers at run time do. The runtime does not, and what native
// code does is not looked at: every C library and dynamic loader can ask for it.
func (a *analysis) makesCode() []string {
	var links []*link
	for _, name := range codeMakers {
		if nr, ok := a.prog.ABI.Lookup(name); ok {
			links = append(links, a.numbers[nr]...)
		}
	}
	f := a.newArgFinder()
	f.chainsLeft = maxChains
	f.a.following.values = nil
	for _, l := range links {
		if a.prog.IsGo(l.fn) && !bytes.HasPrefix(a.prog.NameBytes(l.fn), []byte("runtime.")) {
			f.a.lost = nil // of the one before
			f.follow(l, protection)
		}
	}
	f.a.meetAll(func(int, int) {})
	places := map[string]bool{}
	for n, at := range f.a.numbers {
		if n&executable == 0 {
			continue
		}
		for _, p := range f.a.places(at) {
			places[p] = true
		}
	}
	return slices.Sorted(maps.Keys(places))
}
