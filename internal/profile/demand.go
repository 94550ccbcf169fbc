package profile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// A link is one step of the way that a number takes to its site: in function
// fn, at addr, it is passed to next; a link without next is a site.
type link struct {
	fn   int
	addr uint64
	next *link
}

// site returns the link at the end.
func (l *link) site() *link {
	for l.next != nil {
		l = l.next
	}
	return l
}

// A demandKey is what a function needs to know from all its callers: the value
// of a parameter.
type demandKey struct {
	fn int
	a  atom
}

type demand struct {
	demandKey
	to *link
}

// A lostSite is where a number could not be followed further.
type lostSite struct {
	at  *link
	why unknown
	// opens says that it is the name of a library that is not known.
	opens bool
}

// resolveAll finds the numbers of all sites, and through demands on the callers
// of wrappers those of the calls that lead to them.
func (a *analysis) resolveAll(progress func(done, total int)) {
	before := slices.Clone(a.lost)
	a.resolveSites(progress)
	if !slices.ContainsFunc(a.lost[len(before):], a.lostResult) {
		return
	}
	// Only now results are followed: what else is asked of values takes them for
	// unknown where a call returns them.
	a.forget()
	a.lost, a.dead = before, 0
	a.variables, a.steps, a.decoded = map[uint64]value{}, 0, 0
	a.following = &following{results: map[resultKey]value{}}
	a.slicers = map[int]*slicer{}
	a.resolveSites(progress)
	a.following = nil
	a.slicers = map[int]*slicer{}
}

// lostResult reports that a number was lost as the result of a function of Go.
func (a *analysis) lostResult(l lostSite) bool {
	return a.prog.IsGo(l.why.fn) && strings.HasPrefix(l.why.reason, resultOf)
}

// resolveSites finds the numbers that all sites can have.
func (a *analysis) resolveSites(progress func(done, total int)) {
	for i, s := range a.survey.sites {
		progress(i, len(a.survey.sites))
		if !a.reached(s.fn) {
			a.dead++
			continue
		}
		a.site(s)
	}
	a.meetAll(progress)
	a.askSources()
	a.meetAll(progress)
	a.unclearCode()
	a.settleByName()
}

// meetAll asks for all parameters, and those that the answers ask for.
func (a *analysis) meetAll(progress func(done, total int)) {
	for ; a.met < len(a.demands); a.met++ {
		progress(a.met, len(a.demands))
		if a.met >= maxDemands {
			a.lose(a.demands[a.met].to, unknown{reason: overBudget})
			continue
		}
		a.meet(a.demands[a.met])
	}
}

func (a *analysis) site(s site) {
	at := &link{fn: a.whole(s.fn), addr: s.addr}
	// In 32-bit code all of them take a 386 number in EAX.
	if s.op != image.OpSyscall && a.prog.ABI == abi.AMD64 {
		a.lose(at, unknown{reason: "a 32-bit system call (int 0x80 or sysenter) of the 386 ABI, which an amd64 profile cannot name", fn: s.fn, at: s.addr})
		return
	}
	sl := a.slicer(s.fn)
	i := sl.c.at(s.addr)
	if i < 0 {
		a.lose(at, unknown{reason: tooLarge, fn: s.fn, at: s.addr})
		return
	}
	a.resolve(sl.before(i, register(sl.c.number)), at)
}

func (a *analysis) lose(at *link, why unknown) {
	if why.at == 0 {
		why.fn, why.at = at.fn, at.addr
	}
	if len(a.lost) == maxLost {
		a.unlisted++
		return
	}
	a.lost = append(a.lost, lostSite{at: at, why: why})
}

// resolve takes the value of a number at a link apart.
func (a *analysis) resolve(v value, at *link) {
	if v.why != nil {
		a.lose(at, *v.why)
		return
	}
	if len(v.atoms) == 0 {
		a.lose(at, unknown{reason: noWay})
	}
	for _, x := range v.atoms {
		if x.since == perhaps && !a.repeats(at, x) {
			a.lose(at, unknown{reason: "read through a pointer, and other code may have written there before"})
			continue
		}
		switch x.kind {
		case constant:
			if nr := uint32(x.n); a.made(at.fn, nr) {
				a.numbers[nr] = append(a.numbers[nr], at)
			}
		case parameter, stacked, behind, behindStacked:
			if a.reach == nil && !isGo(a.prog, at.fn) {
				// Its data is not relocated: who takes the function's address is not known.
				a.lose(at, unknown{reason: "a parameter of a function that is not Go"})
				continue
			}
			a.demandFrom(x, at)
		case global:
			a.resolve(a.word(uint64(x.n), at.fn, at.addr).narrow(x, &unknown{partOfWider, at.fn, at.addr}), at)
		case behindGlobal:
			a.resolveBehind(x, at)
		case frame:
			a.lose(at, unknown{reason: "an address as number", fn: at.fn, at: at.addr})
		}
	}
}

// demandFrom notes that the callers of the function at a link are to be asked for its
// parameter x.
func (a *analysis) demandFrom(x atom, at *link) {
	k := demandKey{at.fn, x}
	a.ways[k] = append(a.ways[k], at)
	if !a.demand[k] {
		a.demand[k], a.asked[at.fn] = true, true
		a.demands = append(a.demands, demand{k, at})
	}
}

// meet asks all callers of a function for a parameter.
func (a *analysis) meet(d demand) {
	entry := a.entry(d.fn)
	found := false
	done := map[int]bool{}
	for _, caller := range a.callers(d.fn) {
		caller = a.whole(caller)
		if done[caller] || !a.reached(caller) {
			continue
		}
		done[caller] = true
		s := a.slicer(caller)
		for i := range s.c.insts {
			in := &s.c.insts[i]
			if s.c.targetOf(i) != entry {
				continue
			}
			var up int64 // what the call pushes
			switch in.Op {
			case image.OpCall, image.OpCallInd:
				up = s.c.pushed
			case image.OpJmp, image.OpJcc, image.OpJmpInd:
				if caller == d.fn {
					continue // a loop: part of the function's own flow
				}
			default:
				continue
			}
			found = true
			a.resolve(s.passed(i, d.a, up), &link{caller, in.Addr, d.to})
		}
		if len(s.c.insts) == 0 {
			a.lose(&link{caller, s.c.entry, d.to}, unknown{reason: tooLarge})
		}
	}
	if m := a.tableOnly(d.fn); m != nil && a.meetComputed(d, m) {
		a.tables[m] = true
		return
	}
	if a.meetContext(d) || a.meetHeld(d) || a.isSysinfo(d.fn, d.a) {
		return
	}
	if by := a.takenBy(d.fn); by != "" && !a.meetValues(d) {
		a.lose(d.to, unknown{reason: fmt.Sprintf("the number is a parameter of %s, whose address is taken %s: it may be called with any number", a.prog.Name(d.fn), by)})
		return
	}
	if d.fn > 0 && a.reached(d.fn-1) && a.whole(d.fn-1) != d.fn && a.fallsThrough(d.fn-1) {
		a.lose(d.to, unknown{reason: fmt.Sprintf("the number is a parameter of %s, which %s runs into", a.prog.Name(d.fn), a.prog.Name(d.fn-1))})
		return
	}
	if !found && a.takenBy(d.fn) == "" && !a.trampoline(d.fn) {
		a.lose(d.to, unknown{reason: fmt.Sprintf("the number is a parameter of %s, which nothing is known to call", a.prog.Name(d.fn))})
	}
}

// trampoline reports that function fn is one that the linker put between a
// branch and a function too far for it: a jump, and what makes its address. The
// linker makes them on suspicion and keeps those that nothing came to need.
func (a *analysis) trampoline(fn int) bool {
	if !strings.Contains(a.prog.Name(fn), "-tramp") {
		return false
	}
	jumps := 0
	for _, in := range a.slicer(fn).c.insts {
		switch in.Op {
		case image.OpJmp:
			jumps++
		case image.OpPage, image.OpMov, image.OpTrap, image.OpNop:
		default:
			return false
		}
	}
	return jumps == 1
}

// passed returns the argument that instruction i, a call or jump to a function,
// passes as its parameter x; up is the size of the return address it pushes.
func (s *slicer) passed(i int, x atom, up int64) value {
	loc := register(x.reg)
	if x.kind == stacked || x.kind == behindStacked {
		if !s.c.exact || s.c.depth[i] == noDepth {
			return s.lost(i, "passed on a stack whose depth is not known")
		}
		size := x.size()
		if x.kind == behindStacked {
			size = uint8(s.c.word)
		}
		loc = slot(x.n-up-s.c.depth[i], size)
	}
	if x.kind == behind || x.kind == behindStacked {
		return s.behind(i, s.before(i, loc), x)
	}
	return s.before(i, loc).narrow(x, s.why(i, partOfWider))
}

// fallsThrough reports that control can run off the end of function fn. A call
// at its end does not come back: the compiler would go on behind it.
func (a *analysis) fallsThrough(fn int) bool {
	r := a.ragged[fn]
	if r == nil {
		_, falls := slices.BinarySearch(a.survey.falls, fn)
		return falls
	}
	last := image.OpNop
	for k := range r.insts {
		last = lastOp(last, &r.insts[k])
	}
	return !terminal(last)
}
