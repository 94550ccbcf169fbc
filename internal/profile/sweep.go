package profile

import (
	"errors"
	"iter"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// A site is one instruction that enters the kernel.
type site struct {
	fn   int
	addr uint64
	op   image.Op
}

// A crossing is a jump or call from function fn to an address that is no
// function's entry.
type crossing struct {
	fn     int
	target uint64
	jump   bool // not a call
}

// A refKind says what an instruction does with an address.
type refKind uint32

const (
	refTaken refKind = iota // the address itself goes into a register or into memory
	refRead                 // also with registers added
	refWritten
	refIndexed // registers are added to the address before it is written or taken
	refShift   = 30
	refMask    = 1<<refShift - 1
)

// A survey is what one pass over the code of a program finds. Offsets count
// from the image's base. No instruction is kept: a later stage decodes again
// the few functions that it asks about.
type survey struct {
	base  uint64
	sites []site
	// The callees of function i are calls[callAt[i]:callAt[i+1]]: functions that
	// it calls or jumps to, each time.
	callAt []uint32
	calls  []uint32
	// The data and code addresses that function i names are
	// refs[refAt[i]:refAt[i+1]], offsets with a refKind in the top bits.
	refAt []uint32
	refs  []uint32
	// strays are transfers into the middle of a function, wild those to no
	// function at all.
	strays []crossing
	wild   []crossing
	// unclear are functions with bytes that do not decode, unfollowed those with
	// instructions whose effect is not known: far jumps, jumps on which processors
	// differ, and what is no instruction.
	unclear, unfollowed []int
	// overlapping are functions in which a jump leads into an instruction.
	// Compilers make none: only assembly is asked, and of native functions only
	// those that hold the bytes of more system calls than were found.
	overlapping []int
	// computed are the functions, not of Go, with calls or jumps through a
	// register or a variable; some of the jumps have a table inside the function.
	computed []int

	// falls are the functions whose end control can run off.
	falls []int
	// entered are jumps that carry addresses to other functions: see reenter.
	entered []entering

	// last is the Sweep of the function before, of code that may hold addresses in
	// lastFixed as constants.
	last      *image.Sweep
	lastFixed image.Range

	// within is where addresses count: in a library its own, because how far it is
	// from others is not known before they are loaded. The zero value is everywhere.
	within image.Range
	// through are the transfers of a library that go where the dynamic loader says, in
	// the order of the code: their callees are not in calls.
	through []through
	// consulted are the slots that were asked where they lead, in any order.
	consulted []slotKey

	callerAt []uint32 // see callers
	callerOf []int
}

var errShrunk = errors.New("the file changed while it was read")

// sweep surveys all functions, on every core. Of libraries it takes what known has,
// and adds to it what it had to find out.
func sweep(p *image.Program, known *summaries, progress func(done, total int)) (*survey, error) {
	n := len(p.Funcs)
	var mu sync.Mutex
	done := 0
	report := func(k int) {
		mu.Lock()
		defer mu.Unlock()
		done += k
		progress(done, n)
	}
	pieces := cut(p, known)
	if err := inParallel(len(pieces), func(i int) {
		x := &pieces[i]
		if x.summary != nil {
			report(x.to - x.from)
			return
		}
		x.found.within = x.within
		x.found.functions(p, x.from, x.to, report)
	}); err != nil {
		return nil, err
	}
	// Libraries are put in their places when all of them are known.
	for i := 0; i < len(pieces); {
		x := &pieces[i]
		rest := i + 1
		for rest < len(pieces) && x.library != nil && pieces[rest].library == x.library {
			rest++
		}
		if x.library != nil && x.summary == nil {
			whole := join(p, pieces[i:rest])
			whole.reenter(p, x.from, x.within)
			x.summary = summarise(p, x.library, whole)
			known.add(x.library, x.summary)
		}
		pieces = slices.Delete(pieces, i+1, rest)
		i++
	}
	s := join(p, pieces)
	s.reenter(p, 0, everywhere)
	return s, nil
}

// A piece is some functions that are surveyed in one go, those from one up to another.
type piece struct {
	from, to int
	// library is the one that they are of; nil: the executable.
	library *image.Module
	within  image.Range
	// summary is what is known of the whole library.
	summary *summary
	found   survey
}

// cut makes pieces of all functions: libraries of which a summary is known are one,
// the rest are shares of equal code size, not of equal count.
func cut(p *image.Program, known *summaries) (pieces []piece) {
	share := uint64(p.Funcs[len(p.Funcs)-1].End)/uint64(min(runtime.GOMAXPROCS(0), 16)) + 1
	add := func(from, to int, library *image.Module, within image.Range) {
		for from < to {
			next := from
			for next < to && uint64(p.Funcs[next].End-p.Funcs[from].Entry) <= share {
				next++
			}
			next = max(next, from+1)
			pieces = append(pieces, piece{from: from, to: next, library: library, within: within})
			from = next
		}
	}
	at := 0
	libraries := p.Libraries()
	for _, m := range libraries {
		first, last := p.Functions(m)
		add(at, first, nil, everywhere)
		at = last
		if s := known.of(p, m); s != nil && first < last {
			pieces = append(pieces, piece{from: first, to: last, library: m, summary: s})
		} else {
			add(first, last, m, m.Range)
		}
	}
	add(at, len(p.Funcs), nil, everywhere)
	return pieces
}

// inParallel calls f with 0 to n-1, on every core.
func inParallel(n int, f func(i int)) error {
	workers := min(n, runtime.GOMAXPROCS(0), 16)
	errs := make([]error, workers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			errs[w] = guard(func() error {
				for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
					f(int(i))
				}
				return nil
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// guard runs f and turns a fault on a mapped file that was cut short into an
// error.
func guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			err = errShrunk
		}
	}()
	return f()
}

func (s *survey) functions(p *image.Program, from, to int, report func(int)) {
	s.base, _ = p.Span()
	if from < to {
		// One call and one reference to 64 bytes of code are usual.
		usual := int(p.Funcs[to-1].End-p.Funcs[from].Entry) / 56
		s.calls, s.refs = make([]uint32, 0, usual), make([]uint32, 0, usual)
	}
	s.callAt, s.refAt = make([]uint32, 1, to-from+1), make([]uint32, 1, to-from+1)
	last := 0
	for i := from; i < to; i++ {
		s.function(p, i)
		s.callAt = append(s.callAt, uint32(len(s.calls)))
		s.refAt = append(s.refAt, uint32(len(s.refs)))
		if i-from-last == 4096 || i == to-1 {
			report(i - from + 1 - last)
			last = i - from + 1
		}
	}
}

// sweepOf is the function sweepOf for one function after the other.
func (s *survey) sweepOf(p *image.Program, i int, code []byte, addr uint64) *image.Sweep {
	if r, _ := fixedRange(p, i); s.last == nil || s.lastFixed != r || p.ABI == abi.ARM { // which has its own for Go
		s.last, s.lastFixed = sweepOf(p, i, code, addr), r
	} else {
		s.last.Restart(code, addr)
	}
	return s.last
}

func (s *survey) function(p *image.Program, i int) {
	addr, code := p.Code(i)
	sw := s.sweepOf(p, i, code, addr)
	var in image.Inst
	native := !isGo(p, i)
	_, absolute := fixedRange(p, i)
	pages := alwaysPieced(p, i)
	unclear, unfollowed, computed := false, false, false
	op, behind := image.OpNop, addr // the last stop, and where it ends
	for sw.Next(&in) {
		if in.Op == image.OpCall && p.ABI == abi.I386 {
			in = p.Decode(code[in.Addr-addr:], in.Addr)
		}
		op, behind = lastOp(op, &in), in.Addr+uint64(in.Len)
		if native {
			if in.Op == image.OpCallInd || in.Op == image.OpJmpInd {
				if s.throughSlot(p, i, &in) {
					continue
				}
				computed = true
			}
		}
		switch in.Op {
		case image.OpSyscall, image.OpInt80, image.OpSysenter:
			s.sites = append(s.sites, site{i, in.Addr, in.Op})
		case image.OpCall, image.OpJmp, image.OpJcc:
			if !s.counts(in.Target) {
				s.wild = append(s.wild, crossing{i, in.Target, in.Op != image.OpCall})
				break
			}
			s.transfer(p, i, &in)
		case image.OpBad:
			unclear = unclear || in.Len == 1
			unfollowed = unfollowed || in.Len > 1
		}
		if pages {
			continue // below
		}
		if native {
			s.nativeOperands(p, &in, absolute)
			continue
		}
		s.reference(p, &in, &in.Dst, in.Store > 0)
		s.reference(p, &in, &in.Src, in.Op == image.OpXchg || in.StoreAny)
	}
	_, stub := p.Stub(i)
	if (pages || native && sw.Far()) && !stub {
		s.piecedReferences(p, i, nil)
	}
	if !stub && (native || p.IsAsm(i)) && runsOff(p, op, code[behind-addr:], behind) && (native || goRunsOff(p, i)) {
		s.falls = append(s.falls, i)
	}
	if computed {
		s.computed = append(s.computed, i)
	}
	if unclear {
		s.unclear = append(s.unclear, i)
	}
	if unfollowed {
		s.unfollowed = append(s.unfollowed, i)
	}
	if p.IsAsm(i) && (!native || hidesSite(code, s.sites, i)) && overlaps(p, i) {
		s.overlapping = append(s.overlapping, i)
	}
}

// runsOff reports that control can run off the end of code at addr, behind an
// instruction with the operation op.
func runsOff(p *image.Program, op image.Op, code []byte, addr uint64) bool {
	var in image.Inst
	for at := 0; at < len(code); {
		p.DecodeTo(&in, code[at:], addr+uint64(at))
		op = lastOp(op, &in)
		at += int(in.Len)
	}
	return !terminal(op)
}

// goRunsOff is runsOff for all of function i of Go's assembler (its compiler makes none
// that does): what looks like code behind it may be constants.
func goRunsOff(p *image.Program, i int) bool {
	op := image.OpNop
	for in := range p.Walk(i) {
		op = lastOp(op, in)
	}
	return !terminal(op)
}

// lastOp returns the last operation of code that ends in instruction in, without
// what fills it up; last is that before.
func lastOp(last image.Op, in *image.Inst) image.Op {
	switch {
	case in.Op == image.OpNop || in.Op == image.OpXchg:
		return last
	case in.Perhaps:
		return image.OpOther
	}
	return in.Op
}

// terminal reports that control does not go on behind op at the end of a function:
// a call there does not come back, or the compiler would go on behind it.
func terminal(op image.Op) bool {
	switch op {
	case image.OpCall, image.OpCallInd, image.OpJmp, image.OpJmpInd, image.OpRet, image.OpTrap, image.OpInt3:
		return true
	}
	return false
}

// overlaps reports that a direct jump or call in function i leads into the
// middle of one of its instructions: the bytes there are two instructions.
func overlaps(p *image.Program, i int) bool {
	if p.ABI == abi.ARM64 || p.ABI == abi.ARM {
		return false // all instructions start at multiples of their size
	}
	addr, code := p.Code(i)
	starts := make([]bool, len(code))
	var targets []uint64
	for at := 0; at < len(code); {
		starts[at] = true
		in := p.Decode(code[at:], addr+uint64(at))
		if to := in.Target - addr; in.Target != 0 && to < uint64(len(code)) {
			targets = append(targets, to)
		}
		at += int(in.Len)
	}
	return slices.ContainsFunc(targets, func(to uint64) bool { return !starts[to] })
}

// The page on which the kernel keeps the helpers for old processors of arm
// (Documentation/arch/arm/kernel_user_helpers.rst).
const (
	kernelHelpers     = 0xFFFF0000
	kernelHelpersSize = 0x1000
)

func (s *survey) transfer(p *image.Program, i int, in *image.Inst) {
	to, ok := p.Find(in.Target)
	if !ok && !p.IsGo(i) {
		if at := behindNops(p, in.Target); at != in.Target {
			in.Target = at
			to, ok = p.Find(at)
		}
	}
	jump := in.Op == image.OpJmp || in.Op == image.OpJcc || in.Op == image.OpJmpInd
	if ok && p.ABI == abi.ARM && in.Addr != 0 && in.Src.Kind == image.OperandNone && (p.ConstantsAt(in.Target) || p.Thumb(in.Target) != (p.Thumb(in.Addr) != in.Switch)) {
		ok = false // code of another kind is there, or data
	}
	switch {
	case !ok && p.ABI == abi.ARM && in.Target-kernelHelpers < kernelHelpersSize:
		// It returns, and makes no system call.
	case !ok:
		s.wild = append(s.wild, crossing{i, in.Target, jump})
	case p.Text+uint64(p.Funcs[to].Entry) == in.Target:
		s.calls = append(s.calls, uint32(to))
	default:
		s.strays = append(s.strays, crossing{i, in.Target, jump})
	}
}

// reference notes what operand o of instruction in, one that it writes to or
// not, does with an address of the program.
func (s *survey) reference(p *image.Program, in *image.Inst, o *image.Operand, write bool) {
	addr, ok := named(o)
	if !ok || addr-s.base > refMask || p.Segment(addr) == nil {
		return
	}
	kind := refRead
	switch {
	case o.Kind == image.OperandImm && (in.Op == image.OpCmp || in.Op == image.OpTest):
		return // the address goes nowhere
	case o.Kind == image.OperandImm && in.Op != image.OpMov && in.Op != image.OpPush:
		kind = refIndexed // arithmetic on it
	case o.Kind == image.OperandImm || in.Op == image.OpLea && fixed(o):
		kind = refTaken
	case write && fixed(o) && !in.StoreAny:
		kind = refWritten
	case write || in.Op == image.OpLea:
		kind = refIndexed
	}
	s.refs = append(s.refs, uint32(addr-s.base)|uint32(kind)<<refShift)
}

// named returns the address that o names, if it names one: of memory, whatever
// registers are added to it, or a constant of 32-bit code. There displacements
// of registers have a sign that the address has not.
func named(o *image.Operand) (addr uint64, ok bool) {
	switch {
	case o.Kind == image.OperandMem && o.Base == image.RegFS:
	case o.Kind == image.OperandMem && o.Disp >= 0:
		return uint64(o.Disp), true
	case o.Kind == image.OperandMem:
		return uint64(uint32(o.Disp)), true
	case o.Kind == image.OperandImm:
		return uint64(uint32(o.Imm)), true
	}
	return 0, false
}

// behindNops returns the entry of the function before which there are only
// no-operations from addr on, or addr: .init and .fini start with some, which look
// like what fills up the code before.
func behindNops(p *image.Program, addr uint64) uint64 {
	b := p.Bytes(addr)
	if s := p.Segment(addr); s == nil || !s.Exec {
		return addr
	}
	for at := addr; at-addr < 64 && at-addr < uint64(len(b)); {
		if fn, ok := p.Find(at); ok && p.Text+uint64(p.Funcs[fn].Entry) == at {
			return at
		}
		in := p.Decode(b[at-addr:], at)
		if in.Op != image.OpNop {
			break
		}
		at += uint64(in.Len)
	}
	return addr
}

// join puts neighbouring pieces together: what is known of a library goes to its place
// there.
func join(p *image.Program, pieces []piece) *survey {
	var n, calls, refs int
	for i := range pieces {
		x := &pieces[i]
		n += x.to - x.from
		calls += len(x.found.calls)
		refs += len(x.found.refs)
		if x.summary != nil {
			calls += len(x.summary.calls)
			refs += len(x.summary.refs)
		}
	}
	out := &survey{
		callAt: make([]uint32, 1, n+1), calls: make([]uint32, 0, calls),
		refAt: make([]uint32, 1, n+1), refs: make([]uint32, 0, refs),
	}
	out.base, _ = p.Span()
	for i := range pieces {
		if x := &pieces[i]; x.summary != nil {
			x.summary.link(out, p, x.library, x.from)
		} else {
			out.add(&x.found)
			x.found = survey{} // it may be large
		}
	}
	return out
}

// add adds what was found in the functions that follow.
func (s *survey) add(found *survey) {
	c, r := uint32(len(s.calls)), uint32(len(s.refs))
	for i := range found.callAt[1:] {
		s.callAt = append(s.callAt, c+found.callAt[i+1])
		s.refAt = append(s.refAt, r+found.refAt[i+1])
	}
	s.calls = append(s.calls, found.calls...)
	s.refs = append(s.refs, found.refs...)
	s.sites = append(s.sites, found.sites...)
	s.strays = append(s.strays, found.strays...)
	s.wild = append(s.wild, found.wild...)
	s.unclear = append(s.unclear, found.unclear...)
	s.unfollowed = append(s.unfollowed, found.unfollowed...)
	s.overlapping = append(s.overlapping, found.overlapping...)
	s.computed = append(s.computed, found.computed...)
	s.falls = append(s.falls, found.falls...)
	s.consulted = append(s.consulted, found.consulted...)
	for _, t := range found.through {
		t.at += c
		s.through = append(s.through, t)
	}
	s.entered = append(s.entered, found.entered...)
}

// ref returns the address and the kind of a reference.
func (s *survey) ref(r uint32) (addr uint64, kind refKind) {
	return s.base + uint64(r&refMask), refKind(r >> refShift)
}

// refsTo yields the functions that refer to addresses from low up to high, ascending, and
// how they do.
func (s *survey) refsTo(low, high uint64) iter.Seq2[int, refKind] {
	return func(yield func(int, refKind) bool) {
		from, size := low-s.base, high-low
		for k, r := range s.refs {
			if uint64(r&refMask)-from >= size {
				continue
			}
			fn := sort.Search(len(s.refAt), func(i int) bool { return int(s.refAt[i]) > k }) - 1
			if !yield(fn, refKind(r>>refShift)) {
				return
			}
		}
	}
}

// callers returns the functions that call or jump to the entry of function g,
// each once, ascending.
func (s *survey) callers(g int) []int {
	if s.callerAt == nil {
		s.reverse()
	}
	return s.callerOf[s.callerAt[g]:s.callerAt[g+1]]
}

// reverse turns the lists of callees into lists of callers.
func (s *survey) reverse() {
	n := len(s.callAt) - 1
	s.callerAt = make([]uint32, n+1)
	each := func(visit func(fn int, callee uint32)) {
		last := make([]int32, n) // the caller that was counted last, and one
		for fn := range n {
			for _, c := range s.calls[s.callAt[fn]:s.callAt[fn+1]] {
				if last[c] != int32(fn+1) {
					last[c] = int32(fn + 1)
					visit(fn, c)
				}
			}
		}
	}
	each(func(_ int, callee uint32) { s.callerAt[callee+1]++ })
	for i := range n {
		s.callerAt[i+1] += s.callerAt[i]
	}
	s.callerOf = make([]int, s.callerAt[n])
	next := append([]uint32(nil), s.callerAt[:n]...)
	each(func(fn int, callee uint32) {
		s.callerOf[next[callee]] = fn
		next[callee]++
	})
}
