package bpf

// Instruction codes that seccomp admits (include/uapi/linux/bpf_common.h and
// filter.h). A is the accumulator, X the index register, M[0..15] the scratch
// memory; K is the instruction's constant. All arithmetic is on 32-bit unsigned
// words and wraps around.
const (
	LdAbs uint16 = 0x20 // A = the word of seccomp_data at offset K
	LdLen uint16 = 0x80 // A = size of seccomp_data, 64
	LdImm uint16 = 0x00 // A = K
	LdMem uint16 = 0x60 // A = M[K]

	LdxLen uint16 = 0x81 // X = size of seccomp_data, 64
	LdxImm uint16 = 0x01 // X = K
	LdxMem uint16 = 0x61 // X = M[K]

	St  uint16 = 0x02 // M[K] = A
	Stx uint16 = 0x03 // M[K] = X

	AddK uint16 = 0x04 // A += K
	SubK uint16 = 0x14 // A -= K
	MulK uint16 = 0x24 // A *= K
	DivK uint16 = 0x34 // A /= K; K is not 0
	OrK  uint16 = 0x44 // A |= K
	AndK uint16 = 0x54 // A &= K
	LshK uint16 = 0x64 // A <<= K; K < 32
	RshK uint16 = 0x74 // A >>= K; K < 32
	XorK uint16 = 0xa4 // A ^= K

	AddX uint16 = 0x0c // A += X
	SubX uint16 = 0x1c // A -= X
	MulX uint16 = 0x2c // A *= X
	DivX uint16 = 0x3c // A /= X; X = 0 ends the program, which returns 0 (kill_thread)
	OrX  uint16 = 0x4c // A |= X
	AndX uint16 = 0x5c // A &= X
	LshX uint16 = 0x6c // A <<= X & 31
	RshX uint16 = 0x7c // A >>= X & 31
	XorX uint16 = 0xac // A ^= X

	Neg uint16 = 0x84 // A = -A

	Ja    uint16 = 0x05 // skip K instructions
	JeqK  uint16 = 0x15 // skip JT instructions if A == K, else JF; likewise below
	JgtK  uint16 = 0x25 // A > K
	JgeK  uint16 = 0x35 // A >= K
	JsetK uint16 = 0x45 // A & K != 0
	JeqX  uint16 = 0x1d // A == X
	JgtX  uint16 = 0x2d // A > X
	JgeX  uint16 = 0x3d // A >= X
	JsetX uint16 = 0x4d // A & X != 0

	RetK uint16 = 0x06 // return K
	RetA uint16 = 0x16 // return A

	Tax uint16 = 0x07 // X = A
	Txa uint16 = 0x87 // A = X
)

// MemWords is the number of words of scratch memory (BPF_MEMWORDS).
const MemWords = 16

// A form is what of an instruction means something besides its code.
type form uint8

const (
	illegal  form = iota // not a code that seccomp admits
	bare                 // nothing
	withData             // K, an offset in seccomp_data
	withMem              // K, an index of M
	withK                // K, a value
	withX                // nothing; the operand is X
	jump                 // K, a distance
	branchK              // K, a value; JT, JF
	branchX              // JT, JF; the operand is X
	retK                 // K, an action
)

// ops has the name and form of every code that seccomp admits.
var ops = [...]struct {
	name string
	form form
}{
	LdAbs: {"ld", withData}, LdLen: {"ld len", bare}, LdImm: {"ld", withK}, LdMem: {"ld", withMem},
	LdxLen: {"ldx len", bare}, LdxImm: {"ldx", withK}, LdxMem: {"ldx", withMem},
	St: {"st", withMem}, Stx: {"stx", withMem},
	AddK: {"add", withK}, SubK: {"sub", withK}, MulK: {"mul", withK}, DivK: {"div", withK},
	OrK: {"or", withK}, AndK: {"and", withK}, LshK: {"lsh", withK}, RshK: {"rsh", withK}, XorK: {"xor", withK},
	AddX: {"add", withX}, SubX: {"sub", withX}, MulX: {"mul", withX}, DivX: {"div", withX},
	OrX: {"or", withX}, AndX: {"and", withX}, LshX: {"lsh", withX}, RshX: {"rsh", withX}, XorX: {"xor", withX},
	Neg:  {"neg", bare},
	Ja:   {"ja", jump},
	JeqK: {"jeq", branchK}, JgtK: {"jgt", branchK}, JgeK: {"jge", branchK}, JsetK: {"jset", branchK},
	JeqX: {"jeq", branchX}, JgtX: {"jgt", branchX}, JgeX: {"jge", branchX}, JsetX: {"jset", branchX},
	RetK: {"ret", retK}, RetA: {"ret a", bare},
	Tax: {"tax", bare}, Txa: {"txa", bare},
}

func formOf(code uint16) form {
	if int(code) >= len(ops) {
		return illegal
	}
	return ops[code].form
}

// IsReturn reports whether i ends the program: RET K or RET A.
func (i Instruction) IsReturn() bool { return i.Code == RetK || i.Code == RetA }

// IsBranch reports whether i is a conditional jump.
func (i Instruction) IsBranch() bool {
	f := formOf(i.Code)
	return f == branchK || f == branchX
}

// Stmt returns an instruction that is no conditional jump (the kernel's
// BPF_STMT).
func Stmt(code uint16, k uint32) Instruction { return Instruction{Code: code, K: k} }

// Jump returns a conditional jump over jt or jf instructions (the kernel's
// BPF_JUMP).
func Jump(code uint16, k uint32, jt, jf uint8) Instruction {
	return Instruction{Code: code, JT: jt, JF: jf, K: k}
}
