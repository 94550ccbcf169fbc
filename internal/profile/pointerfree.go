package profile

import (
	"slices"
	"strings"
)

// writtenByAssembly returns those of the words, ascending, in data that is without
// pointers for Go's garbage collector, that can hold the address of a function all the
// same. Go's compiler puts no address there, only assembly can (DATA with NOPTR), which
// then refers to the object. Without this, numbers in tables of programs at low
// addresses, arm's, are taken for addresses.
func (a *analysis) writtenByAssembly(words []entryWord) (out []entryWord) {
	if len(words) == 0 {
		return nil
	}
	// An object reaches from where something refers to up to the next such address.
	byAssembly := map[uint64]bool{}
	for fn := range a.prog.Funcs {
		assembly := -1 // not yet known
		for _, r := range a.survey.refs[a.survey.refAt[fn]:a.survey.refAt[fn+1]] {
			to, _ := a.survey.ref(r)
			if !a.prog.PointerFree.Holds(to) {
				continue
			}
			if assembly < 0 {
				assembly = 0
				if file, _ := a.prog.Line(fn, a.entry(fn)); !a.prog.IsGo(fn) || strings.HasSuffix(file, ".s") {
					assembly = 1
				}
			}
			byAssembly[to] = byAssembly[to] || assembly == 1
		}
	}
	for _, w := range a.dataWords(a.prog.PointerFree.Start, a.prog.PointerFree.End) {
		if _, ok := byAssembly[w]; !ok {
			byAssembly[w] = false
		}
	}
	starts := make([]uint64, 0, len(byAssembly))
	for addr := range byAssembly {
		starts = append(starts, addr)
	}
	slices.Sort(starts)
	for _, w := range words {
		i, ok := slices.BinarySearch(starts, w.addr)
		if !ok {
			i--
		}
		if i >= 0 && byAssembly[starts[i]] {
			out = append(out, w)
		}
	}
	return out
}
