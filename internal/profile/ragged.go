package profile

import (
	"bytes"
	"iter"
	"maps"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// Functions of native code that are not all code, as assembly with tables among
// its instructions, are ragged: they do not decode from the first byte to the
// last, or hide the bytes of a system call inside of instructions. What the sweep
// says about them is worth nothing. They are followed from where control enters
// them, instead. So are functions of which an address inside an instruction is taken.

// A ragged function, as far as it was followed.
type ragged struct {
	insts []image.Inst // ascending
	// open says that a jump in it is not resolved: then there may be more.
	open bool
	// found is what the instructions lead to.
	found *survey
	sites []site
}

// maxRaggedRounds bounds how often ragged functions that jump into each other are
// followed again.
const maxRaggedRounds = 4

// findRagged finds and follows the ragged functions, and takes what the sweep
// made of them out of the survey.
func (a *analysis) findRagged() {
	s := a.survey
	a.ragged = map[int]*ragged{}
	for _, list := range [...][]int{s.unclear, s.unfollowed, s.overlapping} {
		for _, fn := range list {
			if !isGo(a.prog, fn) {
				a.ragged[fn] = nil
			}
		}
	}
	for _, fn := range a.split() {
		a.ragged[fn] = nil
	}
	if len(a.ragged) == 0 {
		return
	}
	isRagged := func(fn int) bool { _, ok := a.ragged[fn]; return ok }
	drop := func(c crossing) bool { return isRagged(c.fn) }
	s.strays, s.wild = slices.DeleteFunc(s.strays, drop), slices.DeleteFunc(s.wild, drop)
	s.sites = slices.DeleteFunc(s.sites, func(x site) bool { return isRagged(x.fn) })
	// Where control enters them for certain, and where perhaps: what an address is
	// taken of may be a table.
	sure, perhaps := map[int]map[uint64]bool{}, map[int]map[uint64]bool{}
	enter := func(m map[int]map[uint64]bool, addr uint64) bool {
		fn, ok := a.prog.Find(addr)
		if !ok || !isRagged(fn) || m[fn][addr] {
			return false
		}
		if m[fn] == nil {
			m[fn] = map[uint64]bool{}
		}
		m[fn][addr] = true
		return true
	}
	for fn := range a.prog.Funcs {
		if isRagged(fn) {
			continue
		}
		for _, c := range s.calls[s.callAt[fn]:s.callAt[fn+1]] {
			if isRagged(int(c)) {
				enter(sure, a.entry(int(c)))
			}
		}
		for _, r := range s.refs[s.refAt[fn]:s.refAt[fn+1]] {
			if addr, kind := s.ref(r); kind == refTaken {
				enter(perhaps, addr)
			}
		}
	}
	for _, c := range s.strays {
		enter(sure, c.target)
	}
	for _, r := range a.roots() {
		enter(sure, r.addr)
	}
	for fn := range a.ragged {
		if len(a.prog.Depths(fn)) > 0 { // a compiler, or an assembler, says that it is code
			enter(sure, a.entry(fn))
		}
	}
	for _, m := range a.prog.Modules {
		for x := range m.Symbols {
			if x.Kind == image.SymbolFunc || x.Kind == image.SymbolResolver {
				enter(sure, x.Addr)
			}
		}
	}
	for _, p := range a.pointers {
		enter(perhaps, p.Value)
	}
	for range maxRaggedRounds {
		again := false
		for _, fn := range slices.Sorted(maps.Keys(a.ragged)) {
			if r := a.ragged[fn]; r != nil && len(sure[fn])+len(perhaps[fn]) == 0 {
				continue
			}
			r := a.follow(fn, slices.Sorted(maps.Keys(sure[fn])), slices.Sorted(maps.Keys(perhaps[fn])))
			a.ragged[fn] = r
			for _, c := range r.found.calls {
				again = enter(sure, a.entry(int(c))) || again
			}
			for _, c := range r.found.strays {
				again = enter(sure, c.target) || again
			}
			for _, x := range r.found.refs {
				if addr, kind := s.ref(x); kind == refTaken {
					again = enter(perhaps, addr) || again
				}
			}
		}
		if !again {
			break
		}
	}
	for _, fn := range slices.Sorted(maps.Keys(a.ragged)) {
		r := a.ragged[fn]
		s.sites = append(s.sites, r.sites...)
		s.strays = append(s.strays, r.found.strays...)
		s.wild = append(s.wild, r.found.wild...)
		for _, callee := range r.found.calls {
			a.moreCallers[int(callee)] = append(a.moreCallers[int(callee)], fn)
		}
	}
}

// syscallBytes are those of SYSCALL.
var syscallBytes = []byte{0x0f, 0x05}

// split returns the native functions of which code takes, or data holds, an address
// inside an instruction: the bytes there may be two.
func (a *analysis) split() (out []int) {
	if a.prog.ABI != abi.AMD64 {
		return nil // addresses that are put together of pieces may be none, or have no inside
	}
	inside := map[int][]uint64{}
	note := func(addr uint64) {
		if fn, ok := a.prog.Find(addr); ok && !isGo(a.prog, fn) && a.entry(fn) != addr {
			inside[fn] = append(inside[fn], addr)
		}
	}
	// Of other modules neither code nor data that is not relocated knows the addresses:
	// what looks like one is a number, which where programs lie at low addresses many
	// do. Nor are those that are made of pieces certain enough.
	for fn := range a.prog.Funcs {
		if isGo(a.prog, fn) || alwaysPieced(a.prog, fn) {
			continue
		}
		for _, r := range a.survey.refs[a.survey.refAt[fn]:a.survey.refAt[fn+1]] {
			if addr, kind := a.survey.ref(r); kind == refTaken {
				if to, ok := a.prog.Find(addr); ok && a.prog.Module(to) == a.prog.Module(fn) {
					note(addr)
				}
			}
		}
	}
	for _, p := range a.pointers {
		to, ok := a.prog.Find(p.Value)
		if m := a.prog.ModuleAt(p.Addr); ok && m != nil && (!m.Fixed() || m == a.prog.Module(to)) {
			note(p.Value)
		}
	}
	for fn, addrs := range inside {
		// In programs at fixed addresses numbers look like addresses: only what has the
		// bytes of a system call in it is worth another look.
		if _, code := a.prog.Code(fn); a.prog.Module(fn).Fixed() && !bytes.Contains(code, syscallBytes) {
			continue
		}
		slices.Sort(addrs)
		for in := range a.prog.Walk(fn) {
			for len(addrs) > 0 && addrs[0] <= in.Addr {
				addrs = addrs[1:]
			}
			if len(addrs) > 0 && addrs[0] < in.Addr+uint64(in.Len) {
				out = append(out, fn)
				break
			}
		}
	}
	slices.Sort(out)
	return out
}

// follow decodes function fn from where control enters it.
func (a *analysis) follow(fn int, sure, perhaps []uint64) *ragged {
	addr, text := a.prog.Code(fn)
	c := &code{a: a, fn: fn, native: true, convention: conventionOf(a.prog, fn), parts: []part{{from: addr, to: addr + uint64(len(text))}}}
	r := &ragged{found: &survey{base: a.survey.base}}
	seen := map[uint64]image.Inst{}
	c.descend(seen, sure)
	seen = c.try(seen, perhaps)
	c.list(seen)
	r.insts = c.insts
	_, absolute := fixedRange(a.prog, fn)
	for i := range r.insts {
		in := r.insts[i]
		to := targetOf(a.prog, &in)
		switch {
		case in.Op == image.OpSyscall || in.Op == image.OpInt80 || in.Op == image.OpSysenter:
			r.sites = append(r.sites, site{fn, in.Addr, in.Op})
		case to != 0:
			if to < addr || to >= addr+uint64(len(text)) || in.Op == image.OpCall || in.Op == image.OpCallInd {
				in.Target = to
				r.found.transfer(a.prog, fn, &in)
			}
			continue
		case in.Op == image.OpJmpInd && len(c.tableTargets(i)) == 0:
			r.open = true
		}
		r.found.nativeReference(a.prog, &in, &in.Dst, in.Store > 0, absolute)
		r.found.nativeReference(a.prog, &in, &in.Src, in.Op == image.OpXchg || in.StoreAny, absolute)
	}
	return r
}

// try returns the instructions seen and those that control reaches from the given
// addresses, as far as they are instructions. Mostly they all are.
func (c *code) try(seen map[uint64]image.Inst, from []uint64) map[uint64]image.Inst {
	from = slices.DeleteFunc(slices.Clone(from), func(at uint64) bool { _, done := seen[at]; return done })
	if len(from) == 0 {
		return seen
	}
	if more := maps.Clone(seen); c.descend(more, from) {
		return more
	}
	if len(from) == 1 {
		return seen
	}
	half := len(from) / 2
	return c.try(c.try(seen, from[:half]), from[half:])
}

// descend adds to the instructions seen those that control reaches from the given
// addresses. It reports that all of them are instructions.
func (c *code) descend(seen map[uint64]image.Inst, from []uint64) (clean bool) {
	clean = true
	for work := slices.Clone(from); ; {
		known := len(seen)
		for len(work) > 0 {
			at := work[len(work)-1]
			work = work[:len(work)-1]
			for c.holds(at) {
				if _, done := seen[at]; done {
					break
				}
				in := c.a.prog.Decode(c.a.prog.Bytes(at)[:c.parts[0].to-at], at)
				seen[at] = in
				if in.Target != 0 && in.Op != image.OpCall {
					work = append(work, in.Target)
				}
				if in.Target != 0 && (!c.a.executable(in.Target) || c.a.prog.ModuleAt(in.Target) != c.a.prog.Module(c.fn)) {
					clean = false // no module knows where others lie
				}
				if in.Op == image.OpBad {
					clean = false
					break
				}
				if ends(&in) {
					break
				}
				at += uint64(in.Len)
			}
		}
		if len(seen) == known {
			return clean
		}
		c.list(seen)
		for i := range c.insts { // a jump may lead further than was known before
			if c.insts[i].Op == image.OpJmpInd {
				work = append(work, c.tableTargets(i)...)
			}
		}
	}
}

// list makes the instructions seen those of the function.
func (c *code) list(seen map[uint64]image.Inst) {
	addrs := slices.AppendSeq(make([]uint64, 0, len(seen)), maps.Keys(seen))
	slices.Sort(addrs)
	c.insts = make([]image.Inst, len(addrs))
	for i, at := range addrs {
		c.insts[i] = seen[at]
	}
	c.parts[0].end = len(c.insts)
}

// instructions returns the instructions of function fn.
func (a *analysis) instructions(fn int) []image.Inst {
	if r := a.ragged[fn]; r != nil {
		return r.insts
	}
	return a.prog.Instructions(fn)
}

// walk yields what instructions returns, each valid until the next.
func (a *analysis) walk(fn int) iter.Seq[*image.Inst] {
	r := a.ragged[fn]
	if r == nil {
		return a.prog.Walk(fn)
	}
	return func(yield func(*image.Inst) bool) {
		for k := range r.insts {
			if !yield(&r.insts[k]) {
				return
			}
		}
	}
}

// callers returns the functions that call or jump to function g.
func (a *analysis) callers(g int) []int {
	all := a.survey.callers(g)
	if len(a.ragged) == 0 {
		return all
	}
	all = slices.DeleteFunc(slices.Clone(all), func(fn int) bool { return a.ragged[fn] != nil })
	all = append(all, a.moreCallers[g]...)
	slices.Sort(all)
	return slices.Compact(all)
}
