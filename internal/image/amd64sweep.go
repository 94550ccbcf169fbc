package image

import "encoding/binary"

// A Sweep goes over the instructions of amd64 code from first to last, most of
// them by length only, and stops at those that a survey of a whole program
// needs:
//
//   - OpSyscall, OpInt80, OpSysenter, OpCall, OpCallInd, OpJmpInd
//   - OpJmp and OpJcc with a Target outside the code
//   - memory operands at a constant address, PC-relative or absolute
//   - OpBad, and whatever else may change any register
//
// It goes on behind an OpBad at the next byte, or where its Len says. An
// instruction that the end of the code cuts off is an OpBad too.
type Sweep struct {
	code []byte
	addr uint64
	pos  int
}

// NewSweep returns a Sweep over code, which lies at address addr.
func NewSweep(code []byte, addr uint64) *Sweep {
	return &Sweep{code: code, addr: addr}
}

// The lengths of ModRM with SIB and displacement; a SIB byte with base 5 under
// mod 0 brings 4 bytes more.
const (
	modrmLengths = modrm0 + modrm1 + modrm2 + modrm3
	modrm0       = modrm0Row + modrm0Row + modrm0Row + modrm0Row + modrm0Row + modrm0Row + modrm0Row + modrm0Row
	modrm1       = modrm1Row + modrm1Row + modrm1Row + modrm1Row + modrm1Row + modrm1Row + modrm1Row + modrm1Row
	modrm2       = modrm2Row + modrm2Row + modrm2Row + modrm2Row + modrm2Row + modrm2Row + modrm2Row + modrm2Row
	modrm3       = modrm3Row + modrm3Row + modrm3Row + modrm3Row + modrm3Row + modrm3Row + modrm3Row + modrm3Row
	modrm0Row    = "\x01\x01\x01\x01\x02\x05\x01\x01"
	modrm1Row    = "\x02\x02\x02\x02\x03\x02\x02\x02"
	modrm2Row    = "\x05\x05\x05\x05\x06\x05\x05\x05"
	modrm3Row    = "\x01\x01\x01\x01\x01\x01\x01\x01"
)

// Next decodes the next instruction that the Sweep stops at into in, and
// reports whether there was one before the end of the code.
func (s *Sweep) Next(in *Inst) bool {
	code, pos := s.code, s.pos
	var e encoding
	for pos < len(code) {
		if pos+8 <= len(code) {
			if n := s.quick(binary.LittleEndian.Uint64(code[pos:]), pos); n > 0 {
				pos += n
				continue
			}
		}
		ok := e.parse(code[pos:])
		if ok && !e.visit() {
			pos += e.length
			continue
		}
		if ok {
			e.describe(in, s.addr+uint64(pos))
		} else {
			in.bad(s.addr + uint64(pos))
		}
		pos += int(in.Len)
		if s.stops(in) {
			s.pos = pos
			return true
		}
	}
	s.pos = pos
	return false
}

// quick returns the length of the instruction at code[pos], whose first bytes
// are w, or 0 if it takes a closer look: the way of the many.
func (s *Sweep) quick(w uint64, pos int) int {
	n := 1
	wide := 0
	if w&0xF0 == 0x40 {
		wide = int(w>>3) & 1
		w >>= 8
		n = 2
	}
	b := uint8(w)
	f := amd64OneByte[b]
	if f >= fVisit {
		switch b {
		case 0x0F:
			w >>= 8
			n++
			b = uint8(w)
			if f = amd64TwoByte[b]; f >= fVisit {
				if b&0xF0 != 0x80 {
					return 0
				}
				if to := pos + n + 4 + int(int32(w>>8)); to < 0 || to >= len(s.code) {
					return 0
				}
				n += 4
				if pos+n > len(s.code) {
					return 0
				}
				return n
			}
		case 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x7B, 0x7C, 0x7D, 0x7E, 0x7F, 0xEB:
			if to := pos + n + 1 + int(int8(w>>8)); to < 0 || to >= len(s.code) {
				return 0
			}
			return n + 1
		case 0x8D:
			if w>>14&3 == 3 {
				return 0
			}
		case 0xC6, 0xC7:
			if w>>11&7 != 0 {
				return 0
			}
		case 0xB8, 0xB9, 0xBA, 0xBB, 0xBC, 0xBD, 0xBE, 0xBF:
			n += wide * 4
		default:
			return 0
		}
	}
	n += int(f & fImmBytes)
	if f&fModRM != 0 {
		modrm := uint8(w >> 8)
		n += int(modrmLengths[modrm])
		if modrm&0xC6 == 4 && (modrm&1 == 1 || w>>16&7 == 5) {
			return 0 // PC-relative or absolute
		}
	}
	if pos+n > len(s.code) {
		return 0
	}
	return n
}

// visit reports whether the Sweep may stop at e.
func (e *encoding) visit() bool {
	if e.constantAddress() {
		return true
	}
	switch {
	case e.kind == xop:
		return true
	case e.space == mapOneByte:
		return amd64OneByte[e.opcode]&fVisit != 0 || e.data16
	case e.space == map0F && e.kind == legacy:
		return amd64TwoByte[e.opcode]&fVisit != 0
	}
	return e.classOf() == '.'
}

// constantAddress reports whether ModRM may name memory without a base.
func (e *encoding) constantAddress() bool {
	return e.modrm&0xC7 == 5 || e.modrm&0xC7 == 4 && e.sib&7 == 5
}

// stops reports whether in is one to stop at.
func (s *Sweep) stops(in *Inst) bool {
	switch in.Op {
	case OpBad, OpSyscall, OpInt80, OpSysenter, OpCall, OpCallInd, OpJmpInd:
		return true
	case OpJmp, OpJcc:
		return in.Target-s.addr >= uint64(len(s.code))
	}
	return in.Writes == allRegisters || in.Dst.constantAddress() || in.Src.constantAddress()
}

// constantAddress reports whether a is memory without a base.
func (a *Operand) constantAddress() bool {
	return a.Kind == OperandMem && (a.Base == RegPC || a.Base == RegNone)
}
