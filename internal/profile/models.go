package profile

import (
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// A model settles a number that value flow cannot, by what the runtime's source
// says.
type model struct {
	// site is the function in which the number is lost, file the end of the
	// source file that it comes from.
	site, file string
	// source is the function whose own demand gives the numbers.
	source string
	// kept says that source keeps its first parameter, the number, where only site
	// reads it, by the pointer that it is a method of.
	kept bool
}

// models is the list of them. Each is tested in TestModels.
var models = []model{
	// runPerThreadSyscall repeats on every other thread the call that
	// doAllThreadsSyscall has just made itself, with the same number, left in
	// the variable perThreadSyscall.
	{"runtime.runPerThreadSyscall", "runtime/os_linux.go", "syscall.runtime_doAllThreadsSyscall", false},
	// Until Go 1.17 each thread called a method of what AllThreadsSyscall had made
	// of its parameters.
	{"syscall.(*allThreadsCaller).doSyscall", "syscall/syscall_linux.go", "syscall.AllThreadsSyscall", true},
	{"syscall.(*allThreadsCaller).doSyscall6", "syscall/syscall_linux.go", "syscall.AllThreadsSyscall6", true},
}

// askSources asks the callers of the sources that keep their numbers, for the
// sites that were lost.
func (a *analysis) askSources() {
	for _, l := range a.lost {
		m := a.modelOf(l)
		if m == nil || !m.kept || !a.onlySource(l.at.fn, m) {
			continue
		}
		for fn := range a.prog.Funcs {
			if a.prog.Name(fn) == m.source && !a.adapter(fn, m.source) {
				x := atom{kind: stacked, n: int64(a.prog.WordSize())}
				if a.prog.ABI == abi.AMD64 && a.prog.Build.Minor >= 17 {
					x = atom{kind: parameter, reg: image.RAX}
				}
				a.demandFrom(x, &link{fn: fn, addr: a.entry(fn), next: l.at})
			}
		}
	}
}

// onlySource reports that the site of a model, a method, is called only as a
// method value, and that nothing but the model's source makes one.
func (a *analysis) onlySource(site int, m *model) bool {
	for _, caller := range a.survey.callers(site) {
		if a.prog.Name(caller) != m.site+"-fm" {
			return false
		}
		for i := range a.prog.Funcs {
			for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
				if to, _ := a.survey.ref(r); to == a.entry(caller) && a.prog.Name(i) != m.source {
					return false
				}
			}
		}
	}
	return true
}

// modelOf returns the model that is made for a lost site, or nil.
func (a *analysis) modelOf(l lostSite) *model {
	name := a.prog.NameBytes(l.at.fn)
	for i := range models {
		if m := &models[i]; string(name) == m.site && l.at.next != nil {
			if file, _ := a.prog.Line(l.at.fn, l.at.addr); strings.HasSuffix(file, m.file) {
				return m
			}
		}
	}
	return nil
}

// modelled reports that a model covers a lost site: its numbers are those that
// the model's source asks its own callers for. Where the source is not linked
// the site is never reached.
func (a *analysis) modelled(l lostSite) bool {
	m := a.modelOf(l)
	switch {
	case m == nil:
		return false
	case m.kept:
		return a.onlySource(l.at.fn, m)
	}
	return a.sourceDemanded(m.source, l.at.next.fn)
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

// The places of the number and of three arguments in the structs from which the C
// libraries repeat setuid and its kin on all threads: glibc's xid_command
// (nptl/nptl_setxid.c), and musl's ctx (src/unistd/setxid.c).
var (
	glibcCommand = [4]int64{0, 8, 16, 24}
	glibc32      = [4]int64{0, 4, 8, 12}
	muslCommand  = [4]int64{12, 0, 4, 8}
)

// isCommand reports that the system call at a link gets its number and three
// arguments from the fields of one struct, which lie at the given offsets.
func (a *analysis) isCommand(at *link, fields [4]int64) bool {
	if a.prog.IsGo(at.fn) {
		return false
	}
	c := a.slicer(at.fn).c
	number, ok := a.numberAt(at)
	if !ok {
		return false
	}
	args := argumentsOf(a.prog.ABI)
	i := c.at(at.addr)
	if i < 0 {
		return false
	}
	want := map[int64]image.Reg{fields[0]: number, fields[1]: args[0], fields[2]: args[1], fields[3]: args[2]}
	for j := i - 1; j >= c.blocks[c.block(i)].start && len(want) > 0; j-- {
		in := &c.insts[j]
		for off, r := range want {
			pair := in.Op == image.OpLoadPair && in.Imm2 == int64(r)
			if in.Writes&(1<<r) == 0 && !pair {
				continue
			}
			at := in.Src.Disp
			if pair {
				at += int64(in.Size)
			}
			if in.Src.Kind != image.OperandMem || in.Src.Index != image.RegNone || in.Src.Base > 31 || at != off || !pair && in.Dst.Reg != r {
				return false
			}
			delete(want, off)
		}
	}
	return len(want) == 0
}

// repeats reports that the system call at a link is one that glibc repeats on all
// threads, with a number that is x, from a struct in which only other fields change
// (nptl/nptl_setxid.c): the function keeps the pointer for a signal handler, or is the
// handler.
func (a *analysis) repeats(at *link, x atom) bool {
	if !a.isCommand(at, glibcCommand) && !(a.prog.WordSize() == 4 && a.isCommand(at, glibc32)) {
		return false
	}
	if len(a.callers(at.fn)) == 0 {
		return a.isTaken(at.fn)
	}
	p := atom{kind: parameter, reg: x.reg}
	if x.kind == behindStacked {
		p = atom{kind: stacked, n: x.n}
	}
	s := a.slicer(at.fn)
	for j := range s.c.insts {
		in := &s.c.insts[j]
		if in.Op == image.OpMov && in.Store > 0 && !s.c.inFrame(j, &in.Dst) && in.Src.Kind == image.OperandReg && s.before(j, register(in.Src.Reg)).has(p) {
			return true
		}
	}
	return false
}

// numberAt returns the register of the number at a link: that of the machine at a
// system call, that of its parameter where __libc_do_syscall of glibc for arm is called,
// which makes one.
func (a *analysis) numberAt(at *link) (r image.Reg, ok bool) {
	switch s := at.next; {
	case s == nil:
		return a.slicer(at.fn).c.number, true
	case s.next == nil && a.prog.ABI == abi.ARM && !a.prog.IsGo(s.fn):
		if i := a.slicer(s.fn).c.at(s.addr); i >= 0 {
			v := a.slicer(s.fn).before(i, register(image.ARMR7))
			return image.ARMIP, v.has(atom{kind: parameter, reg: image.ARMIP}) && a.leavesAlone(a.entry(s.fn), 1)
		}
	}
	return 0, false
}

// isSysinfo reports that function fn of a C library for 386 is nothing but a system
// call with the number that it is called with: glibc's _dl_sysinfo_int80, whose
// address it leaves where the vDSO's is else. What goes there is a site itself.
func (a *analysis) isSysinfo(fn int, x atom) bool {
	insts := a.slicer(fn).c.insts
	return a.prog.ABI == abi.I386 && x.kind == parameter && x.reg == image.RAX && !a.prog.IsGo(fn) &&
		len(insts) > 1 && insts[0].Op == image.OpInt80 && insts[1].Op == image.OpRet
}

// meetContext settles the number of musl's do_setxid: the function is called with
// the struct that is passed to __synccall together with its address, and with no
// other.
func (a *analysis) meetContext(d demand) bool {
	if d.a.kind != behind || !a.isCommand(d.to, muslCommand) {
		return false
	}
	entry := int64(a.entry(d.fn))
	for _, n := range a.reach.native.taken[d.fn] {
		if n == noNode || int(n) >= len(a.prog.Funcs) || a.prog.IsGo(int(n)) {
			return false
		}
		s := a.slicer(int(n))
		found := false
		for i := range s.c.insts {
			in := &s.c.insts[i]
			if in.Op != image.OpCall {
				continue
			}
			if v := s.passed(i, a.argument(0), s.c.pushed); v.has(atom{kind: constant, n: entry}) {
				found = true
				a.resolve(s.behind(i, s.passed(i, a.argument(1), s.c.pushed), d.a), &link{s.c.fn, in.Addr, d.to})
			}
		}
		if !found {
			return false
		}
	}
	return true
}
