package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// unreadOnce are functions whose only use is that a package-level variable is
// set to what sync.OnceValue makes of them. That the variable is one of its own,
// not a part of a larger one, is known from the source of package os.
var unreadOnce = []string{"os.checkPidfd"} // var checkPidfdOnce = sync.OnceValue(checkPidfd)

// maxOnce bounds the functions that are looked at whether only such a function
// leads to them.
const maxOnce = 5000

// onceDoubt returns the doubt about the function name that no code reads the
// variable through which it would be called; nil where some may, or the function
// has other uses.
func (a *analysis) onceDoubt(name string) *doubt {
	fns := a.functionsNamed(name)
	if len(fns) != 1 {
		return nil
	}
	fn := fns[0]
	setter, value, ok := a.onlyUse(fn)
	if !ok {
		return nil
	}
	variable, ok := a.onlyHolder(setter, value)
	if !ok || a.otherUse(variable, setter) {
		return nil
	}
	only := a.onlyFrom(fn)
	evidence := fmt.Sprintf("only through %s, which is kept in a variable at %#x that nothing reads", name, variable)
	return &doubt{
		covers:   func(l *link, _ string) bool { return only[l.fn] },
		evidence: func(string) string { return evidence },
	}
}

// onlyUse finds the one function that uses function fn, a package initialiser,
// and the address of its function value.
func (a *analysis) onlyUse(fn int) (setter int, value uint64, ok bool) {
	if len(a.survey.callers(fn)) > 0 || len(a.takers(a.entry(fn))) > 0 {
		return 0, 0, false
	}
	for _, w := range a.words {
		switch {
		case w.fn != fn:
		case value != 0:
			return 0, 0, false
		default:
			value = w.addr
		}
	}
	users := a.takers(value)
	if _, method := a.methodTable(fn); value == 0 || method || len(users) != 1 || !isInit(a.prog.NameBytes(users[0])) {
		return 0, 0, false
	}
	_, pointed := a.pointerInto(value, value+a.prog.WordSize())
	return users[0], value, !pointed
}

// onlyHolder finds the variable that function fn stores the function value in, or
// the object that holds it. ok is false where it goes anywhere else.
func (a *analysis) onlyHolder(fn int, value uint64) (variable uint64, ok bool) {
	h := &heldBy{s: a.slicer(fn), value: int64(value), objects: map[uint64]bool{}, variables: map[uint64]bool{}}
	for n := -1; n < len(h.objects) && !h.escapes; {
		n = len(h.objects)
		for i := range h.s.c.insts {
			h.look(i)
		}
	}
	if h.escapes || len(h.variables) != 1 {
		return 0, false
	}
	for v := range h.variables {
		variable = v
	}
	return variable, true
}

// A heldBy follows where one function puts a value.
type heldBy struct {
	s         *slicer
	value     int64           // the constant, or what the variable at it holds
	variable  bool            // the latter
	objects   map[uint64]bool // that hold it: the calls that returned them
	variables map[uint64]bool
	escapes   bool
}

// holds reports that v is the value, or an object that holds it.
func (h *heldBy) holds(v value) bool {
	kind := constant
	if h.variable {
		kind = global
	}
	return v.has(atom{kind: kind, n: h.value}) || v.why != nil && h.objects[v.why.at]
}

func (h *heldBy) register(i int, r image.Reg) value { return h.s.before(i, register(r)) }

// look follows what instruction i does with it.
func (h *heldBy) look(i int) {
	c := h.s.c
	in := &c.insts[i]
	switch in.Op {
	case image.OpCall, image.OpCallInd:
		h.call(i)
		return
	case image.OpRet, image.OpCmp, image.OpTest:
		return // a package initialiser has no results
	}
	stores := in.Store > 0 && in.Dst.Kind == image.OperandMem
	if _, direct := c.slot(i, &in.Dst); !stores || direct {
		return
	}
	held := false
	switch in.Src.Kind {
	case image.OperandReg:
		held = h.holds(h.register(i, in.Src.Reg))
	case image.OperandImm:
		held = h.holds(constants(in.Src.Imm))
	}
	if in.Op == image.OpStorePair && in.Imm2 >= 0 {
		held = held || h.holds(h.register(i, image.Reg(in.Imm2)))
	}
	switch {
	case !held:
	case fixed(&in.Dst):
		h.variables[uint64(in.Dst.Disp)] = true
	case in.Dst.Index == image.RegNone && in.Dst.Base < 64:
		h.into(h.register(i, in.Dst.Base))
	default:
		h.escapes = true
	}
}

// into notes that it is stored in the object base, which must be new.
func (h *heldBy) into(base value) {
	if base.why == nil {
		// A constant address that is not written as one.
		at, ok := base.constants()
		if h.escapes = h.escapes || !ok || len(at) != 1; !h.escapes {
			h.variables[uint64(at[0])] = true
		}
		return
	}
	i := h.s.c.at(base.why.at)
	if i < 0 || h.s.c.insts[i].Op != image.OpCall {
		h.escapes = true
		return
	}
	switch name := h.s.c.a.nameAt(h.s.c.insts[i].Target); {
	case strings.HasPrefix(name, "runtime.gcWriteBarrier"):
	case isAllocation(name):
		h.objects[base.why.at] = true
	default:
		h.escapes = true
	}
}

// call looks at the arguments of a call. What sync.OnceValue returns holds its
// argument.
func (h *heldBy) call(i int) {
	c := h.s.c
	in := &c.insts[i]
	name := ""
	if in.Op == image.OpCall {
		name = c.a.nameAt(in.Target)
	}
	if strings.HasPrefix(name, "runtime.gcWriteBarrier") || isAllocation(name) || strings.HasPrefix(name, "runtime.morestack") {
		return
	}
	held := false
	taken := c.argumentRegisters()
	if fn, ok := c.a.entryOf(in.Target); ok {
		taken = c.a.taken(fn)
	}
	for r := range image.Reg(64) {
		held = held || taken>>r&1 != 0 && h.holds(h.register(i, r))
	}
	if c.argumentRegisters() == 0 {
		n := c.a.argsOf(in.Target)
		if n > 64 {
			n = 64
		}
		for off := int64(0); off < n; off += c.word {
			held = held || h.holds(h.s.before(i, slot(-c.depth[i]+c.first+off, uint8(c.word))))
		}
	}
	switch {
	case !held:
	case strings.HasPrefix(name, "sync.OnceValue") || strings.HasPrefix(name, "sync.OnceFunc"):
		h.objects[in.Addr] = true
	default:
		h.escapes = true
	}
}

// otherUse reports that a variable is used other than by what its setter stores
// in it: all it may do besides is to hand the old value to the collector.
func (a *analysis) otherUse(variable uint64, setter int) bool {
	size := a.prog.WordSize()
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			to, kind := a.survey.ref(r)
			if to >= variable && to < variable+size && (i != setter || kind != refRead && kind != refWritten) {
				return true
			}
		}
	}
	if _, pointed := a.pointerInto(variable, variable+size); pointed {
		return true
	}
	h := &heldBy{s: a.slicer(setter), value: int64(variable), variable: true, objects: map[uint64]bool{}, variables: map[uint64]bool{}}
	for i := range h.s.c.insts {
		h.look(i)
	}
	return h.escapes || len(h.objects)+len(h.variables) > 0
}

// onlyFrom returns the functions that nothing but function fn leads to, by calls
// or by taking their address, and fn itself.
func (a *analysis) onlyFrom(fn int) map[int]bool {
	in := map[int]bool{fn: true}
	work := []int{fn}
	for len(work) > 0 && len(in) < maxOnce {
		f := work[len(work)-1]
		work = work[:len(work)-1]
		for _, c := range a.leadsTo(f) {
			if !in[c] {
				in[c] = true
				work = append(work, c)
			}
		}
	}
	if len(work) > 0 {
		return map[int]bool{fn: true}
	}
	out := make([]bool, len(a.prog.Funcs))
	remove := func(c int) bool {
		if c == fn || !in[c] || out[c] {
			return false
		}
		out[c] = true
		return true
	}
	for _, words := range [][]entryWord{a.words, a.methods} {
		for _, w := range words {
			remove(w.fn) // data leads to it
		}
	}
	for more := true; more; {
		more = false
		for f := range a.prog.Funcs {
			if in[f] && !out[f] {
				continue
			}
			for _, c := range a.leadsTo(f) {
				more = remove(c) || more
			}
		}
	}
	maps.DeleteFunc(in, func(f int, _ bool) bool { return out[f] })
	return in
}

// leadsTo returns the functions that function f calls or whose entry it names.
func (a *analysis) leadsTo(f int) []int {
	var out []int
	for _, c := range a.survey.calls[a.survey.callAt[f]:a.survey.callAt[f+1]] {
		out = append(out, int(c))
	}
	for _, r := range a.survey.refs[a.survey.refAt[f]:a.survey.refAt[f+1]] {
		if to, _ := a.survey.ref(r); to >= a.prog.Text && to < a.prog.Etext {
			if c, ok := a.entryOf(to); ok {
				out = append(out, c)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
