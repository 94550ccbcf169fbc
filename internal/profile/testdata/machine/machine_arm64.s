#include "textflag.h"

// A number in the low byte.
TEXT ·partial(SB), NOSPLIT, $0-0
	MOVD $457, R0
	MOVBU R0, R8
	SVC
	RET

TEXT ·swapped(SB), NOSPLIT, $0-0
	MOVD $202, R1
	MOVD R1, R2
	MOVD R2, R8
	SVC
	RET

// Either number.
TEXT ·conditional(SB), NOSPLIT, $0-8
	MOVD $203, R0
	MOVD $204, R1
	MOVD which+0(FP), R2
	CMP $0, R2
	CSEL LE, R1, R0, R8
	SVC
	RET

TEXT ·pushed(SB), NOSPLIT, $16-0
	MOVD $205, R0
	MOVD R0, 8(RSP)
	MOVD $0, R8
	MOVD 8(RSP), R8
	SVC
	RET

// Through a pointer into the frame.
TEXT ·pointed(SB), NOSPLIT, $16-0
	MOVD $8(RSP), R1
	MOVD $206, R0
	MOVD R0, 8(RSP)
	MOVD (R1), R8
	SVC
	RET

TEXT ·shifted(SB), NOSPLIT, $0-0
	MOVD $414, R8
	LSR $1, R8, R8
	SVC
	RET

// A constant kept over a loop.
TEXT ·looped(SB), NOSPLIT, $0-0
	MOVD $208, R12
	MOVD $10, R9
again:
	MOVD R12, R8
	SVC
	SUB $1, R9
	CBNZ R9, again
	RET

TEXT ·copied(SB), NOSPLIT, $32-0
	MOVD $209, R0
	MOVD R0, 8(RSP)
	MOVD 8(RSP), R3
	MOVD R3, 16(RSP)
	MOVD 16(RSP), R8
	SVC
	RET

// One of the words of a table.
TEXT ·tabled(SB), NOSPLIT, $0-8
	MOVD i+0(FP), R0
	AND $1, R0
	MOVD $·table(SB), R1
	MOVD (R1)(R0<<3), R8
	SVC
	RET

DATA ·table+0(SB)/8, $210
DATA ·table+8(SB)/8, $211
GLOBL ·table(SB), RODATA|NOPTR, $16

// A number passed in a register to a wrapper that is jumped to.
TEXT ·tail(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $212, R9
	JMP viaR9<>(SB)

TEXT viaR9<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVD R9, R8
	SVC
	RET

// A number passed on the stack to a wrapper that is called, through another.
TEXT ·wrapped(SB), NOSPLIT, $16-0
	MOVD $213, R0
	MOVD R0, 8(RSP)
	CALL outer<>(SB)
	RET

TEXT outer<>(SB), NOSPLIT, $16-8
	MOVD nr+0(FP), R0
	MOVD R0, 8(RSP)
	CALL inner<>(SB)
	RET

TEXT inner<>(SB), NOSPLIT, $0-8
	MOVD nr+0(FP), R8
	SVC
	RET

// Joined over branches.
TEXT ·jumped(SB), NOSPLIT, $0-0
	MOVD $214, R8
	CBZ R3, make
	MOVD $215, R8
	JMP make
make:
	SVC
	RET

TEXT ·zeroed(SB), NOSPLIT, $0-0
	EOR R8, R8, R8
	ADD $216, R8
	SVC
	RET

TEXT ·added(SB), NOSPLIT, $0-0
	MOVD $200, R1
	ADD $17, R1, R8
	SVC
	RET

TEXT ·negated(SB), NOSPLIT, $0-0
	MOVD $-219, R8
	MOVD $-1, R1
	EOR R1, R8, R8
	SVC
	RET

// A word of read-only memory.
TEXT ·constantWord(SB), NOSPLIT, $0-0
	MOVD ·word(SB), R8
	SVC
	RET

DATA ·word+0(SB)/8, $219
GLOBL ·word(SB), RODATA|NOPTR, $8

// Nothing is known to lead to the second site; it counts.
TEXT ·dead(SB), NOSPLIT, $0-0
	RET
	MOVD $220, R8
	SVC
	RET

TEXT ·deadUnknown(SB), NOSPLIT, $0-0
	RET
	SVC
	RET

// Any constant of SVC calls the kernel.
TEXT ·legacy(SB), NOSPLIT, $0-0
	MOVD $20, R8
	SVC $42
	RET

TEXT ·fast(SB), NOSPLIT, $0-0
	MOVD $20, R8
	SVC $0xffff
	RET

TEXT ·unknownRegister(SB), NOSPLIT, $0-0
	MRS CNTVCT_EL0, R8
	SVC
	RET

TEXT ·highByte(SB), NOSPLIT, $0-0
	MOVD $0, R8
	MOVK $(1<<16), R8
	SVC
	RET

TEXT ·partlyWritten(SB), NOSPLIT, $16-0
	MOVD $1, R0
	MOVD R0, 8(RSP)
	MOVB R0, 9(RSP)
	MOVD 8(RSP), R8
	SVC
	RET

// The result of one call is the number of the next.
TEXT ·setBetween(SB), NOSPLIT, $0-0
	MOVD $221, R8
	SVC
	MOVD R0, R8
	SVC
	RET

// A computed jump that no table explains may lead anywhere in the function.
TEXT ·dispatched(SB), NOSPLIT, $0-8
	MOVD $224, R8
	MOVD i+0(FP), R1
	JMP (R1)
	MOVD $225, R8
call:
	SVC
	RET
	JMP call

// Another function jumps behind the constant.
TEXT ·strayTarget(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $222, R8
	SVC
	RET

TEXT ·strayJump(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $223, R8
	MOVD $·strayTarget+4(SB), R1
	JMP (R1)

// There are no instructions inside others.
TEXT ·hidden(SB), NOSPLIT, $0-0
	MOVD $233, R8
	SVC
	RET

// Pairs of registers, on the stack and back.
TEXT ·paired(SB), NOSPLIT, $32-0
	MOVD $226, R0
	MOVD $227, R1
	STP (R0, R1), 8(RSP)
	LDP 8(RSP), (R2, R8)
	SVC
	LDP 8(RSP), (R8, R2)
	SVC
	STP (ZR, R1), 8(RSP)
	MOVD 16(RSP), R8
	SVC
	RET

// A pair that is stored over a slot with an offset of one half.
TEXT ·bothPaired(SB), NOSPLIT, $48-16
	MOVD $228, R0
	MOVD R0, 16(RSP)
	MOVD a+0(FP), R2
	MOVD b+8(FP), R3
	STP (R2, R3), 12(RSP)
	MOVD 16(RSP), R8
	SVC
	RET

// A frame whose size does not fit an instruction.
TEXT ·largeFrame(SB), 0, $16384-0
	MOVD $229, R0
	MOVD R0, 8192(RSP)
	MOVD $0, R0
	MOVD 8192(RSP), R8
	SVC
	RET

// A number from among the instructions.
TEXT ·constantLoaded(SB), NOSPLIT, $0-0
	WORD $0x18000068 // MOVWU 12(PC), R8
	SVC
	RET
	WORD $230

// An address that is counted from the stack pointer before the frame is there.
TEXT ·belowStack(SB), NOSPLIT|NOFRAME, $0-8
	MOVD i+0(FP), R0
	SUB R0, RSP, R1
	SUB $64, RSP
	MOVD $237, R2
	MOVD R2, 8(RSP)
	MOVD R0, (R1)
	MOVD 8(RSP), R8
	SVC
	ADD $64, RSP
	RET

// A variable that has its own number, and one from another function.
TEXT ·stored(SB), NOSPLIT, $0-0
	MOVD ·lonely+8192(SB), R8
	SVC
	RET

TEXT ·storer(SB), NOSPLIT, $0-0
	MOVD $232, R0
	MOVD R0, ·lonely+8192(SB)
	RET

DATA ·lonely+8192(SB)/8, $231
GLOBL ·lonely(SB), NOPTR, $16384

// A number that comes back from a vector.
TEXT ·movedWide(SB), NOSPLIT, $0-0
	MOVD $234, R8
	FMOVD F8, R8
	SVC
	RET

// A register chooses the word that is written, from one below the variable on.
TEXT ·bitSet(SB), NOSPLIT, $0-8
	MOVD i+0(FP), R0
	MOVD $·wide+8184(SB), R1
	MOVD R0, (R1)(R0<<3)
	MOVD ·wide+8192(SB), R8
	SVC
	RET

DATA ·wide+8192(SB)/8, $235
GLOBL ·wide(SB), NOPTR, $16384

// The frame pointer is handed to another function.
TEXT ·framePassed(SB), NOSPLIT, $32-0
	MOVD $236, R0
	MOVD R0, 16(RSP)
	STP (R1, R29), 24(RSP)
	CALL ·storer(SB)
	MOVD 16(RSP), R8
	SVC
	RET
