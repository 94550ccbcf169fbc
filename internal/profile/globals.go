package profile

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
)

// aliasWindow is how far from an object of Go the address may lie to which code adds a
// register to write into it: constants of an index are part of the address.
const aliasWindow = 4096

// word resolves the content of the word at addr, read by the instruction at at
// in function fn: its initial content and everything that is stored to it
// directly, unless something else may write to it too.
func (a *analysis) word(addr uint64, fn int, at uint64) value {
	v, known := a.variables[addr]
	if !known {
		v = value{why: &unknown{reason: overBudget}}
		if len(a.variables) < maxWords {
			v = a.variable(addr, fn, at)
		}
		a.variables[addr] = v
	}
	return v.placed(fn, at)
}

func (a *analysis) variable(addr uint64, fn int, at uint64) value {
	lost := func(format string, args ...any) value {
		return value{why: &unknown{fmt.Sprintf(format, args...), fn, at}}
	}
	seg := a.prog.Segment(addr)
	w, ok := a.prog.Word(addr)
	if seg == nil || !ok {
		return lost("read from address %#x outside the program", addr)
	}
	v := constants(int64(w))
	if !a.prog.Writable(addr) {
		return v
	}
	if a.shared(addr) {
		return lost("read from a variable that the library exports")
	}
	writers, why := a.writers(addr, fn, at)
	if why != nil {
		return value{why: why}
	}
	for _, i := range writers {
		v = v.join(a.stores(i, addr))
	}
	return v
}

// writers returns the functions that store to the word at addr directly, unless
// something else may write to it too.
func (a *analysis) writers(addr uint64, fn int, at uint64) ([]int, *unknown) {
	lost := func(format string, args ...any) ([]int, *unknown) {
		return nil, &unknown{fmt.Sprintf(format, args...), fn, at}
	}
	near := a.around(addr)
	writers := a.directWriters(addr)
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			to, kind := a.survey.ref(r)
			switch {
			case kind == refTaken && (to >= near.from && to < near.behind || near.fromEnd(a, to, i)):
				return lost("read from a variable whose address is taken in %s", a.prog.Name(i))
			case kind == refIndexed && (to >= near.Start && to < max(near.End, near.behind) || near.biased(a, to, i)):
				// Registers are added to it, and they may be negative.
				return lost("read from a variable near to a table that %s writes", a.prog.Name(i))
			}
		}
	}
	if p, ok := a.pointerInto(near.from, near.behind); ok {
		return lost("read from a variable that data at %#x points at", p)
	}
	return writers, nil
}

// A surrounding is what may be one object with a word: from an address in it code
// gets to the word, also from a member behind it (container_of) and from its end.
type surrounding struct {
	image.Range
	// from and behind are the first of the addresses that lead to the word, whoever
	// takes them, and their end.
	from, behind uint64
	// exact says that only addresses of the word itself lead to it.
	exact bool
}

// around returns what may be one object with the word at addr.
func (a *analysis) around(addr uint64) surrounding {
	size := a.prog.WordSize()
	word := image.Range{Start: addr, End: addr + size}
	if w, _ := a.prog.Word(addr); w == a.fcntl() && !a.foreignRead[addr] {
		return surrounding{word, word.Start, word.End, true}
	}
	if a.reach == nil {
		return a.aroundGo(word)
	}
	m := a.reach.native.data
	if m.inTable(addr) {
		return surrounding{word, word.Start, word.End, true}
	}
	s := surrounding{Range: image.Range{Start: m.start(addr), End: m.end(addr)}}
	if start, end := m.object(addr); end != 0 {
		s.Range = image.Range{Start: start, End: end}
	}
	s.from = s.Start
	if s.behind = s.End; !m.shared(s.End) {
		s.behind++
	}
	return s
}

// aroundGo is around in a program of Go alone, where pointers lead no further down than
// to the start of their object. Where no symbol says where that is, it may be anywhere
// before in the segment: variables of Go have any size.
func (a *analysis) aroundGo(word image.Range) surrounding {
	object := image.Range{Start: a.prog.Segment(word.Start).Addr, End: word.End}
	for s := range a.prog.Modules[0].Symbols {
		if s.Kind == image.SymbolObject && s.Addr <= word.Start && word.End <= s.Addr+s.Size {
			object = image.Range{Start: s.Addr, End: s.Addr + s.Size}
			break
		}
	}
	near := image.Range{Start: object.Start - min(object.Start, aliasWindow), End: object.End + aliasWindow}
	return surrounding{near, object.Start, object.End, false}
}

// fromEnd reports that function fn takes the end of the object for its address, to,
// where another starts, too: it reads or writes below an address, or what it calls.
func (s *surrounding) fromEnd(a *analysis, to uint64, fn int) bool {
	if s.exact || to != s.End || s.behind > s.End || a.reach == nil || a.prog.IsGo(fn) {
		return false
	}
	back := func(fn int) bool { return !a.prog.IsGo(fn) && a.reach.native.goesBack(a, fn) }
	return back(fn) || slices.ContainsFunc(a.survey.calls[a.survey.callAt[fn]:a.survey.callAt[fn+1]], func(c uint32) bool { return back(int(c)) })
}

// biased reports that function fn, in which addresses are constants, may mean the
// object by the address to below it: table[i-100].
func (s *surrounding) biased(a *analysis, to uint64, fn int) bool {
	_, fixed := fixedRange(a.prog, fn)
	return fixed && !s.exact && to < s.Start && s.Start-to <= maxBias
}

// directWriters returns the functions that store to the word at addr by its
// address.
func (a *analysis) directWriters(addr uint64) (writers []int) {
	for i := range a.prog.Funcs {
		for _, r := range a.survey.refs[a.survey.refAt[i]:a.survey.refAt[i+1]] {
			if to, kind := a.survey.ref(r); kind == refWritten && to+maxStore > addr && to < addr+a.prog.WordSize() {
				writers = append(writers, i)
			}
		}
	}
	return slices.Compact(writers)
}

// maxStore is the widest store of one instruction, in bytes.
const maxStore = 64

// stores returns what function i stores to the word at addr.
func (a *analysis) stores(i int, addr uint64) value {
	s := a.slicer(i)
	size := a.prog.WordSize()
	out := value{}
	seen := false
	for j := range s.c.insts {
		in := &s.c.insts[j]
		if in.Store == 0 || !fixed(&in.Dst) {
			continue
		}
		to := uint64(in.Dst.Disp)
		seen = seen || to+maxStore > addr && to < addr+size
		switch {
		case to >= addr+size || to+uint64(in.Store) <= addr:
		case to == addr && in.Op == image.OpMov && in.Size >= 4 && in.Size <= 8 && in.Src.Kind != image.OperandVec:
			v := s.query(j, &in.Src, in.Size)
			if cs, ok := v.constants(); ok {
				out = out.join(constants(cs...))
				continue
			}
			return value{why: &unknown{"read from a variable that is set to a computed value", i, in.Addr}}
		default:
			return value{why: &unknown{"read from a variable that is set in parts, or by arithmetic", i, in.Addr}}
		}
	}
	if len(s.c.insts) == 0 {
		return value{why: &unknown{tooLarge, i, s.c.entry}}
	}
	if !seen { // the survey put two instructions together that are not always
		return value{why: &unknown{"read from a variable that is set in an unknown way", i, s.c.entry}}
	}
	return out
}

// query is operand, taken to its fixpoint.
func (s *slicer) query(j int, o *image.Operand, size uint8) value {
	if o.Kind == image.OperandReg && !o.High {
		return s.extend(s.before(j, register(o.Reg)), size, s.why(j, partOfWider))
	}
	if o.Kind == image.OperandImm {
		return s.extend(constants(o.Imm), size, s.why(j, partOfWider))
	}
	return s.lost(j, "the result of arithmetic")
}

// fixed reports that o is memory at a constant address.
func fixed(o *image.Operand) bool {
	return o.Kind == image.OperandMem && (o.Base == image.RegPC || o.Base == image.RegNone) && o.Index == image.RegNone
}

// fcntl returns the number of fcntl, the initial value of fcntl64Syscall.
func (a *analysis) fcntl() uint64 {
	nr, _ := a.prog.ABI.Lookup("fcntl")
	return uint64(nr)
}

// noteRead remembers whether anything but fcntl's own code reads the word at
// addr.
func (a *analysis) noteRead(addr uint64, fn int, at uint64) {
	if !a.ownVariable(fn, at) {
		a.foreignRead[addr] = true
	}
}

// ownVariable reports that the instruction at addr comes from the packages that
// keep the number of fcntl in a variable of its own, never part of a larger
// object: syscall and golang.org/x/sys/unix (fcntl64Syscall), and until Go 1.21
// internal/syscall/unix, read by internal/poll (FcntlSyscall).
func (a *analysis) ownVariable(fn int, addr uint64) bool {
	file, _ := a.prog.Line(fn, addr)
	dir := path.Dir(file)
	for _, std := range [...]string{"syscall", "internal/syscall/unix", "internal/poll"} {
		if dir == std || strings.HasSuffix(dir, "/src/"+std) {
			return true
		}
	}
	i := strings.LastIndex(dir, "golang.org/x/sys")
	return i >= 0 && strings.HasSuffix(dir, "/unix") && strings.Count(dir[i:], "/") == 3
}

// pointerInto finds an aligned word of data that holds an address in [low,
// high).
func (a *analysis) pointerInto(low, high uint64) (at uint64, ok bool) {
	if a.native {
		for _, p := range a.pointers {
			if p.Value-low < high-low {
				return p.Addr, true
			}
		}
		return 0, false
	}
	a.dataWords(low, high)(func(addr, _ uint64) bool {
		at, ok = addr, true
		return false
	})
	return at, ok
}

// resolveBehind resolves what lies behind the pointer in the word at x.n: behind
// each value that is stored to it.
func (a *analysis) resolveBehind(x atom, at *link) {
	addr := uint64(x.n)
	k := demandKey{-1, x}
	a.ways[k] = append(a.ways[k], at)
	if a.demand[k] {
		return // asked already
	}
	a.demand[k] = true
	repeats := a.repeats(at, x)
	writers, lost := a.writers(addr, at.fn, at.addr)
	switch {
	case lost != nil && repeats:
		writers = a.directWriters(addr)
	case lost != nil:
		a.lose(at, *lost)
		return
	}
	w, ok := a.prog.Word(addr)
	if !ok {
		a.lose(at, unknown{reason: "read through a pointer outside the program"})
		return
	}
	if w != 0 {
		a.resolve(a.word(w+uint64(x.off), at.fn, at.addr).narrow(x, &unknown{partOfWider, at.fn, at.addr}), at)
	}
	for _, i := range writers {
		if !a.reached(i) {
			continue
		}
		s := a.slicer(i)
		for j := range s.c.insts {
			in := &s.c.insts[j]
			if in.Store == 0 || !fixed(&in.Dst) {
				continue
			}
			to := uint64(in.Dst.Disp)
			step := &link{s.c.fn, in.Addr, at}
			switch {
			case to >= addr+a.prog.WordSize() || to+uint64(in.Store) <= addr:
			case to == addr && in.Op == image.OpMov && uint64(in.Size) == a.prog.WordSize() && in.Src.Kind == image.OperandReg:
				p := s.before(j, register(in.Src.Reg))
				if _, ok := p.constants(); !ok && !repeats {
					a.lose(step, unknown{reason: "read through a pointer in a variable, and it may have changed there since"})
					continue
				}
				v := s.behind(j, p, x)
				if repeats {
					v = v.mapEach(nil, func(x atom) (atom, bool) { x.since = unchanged; return x, true })
				}
				a.resolve(v, step)
			case to == addr && in.Op == image.OpMov && in.Src.Kind == image.OperandImm && in.Src.Imm == 0:
			default:
				a.lose(step, unknown{reason: "read through a pointer that is set in an unknown way"})
			}
		}
	}
}
