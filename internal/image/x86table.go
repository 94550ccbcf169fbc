package image

// A format says what follows an opcode: the low four bits count the bytes of
// the immediate (as it is without prefixes), the others are the flags below.
type format uint8

const (
	fModRM    format = 0x10 // a ModRM byte, with what it brings
	fShrinks  format = 0x20 // the immediate has 2 bytes under a 66 prefix, not 4
	fVisit    format = 0x40 // a Sweep looks closer: jumps, OpBad in some forms, odd lengths
	fBad      format = 0x80 // undefined in this mode, or the way to another map
	fPrefix   format = 0xC0 // not an opcode: a legacy prefix or REX
	fImmBytes format = 0x0F
)

// Short names for the tables; v marks fVisit.
const (
	fN  = format(0)     // nothing
	f1  = format(1)     // imm8, rel8
	f2  = format(2)     // imm16
	f3  = format(3)     // imm16, imm8: ENTER
	f4  = format(4)     // rel32: never shrinks in 64-bit mode
	f8  = format(8)     // a 64-bit address: MOV of the accumulator
	fZ  = f4 | fShrinks // imm32, or imm16
	fM  = fModRM
	fM1 = fModRM | f1
	fMZ = fModRM | fZ
	fP  = fPrefix
	fX  = fBad

	fNv  = fVisit
	f1v  = f1 | fVisit
	f2v  = f2 | fVisit
	f4v  = f4 | fVisit
	f6v  = format(6) | fVisit // a far address: CALL and JMP of 32-bit mode
	f8v  = f8 | fVisit
	fZv  = fZ | fVisit
	fMv  = fM | fVisit
	fM1v = fM1 | fVisit
	fMZv = fMZ | fVisit
)

// amd64OneByte is the map of one-byte opcodes in 64-bit mode. Entries that depend on more
// than the opcode: F6 and F7 (an immediate with TEST only), B8 to BF (8 bytes
// with REX.W), A0 to A3 (4 with a 67 prefix), 8F (POP or XOP).
var amd64OneByte = [256]format{
	fM, fM, fM, fM, f1, fZ, fX, fX, fM, fM, fM, fM, f1, fZ, fX, fX, // 00
	fM, fM, fM, fM, f1, fZ, fX, fX, fM, fM, fM, fM, f1, fZ, fX, fX, // 10
	fM, fM, fM, fM, f1, fZ, fP, fX, fM, fM, fM, fM, f1, fZ, fP, fX, // 20
	fM, fM, fM, fM, f1, fZ, fP, fX, fM, fM, fM, fM, f1, fZ, fP, fX, // 30
	fP, fP, fP, fP, fP, fP, fP, fP, fP, fP, fP, fP, fP, fP, fP, fP, // 40: REX
	fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, // 50
	fX, fX, fX, fM, fP, fP, fP, fP, fZ, fMZ, f1, fM1, fN, fN, fN, fN, // 60
	f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, // 70
	fM1, fMZ, fX, fM1, fM, fM, fM, fM, fM, fM, fM, fM, fM, fMv, fM, fMv, // 80
	fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fX, fN, fN, fN, fN, fN, // 90
	f8v, f8v, f8v, f8v, fN, fN, fN, fN, f1, fZ, fN, fN, fN, fN, fN, fN, // A0
	f1, f1, f1, f1, f1, f1, f1, f1, fZv, fZv, fZv, fZv, fZv, fZv, fZv, fZv, // B0
	fM1, fM1, f2, fN, fX, fX, fM1v, fMZv, f3, fN, f2v, fNv, fN, f1v, fX, fNv, // C0
	fM, fM, fM, fM, fX, fX, fX, fN, fM, fM, fM, fM, fM, fM, fM, fM, // D0
	f1v, f1v, f1v, f1v, f1, f1, f1, f1, f4v, f4v, fX, f1v, fN, fN, fN, fN, // E0
	fP, fN, fP, fP, fN, fN, fMv, fMv, fN, fN, fN, fN, fN, fN, fMv, fMv, // F0
}

// i386OneByte is the map of one-byte opcodes in 32-bit mode. Entries that depend
// on more than the opcode: F6 and F7 as above, A0 to A3 (2 bytes with a 67
// prefix), 9A and EA (4 with 66), 62, C4 and C5 (another map where the byte
// behind it names no memory), 8F.
var i386OneByte = [256]format{
	fM, fM, fM, fM, f1, fZ, fN, fNv, fM, fM, fM, fM, f1, fZ, fN, fX, // 00
	fM, fM, fM, fM, f1, fZ, fN, fNv, fM, fM, fM, fM, f1, fZ, fN, fNv, // 10
	fM, fM, fM, fM, f1, fZ, fP, fN, fM, fM, fM, fM, f1, fZ, fP, fN, // 20
	fM, fM, fM, fM, f1, fZ, fP, fN, fM, fM, fM, fM, f1, fZ, fP, fN, // 30
	fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, // 40
	fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, // 50
	fN, fNv, fMv, fM, fP, fP, fP, fP, fZ, fMZ, f1, fM1, fN, fN, fN, fN, // 60
	f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, f1v, // 70
	fM1, fMZ, fM1, fM1, fM, fM, fM, fM, fM, fM, fM, fM, fM, fMv, fMv, fMv, // 80
	fN, fN, fN, fN, fN, fN, fN, fN, fN, fN, f6v, fN, fN, fN, fN, fN, // 90
	f4v, f4v, f4v, f4v, fN, fN, fN, fN, f1, fZ, fN, fN, fN, fN, fN, fN, // A0
	f1, f1, f1, f1, f1, f1, f1, f1, fZ, fZ, fZ, fZ, fZ, fZ, fZ, fZ, // B0
	fM1, fM1, f2, fN, fMv, fMv, fM1v, fMZv, f3, fN, f2v, fNv, fN, f1v, fN, fNv, // C0
	fM, fM, fM, fM, f1, f1, fNv, fN, fM, fM, fM, fM, fM, fM, fM, fM, // D0
	f1v, f1v, f1v, f1v, f1, f1, f1, f1, fZv, fZv, f6v, f1v, fN, fN, fN, fN, // E0
	fP, fN, fP, fP, fN, fN, fMv, fMv, fN, fN, fN, fN, fN, fN, fMv, fMv, // F0
}

// x86TwoByte is the map of opcodes after 0F. 0F 38 and 0F 3A lead to maps
// where every opcode has a ModRM byte, and an imm8 in the latter. In 32-bit
// mode 80 to 8F take 2 bytes under a 66 prefix.
var x86TwoByte = [256]format{
	fMv, fMv, fM, fM, fX, fNv, fN, fNv, fN, fN, fX, fN, fX, fM, fN, fM1, // 00
	fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, // 10
	fMv, fMv, fMv, fMv, fX, fX, fX, fX, fM, fM, fM, fM, fM, fM, fM, fM, // 20
	fN, fN, fN, fN, fNv, fNv, fX, fNv, fX, fX, fX, fX, fX, fX, fX, fX, // 30
	fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, // 40
	fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, // 50
	fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, // 60
	fM1, fM1, fM1, fM1, fM, fM, fM, fN, fMv, fM, fX, fX, fM, fM, fM, fM, // 70
	f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, f4v, // 80
	fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, // 90
	fN, fN, fN, fM, fM1, fM, fMv, fMv, fN, fN, fNv, fM, fM1, fM, fM, fM, // A0
	fM, fM, fMv, fM, fMv, fMv, fM, fM, fMv, fM, fM1v, fM, fM, fM, fM, fM, // B0
	fM, fM, fM1, fMv, fM1, fM1, fM1, fMv, fN, fN, fN, fN, fN, fN, fN, fN, // C0
	fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, // D0
	fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, // E0
	fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, fM, // F0
}
