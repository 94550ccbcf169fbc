package image

import (
	"encoding/binary"
	"iter"

	"github.com/sysgate/sysgate/abi"
)

// NewSweepARM64 is NewSweep for arm64 code. What an ADRP and the instruction
// behind it make of an address together, that instruction names as if it were
// PC-relative. An ADRP alone is a stop of its own, and so is one whose page
// others may use too: it stays in a register that is not the assembler's own.
// Of instructions that may change any register it stops at OpBad alone; the others
// trap, or go on behind.
func NewSweepARM64(code []byte, addr uint64) *Sweep {
	s := &Sweep{risc: &arm64}
	s.Restart(code, addr)
	return s
}

// NewSweepARM is NewSweepARM64 for arm code of a program that lies at the
// addresses program. What an instruction loads from the code is an immediate,
// and one to stop at if it is an address of the program; so is what the
// assembler's own register, loaded so, names in the instruction behind.
func NewSweepARM(code []byte, addr uint64, program Range) *Sweep {
	s := &Sweep{risc: &arm, program: program}
	s.Restart(code, addr)
	return s
}

// NewSweepRISCV64 is NewSweepARM64 for riscv64 code, with AUIPC for ADRP. AUIPC
// and the JALR behind it are a direct call or jump.
func NewSweepRISCV64(code []byte, addr uint64) *Sweep {
	return &Sweep{code: code, addr: addr, risc: &riscv64}
}

// Restart makes s a Sweep over other code of the same kind.
func (s *Sweep) Restart(code []byte, addr uint64) {
	*s = Sweep{code: code, addr: addr, narrow: s.narrow, fixed: s.fixed, program: s.program, risc: s.risc, arm: s.arm, global: s.global}
	if s.risc != nil && s.risc.literal != nil {
		s.data = constantWords(code, s.risc.literal, s.risc.call)
	}
}

// A risc is what is peculiar to the code of a machine whose instructions need two
// to make an address.
type risc struct {
	decode func(code []byte, addr uint64) Inst
	// skip returns where the first instruction from pos on starts that may be one
	// to stop at.
	skip func(code []byte, pos int) int
	// tmp is the register that Go's assembler takes for the halves of an
	// instruction; it holds nothing in between.
	tmp Reg
	// literal returns what an instruction loads as constants of the code, call whether
	// a word is a system call; nil: the machine has no such instructions.
	literal func(w uint32) (offset, size int)
	call    func(w uint32) bool
}

var (
	arm64   = risc{DecodeARM64, skipARM64, 27, literalARM64, isSVC}
	arm     = risc{DecodeARM, skipARM, ARMR11, literalARM, isSWI}
	riscv64 = risc{DecodeRISCV64, skipRISCV64, 31, nil, nil}
)

// machineRISC returns what is peculiar to a machine, or nil for x86.
func machineRISC(a abi.ABI) *risc {
	switch a {
	case abi.ARM64:
		return &arm64
	case abi.ARM:
		return &arm
	case abi.RISCV64:
		return &riscv64
	}
	return nil
}

// A wordSet is a set of the words of code, by their offset.
type wordSet []uint64

func (s wordSet) has(at int) bool { return at>>8 < len(s) && s[at>>8]>>(at>>2&63)&1 != 0 }

// constantWords returns the words that an instruction of the code loads as
// constants. They are data, but for those that would be system calls.
func constantWords(code []byte, literal func(w uint32) (offset, size int), call func(w uint32) bool) wordSet {
	var words wordSet
	for at := 0; at+4 <= len(code); at += 4 {
		offset, size := literal(binary.LittleEndian.Uint32(code[at:]))
		if size == 0 || words.has(at) { // constants follow the code that loads them
			continue
		}
		for k := at + offset; size > 0; k, size = k+4, size-4 {
			if k < 0 || k+4 > len(code) || call(binary.LittleEndian.Uint32(code[k:])) {
				continue
			}
			if words == nil {
				words = make(wordSet, len(code)>>8+1)
			}
			words[k>>8] |= 1 << (k >> 2 & 63)
		}
	}
	return words
}

// literalARM64 returns where, from itself on, instruction w loads constants from,
// and how many bytes.
func literalARM64(w uint32) (offset, size int) {
	if w&0x3B000000 != 0x18000000 || w>>30 == 3 { // LDR literal, not PRFM
		return 0, 0
	}
	size = 4 << (w >> 30 & 1)
	if w>>26&1 != 0 {
		size = 4 << (w >> 30)
	} else if w>>30 == 2 { // LDRSW
		size = 4
	}
	return int(word64(w).signed(5, 19) << 2), size
}

func isSVC(w uint32) bool { return w&0xFFE0001F == 0xD4000001 }

// literalARM is literalARM64 for arm.
func literalARM(w uint32) (offset, size int) {
	switch {
	case w>>28 == 15:
		return 0, 0
	case w&0x0F3F0000 == 0x051F0000: // LDR, LDRB
		offset, size = int(w&0xFFF), 4
	case w&0x0F3F0E00 == 0x0D1F0A00: // VLDR
		offset, size = int(w&0xFF)<<2, 4<<(w>>8&1)
	default:
		return 0, 0
	}
	if w>>23&1 == 0 {
		offset = -offset
	}
	return (offset + 8) &^ 3, size
}

func isSWI(w uint32) bool { return w == 0xEF000000 }

// skipARM64 stops at system calls and branches, but for those that stay in the
// code, at ADR and ADRP, at loads of constants, and at what is no instruction.
func skipARM64(code []byte, pos int) int {
	for ; pos+4 <= len(code); pos += 4 {
		w := binary.LittleEndian.Uint32(code[pos:])
		if w&0x1C000000 == 0x14000000 {
			if d := branchARM64(w); d != 0 && uint(pos+d) < uint(len(code)) {
				continue
			}
			break
		}
		if w&0x1F000000 == 0x10000000 || w&0x3B000000 == 0x18000000 || unallocatedARM64(w) {
			break
		}
	}
	return pos
}

// unallocatedARM64 reports that w is none of the instructions, and not one of the traps
// that are meant (UDF).
func unallocatedARM64(w uint32) bool {
	const noVector = 1<<8 | 1<<10 | 1<<13 | 1<<14 | 1<<15 // by the first four bits
	return w&0x1A000000 == 0x02000000 || w&0x0E000000 == 0x0E000000 && noVector>>(w>>28)&1 != 0 || w>>25 == 0 && w>>16 != 0
}

// branchARM64 returns how far w, a branch that calls nothing, goes; 0 if it is
// none.
func branchARM64(w uint32) int {
	switch {
	case w>>24 == 0x54, w&0x7E000000 == 0x34000000: // B.cond, CBZ, CBNZ
		return int(int32(w<<8) >> 13 << 2)
	case w>>26 == 5: // B
		return int(int32(w<<6) >> 4)
	case w&0x7E000000 == 0x36000000: // TBZ, TBNZ
		return int(int32(w<<13) >> 18 << 2)
	}
	return 0
}

// skipARM stops at branches, system calls and whatever else has the program
// counter among its registers, and at what is the assembler's own.
func skipARM(code []byte, pos int) int {
	for ; pos+4 <= len(code); pos += 4 {
		w := binary.LittleEndian.Uint32(code[pos:])
		if w>>25&7 == 5 || w>>24&15 == 15 || w>>28 == 15 || // B, BL, SVC
			w&0x0E000000 == 0x08000000 && w&0x00108000 == 0x00108000 || // LDM
			w>>12&15 == 15 || w>>16&15 == 15 || w>>12&15 == uint32(ARMR11) || w&0x0E00000F == 15 ||
			w&0x0FF000F0 == 0x01200030 || w&0x0FF000F0 == 0x01200010 { // BLX, BX
			break
		}
	}
	return pos
}

// The opcodes to stop at: of 4 bytes those that change control and those that are
// not known, of 2 bytes, with the quadrant above, those that may jump or that are
// none.
const (
	stopsRISCV64  = 1<<2 | 1<<5 | 1<<7 | 1<<10 | 1<<15 | 1<<22 | 1<<23 | 1<<rvBranch | 1<<rvJALR | 1<<26 | 1<<rvJAL | 1<<rvSystem | 1<<30 | 1<<31
	stopsRISCV64C = 1<<0 | 1<<4 | 1<<13 | 1<<14 | 1<<15 | 1<<20
)

func skipRISCV64(code []byte, pos int) int {
	for pos+4 <= len(code) {
		w := binary.LittleEndian.Uint32(code[pos:])
		switch {
		case w&3 != 3:
			if stopsRISCV64C>>(w&3<<3|w>>13&7)&1 != 0 {
				return pos
			}
			pos += 2
		case uint32(stopsRISCV64)>>(w>>2&31)&1 != 0:
			return pos
		default:
			pos += 4
		}
	}
	return pos
}

// nextRISC is Next where two instructions make an address.
func (s *Sweep) nextRISC(in *Inst) bool {
	for {
		if s.first.Op == OpBad {
			s.pos = s.risc.skip(s.code, s.pos)
		}
		if s.pos >= len(s.code) {
			return false
		}
		at := s.pos
		if s.first.Op == OpBad && s.callARM64(in) { // every other stop
			return true
		}
		s.decode(in)
		if s.data.has(at) {
			continue
		}
		if s.first.Op != OpBad {
			first := s.first
			s.first = Inst{}
			if in.join(&first) {
				return true
			}
		}
		for in.isFirst(s.risc) && s.pos < len(s.code) && !s.data.has(s.pos) {
			var next Inst
			behind := s.pos
			s.decode(&next)
			if !next.join(in) {
				s.pos = behind
				break
			}
			if r := in.Dst.Reg; r != s.risc.tmp && next.Writes&(1<<r) == 0 && next.Target == 0 {
				s.first, s.pos = *in, behind
				return true
			}
			if *in = next; !in.isFirst(s.risc) {
				return true
			}
		}
		if s.risc == &arm && in.isFirst(s.risc) {
			continue // a large number: what it is for is in the instruction behind
		}
		if in.Op == OpPage || s.stops(in) {
			return true
		}
	}
}

// nextARM is Next for code of arm that is not Go's.
func (s *Sweep) nextARM(in *Inst) bool {
	if s.pos >= len(s.code) {
		return false
	}
	*in = s.arm.decodeARM(s.code[s.pos:], s.addr+uint64(s.pos))
	s.arm.intoData(&s.first, in)
	s.first = *in
	s.pos += int(in.Len)
	return true
}

// callARM64 decodes the next instruction if it is a BL of arm64, and goes behind it.
func (s *Sweep) callARM64(in *Inst) bool {
	if s.risc != &arm64 || s.pos+4 > len(s.code) || s.data.has(s.pos) {
		return false
	}
	w := binary.LittleEndian.Uint32(s.code[s.pos:])
	if w>>26 != 0x25 {
		return false
	}
	addr := s.addr + uint64(s.pos)
	*in = Inst{Addr: addr, Len: 4, Op: OpCall, Target: addr + uint64(word64(w).signed(0, 26)<<2)}
	s.pos += 4
	return true
}

// decode decodes the next instruction, and goes behind it.
func (s *Sweep) decode(in *Inst) {
	*in = s.risc.decode(s.code[s.pos:], s.addr+uint64(s.pos))
	in.global(s.global)
	if s.risc == &arm {
		in.literal(s.code, s.addr)
	}
	s.pos += int(in.Len)
}

// literal puts what in loads from the code in its place.
func (in *Inst) literal(code []byte, addr uint64) {
	at := uint64(in.Src.Disp) - addr
	if in.Src.Kind != OperandMem || in.Src.Base != RegPC || in.Src.Index != RegNone || uint64(len(code)) < 4 || at > uint64(len(code))-4 {
		return
	}
	w := int64(binary.LittleEndian.Uint32(code[at:]))
	switch {
	case in.Op == OpMov && in.Dst.Kind == OperandReg && in.Size == 4:
		in.Src.constant(w)
	case in.Op == OpJmpInd:
		in.Op, in.Target, in.Src = OpJmp, uint64(w), Operand{}
	}
}

// isFirst reports that in makes half of an address: an ADRP, an AUIPC, or an
// address in the register for that.
func (in *Inst) isFirst(m *risc) bool {
	if in.Op == OpPage {
		return true
	}
	if in.Dst.Kind != OperandReg || in.Dst.Reg != m.tmp {
		return false
	}
	return in.Op == OpMov && in.Src.Kind == OperandImm && m == &arm || in.Op == OpLea && in.Src.Base == RegPC && in.Src.Index == RegNone
}

// join makes in, the instruction behind first, name the address that both of them
// make, and reports whether it does: its base, or where it goes to, is the
// register that first sets.
func (in *Inst) join(first *Inst) bool {
	r, base := first.Dst.Reg, first.Src.Imm
	if first.Op == OpLea {
		base = first.Src.Disp
	}
	if (in.Op == OpJmpInd || in.Op == OpCallInd) && in.Src.Kind == OperandReg && in.Src.Reg == r {
		in.Target, in.Src, in.Imm2 = uint64(base+in.Imm2), Operand{}, 0
		if in.Op == OpJmpInd {
			in.Op = OpJmp
		} else {
			in.Op = OpCall
		}
		return true
	}
	for _, o := range [...]*Operand{&in.Dst, &in.Src} {
		if o.Kind == OperandMem && o.Base == r && o.Index == RegNone {
			o.Base, o.Disp = RegPC, o.Disp+base
			return true
		}
	}
	return false
}

// Instructions decodes function i. In the code of arm64, arm and riscv64, the
// instruction behind one that makes half of an address names the whole, unless
// something jumps to it; words of arm64 and arm that the function loads as
// constants are OpTrap, since they are not for running.
func (p *Program) Instructions(i int) []Inst {
	addr, code := p.Code(i)
	m := machineRISC(p.ABI)
	out := make([]Inst, 0, len(code)/3) // what is not used takes no memory
	if m == nil || p.nativeARM(i) {
		for at := 0; at < len(code); {
			out = append(out, Inst{})
			in := &out[len(out)-1]
			p.DecodeTo(in, code[at:], addr+uint64(at))
			at += int(in.Len)
			if m != nil && len(out) > 1 {
				p.intoData(&out[len(out)-2], in)
			}
		}
		return out
	}
	s := p.Sweep(code, addr)
	targets := map[uint64]bool{}
	for s.pos < len(code) {
		at := s.pos
		var in Inst
		if s.decode(&in); s.data.has(at) {
			in = Inst{Addr: in.Addr, Len: in.Len, Op: OpTrap}
		}
		targets[in.Target] = true
		out = append(out, in)
	}
	for k := 1; k < len(out); k++ {
		if out[k-1].isFirst(m) && !targets[out[k].Addr] {
			out[k].join(&out[k-1])
		}
	}
	return out
}

// Walk yields what Instructions returns, each valid until the next: where the machine
// allows it, none is kept.
func (p *Program) Walk(i int) iter.Seq[*Inst] {
	return func(yield func(*Inst) bool) {
		native := p.nativeARM(i)
		if machineRISC(p.ABI) != nil && !native {
			list := p.Instructions(i)
			for k := range list {
				if !yield(&list[k]) {
					return
				}
			}
			return
		}
		addr, code := p.Code(i)
		var before, in Inst
		for at := 0; at < len(code); at += int(in.Len) {
			if native {
				before = in
			}
			if p.DecodeTo(&in, code[at:], addr+uint64(at)); native {
				p.intoData(&before, &in)
			}
			if !yield(&in) {
				return
			}
		}
	}
}

// nativeARM reports that function i is code of arm that is not Go's.
func (p *Program) nativeARM(i int) bool { return p.ABI == abi.ARM && !p.IsGo(i) }
