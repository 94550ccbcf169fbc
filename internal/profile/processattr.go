package profile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// processChild is the function that makes a child process what its
// syscall.SysProcAttr says, and executes the program there.
const processChild = "syscall.forkAndExecInChild1"

// processCalls are the calls that processChild makes only where one of these
// fields of SysProcAttr is set (syscall/exec_linux.go, Go 1.17 to 1.27; a test
// compares it with the source). What is not listed it makes for any child.
var processCalls = map[string][]string{
	"chroot":      {"Chroot"},
	"ptrace":      {"Ptrace"},
	"setsid":      {"Setsid"},
	"setpgid":     {"Setpgid", "Foreground"},
	"ioctl":       {"Foreground", "Noctty", "Setctty"},
	"setgroups":   {"Credential"},
	"setgid":      {"Credential"},
	"setuid":      {"Credential"},
	"setgroups32": {"Credential"},
	"setgid32":    {"Credential"},
	"setuid32":    {"Credential"},
	"unshare":     {"Unshareflags"},
	"mount":       {"Unshareflags"},
	"capget":      {"AmbientCaps"},
	"capset":      {"AmbientCaps"},
	"prctl":       {"AmbientCaps", "Pdeathsig"},
	"getppid":     {"Pdeathsig"},
	"kill":        {"Pdeathsig"},
	"clone3":      {"UseCgroupFD", "Cloneflags"},
}

// processDoubt finds which fields of SysProcAttr the program sets, by who makes
// objects of that type. It returns nil where that cannot be told.
func (a *analysis) processDoubt() *doubt {
	child := a.functionsNamed(processChild)
	if len(child) == 0 {
		return nil
	}
	u := a.processUse(child)
	if u.all != "" {
		return nil
	}
	return &doubt{
		covers: func(l *link, name string) bool {
			fields, ok := processCalls[name]
			return ok && slices.Contains(child, l.fn) && !slices.ContainsFunc(fields, func(f string) bool { return u.fields[f] != "" })
		},
		evidence: func(name string) string {
			return fmt.Sprintf("only where a child's SysProcAttr has %s, and %s", strings.Join(processCalls[name], " or "), u)
		},
	}
}

// A fieldUse is which fields of a struct type a program sets.
type fieldUse struct {
	all    string            // why any may be set; "" if that is known
	fields map[string]string // the fields that may be set, and where
	makers []string          // functions that make one, the runtime's and the library's own included
}

// String says what is set.
func (u *fieldUse) String() string {
	if len(u.fields) == 0 {
		if len(u.makers) > 0 {
			return "only " + strings.Join(u.makers, ", ") + " makes one, which sets none of these"
		}
		return "nothing makes one"
	}
	var set []string
	for _, f := range slices.Sorted(maps.Keys(u.fields)) {
		set = append(set, f+" in "+u.fields[f])
	}
	return "all that is set are " + strings.Join(set, ", ")
}

// ownProcess are the packages that hand on SysProcAttr as they get it.
var ownProcess = []string{"syscall", "os", "os/exec"}

// ensurePidfd sets the field PidFD, on which no call depends, in an object of
// its own: a new one, or a copy of what it got.
const ensurePidfd = "os.ensurePidfd"

func (a *analysis) processUse(child []int) *fieldUse {
	u := &fieldUse{fields: map[string]string{}}
	if u.all = a.otherStarters(child); u.all != "" {
		return u
	}
	t, found := a.structType("syscall.SysProcAttr")
	if found == 0 {
		return u // no object of a type without descriptor is on the heap
	}
	if t == nil || !a.completeProcess(t) {
		u.all = "its type is not understood"
		return u
	}
	if t.embedded {
		u.all = "other types hold one"
		return u
	}
	if u.all = a.reflected(t); u.all != "" {
		return u
	}
	if at, ok := a.staticObject(t); ok {
		u.all = fmt.Sprintf("a variable at %#x may be one", at)
		return u
	}
	f := a.newFollower(t.holders)
	users := a.takers(t.addr)
	for _, fn := range users {
		name := a.prog.Name(fn)
		if name == ensurePidfd {
			u.makers = append(u.makers, name)
			continue
		}
		u.makers = append(u.makers, name)
		a.followObjects(f, fn, t.addr)
	}
	if len(u.makers) > 0 && !slices.Equal(u.makers, []string{ensurePidfd}) {
		a.followBorrowed(f, t, users)
	}
	u.all = f.lost
	for w, where := range f.set {
		u.note(t, w, where)
	}
	return u
}

// note adds the fields that a write sets.
func (u *fieldUse) note(t *structType, w write, where string) {
	for off := w.off; off < w.off+int64(w.size); off++ {
		if field, ok := t.at(off); ok {
			if u.fields[field.name] == "" || u.fields[field.name] > where {
				u.fields[field.name] = where
			}
		}
	}
}

// completeProcess reports that t has the fields that processCalls speaks of, but
// for those that came later.
func (a *analysis) completeProcess(t *structType) bool {
	later := map[string]int{"UseCgroupFD": 20}
	for _, fields := range processCalls {
		for _, name := range fields {
			has := slices.ContainsFunc(t.fields, func(f structField) bool { return f.name == name })
			if !has && a.prog.Build.Minor >= later[name] {
				return false
			}
		}
	}
	return true
}

func (a *analysis) functionsNamed(name string) []int {
	var out []int
	for fn := range a.prog.Funcs {
		if a.prog.IsGo(fn) && string(a.prog.NameBytes(fn)) == name {
			out = append(out, fn)
		}
	}
	return out
}

// packageOf returns the import path of the package that function fn is from.
func (a *analysis) packageOf(fn int) string { return packageOf(a.prog.Name(fn)) }

func packageOf(name string) string {
	name, _, _ = strings.Cut(name, "[")
	slash := strings.LastIndexByte(name, '/') + 1
	pkg, _, _ := strings.Cut(name[slash:], ".")
	return name[:slash] + pkg
}

// otherStarters looks for code outside of ownProcess that starts processes, with
// objects that may not be on the heap.
func (a *analysis) otherStarters(child []int) string {
	seen := map[int]bool{}
	work := slices.Clone(child)
	for len(work) > 0 {
		fn := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[fn] {
			continue
		}
		seen[fn] = true
		if by := a.takenBy(fn); by != "" {
			return fmt.Sprintf("the address of %s is taken %s", a.prog.Name(fn), by)
		}
		for _, caller := range a.survey.callers(fn) {
			switch pkg := a.packageOf(caller); {
			case pkg == "os/exec":
			case pkg == "syscall" || pkg == "os":
				work = append(work, caller)
			default:
				return fmt.Sprintf("%s calls %s", a.prog.Name(caller), a.prog.Name(fn))
			}
		}
	}
	return ""
}

// takers returns the functions that name the address addr other than to read or
// write it.
func (a *analysis) takers(addr uint64) []int {
	var out []int
	for fn := range a.survey.refsTo(addr, addr+1) {
		if len(out) == 0 || out[len(out)-1] != fn {
			out = append(out, fn)
		}
	}
	return out
}

// reflected says where values become interfaces that reflection could reach the
// type t from: pointers to it, and to the types that hold one.
func (a *analysis) reflected(t *structType) string {
	types := []uint64{}
	if t.pointer != 0 {
		types = append(types, t.pointer)
	}
	for _, owner := range t.outer {
		if p := a.pointerTo(owner); p != 0 {
			types = append(types, p)
		}
	}
	for _, typ := range types {
		for _, fn := range a.takers(typ) {
			if pkg := a.packageOf(fn); !slices.Contains(ownProcess, pkg) {
				return fmt.Sprintf("%s may change it by reflection", a.prog.Name(fn))
			}
		}
	}
	types = append(types, t.addr)
	for addr, w := range a.dataWords(slices.Min(types), slices.Max(types)+1) {
		if !a.prog.Types.Holds(addr) && slices.Contains(types, w) {
			return fmt.Sprintf("data at %#x holds its type", addr)
		}
	}
	return ""
}

// pointerTo returns the descriptor of the pointer to the type at addr.
func (a *analysis) pointerTo(addr uint64) uint64 {
	if t := a.readStruct(addr); t != nil {
		if t.pointer == 0 {
			a.findPointer(t)
		}
		return t.pointer
	}
	return 0
}

// followObjects follows the objects of the type at typ that function fn makes.
// A use of the type that is not one for an allocation copies objects, or
// makes many.
func (a *analysis) followObjects(f *follower, fn int, typ uint64) {
	s := a.slicer(fn)
	uses, made := 0, 0
	for i := range s.c.insts {
		in := &s.c.insts[i]
		if refersTo(&in.Src, typ) || refersTo(&in.Dst, typ) {
			uses++
		}
		if in.Op != image.OpCall || i+1 == len(s.c.insts) {
			continue
		}
		name := a.nameAt(in.Target)
		if !isAllocation(name) {
			continue
		}
		arg, result := s.c.allocation(i, name)
		// The type may be one of several only where branches meet.
		if v := s.before(i, arg); !v.has(atom{kind: constant, n: int64(typ)}) {
			if v.why != nil {
				f.lose(fn, in.Addr, "an object of unknown type is made")
			}
			continue
		}
		made++
		f.from(fn, i+1, result)
	}
	if made == 0 || uses > made {
		f.lose(fn, s.c.entry, "it is copied, or made with others")
	}
}

// isAllocation recognises the functions of the runtime's that compilers call to make
// an object. Since Go 1.27 each size has its own (runtime/malloc_generated.go), which
// takes the size, the type, and whether to clear the object.
func isAllocation(name string) bool { return name == "runtime.newobject" || isSized(name) }

func isSized(name string) bool {
	return strings.HasPrefix(name, "runtime.mallocgcSmall") || strings.HasPrefix(name, "runtime.mallocgcTiny")
}

// allocation returns where the call of an allocation at instruction i takes the type
// from and puts the object.
func (c *code) allocation(i int, name string) (typ, result location) {
	at, words := int64(0), int64(1)
	if isSized(name) {
		at, words = 1, 3
	}
	if c.argumentRegisters() == 0 {
		stack := -c.depth[i] + c.first
		return slot(stack+at*c.word, uint8(c.word)), slot(stack+words*c.word, uint8(c.word))
	}
	regs := [...]image.Reg{0, 1}
	if c.a.prog.ABI == abi.AMD64 {
		regs = [...]image.Reg{image.RAX, image.RBX}
	}
	return register(regs[at]), register(regs[0])
}

// followBorrowed looks for fields that are set through a pointer that a holder,
// such as an exec.Cmd, already has: in the packages that have to do with
// commands, and in the functions that they call.
func (a *analysis) followBorrowed(owned *follower, t *structType, makers []int) {
	f := a.newFollower(t.holders)
	f.borrowed, f.set = true, owned.set
	for _, fn := range a.commandFunctions(t, makers) {
		if !slices.ContainsFunc(a.partsOf(a.whole(fn)), func(part int) bool { return a.borrowsIn(part, f) }) {
			continue // most, of which no instruction is kept
		}
		c := a.slicer(fn).c
		for i := range c.insts {
			if in := &c.insts[i]; f.borrows(&c.convention, in) && i+1 < len(c.insts) {
				f.from(fn, i+1, register(in.Dst.Reg))
			}
		}
	}
	if len(f.seen) > maxFollowed && owned.lost == "" {
		owned.lost = "too much code handles commands to follow"
	}
}

// borrowsIn reports that function fn has an instruction that borrows.
func (a *analysis) borrowsIn(fn int, f *follower) bool {
	c := conventionOf(a.prog, fn)
	for in := range a.walk(fn) {
		if f.borrows(&c, in) {
			return true
		}
	}
	return false
}

// borrows reports that in reads a pointer from where a holder has it.
func (f *follower) borrows(c *convention, in *image.Inst) bool {
	return in.Op == image.OpMov && in.Dst.Kind == image.OperandReg && int64(in.Size) == c.word && in.Src.Kind == image.OperandMem &&
		in.Src.Index == image.RegNone && in.Src.Base < 64 && in.Src.Base != c.sp && f.holders[in.Src.Disp]
}

// commandFunctions returns the functions of the packages that call os/exec or
// name the type t or one that holds it, and those that they call; not those of
// ownProcess.
func (a *analysis) commandFunctions(t *structType, makers []int) []int {
	packages := map[string]bool{}
	for _, fn := range makers {
		packages[a.packageOf(fn)] = true
	}
	for _, owner := range t.outer {
		for _, fn := range a.takers(owner) {
			packages[a.packageOf(fn)] = true
		}
	}
	exec := make([]bool, len(a.prog.Funcs))
	for fn := range a.prog.Funcs {
		exec[fn] = a.prog.IsGo(fn) && bytes.HasPrefix(a.prog.NameBytes(fn), []byte("os/exec."))
	}
	callees := func(fn int) []uint32 { return a.survey.calls[a.survey.callAt[fn]:a.survey.callAt[fn+1]] }
	for fn := range a.prog.Funcs {
		if a.prog.IsGo(fn) && slices.ContainsFunc(callees(fn), func(c uint32) bool { return exec[c] }) {
			packages[a.packageOf(fn)] = true
		}
	}
	for _, pkg := range append(ownProcess, "runtime") {
		delete(packages, pkg)
	}
	in := map[int]bool{}
	for fn := range a.prog.Funcs {
		if !a.prog.IsGo(fn) || !packages[a.packageOf(fn)] {
			continue
		}
		in[fn] = true
		for _, c := range callees(fn) {
			if pkg := a.packageOf(int(c)); pkg != "runtime" && !slices.Contains(ownProcess, pkg) {
				in[int(c)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(in))
}

// staticObject looks for a package-level variable that may be a t: the collector
// has to know where it holds pointers, so it shows the type's pattern there. The
// syscall package's own, which nothing changes, are left out.
func (a *analysis) staticObject(t *structType) (addr uint64, found bool) {
	size := a.prog.WordSize()
	words := int(t.size / size)
	pattern := make([]bool, words)
	for _, f := range t.fields {
		switch f.kind {
		case kindString, kindSlice, kindPointer:
			pattern[f.off/size] = true
		}
	}
	vars, ok := a.prog.Variables()
	if !ok {
		return 0, true
	}
	for _, v := range vars {
		n := int((v.End - v.Start) / size)
		for i := 0; i+words <= n; i++ {
			match := true
			for k := 0; k < words && match; k++ {
				match = v.Pointer(i+k) == pattern[k]
			}
			at := v.Start + uint64(i)*size
			if match && a.mayBe(t, at) && !a.ownedBySyscall(at, t.size) {
				return at, true
			}
		}
	}
	return 0, false
}

// mayBe reports that the initial content at addr can be that of a t.
func (a *analysis) mayBe(t *structType, addr uint64) bool {
	size := a.prog.WordSize()
	b := a.prog.Bytes(addr)
	if uint64(len(b)) < t.size {
		b = append(slices.Clone(b), make([]byte, t.size-uint64(len(b)))...)
	}
	word := func(off uint64) uint64 { return a.prog.ReadWord(b[off:]) }
	for i, f := range t.fields {
		end := t.size
		if i+1 < len(t.fields) {
			end = t.fields[i+1].off
		}
		switch f.kind {
		case kindBool:
			if b[f.off] > 1 {
				return false
			}
			for _, padding := range b[f.off+1 : end] {
				if padding != 0 {
					return false
				}
			}
		case kindString:
			if word(f.off) == 0 && word(f.off+size) != 0 {
				return false
			}
		case kindSlice:
			if n, most := word(f.off+size), word(f.off+2*size); n > most || word(f.off) == 0 && most != 0 {
				return false
			}
		}
	}
	return true
}

// ownedBySyscall reports that only functions of package syscall name addresses
// in [addr, addr+size), and some do: it exports no such variable.
func (a *analysis) ownedBySyscall(addr, size uint64) bool {
	some := false
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			if to, _ := a.survey.ref(r); to-addr < size {
				if a.packageOf(i) != "syscall" {
					return false
				}
				some = true
			}
		}
	}
	return some
}
