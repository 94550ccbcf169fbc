package image

import "encoding/binary"

// NewSweepARM64 is NewSweep for arm64 code. What an ADRP and the instruction
// behind it make of an address together, that instruction names as if it were
// PC-relative. An ADRP alone is a stop of its own, and so is one whose page
// others may use too: it stays in a register that is not the assembler's own.
// Of instructions that may change any register it stops at OpBad among branches
// only; the others trap, or go on behind.
func NewSweepARM64(code []byte, addr uint64) *Sweep {
	return &Sweep{code: code, addr: addr, arm64: true, data: constantWords(code)}
}

// constantWords returns the offsets of the words that an instruction of the code
// loads as constants. They are data, but for those that would be system calls.
func constantWords(code []byte) map[int]bool {
	var words map[int]bool
	for at := 0; at+4 <= len(code); at += 4 {
		w := word64(binary.LittleEndian.Uint32(code[at:]))
		if w&0x3B000000 != 0x18000000 || w>>30 == 3 { // LDR literal, not PRFM
			continue
		}
		size := 4 << (w >> 30 & 1)
		if w.bit(26) {
			size = 4 << (w >> 30)
		} else if w>>30 == 2 { // LDRSW
			size = 4
		}
		for k := at + int(w.signed(5, 19)<<2); size > 0; k, size = k+4, size-4 {
			if k < 0 || k+4 > len(code) || isSVC(code[k:]) {
				continue
			}
			if words == nil {
				words = map[int]bool{}
			}
			words[k] = true
		}
	}
	return words
}

func isSVC(code []byte) bool {
	return binary.LittleEndian.Uint32(code)&0xFFE0001F == 0xD4000001
}

func (s *Sweep) nextARM64(in *Inst) bool {
	for s.pos < len(s.code) {
		at := s.pos
		if at+4 <= len(s.code) && s.page.Op != OpPage && !mayStop(binary.LittleEndian.Uint32(s.code[at:])) {
			s.pos += 4
			continue
		}
		*in = DecodeARM64(s.code[at:], s.addr+uint64(at))
		s.pos += int(in.Len)
		if s.data[at] {
			continue
		}
		if s.page.Op == OpPage {
			page := s.page
			s.page = Inst{}
			if in.joinPage(&page) {
				return true
			}
		}
		if in.Op == OpPage && s.pos+4 <= len(s.code) && !s.data[s.pos] {
			next := DecodeARM64(s.code[s.pos:], s.addr+uint64(s.pos))
			if next.joinPage(in) {
				if r := in.Dst.Reg; r != regTmp && next.Writes&(1<<r) == 0 {
					s.page = *in
					return true
				}
				s.pos += 4
				*in = next
				return true
			}
		}
		if in.Op == OpPage || s.stops(in) {
			return true
		}
	}
	return false
}

// mayStop tells branches and system calls, ADR and ADRP, and loads of constants.
func mayStop(w uint32) bool {
	return w&0x1C000000 == 0x14000000 || w&0x1F000000 == 0x10000000 || w&0x3B000000 == 0x18000000
}

// regTmp is the register that Go's assembler takes for the halves of an
// instruction; it holds nothing in between.
const regTmp Reg = 27

// joinPage makes in, the instruction behind an ADRP, name the address that both
// of them make, and reports whether it does: its base is the ADRP's register.
func (in *Inst) joinPage(page *Inst) bool {
	for _, o := range [...]*Operand{&in.Dst, &in.Src} {
		if o.Kind == OperandMem && o.Base == page.Dst.Reg && o.Index == RegNone && o.Disp >= 0 && in.Writes&(1<<SP) == 0 {
			o.Base, o.Disp = RegPC, o.Disp+page.Src.Imm
			return true
		}
	}
	return false
}

// Instructions decodes function i. In arm64 code the words that it loads as
// constants are OpTrap, since they are not for running, and the instruction
// behind an ADRP names the address that both make, unless something jumps to
// it.
func (p *Program) Instructions(i int) []Inst {
	addr, code := p.Code(i)
	out := make([]Inst, 0, len(code)/4)
	if !p.arm64() {
		for at := 0; at < len(code); {
			in := p.Decode(code[at:], addr+uint64(at))
			out = append(out, in)
			at += int(in.Len)
		}
		return out
	}
	data := constantWords(code)
	targets := map[uint64]bool{}
	for at := 0; at < len(code); at += 4 {
		in := DecodeARM64(code[at:], addr+uint64(at))
		if data[at] {
			in = Inst{Addr: in.Addr, Len: 4, Op: OpTrap}
		}
		targets[in.Target] = true
		out = append(out, in)
	}
	for k := 1; k < len(out); k++ {
		if out[k-1].Op == OpPage && !targets[out[k].Addr] {
			out[k].joinPage(&out[k-1])
		}
	}
	return out
}
