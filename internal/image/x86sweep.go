package image

import "encoding/binary"

// A Sweep goes over the instructions of x86 code from first to last, most of
// them by length only, and stops at those that a survey of a whole program
// needs:
//
//   - OpSyscall, OpInt80, OpSysenter, OpCall, OpCallInd, OpJmpInd
//   - OpJmp and OpJcc with a Target outside the code
//   - memory operands at a constant address, PC-relative or absolute
//   - in code that holds addresses as constants (32-bit mode, [NewSweepFixed])
//     also those with a displacement, and those immediates but of comparisons,
//     that are an address of the program
//   - OpBad, and whatever else may change any register
//
// It goes on behind an OpBad at the next byte, or where its Len says. An
// instruction that the end of the code cuts off is an OpBad too.
type Sweep struct {
	code    []byte
	addr    uint64
	pos     int
	narrow  bool    // 32-bit mode
	fixed   bool    // constants can be addresses of the program
	program Range   // these
	risc    *risc   // nil for x86
	far     bool    // see Far
	arm     *File   // of code of arm that is not Go's: every instruction is a stop
	global  uint64  // see [File.Decode]
	data    wordSet // words of code that are loaded as constants
	first   Inst    // half of an address that stays in its register behind the instruction that follows, next
}

// NewSweep returns a Sweep over amd64 code, which lies at address addr.
func NewSweep(code []byte, addr uint64) *Sweep {
	return &Sweep{code: code, addr: addr}
}

// Far reports that among the instructions that the Sweep, of [NewSweep], has gone over
// one loads a constant of 8 bytes that hardly needs more than 4: the large code model's
// distance to something.
func (s *Sweep) Far() bool { return s.far }

// NewSweep386 is NewSweep for 386 code of a program that lies at the addresses
// program.
func NewSweep386(code []byte, addr uint64, program Range) *Sweep {
	return &Sweep{code: code, addr: addr, narrow: true, fixed: true, program: program}
}

// NewSweepFixed is NewSweep for amd64 code of a program with a fixed load
// address, whose compiler may have taken addresses for constants of 4 bytes.
func NewSweepFixed(code []byte, addr uint64, program Range) *Sweep {
	return &Sweep{code: code, addr: addr, fixed: true, program: program}
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
	switch {
	case s.arm != nil:
		return s.nextARM(in)
	case s.risc != nil:
		return s.nextRISC(in)
	}
	var e encoding
	for s.pos < len(s.code) {
		if s.fixed {
			s.skipFixed()
		} else {
			s.skip()
		}
		if s.pos == len(s.code) {
			break
		}
		code, addr := s.code[s.pos:], s.addr+uint64(s.pos)
		switch {
		case code[0] == 0xE8 && len(code) >= 5 && !s.narrow: // every other stop
			rel := int64(int32(binary.LittleEndian.Uint32(code[1:])))
			*in = Inst{Addr: addr, Len: 5, Op: OpCall, Target: addr + 5 + uint64(rel)}
		case code[0]&0xF8 == 0x48 && len(code) >= 7 && code[2]&0xC7 == 5 && !s.narrow && s.relative(in, code, addr):
		case !e.parse(code, s.narrow):
			in.bad(addr, 1)
		case e.visit() || s.fixed && (s.names(int64(e.disp)) || s.names(e.imm)):
			e.describe(in, addr)
		default:
			s.pos += e.length
			continue
		}
		s.pos += int(in.Len)
		if s.stops(in) {
			return true
		}
	}
	return false
}

// relative decodes the most frequent instructions with a constant address: LEA,
// and MOV from memory, both of 8 bytes. It reports whether code starts with one.
func (s *Sweep) relative(in *Inst, code []byte, addr uint64) bool {
	op := OpLea
	switch code[1] {
	case 0x8B:
		op = OpMov
	case 0x8D:
	default:
		return false
	}
	r := Reg(code[2]>>3 | code[0]<<1&8)
	disp := int64(int32(binary.LittleEndian.Uint32(code[3:])))
	*in = Inst{Addr: addr, Len: 7, Op: op, Size: 8, Writes: 1 << r}
	in.Dst.register(r)
	in.Src = Operand{Kind: OperandMem, Base: RegPC, Index: RegNone, Disp: disp + int64(addr) + 7}
	return true
}

// skip goes over the instructions, the many, whose first bytes tell that they
// are not for Next, and in some cases stops too early. It needs no more of
// them than 8 bytes: REX, 0F, opcode, ModRM, SIB, or a displacement.
func (s *Sweep) skip() {
	code, pos := s.code, s.pos
loop:
	for pos+8 <= len(code) {
		w := binary.LittleEndian.Uint64(code[pos:])
		first := uint8(w)
		n := 1 // the length so far
		if first&0xF0 == 0x40 {
			w >>= 8
			n = 2
		}
		f := amd64OneByte[uint8(w)]
		if f >= fVisit {
			switch b := uint8(w); {
			case b == 0x0F:
				w >>= 8
				n++
				if f = x86TwoByte[uint8(w)]; f >= fVisit {
					if w&0xF0 != 0x80 || !s.inside(pos+n+4+int(int32(w>>8))) {
						break loop
					}
				}
			case b&0xF0 == 0x70, b == 0xEB:
				if !s.inside(pos + n + 1 + int(int8(w>>8))) {
					break loop
				}
			case b == 0xE9:
				if !s.inside(pos + n + 4 + int(int32(w>>8))) {
					break loop
				}
			case b&0xF8 == 0xB8:
				if first&0xF8 == 0x48 { // REX.W
					n += 4
					s.far = s.far || w>>40&0xFFFF == 0 || w>>40&0xFFFF == 0xFFFF
				}
			case b == 0x8D && w>>14&3 != 3, b&0xFE == 0xC6 && w>>11&7 == 0:
			default:
				break loop
			}
		}
		n += int(f & fImmBytes)
		if f&fModRM != 0 {
			modrm := uint8(w >> 8)
			n += int(modrmLengths[modrm])
			if modrm&0xC6 == 4 && (modrm&1 == 1 || w>>16&7 == 5) {
				break loop // a constant address
			}
		}
		if pos+n > len(code) {
			break loop
		}
		pos += n
	}
	s.pos = pos
}

// skipFixed is skip where a constant of 4 bytes may be an address too.
func (s *Sweep) skipFixed() {
	code, pos := s.code, s.pos
	first, size := uint32(s.program.Start), uint32(s.program.End-s.program.Start)
	oneByte := &amd64OneByte
	if s.narrow {
		oneByte = &i386OneByte
	}
loop:
	for pos+8 <= len(code) {
		w := binary.LittleEndian.Uint64(code[pos:])
		n := 1 // the length so far
		if !s.narrow && w&0xF0 == 0x40 {
			if w>>3&1 == 1 && w>>8&0xF8 == 0xB8 {
				break loop // a constant of 8 bytes
			}
			w >>= 8
			n = 2
		}
		f := oneByte[uint8(w)]
		constant := f&fImmBytes == 4
		if f >= fVisit {
			switch b := uint8(w); {
			case b == 0x0F:
				w >>= 8
				n++
				if f = x86TwoByte[uint8(w)]; f >= fVisit {
					if w&0xF0 != 0x80 || !s.inside(pos+n+4+int(int32(w>>8))) {
						break loop
					}
				}
			case b&0xF0 == 0x70, b == 0xEB:
				if !s.inside(pos + n + 1 + int(int8(w>>8))) {
					break loop
				}
			case b == 0xE9:
				if !s.inside(pos + n + 4 + int(int32(w>>8))) {
					break loop
				}
				constant = false
			case b&0xF8 == 0xB8 && !s.narrow:
			case b == 0x8D && w>>14&3 != 3, b&0xFE == 0xC6 && w>>11&7 == 0:
			default:
				break loop
			}
		}
		if f&fModRM != 0 {
			modrm := uint8(w >> 8)
			n += int(modrmLengths[modrm])
			switch {
			case modrm&0xC6 == 4 && (modrm&1 == 1 || w>>16&7 == 5):
				break loop // a constant address
			case modrm&0xC0 == 0x80 && (pos+n > len(code) || binary.LittleEndian.Uint32(code[pos+n-4:])-first < size):
				break loop // perhaps the address of a table
			}
		}
		n += int(f & fImmBytes)
		if pos+n > len(code) || constant && binary.LittleEndian.Uint32(code[pos+n-4:])-first < size {
			break loop
		}
		pos += n
	}
	s.pos = pos
}

// inside reports whether pos lies in the code.
func (s *Sweep) inside(pos int) bool { return uint(pos) < uint(len(s.code)) }

// visit reports whether the Sweep may stop at e.
func (e *encoding) visit() bool {
	if e.constantAddress() {
		return true
	}
	switch {
	case e.kind == xop:
		return true
	case e.space == mapOneByte:
		if e.narrow {
			return i386OneByte[e.opcode]&fVisit != 0 || e.data16
		}
		return amd64OneByte[e.opcode]&fVisit != 0 || e.data16
	case e.space == map0F && e.kind == legacy:
		return x86TwoByte[e.opcode]&fVisit != 0
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
	if in.Writes == allRegisters || in.Dst.constantAddress() || in.Src.constantAddress() {
		return true
	}
	return s.program.End != 0 && (s.refers(in, &in.Dst) || s.refers(in, &in.Src))
}

// refers reports whether operand o holds an address of the program.
func (s *Sweep) refers(in *Inst, o *Operand) bool {
	switch o.Kind {
	case OperandMem:
		return o.Base != RegFS && s.names(o.Disp)
	case OperandImm:
		return in.Op != OpCmp && in.Op != OpTest && s.names(o.Imm)
	}
	return false
}

// names reports whether v, in 32-bit mode its low half, is an address of the
// program.
func (s *Sweep) names(v int64) bool {
	addr := uint64(v)
	if s.narrow {
		addr = uint64(uint32(v))
	}
	return addr >= s.program.Start && addr < s.program.End
}

// constantAddress reports whether a is memory without a base.
func (a *Operand) constantAddress() bool {
	return a.Kind == OperandMem && (a.Base == RegPC || a.Base == RegNone)
}
