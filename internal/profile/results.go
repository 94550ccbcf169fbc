package profile

import (
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

const (
	// maxResult bounds the functions whose results are followed, in instructions,
	// and maxResults how deep.
	maxResult  = 2000
	maxResults = 4
)

// A resultKey is a result of a function: what it leaves in a register.
type resultKey struct {
	fn  int
	reg image.Reg
}

// A following is what follows values further than it takes for most numbers: into
// the results of functions and, for arguments, to calls through variables that
// nothing changes.
type following struct {
	results map[resultKey]value
	busy    []int               // functions that are being looked at
	values  map[int][]valueCall // nil for numbers
}

// knownResults are the first results of functions that their source tells and value flow
// does not: net.favoriteAddrFamily asks an interface's method, which for the
// addresses that it gets returns these two (net/ipsock_posix.go, Go 1.17 to 1.27).
// TestKnownResults compares them with the source.
var knownResults = []struct {
	function, file string
	values         []string
}{
	{"net.favoriteAddrFamily", "net/ipsock_posix.go", []string{"AF_INET", "AF_INET6"}},
}

// knownResult returns what knownResults say of the register r after a call of fn.
func (a *analysis) knownResult(fn int, r image.Reg) (v value, ok bool) {
	name := a.prog.Name(fn)
	for _, k := range knownResults {
		if name != k.function || r != firstResult(a.prog.ABI) {
			continue
		}
		if file, _ := a.prog.Line(fn, a.entry(fn)); !strings.HasSuffix(file, k.file) {
			continue
		}
		for _, c := range k.values {
			n, _ := a.prog.ABI.Constant(c)
			v = v.join(constants(int64(n)))
		}
		return v, true
	}
	return v, false
}

// firstResult returns the register of a Go function's first result.
func firstResult(on abi.ABI) image.Reg {
	if on == abi.RISCV64 {
		return 10
	}
	return 0 // AX, R0
}

// resultRegisters is the set of registers in which Go's functions return results;
// none where they use the stack (cmd/compile/abi-internal.md).
func (c *code) resultRegisters() uint64 {
	if c.a.prog.ABI == abi.RISCV64 && c.a.prog.Build.Minor >= 20 {
		return 0xffff00 // X8 to X23
	}
	return c.argumentRegisters()
}

// result returns what the call at instruction j of s leaves in register r, as
// something that s can express; ok is false where that is not known.
func (s *slicer) result(j int, r image.Reg) (v value, ok bool) {
	a := s.c.a
	f := a.following
	fn, found := a.entryOf(s.c.insts[j].Target)
	if f == nil || !found || s.c.native || !a.prog.IsGo(fn) || s.c.resultRegisters()>>r&1 == 0 {
		return v, false
	}
	if v, ok := a.knownResult(fn, r); ok && f.values != nil {
		return v, true
	}
	returned, known := f.results[resultKey{fn, r}]
	if !known {
		if len(f.busy) == maxResults || fn == s.c.fn || slices.Contains(f.busy, fn) || slices.Contains(f.busy, s.c.fn) ||
			strings.HasPrefix(a.prog.Name(fn), "runtime.") {
			return v, false
		}
		f.busy = append(f.busy, s.c.fn)
		returned = a.returned(fn, r)
		f.busy = f.busy[:len(f.busy)-1]
		f.results[resultKey{fn, r}] = returned
	}
	if returned.why != nil {
		return v, false
	}
	for _, x := range returned.atoms {
		switch x.kind {
		case constant, global:
			v = v.join(exactly(x))
		case parameter:
			v = v.join(s.walk(j, register(x.reg)).narrow(x, s.why(j, partOfWider)))
		default:
			return value{}, false
		}
	}
	return v, true
}

// returned returns what function fn leaves in register r where it returns.
func (a *analysis) returned(fn int, r image.Reg) value {
	s := a.slicer(fn)
	lost := value{why: &unknown{reason: "a result that is not followed", fn: fn, at: s.c.entry}}
	if len(s.c.insts) == 0 || len(s.c.insts) > maxResult {
		return lost
	}
	if _, resumes := a.prog.DeferReturn(fn); resumes {
		return lost // a deferred function may set it
	}
	if file, _ := a.prog.Line(fn, s.c.entry); strings.HasSuffix(file, ".s") {
		return lost // assembly can go on elsewhere, also by a return
	}
	out := value{}
	for i := range s.c.insts {
		in := &s.c.insts[i]
		switch in.Op {
		case image.OpRet:
			if s.c.blocks[s.c.block(i)].live {
				out = out.join(s.before(i, register(r)))
			}
		case image.OpJmp, image.OpJcc:
			if in.Target < s.c.entry || in.Target >= s.c.end {
				return lost
			}
		case image.OpJmpInd:
			if slices.Contains(s.c.unresolved, s.c.block(i)) {
				return lost
			}
		}
	}
	if out.why == nil && len(out.atoms) == 0 {
		return lost
	}
	return out
}

// or returns v | w where one of them is constants and the other one comes from
// elsewhere; ok is false where that is not so, or nobody follows it.
func (s *slicer) or(v, w func() value, why *unknown) (out value, ok bool) {
	if s.c.a.following == nil {
		return out, false
	}
	x, y := v(), w()
	bits, known := y.constants()
	if !known {
		x, y = y, x
		if bits, known = y.constants(); !known {
			return out, false
		}
	}
	for _, n := range bits {
		if n < 0 || n >= 1<<32 {
			return out, false
		}
		out = out.join(x.set(n, why))
	}
	return out, true
}

// A valueCall is a call through a function value.
type valueCall struct {
	fn int
	i  int // instruction
}

// variableReaders are the packages with variables that hold a function from the
// start and are there for their own tests to change, each a variable of its own
// (net/hook_unix.go, internal/poll/hook_unix.go).
var variableReaders = []string{"net", "internal/poll"}

// meetValues asks the calls of a function through variables for a parameter. It
// reports false where they are not all that is done with the function's address.
func (a *analysis) meetValues(d demand) bool {
	if a.following == nil || a.following.values == nil {
		return false
	}
	calls, known := a.following.values[d.fn]
	if !known {
		calls = a.valueCalls(d.fn)
		a.following.values[d.fn] = calls
	}
	for _, c := range calls {
		s := a.slicer(c.fn)
		a.resolve(s.passed(c.i, d.a, s.c.pushed), &link{c.fn, s.c.insts[c.i].Addr, d.to})
	}
	return len(calls) > 0
}

// valueCalls returns the calls of function fn through variables if nothing else
// is done with its address; else none.
func (a *analysis) valueCalls(fn int) []valueCall {
	if _, method := a.methodTable(fn); method || !a.prog.IsGo(fn) || len(a.takers(a.entry(fn))) > 0 {
		return nil
	}
	var variables []uint64
	for _, w := range a.words {
		if w.fn != fn {
			continue
		}
		if len(a.takers(w.addr)) > 0 {
			return nil
		}
		n := len(variables)
		for addr := range a.dataWords(w.addr, w.addr+1) {
			variables = append(variables, addr)
		}
		if len(variables) == n {
			return nil
		}
	}
	var calls []valueCall
	for _, v := range variables {
		through := a.callsThrough(v)
		if len(through) == 0 {
			return nil
		}
		calls = append(calls, through...)
	}
	return calls
}

// callsThrough returns the calls through the variable at addr; none if anything
// else is done with it.
func (a *analysis) callsThrough(addr uint64) []valueCall {
	size := a.prog.WordSize()
	if !a.prog.Writable(addr) {
		return nil
	}
	var readers []int
	for fn, kind := range a.survey.refsTo(addr, addr+size) {
		if kind != refRead || !slices.Contains(variableReaders, a.packageOf(fn)) {
			return nil
		}
		readers = append(readers, fn)
	}
	if _, pointed := a.pointerInto(addr, addr+size); pointed {
		return nil
	}
	var calls []valueCall
	for _, fn := range slices.Compact(readers) {
		s := a.slicer(fn)
		h := &heldBy{s: s, value: int64(addr), variable: true, objects: map[uint64]bool{}, variables: map[uint64]bool{}}
		n := len(calls)
		for i := range s.c.insts {
			h.look(i)
			if s.c.insts[i].Op == image.OpCallInd && s.calledVariable(i) == addr {
				calls = append(calls, valueCall{fn, i})
			}
		}
		if len(calls) == n || h.escapes || len(h.objects)+len(h.variables) > 0 {
			return nil
		}
	}
	return calls
}

// calledVariable returns the address of the variable whose function value the
// call at instruction i calls; 0 if it is another call.
func (s *slicer) calledVariable(i int) uint64 {
	code := s.c.insts[i].Src // where the code's address is
	for k := i - 1; code.Kind == image.OperandReg; k-- {
		if k < s.c.blocks[s.c.block(i)].start {
			return 0
		}
		if in := &s.c.insts[k]; in.Writes>>code.Reg&1 != 0 {
			if in.Op != image.OpMov || in.Dst.Reg != code.Reg {
				return 0
			}
			i, code = k, in.Src
		}
	}
	if code.Kind != image.OperandMem || code.Base >= 64 || code.Index != image.RegNone || code.Disp != 0 {
		return 0
	}
	v := s.before(i, register(code.Base))
	if len(v.atoms) != 1 || v.atoms[0] != (atom{kind: global, n: v.atoms[0].n}) {
		return 0
	}
	return uint64(v.atoms[0].n)
}
