package profile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
)

const (
	// maxChains bounds the ways of one call's number that arguments are followed
	// on; what exceeds it is not known.
	maxChains = 4000
	// maxValues bounds the constants that an argument may be, so that a filter
	// stays small.
	maxValues = 24
	// knownBits are the bits of a value that value flow keeps.
	knownBits = 0xffffffff
)

// wantsArg reports that an argument says what a call does, and so is worth a
// condition: flags, operations and families, and signals.
func wantsArg(a abi.Arg) bool { return a.Kind == abi.Flags || a.Kind == abi.Signal }

// argumentsOf returns the registers in which the kernel takes arguments.
func argumentsOf(on abi.ABI) []image.Reg {
	switch on {
	case abi.AMD64:
		return []image.Reg{image.RDI, image.RSI, image.RDX, image.R10, image.R8, image.R9}
	case abi.I386:
		return []image.Reg{image.RBX, image.RCX, image.RDX, image.RSI, image.RDI, image.RBP}
	case abi.ARM64, abi.ARM:
		return []image.Reg{0, 1, 2, 3, 4, 5}
	case abi.RISCV64: // A0 to A5
		return []image.Reg{10, 11, 12, 13, 14, 15}
	}
	return nil
}

// An argFinder finds what calls get as arguments: it follows each on the way that
// the number took, from the instruction back to where the number is chosen, and
// from there to all callers.
type argFinder struct {
	a *analysis // with slicers and a budget of its own
	// others are, of the link where a parameter was first asked for, the further
	// places in the same function that need it.
	others map[*link][]*link
	// chainsLeft is how many ways more may be followed.
	chainsLeft int
}

func (a *analysis) newArgFinder() *argFinder {
	b := *a
	b.forget()
	b.slicers, b.variables, b.steps, b.decoded = map[int]*slicer{}, map[uint64]value{}, 0, 0
	b.following = &following{results: map[resultKey]value{}, values: map[int][]valueCall{}}
	f := &argFinder{a: &b, others: map[*link][]*link{}}
	for _, links := range a.ways {
		f.others[links[0]] = append(f.others[links[0]], links[1:]...)
	}
	return f
}

// collectArgs adds to each call what is known of its arguments.
func (r *Result) collectArgs(a *analysis) {
	f := a.newArgFinder()
	if r.Build.Version != "" {
		r.Set.Assumptions = append(r.Set.Assumptions, "packages net and internal/poll are the published ones")
	}
	for i := range r.Set.Calls {
		c := &r.Set.Calls[i]
		args, _ := r.Set.ABI.Args(c.NR)
		for k, arg := range args {
			if k >= len(argumentsOf(r.Set.ABI)) || !wantsArg(arg) {
				continue
			}
			known, why := f.argument(a.numbers[c.NR], k, arg.Mask)
			if why != "" {
				c.Open = append(c.Open, observe.OpenArg{Index: k, Name: arg.Name, Why: why})
				continue
			}
			known.Index, known.Name = k, arg.Name
			c.Args = append(c.Args, known)
		}
	}
}

// argument returns what argument k is wherever one of the links makes its call;
// why says what keeps it from being known.
func (f *argFinder) argument(links []*link, k int, mask uint64) (known observe.Arg, why string) {
	b := f.a
	b.forget()
	f.chainsLeft = maxChains
	for _, l := range links {
		if why = f.follow(l, k); why != "" || len(b.lost) > 0 {
			break
		}
	}
	if why == "" && len(b.lost) == 0 {
		b.meetAll(func(int, int) {})
	}
	switch {
	case why != "":
		return known, why
	case len(b.lost) > 0:
		return known, b.describe(b.lost[0])
	case len(b.numbers) == 0 || len(b.numbers) > maxValues:
		return known, fmt.Sprintf("%d values", len(b.numbers))
	}
	known.Mask = mask & knownBits
	for n, at := range b.numbers {
		known.Values = append(known.Values, observe.ArgValue{N: uint64(n) & mask, Sites: b.places(at)})
	}
	slices.SortFunc(known.Values, func(a, b observe.ArgValue) int { return cmp.Compare(a.N, b.N) })
	// Values that differ only where the kernel does not look are one.
	for i := len(known.Values) - 1; i > 0; i-- {
		if v, w := &known.Values[i-1], known.Values[i]; v.N == w.N {
			v.Sites = append(v.Sites, w.Sites...)
			slices.Sort(v.Sites)
			v.Sites = slices.Compact(v.Sites)
			known.Values = slices.Delete(known.Values, i, i+1)
		}
	}
	return known, ""
}

// follow takes apart what argument k is where l makes its call, until it is lost; why
// says what keeps it from being known besides.
func (f *argFinder) follow(l *link, k int) (why string) {
	b := f.a
	f.chains([]*link{l}, func(frames []*link) bool {
		if f.chainsLeft--; f.chainsLeft < 0 {
			b.lose(l, unknown{reason: overBudget})
			return false
		}
		if why = f.repeated(frames); why != "" {
			return false
		}
		site := frames[len(frames)-1]
		s := b.slicer(site.fn)
		i := s.c.at(site.addr)
		if i < 0 {
			b.lose(site, unknown{reason: tooLarge})
			return false
		}
		b.passed(frames, s.before(i, register(argumentsOf(b.prog.ABI)[k])))
		return len(b.lost) == 0
	})
	return why
}

// chains yields the ways on which a number goes from frames, whose last link is
// not complete, to system-call instructions. A way that returns to where it was
// is yielded as it is: its last link has a next one.
func (f *argFinder) chains(frames []*link, yield func([]*link) bool) bool {
	next := frames[len(frames)-1].next
	if next == nil {
		return yield(frames)
	}
	for _, l := range append([]*link{next}, f.others[next]...) {
		if slices.Contains(frames, l) {
			if !yield(append(slices.Clip(frames), l)) {
				return false
			}
			continue
		}
		if !f.chains(append(slices.Clip(frames), l), yield) {
			return false
		}
	}
	return true
}

// repeated says why a call on the way of frames gets more than what is passed on
// it.
func (f *argFinder) repeated(frames []*link) string {
	if last := frames[len(frames)-1]; last.next != nil {
		return "passed on in a loop of calls, in " + f.a.place(last.fn, last.addr)
	}
	for _, l := range frames {
		name := f.a.prog.Name(l.fn)
		for _, m := range models {
			if name == m.source {
				return fmt.Sprintf("%s repeats the call on all threads", m.site)
			}
		}
	}
	return ""
}

// passed takes apart the value v of an argument at the last of frames.
func (b *analysis) passed(frames []*link, v value) {
	n := len(frames) - 1
	at := frames[n]
	if v.why != nil || len(v.atoms) == 0 {
		b.resolve(v, at)
		return
	}
	for _, x := range v.atoms {
		if n == 0 || !x.fromCaller() {
			b.resolve(exactly(x), at)
			continue
		}
		caller := frames[n-1]
		s := b.slicer(caller.fn)
		i := s.c.at(caller.addr)
		if i < 0 {
			b.lose(caller, unknown{reason: tooLarge})
			continue
		}
		op, to := s.c.insts[i].Op, s.c.targetOf(i)
		switch direct := to == 0 || to == b.entry(at.fn); {
		case direct && (op == image.OpCall || op == image.OpCallInd):
			b.passed(frames[:n], s.passed(i, x, s.c.pushed))
		case direct && (op == image.OpJmp || op == image.OpJcc || op == image.OpJmpInd):
			b.passed(frames[:n], s.passed(i, x, 0))
		default: // the number came through memory: any caller may be meant
			b.resolve(exactly(x), at)
		}
	}
}

// fromCaller reports that an atom is what the caller of the function makes it.
func (x atom) fromCaller() bool {
	switch x.kind {
	case parameter, stacked, behind, behindStacked:
		return x.since == unchanged
	}
	return false
}

// describe says what is not known, and where.
func (a *analysis) describe(l lostSite) string {
	return l.why.reason + ", in " + a.place(l.why.fn, l.why.at)
}

// places returns the places of links as lines, each once.
func (a *analysis) places(links []*link) []string {
	set := map[string]bool{}
	for _, l := range links {
		set[a.place(l.fn, l.addr)] = true
	}
	return slices.Sorted(maps.Keys(set))
}
