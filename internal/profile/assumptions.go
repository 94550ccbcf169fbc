package profile

import (
	"fmt"
	"strings"
)

// assumptions returns what the profile of the program rests on.
func (a *analysis) assumptions(makesCode []string) []string {
	code := "the program makes or loads no machine code at run time"
	if len(makesCode) > 0 {
		code = "the machine code that it makes at run time makes no other calls: memory becomes executable in " + strings.Join(makesCode, ", ")
	}
	out := []string{
		code,
		"system-call numbers are not changed through unsafe pointers or data races",
	}
	if !a.prog.Foreign() {
		out = append(out, "packages syscall and golang.org/x/sys/unix are the published ones")
	}
	if a.prog.Library {
		out = append(out, "the programs that load the library call its exported functions alone, and are profiled on their own")
	}
	if a.prog.Build.Newer() {
		out = append(out, strings.TrimSpace(a.prog.Build.Version)+" keeps the tables and the calling convention of the releases before it")
	}
	if a.native {
		out = append(out,
			"code that is not Go keeps to the machine's calling convention, and is entered where calls, pointers and unwind data say",
			"pointers lie at multiples of their size")
	}
	if len(a.active) > 1 {
		out = append(out, fmt.Sprintf("the dynamic loader and the libraries are the %d files that were looked at", len(a.active)-1))
	}
	for _, m := range a.prog.Modules {
		if a.tables[m] {
			out = append(out, fmt.Sprintf("functions that only tables of %s lead to are called by it alone", m.Soname))
		}
	}
	for _, m := range a.prog.Modules {
		if call := a.looksUp[m]; call != "" {
			out = append(out, fmt.Sprintf("the number that %s looks up by name and passes on is that of %s", m.Soname, call))
		}
	}
	if a.reach != nil {
		out = append(out, a.reach.native.attributes.assumptions()...)
	}
	return append(append(out, a.prog.Assumptions...), a.opened.assumptions...)
}

// besidesLoader tells the links to calls that the dynamic loader makes from the
// others.
func (a *analysis) besidesLoader(all []*link) (others, loader []*link) {
	for _, l := range all {
		if a.inLoader(l.site().addr) {
			loader = append(loader, l)
		} else {
			others = append(others, l)
		}
	}
	return others, loader
}
