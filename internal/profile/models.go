package profile

import "strings"

// A model settles a number that value flow cannot, by what the runtime's source
// says.
type model struct {
	// site is the function in which the number is lost, file the end of the
	// source file that it comes from.
	site, file string
	// source is the function whose own demand gives the numbers.
	source string
}

// models is the list of them. Each is tested in TestModels.
var models = []model{
	// runPerThreadSyscall repeats on every other thread the call that
	// doAllThreadsSyscall has just made itself, with the same number, left in
	// the variable perThreadSyscall.
	{"runtime.runPerThreadSyscall", "runtime/os_linux.go", "syscall.runtime_doAllThreadsSyscall"},
}

// modelled reports that a model covers a lost site: its numbers are those that
// the model's source asks its own callers for. Where the source is not linked
// the site is never reached.
func (a *analysis) modelled(l lostSite) bool {
	name := a.prog.Name(l.at.fn)
	for _, m := range models {
		if name != m.site || l.at.next == nil {
			continue
		}
		file, _ := a.prog.Line(l.at.fn, l.at.addr)
		if strings.HasSuffix(file, m.file) && a.sourceDemanded(m.source, l.at.next.fn) {
			return true
		}
	}
	return false
}

// sourceDemanded reports that no function is called source, or that each one
// passes its own first parameter on to the function callee, so that its callers
// have been asked.
func (a *analysis) sourceDemanded(source string, callee int) bool {
	for fn := range a.prog.Funcs {
		if a.prog.Name(fn) != source {
			continue
		}
		asked := false
		for _, d := range a.demands {
			asked = asked || d.fn == fn && d.to.fn == fn && d.to.next != nil && d.to.next.fn == callee
		}
		if !asked && !a.adapter(fn, source) {
			return false
		}
	}
	return true
}

// adapter reports that function fn calls another function of the same name: it
// only changes the calling convention.
func (a *analysis) adapter(fn int, name string) bool {
	for _, c := range a.survey.calls[a.survey.callAt[fn]:a.survey.callAt[fn+1]] {
		if int(c) != fn && a.prog.Name(int(c)) == name {
			return true
		}
	}
	return false
}
