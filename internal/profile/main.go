package profile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// startMain are the functions of the C libraries that call the program's main,
// their first argument.
var startMain = []nameArgument{{"__libc_start_main", 0}, {"__uClibc_main", 0}}

// checkMain makes sure that what can run holds the program's main. It always can:
// if the analysis finds no way to it, it has missed more.
func (a *analysis) checkMain() {
	exe := a.prog.Modules[0]
	missed := func(addr uint64, name string) {
		fn, ok := a.prog.Find(addr)
		if !ok || a.reached(fn) && len(a.slicer(fn).c.insts) > 0 {
			return
		}
		a.lose(&link{fn: a.whole(fn), addr: addr}, unknown{reason: fmt.Sprintf("no way is known to %s: what it calls is not known", name)})
	}
	for s := range exe.SymbolsFrom("main") {
		if s.Name == "main" && s.Kind == image.SymbolFunc {
			missed(s.Addr, "main")
		}
	}
	found, lost := a.ask(startMain)
	for _, addr := range slices.Sorted(maps.Keys(found)) {
		missed(uint64(addr), "what starts as main")
	}
	for _, l := range lost {
		if !a.prog.IsGo(l.at.fn) && a.prog.Module(l.at.fn) == exe {
			a.lose(l.at, unknown{reason: "the program's main is not known (" + l.why.reason + ")"})
		}
	}
}
