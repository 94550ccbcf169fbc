package profile

import (
	"bytes"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// isGo reports that function i of p was compiled by Go: then the linker has
// removed what cannot be reached, and its stack depths and types are known.
// Everything else is native: C, C++, Rust, assembly.
func isGo(p *image.Program, i int) bool { return p.IsGo(i) }

// hasNative reports that not all functions of p are Go.
func hasNative(p *image.Program) bool {
	for i := range p.Funcs {
		if !p.IsGo(i) {
			return true
		}
	}
	return false
}

// fixedRange returns the addresses that function i of p may hold as constants of
// 4 bytes: those of its module, if that is linked for one address.
func fixedRange(p *image.Program, i int) (r image.Range, ok bool) {
	if p.ABI != abi.AMD64 && p.ABI != abi.I386 && p.ABI != abi.ARM || p.IsGo(i) {
		return r, false
	}
	m := p.Module(i)
	if m == nil || !m.Fixed() {
		return r, false
	}
	return m.Range, true
}

func sweepOf(p *image.Program, i int, code []byte, addr uint64) *image.Sweep {
	if r, ok := fixedRange(p, i); ok && p.ABI == abi.AMD64 {
		return image.NewSweepFixed(code, addr, r)
	}
	return p.Sweep(code, addr)
}

// A slotKey is a word through which a call or jump goes.
type slotKey struct {
	addr uint64
	stub bool // by a stub of a linkage table in several instructions
}

// slotOf returns the word that instruction in of function i goes through, if that has
// a fixed address.
func slotOf(p *image.Program, i int, in *image.Inst) (k slotKey, ok bool) {
	if fixed(&in.Src) {
		return slotKey{addr: uint64(in.Src.Disp)}, true
	}
	slot, ok := p.Stub(i)
	return slotKey{slot, true}, ok && in.Op == image.OpJmpInd && slot != 0
}

// leads returns where what goes through a word goes: the dynamic loader has put the
// address of a function there, 0 if there is none, and nobody changes it.
func (k slotKey) leads(p *image.Program) (uint64, bool) {
	if target, resolver, ok := p.SlotTarget(k.addr); ok || k.stub {
		return target, ok && !resolver
	}
	if p.Writable(k.addr) {
		return 0, false
	}
	w, ok := p.Word(k.addr)
	if !ok {
		return 0, false
	}
	_, ok = p.Find(w)
	return w, ok
}

// bound returns where a call or jump through a slot of the linkage table goes.
func bound(p *image.Program, in *image.Inst) (uint64, bool) {
	if !fixed(&in.Src) {
		return 0, false
	}
	return slotKey{addr: uint64(in.Src.Disp)}.leads(p)
}

// boundIn is bound for an instruction of function i, which may be a stub of a
// linkage table in several instructions.
func boundIn(p *image.Program, i int, in *image.Inst) (uint64, bool) {
	k, ok := slotOf(p, i, in)
	if !ok {
		return 0, false
	}
	return k.leads(p)
}

// targetOf returns where in goes for certain: a direct call or jump, or one
// through a slot of the linkage table; 0 otherwise.
func targetOf(p *image.Program, in *image.Inst) uint64 {
	if in.Target == 0 && (in.Op == image.OpCallInd || in.Op == image.OpJmpInd) {
		if in.Op == image.OpJmpInd && !fixed(&in.Src) {
			if fn, ok := p.Find(in.Addr); ok {
				to, _ := boundIn(p, fn, in)
				return to
			}
		}
		to, _ := bound(p, in)
		return to
	}
	return in.Target
}

// narrowRead reports that in reads less than an address from its memory operand.
func narrowRead(p *image.Program, in *image.Inst) bool {
	size := in.Size
	switch in.Op {
	case image.OpMovZX, image.OpMovSX:
		size = in.SrcSize
	case image.OpMov, image.OpAdd, image.OpSub, image.OpAnd, image.OpOr, image.OpXor, image.OpCmp, image.OpTest, image.OpCmov:
		if in.Dst.Kind == image.OperandVec {
			return false
		}
	default:
		return false
	}
	return size > 0 && uint64(size) < p.WordSize()
}

// hidesSite reports that code holds more system-call instructions than were
// found by decoding it from its start: sites from the end on are those of
// function fn.
func hidesSite(code []byte, sites []site, fn int) bool {
	n := 0
	for k := len(sites) - 1; k >= 0 && sites[k].fn == fn; k-- {
		n++
	}
	for _, mark := range [...]string{"\x0f\x05", "\x0f\x34", "\xcd\x80"} {
		n -= bytes.Count(code, []byte(mark))
	}
	return n < 0
}

// nativeNamed returns the address that o names in native code: absolute says that
// constants may be addresses.
func nativeNamed(o *image.Operand, absolute bool) (addr uint64, ok bool) {
	switch {
	case o.Kind == image.OperandMem && o.Base == image.RegPC:
		return uint64(o.Disp), true
	case o.Kind == image.OperandMem && o.Base != image.RegFS && o.Disp >= 0:
		return uint64(o.Disp), absolute
	case o.Kind == image.OperandImm && o.Imm >= 0:
		return uint64(o.Imm), absolute
	}
	return 0, false
}

// nativeOperands notes what an instruction that is not of Go refers to.
func (s *survey) nativeOperands(p *image.Program, in *image.Inst, absolute bool) {
	s.nativeReference(p, in, &in.Dst, in.Store > 0, absolute)
	s.nativeReference(p, in, &in.Src, in.Op == image.OpXchg || in.StoreAny, absolute)
}

// nativeReference is reference for code that is not Go. There a read goes no
// further than its bytes, and an address may be a constant.
func (s *survey) nativeReference(p *image.Program, in *image.Inst, o *image.Operand, write, absolute bool) {
	addr, ok := nativeNamed(o, absolute)
	if ok && o.Kind == image.OperandMem && p.Segment(addr) == nil && (in.Op == image.OpLea || !fixed(o)) {
		addr = above(p, addr) // of a table that is the first thing there
	}
	if !ok || addr-s.base > refMask || !s.counts(addr) || p.Segment(addr) == nil {
		return
	}
	kind := refRead
	words, size := uint64(1), p.WordSize()
	switch {
	case o.Kind == image.OperandImm && (in.Op == image.OpCmp || in.Op == image.OpTest || p.Thumb(addr)): // that has a bit more
		return
	case o.Kind == image.OperandImm && in.Op != image.OpMov && in.Op != image.OpPush:
		kind = refIndexed
	case in.Op == image.OpLea && addr == in.Addr:
		return // its own, to which others are relative
	case o.Kind == image.OperandImm || in.Op == image.OpLea && fixed(o):
		kind = refTaken
	case write && fixed(o) && !in.StoreAny:
		kind = refWritten
		if in.Op == image.OpXchg || in.Op == image.OpOther && in.Dst.Kind == image.OperandMem && in.Src.Kind == image.OperandReg {
			s.refs = append(s.refs, uint32(addr-s.base)|uint32(refRead)<<refShift) // what was there comes out
		}
	case write || in.Op == image.OpLea || !fixed(o):
		kind = refIndexed
	case narrowRead(p, in):
		return // too narrow for an address
	default:
		words = max(uint64(in.Size), size) / size
		if in.Dst.Kind == image.OperandVec || in.Op == image.OpLoadPair {
			words = max(words, 16/size)
		}
		if in.Op == image.OpBad || in.Op == image.OpOther && in.Size == 0 {
			words = maxStore / size
		}
	}
	for k := range words {
		s.refs = append(s.refs, uint32(addr-s.base+size*k)|uint32(kind)<<refShift)
	}
}
