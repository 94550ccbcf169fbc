package profile

import "fmt"

// takenBy says where the address of function g is taken other than by calls:
// then it can be called from anywhere, with any argument. It returns "" if it
// is not.
func (a *analysis) takenBy(g int) string {
	if a.reach != nil && !a.prog.IsGo(g) {
		node, ok := a.reach.native.taken[g]
		switch {
		case !ok:
			return ""
		case node == noNode:
			return "by the dynamic loader"
		case int(node) < len(a.prog.Funcs):
			return "in " + a.prog.Name(int(node))
		}
		return fmt.Sprintf("by data at %#x", a.reach.data[int(node)-len(a.prog.Funcs)]&^wordMark)
	}
	entry := a.entry(g)
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			if to, _ := a.survey.ref(r); to == entry {
				return "in " + a.prog.Name(i)
			}
		}
	}
	for _, w := range a.words {
		if w.fn == g {
			return a.dataUser(w.addr)
		}
	}
	if t, ok := a.methodTable(g); ok {
		return fmt.Sprintf("by the method table at %#x", t)
	}
	return ""
}

// dataUser names a function that refers to the data word at addr.
func (a *analysis) dataUser(addr uint64) string {
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			if to, _ := a.survey.ref(r); to == addr {
				return "in " + a.prog.Name(i)
			}
		}
	}
	return fmt.Sprintf("by data at %#x", addr)
}

// methodTable finds function g in the method table of a type.
func (a *analysis) methodTable(g int) (addr uint64, ok bool) {
	for _, m := range a.methods {
		if m.fn == g {
			return m.addr, true
		}
	}
	return 0, false
}
