package profile

import (
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// A numberByName is a library that finds the number of a call by its name while it runs,
// and passes it to syscall(2).
type numberByName struct {
	soname string
	marker string // a symbol that it exports
	call   string
}

// byName are the libraries of which it is known what they look up.
var byName = []numberByName{
	// src/system.c: sys_chk_seccomp_syscall asks arch_syscall_resolve_name for
	// seccomp(2), and what it keeps is the only number that is passed on.
	{"libseccomp.so.2", "seccomp_syscall_resolve_name", "seccomp"},
}

// settleByName settles the numbers that such libraries pass to a wrapper.
func (a *analysis) settleByName() {
	a.lost = slices.DeleteFunc(a.lost, func(l lostSite) bool {
		m := a.prog.Module(l.at.fn)
		if m == nil || l.opens || l.at.next == nil || a.prog.Module(l.at.site().fn) == m {
			return false
		}
		for _, known := range byName {
			nr, ok := a.prog.ABI.Lookup(known.call)
			if ok && known.soname == m.Soname && a.exports(m, known.marker) {
				a.numbers[nr] = append(a.numbers[nr], l.at)
				a.looksUp[m] = known.call
				return true
			}
		}
		return false
	})
}

// exports reports whether module m is what the program finds under a symbol's name.
func (a *analysis) exports(m *image.Module, symbol string) bool {
	return slices.ContainsFunc(a.prog.Lookup(symbol), func(s image.Symbol) bool { return s.Module == m })
}
