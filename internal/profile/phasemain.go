package profile

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// maxFrames bounds the functions that are looked at between a program's entry and its
// main.
const maxFrames = 40

// findMain finds the program's main, which its entry hands to the C library's start,
// and the calls that have not come back when main is entered. Where the entry's own
// file has the start, too, it may have no name; then it is a function that gets
// exactly one function of the program as its first argument.
func (a *analysis) findMain() (main int, frames []*link, ok bool) {
	var starts []int
	for _, f := range startMain {
		for _, s := range a.lookup(f.function) {
			if fn, ok := a.entryOf(s.Addr); ok && a.reached(fn) {
				starts = append(starts, fn)
			}
		}
	}
	for _, fn := range append(starts, a.calledAtEntry()...) {
		found, lost := a.askFirst(fn)
		if len(found) != 1 || len(lost) > 0 {
			continue
		}
		for addr, links := range found {
			if main, ok = a.entryOf(uint64(addr)); !ok || a.prog.Module(main) != a.prog.Modules[0] {
				ok = false
				continue
			}
			for _, l := range links {
				for ; l.next != nil; l = l.next {
					frames = append(frames, l)
				}
			}
			return main, append(frames, a.framesOf(fn)...), true
		}
	}
	return 0, nil, false
}

// calledAtEntry returns the functions that only the program's entry calls, and those
// that only one of these does.
func (a *analysis) calledAtEntry() (out []int) {
	entry, _ := a.entryOf(a.prog.File.Entry)
	todo := []int{entry}
	for range 2 {
		var next []int
		for _, by := range todo {
			s := a.slicer(by)
			for k := range s.c.insts {
				if fn, ok := a.entryOf(s.c.targetOf(k)); ok && len(a.callers(fn)) == 1 && !slices.Contains(out, fn) {
					next = append(next, fn)
				}
			}
		}
		todo = next
		out = append(out, next...)
	}
	return out
}

// askFirst returns the constants that callers pass as the first argument of fn.
func (a *analysis) askFirst(fn int) (found map[uint32][]*link, lost []lostSite) {
	return a.askAll([]demand{{demandKey{fn, a.argument(0)}, &link{fn: fn, addr: a.entry(fn)}}})
}

// framesOf returns the calls through which main gets from the first argument of
// function fn to where it is called. Where the way is lost, all of the function counts:
// a frame at its entry.
func (a *analysis) framesOf(fn int) []*link {
	// The C library's start keeps main beside structures of its own, below which it does
	// not write.
	b := *a
	b.slicers, b.upwards = map[int]*slicer{}, true
	defer func() { a.steps, a.decoded = b.steps, b.decoded }()
	f := &frameFinder{a: &b}
	// On 386 it is on the stack, and not followed.
	for ; a.prog.ABI != abi.I386 && f.guess <= guessAny && len(f.found) == 0; f.guess++ {
		f.seen = map[demandKey]bool{}
		f.follow(fn, argumentRegisters[a.prog.ABI][0])
	}
	if len(f.found) == 0 {
		return []*link{{fn: a.whole(fn), addr: a.entry(fn)}}
	}
	return f.found
}

// A frameFinder looks for the frames of main.
type frameFinder struct {
	a     *analysis
	seen  map[demandKey]bool
	found []*link
	guess int
}

// Which calls with targets that are not known are taken for that of main: none; those
// of functions that call setjmp, behind which values are lost, as glibc's; all.
const (
	_ = iota
	guessTwice
	guessAny
)

// follow notes the calls of register r of function fn, and those by which others
// come to call it, and reports whether there are any.
func (f *frameFinder) follow(fn int, r image.Reg) (calls bool) {
	a := f.a
	main := atom{kind: parameter, reg: r}
	if k := (demandKey{fn, main}); f.seen[k] || len(f.seen) == maxFrames {
		return false
	} else {
		f.seen[k] = true
	}
	s := a.slicer(fn)
	guess := f.guess == guessAny || f.guess == guessTwice && slices.ContainsFunc(s.c.insts, func(in image.Inst) bool {
		return in.Op == image.OpCall && a.returnsTwice(in.Target)
	})
	for i := range s.c.insts {
		in := &s.c.insts[i]
		if !s.c.leaves(in) || in.Op == image.OpRet || in.Op == image.OpJcc {
			continue
		}
		to := []int64{int64(s.c.targetOf(i))}
		here := false
		if to[0] == 0 {
			v := s.query(i, &in.Src, uint8(s.c.word))
			here = v.has(main) || guess && v.why != nil
			to, _ = a.calls(s, i)
		}
		for _, addr := range to {
			callee, ok := a.entryOf(uint64(addr))
			if !ok || a.whole(callee) == s.c.fn {
				continue
			}
			for _, r := range argumentRegisters[a.prog.ABI] {
				here = s.before(i, register(r)).has(main) && f.follow(callee, r) || here
			}
		}
		if here {
			f.found = append(f.found, &link{fn: s.c.fn, addr: in.Addr})
			calls = true
		}
	}
	return calls
}

// goesOn relaxes what the function of a frame leads to behind the call, also where it
// comes back a second time to another (setjmp).
func (g *graph) goesOn(frame *link) {
	a := g.a
	c := a.slicer(frame.fn).c
	if frame.addr == c.entry || len(c.insts) == 0 {
		g.relax(int32(frame.fn), noNode, costRuntime)
		return
	}
	next := make([][]int, len(c.blocks))
	for b := range c.blocks {
		for _, p := range c.blocks[b].preds {
			next[p] = append(next[p], b)
		}
	}
	seen := make([]bool, len(c.blocks))
	var todo []int
	var calls []uint32
	found := &survey{base: a.survey.base}
	_, absolute := fixedRange(a.prog, frame.fn)
	look := func(from, end int) {
		for i := from; i < end; i++ {
			found.nativeOperands(a.prog, &c.insts[i], absolute)
			g.native.late[c.insts[i].Addr] = true
			if fn, ok := a.prog.Find(c.targetOf(i)); ok {
				calls = append(calls, uint32(fn))
			}
		}
	}
	for i := range c.insts {
		in := &c.insts[i]
		if in.Addr != frame.addr && (in.Op != image.OpCall || !a.returnsTwice(c.targetOf(i))) {
			continue
		}
		if to := c.targetOf(i); to != 0 && !a.returns(to) {
			continue
		}
		b := c.block(i)
		look(i+1, c.blocks[b].end)
		todo = append(todo, next[b]...)
		if k := c.behind(i); k >= 0 && c.block(k) != b {
			todo = append(todo, c.block(k)) // it comes back after all
		}
	}
	for len(todo) > 0 {
		b := todo[0]
		if todo = todo[1:]; seen[b] {
			continue
		}
		seen[b] = true
		look(c.blocks[b].start, c.blocks[b].end)
		todo = append(todo, next[b]...)
	}
	for _, part := range a.partsOf(frame.fn) {
		if pieced(a.prog, part) { // an address is made by several instructions
			found.refs = append(found.refs, a.survey.refs[a.survey.refAt[part]:a.survey.refAt[part+1]]...)
		}
	}
	g.nativeEdges(noNode, costRuntime, frame.fn, calls, found.refs)
}
