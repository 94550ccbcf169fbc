package image

import "encoding/binary"

// maxX86 is the longest instruction that the processor accepts.
const maxX86 = 15

// The opcode maps; VEX and EVEX name maps 1 to 3 by the same numbers, EVEX has
// 5 and 6 besides, XOP 8 to 10.
const (
	mapOneByte = 0
	map0F      = 1
	map0F38    = 2
	map0F3A    = 3
	mapEVEX5   = 5
	mapEVEX6   = 6
	mapXOP8    = 8
	mapXOPA    = 10
)

// The ways to announce an opcode.
const (
	legacy uint8 = iota
	vex
	evex
	xop
)

// The bits of REX, and those of VEX and EVEX brought to the same places.
const (
	rexB = 1
	rexX = 2
	rexR = 4
	rexW = 8
)

// An encoding is an instruction taken apart, not yet understood.
type encoding struct {
	narrow bool  // 32-bit mode
	space  uint8 // opcode map
	kind   uint8 // legacy, vex, evex, xop
	opcode byte
	modrm  byte
	sib    byte
	rex    byte  // REX itself (40 to 4F), or its low bits from VEX, EVEX, XOP
	rep    byte  // F2 or F3, the last one; of VEX and EVEX the implied one
	data16 bool  // 66; of VEX and EVEX the implied one
	addr   bool  // 67: addresses of half the mode's size
	thread bool  // the thread's segment: FS; in 32-bit mode GS too
	global bool  // GS in 64-bit mode, whose base is 0 unless somebody uses it
	disp8  bool  // the displacement has one byte (which EVEX scales)
	vvvv   Reg   // second source or destination of VEX, EVEX, XOP
	vlen   uint8 // vector length in bytes: 16, 32, 64
	masked bool  // EVEX with a mask register
	high   uint8 // EVEX R': 16 where ModRM.reg names a register above 15
	length int
	next   uint64 // address of the next instruction, for describe
	disp   int32
	imm    int64
}

// parse takes apart the instruction at the start of code, in 32-bit mode if
// narrow, and reports whether there is one. It knows no operation: undefined
// opcodes of a map where all opcodes look the same pass.
func (e *encoding) parse(code []byte, narrow bool) bool {
	if len(code) > maxX86 {
		code = code[:maxX86]
	}
	*e = encoding{narrow: narrow, vlen: 16}
	oneByte := &amd64OneByte
	if narrow {
		oneByte = &i386OneByte
	}
	i := 0
	var f format
	for ; ; i++ {
		if i >= len(code) {
			return false
		}
		b := code[i]
		if f = oneByte[b]; f != fPrefix {
			break
		}
		if b&0xF0 == 0x40 {
			e.rex = b
			continue
		}
		e.rex = 0 // counts only right before the opcode
		switch b {
		case 0x66:
			e.data16 = true
		case 0x67:
			e.addr = true
		case 0x64:
			e.thread = true
		case 0x65:
			e.global, e.thread = !narrow, narrow
		case 0xF2, 0xF3:
			e.rep = b
		}
	}
	e.opcode = code[i]
	i++
	switch e.opcode {
	case 0x0F:
		if i >= len(code) {
			return false
		}
		e.opcode, e.space = code[i], map0F
		i++
		f = x86TwoByte[e.opcode]
		if e.opcode == 0x38 || e.opcode == 0x3A {
			e.space, f = map0F38, fModRM
			if e.opcode == 0x3A {
				e.space, f = map0F3A, fM1
			}
			if i >= len(code) {
				return false
			}
			e.opcode = code[i]
			i++
		}
	case 0xC4, 0xC5, 0x62:
		if narrow && i < len(code) && code[i] < 0xC0 {
			break // LES, LDS, BOUND, which need memory
		}
		var ok bool
		if i, f, ok = e.parseVEX(code, i); !ok {
			return false
		}
	case 0x8F:
		if i < len(code) && code[i]&0x1F >= mapXOP8 {
			var ok bool
			if i, f, ok = e.parseVEX(code, i); !ok {
				return false
			}
		}
	}
	if f&fBad != 0 {
		return false
	}
	imm := int(f & fImmBytes)
	if f&fShrinks != 0 && e.data16 && e.rex&rexW == 0 {
		imm = 2
	}
	if f&fModRM != 0 {
		var ok bool
		if i, ok = e.parseModRM(code, i); !ok {
			return false
		}
	}
	switch {
	case e.space == mapOneByte:
		switch op := e.opcode; {
		case op == 0xF6 && e.modrm&0x30 == 0: // TEST
			imm = 1
		case op == 0xF7 && e.modrm&0x30 == 0:
			imm = 4
			if e.data16 && e.rex&rexW == 0 {
				imm = 2
			}
		case op&0xF8 == 0xB8 && e.rex&rexW != 0:
			imm = 8
		case op&0xFC == 0xA0 && e.addr:
			imm /= 2
		case imm == 6 && e.data16: // far CALL and JMP
			imm = 4
		}
	case narrow && e.space == map0F && e.opcode&0xF0 == 0x80 && e.data16:
		imm = 2
	case e.space == map0F && e.opcode == 0x78 && e.kind == legacy && (e.data16 || e.rep == 0xF2):
		imm = 2 // EXTRQ, INSERTQ: two imm8
	}
	if i+imm > len(code) {
		return false
	}
	switch c := code[i:]; imm {
	case 1:
		e.imm = int64(int8(c[0]))
	case 2:
		e.imm = int64(int16(binary.LittleEndian.Uint16(c)))
	case 3:
		e.imm = int64(binary.LittleEndian.Uint16(c))
	case 4:
		e.imm = int64(int32(binary.LittleEndian.Uint32(c)))
	case 6: // far CALL and JMP, whose target does not count
	case 8:
		e.imm = int64(binary.LittleEndian.Uint64(c))
	}
	e.length = i + imm
	return true
}

// parseModRM reads the ModRM byte at code[i], the SIB byte and the displacement.
func (e *encoding) parseModRM(code []byte, i int) (int, bool) {
	if i >= len(code) {
		return 0, false
	}
	e.modrm = code[i]
	i++
	mod, rm := e.modrm>>6, e.modrm&7
	if e.space == map0F && e.opcode&0xFC == 0x20 && e.kind == legacy {
		e.modrm |= 0xC0 // MOV of control and debug registers ignores mod
		return i, true
	}
	if mod == 3 {
		return i, true
	}
	disp := 0
	switch mod {
	case 1:
		disp = 1
	case 2:
		disp = 4
	}
	if e.narrow && e.addr { // 16-bit: no SIB
		if disp == 4 || mod == 0 && rm == 6 {
			disp = 2
		}
		return i + disp, i+disp <= len(code)
	}
	if rm == 4 {
		if i >= len(code) {
			return 0, false
		}
		e.sib = code[i]
		i++
		rm = e.sib & 7
	}
	if mod == 0 && rm == 5 {
		disp = 4
	}
	if i+disp > len(code) {
		return 0, false
	}
	switch disp {
	case 1:
		e.disp, e.disp8 = int32(int8(code[i])), true
	case 4:
		e.disp = int32(binary.LittleEndian.Uint32(code[i:]))
	}
	return i + disp, true
}

// parseVEX reads what follows a C4, C5, 62 or 8F byte: the payload and the
// opcode. The payload keeps R, X, B and vvvv inverted.
func (e *encoding) parseVEX(code []byte, i int) (int, format, bool) {
	if e.data16 || e.rep != 0 || e.rex != 0 {
		return 0, 0, false
	}
	size := 2
	switch e.opcode {
	case 0xC5:
		size, e.kind = 1, vex
	case 0xC4:
		e.kind = vex
	case 0x8F:
		e.kind = xop
	case 0x62:
		size, e.kind = 3, evex
	}
	if i+size >= len(code) {
		return 0, 0, false
	}
	first, last := code[i], code[i]
	e.space = map0F
	if size > 1 {
		last = code[i+1]
		e.space = first & 0x1F
		e.rex = (^first>>7)<<2&rexR | (^first>>6)<<1&rexX | ^first>>5&rexB | last>>7<<3
	} else {
		e.rex = (^first >> 7) << 2 & rexR
	}
	e.vvvv = Reg(^last >> 3 & 15)
	e.vlen = 16 << (last >> 2 & 1)
	switch last & 3 {
	case 1:
		e.data16 = true
	case 2:
		e.rep = 0xF3
	case 3:
		e.rep = 0xF2
	}
	if e.kind == evex {
		third := code[i+2]
		e.space = first & 7
		if first&8 != 0 || last&4 == 0 {
			return 0, 0, false
		}
		e.high = ^first & 0x10
		e.vlen = 16 << min(third>>5&3, 2)
		e.masked = third&7 != 0
	}
	if e.narrow { // eight registers; W stays, where it is no size of registers
		e.rex &= rexW
		e.vvvv &= 7
		e.high = 0
	}
	e.opcode = code[i+size]
	return i + size + 1, e.formatVEX(), true
}

// formatVEX returns the format of the opcode: only the map decides, save in
// the first.
func (e *encoding) formatVEX() format {
	op := e.opcode
	switch {
	case e.kind == xop && e.space == mapXOP8:
		return fM1
	case e.kind == xop && e.space == mapXOPA:
		return fModRM | f4
	case e.kind == xop && e.space < mapXOPA:
		return fModRM
	case e.kind == xop:
		return fBad
	case e.space == map0F && e.kind == vex && op == 0x77:
		return 0
	case e.space == map0F && (op >= 0x70 && op <= 0x73 || op == 0xC2 || op >= 0xC4 && op <= 0xC6):
		return fM1
	case e.space == map0F || e.space == map0F38:
		return fModRM
	case e.space == map0F3A:
		return fM1
	case e.kind == evex && (e.space == mapEVEX5 || e.space == mapEVEX6):
		return fModRM
	}
	return fBad
}
