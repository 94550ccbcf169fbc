package profile

import (
	"slices"

	"github.com/sysgate/sysgate/internal/image"
)

// A summary is what the sweep finds in one library, of that library alone: the same
// in every program that loads it, wherever it lies there. Nothing else of the analysis
// is kept between runs. Functions are numbered from the library's first, addresses
// count from the start of its range.
//
// Where the dynamic loader decides, a summary says through which slot, and link looks
// there. What a slot is decides in turn which of the code's ways are calls and which
// are computed: usable compares that.
type summary struct {
	funcs []image.Extent
	slots []summarySlot

	callAt []uint32
	calls  []uint32 // callees; with throughCall a slot, by its number
	refAt  []uint32
	refs   []uint32 // addresses with a refKind in the top bits

	sites        []summarySite
	strays, wild []summaryCrossing

	unclear, unfollowed, overlapping, computed, falls []uint32
}

// throughCall marks a call of a summary that goes through a slot, throughJump one
// that is a jump.
const (
	throughCall = 1 << 31
	throughJump = 1 << 30
	throughMask = throughJump - 1
)

// A summarySlot is a word through which code goes.
type summarySlot struct {
	addr  uint32
	stub  bool
	bound bool // it was known where it leads
}

type summarySite struct {
	fn, addr uint32
	op       image.Op
}

type summaryCrossing struct {
	fn     uint32
	target uint64 // may lie outside of the library
	jump   bool
}

// A through is a transfer of function fn through a slot; at is how many callees the
// survey had before.
type through struct {
	fn   int
	at   uint32
	slot slotKey
	jump bool
}

// everywhere is where addresses count in what is no library.
var everywhere image.Range

// counts reports that addr is one that code may be about.
func (s *survey) counts(addr uint64) bool { return s.within == everywhere || s.within.Holds(addr) }

// throughSlot notes a transfer through a slot. It reports false if it is not known
// where that leads.
func (s *survey) throughSlot(p *image.Program, i int, in *image.Inst) bool {
	k, ok := slotOf(p, i, in)
	if !ok {
		return false
	}
	if !s.counts(k.addr) {
		return false
	}
	to, ok := k.leads(p)
	switch library := s.within != everywhere; {
	case library:
		s.consulted = append(s.consulted, k)
		if ok {
			s.through = append(s.through, through{i, uint32(len(s.calls)), k, in.Op == image.OpJmpInd})
		}
	case ok && to != 0: // else a symbol that nobody defines
		in.Target = to
		s.transfer(p, i, in)
	}
	return ok
}

// summarise makes a summary of library m from what was found in all of its functions.
func summarise(p *image.Program, m *image.Module, found *survey) *summary {
	first, last := p.Functions(m)
	n := last - first
	s := &summary{funcs: m.Extents(), refAt: found.refAt, callAt: make([]uint32, 1, n+1)}
	number := map[slotKey]uint32{}
	slices.SortFunc(found.consulted, slotKey.compare)
	for _, k := range slices.Compact(found.consulted) {
		_, bound := k.leads(p)
		number[k] = uint32(len(s.slots))
		s.slots = append(s.slots, summarySlot{uint32(k.addr - m.Range.Start), k.stub, bound})
	}
	rest := found.through
	s.calls = make([]uint32, 0, len(found.calls)+len(rest))
	for i := range n {
		for at := found.callAt[i]; ; at++ {
			for len(rest) > 0 && rest[0].fn == first+i && rest[0].at == at {
				call := number[rest[0].slot] | throughCall
				if rest[0].jump {
					call |= throughJump
				}
				s.calls = append(s.calls, call)
				rest = rest[1:]
			}
			if at == found.callAt[i+1] {
				break
			}
			s.calls = append(s.calls, found.calls[at]-uint32(first))
		}
		s.callAt = append(s.callAt, uint32(len(s.calls)))
	}
	shift := uint32(m.Range.Start - found.base)
	s.refs = make([]uint32, len(found.refs))
	for i, r := range found.refs {
		s.refs[i] = r - shift
	}
	for _, x := range found.sites {
		s.sites = append(s.sites, summarySite{uint32(x.fn - first), uint32(x.addr - m.Range.Start), x.op})
	}
	crossings := func(list []crossing) (out []summaryCrossing) {
		for _, c := range list {
			out = append(out, summaryCrossing{uint32(c.fn - first), c.target - m.Range.Start, c.jump})
		}
		return out
	}
	s.strays, s.wild = crossings(found.strays), crossings(found.wild)
	numbers := func(list []int) (out []uint32) {
		for _, fn := range list {
			out = append(out, uint32(fn-first))
		}
		return out
	}
	s.unclear, s.unfollowed, s.overlapping = numbers(found.unclear), numbers(found.unfollowed), numbers(found.overlapping)
	s.computed, s.falls = numbers(found.computed), numbers(found.falls)
	return s
}

func (k slotKey) compare(l slotKey) int {
	switch {
	case k.addr < l.addr, k.addr == l.addr && !k.stub && l.stub:
		return -1
	case k == l:
		return 0
	}
	return 1
}

func (x summarySlot) key(m *image.Module) slotKey {
	return slotKey{m.Range.Start + uint64(x.addr), x.stub}
}

// usable reports that the summary holds for library m of p, whose functions are
// layout: it is of these functions, and of the same slots it is known where they lead.
func (s *summary) usable(p *image.Program, m *image.Module, layout []image.Extent) bool {
	if !slices.Equal(s.funcs, layout) {
		return false
	}
	for _, x := range s.slots {
		if _, bound := x.key(m).leads(p); bound != x.bound {
			return false
		}
	}
	return true
}

// link adds what the sweep finds in library m, whose first function is number first
// of p, the next that out is about.
func (s *summary) link(out *survey, p *image.Program, m *image.Module, first int) {
	targets := make([]uint64, len(s.slots))
	for k, x := range s.slots {
		targets[k], _ = x.key(m).leads(p)
	}
	for i := range s.funcs {
		for _, c := range s.calls[s.callAt[i]:s.callAt[i+1]] {
			if c&throughCall == 0 {
				out.calls = append(out.calls, c+uint32(first))
				continue
			}
			in := image.Inst{Op: image.OpCall, Target: targets[c&throughMask]}
			if c&throughJump != 0 {
				in.Op = image.OpJmp
			}
			if in.Target != 0 { // else a symbol that nobody defines
				out.transfer(p, first+i, &in)
			}
		}
		out.callAt = append(out.callAt, uint32(len(out.calls)))
	}
	refs, shift := uint32(len(out.refs)), uint32(m.Range.Start-out.base)
	for _, r := range s.refs {
		out.refs = append(out.refs, r+shift)
	}
	for _, at := range s.refAt[1:] {
		out.refAt = append(out.refAt, refs+at)
	}
	for _, x := range s.sites {
		out.sites = append(out.sites, site{first + int(x.fn), m.Range.Start + uint64(x.addr), x.op})
	}
	crossings := func(out []crossing, list []summaryCrossing) []crossing {
		for _, c := range list {
			out = append(out, crossing{first + int(c.fn), m.Range.Start + c.target, c.jump})
		}
		return out
	}
	out.strays, out.wild = crossings(out.strays, s.strays), crossings(out.wild, s.wild)
	numbers := func(out []int, list []uint32) []int {
		for _, fn := range list {
			out = append(out, first+int(fn))
		}
		return out
	}
	out.unclear, out.unfollowed = numbers(out.unclear, s.unclear), numbers(out.unfollowed, s.unfollowed)
	out.overlapping, out.computed = numbers(out.overlapping, s.overlapping), numbers(out.computed, s.computed)
	out.falls = numbers(out.falls, s.falls)
}
