#include "textflag.h"

// A number in the low byte.
TEXT ·partial(SB), NOSPLIT, $0-0
	MOVW $457, R0
	AND $255, R0, R7
	SWI $0
	RET

TEXT ·swapped(SB), NOSPLIT, $0-0
	MOVW $202, R1
	MOVW R1, R2
	MOVW R2, R7
	SWI $0
	RET

// Either number.
TEXT ·conditional(SB), NOSPLIT, $0-4
	MOVW $203, R7
	MOVW which+0(FP), R2
	CMP $0, R2
	MOVW.LE $204, R7
	SWI $0
	RET

TEXT ·pushed(SB), NOSPLIT, $16-0
	MOVW $205, R0
	MOVW R0, 8(R13)
	MOVW $0, R7
	MOVW 8(R13), R7
	SWI $0
	RET

// Through a pointer into the frame.
TEXT ·pointed(SB), NOSPLIT, $16-0
	MOVW $8(R13), R1
	MOVW $206, R0
	MOVW R0, 8(R13)
	MOVW (R1), R7
	SWI $0
	RET

TEXT ·shifted(SB), NOSPLIT, $0-0
	MOVW $414, R7
	MOVW R7>>1, R7
	SWI $0
	RET

// A constant kept over a loop.
TEXT ·looped(SB), NOSPLIT, $0-0
	MOVW $208, R5
	MOVW $10, R6
again:
	MOVW R5, R7
	SWI $0
	SUB.S $1, R6
	BNE again
	RET

TEXT ·copied(SB), NOSPLIT, $32-0
	MOVW $209, R0
	MOVW R0, 8(R13)
	MOVW 8(R13), R3
	MOVW R3, 16(R13)
	MOVW 16(R13), R7
	SWI $0
	RET

// One of the words of a table.
TEXT ·tabled(SB), NOSPLIT, $0-4
	MOVW i+0(FP), R0
	AND $1, R0
	MOVW $·table(SB), R1
	MOVW R0<<2(R1), R7
	SWI $0
	RET

DATA ·table+0(SB)/4, $210
DATA ·table+4(SB)/4, $211
GLOBL ·table(SB), RODATA|NOPTR, $8

// A number passed in a register to a wrapper that is jumped to.
TEXT ·tail(SB), NOSPLIT|NOFRAME, $0-0
	MOVW $212, R5
	B viaR5<>(SB)

TEXT viaR5<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVW R5, R7
	SWI $0
	RET

// A number passed on the stack to a wrapper that is called, through another.
TEXT ·wrapped(SB), NOSPLIT, $16-0
	MOVW $213, R0
	MOVW R0, 4(R13)
	BL outer<>(SB)
	RET

TEXT outer<>(SB), NOSPLIT, $16-4
	MOVW nr+0(FP), R0
	MOVW R0, 4(R13)
	BL inner<>(SB)
	RET

TEXT inner<>(SB), NOSPLIT, $0-4
	MOVW nr+0(FP), R7
	SWI $0
	RET

// Joined over branches.
TEXT ·jumped(SB), NOSPLIT, $0-0
	MOVW $214, R7
	CMP $0, R3
	BEQ make
	MOVW $215, R7
	B make
make:
	SWI $0
	RET

TEXT ·zeroed(SB), NOSPLIT, $0-0
	EOR R7, R7, R7
	ADD $216, R7
	SWI $0
	RET

TEXT ·added(SB), NOSPLIT, $0-0
	MOVW $200, R1
	ADD $17, R1, R7
	SWI $0
	RET

TEXT ·negated(SB), NOSPLIT, $0-0
	MOVW $-218, R7
	RSB $0, R7, R7
	SWI $0
	RET

// A word of read-only memory.
TEXT ·constantWord(SB), NOSPLIT, $0-0
	MOVW ·word(SB), R7
	SWI $0
	RET

DATA ·word+0(SB)/4, $219
GLOBL ·word(SB), RODATA|NOPTR, $4

// Nothing is known to lead to the second site; it counts.
TEXT ·dead(SB), NOSPLIT, $0-0
	RET
	MOVW $220, R7
	SWI $0
	RET

TEXT ·deadUnknown(SB), NOSPLIT, $0-0
	RET
	SWI $0
	RET

TEXT ·legacy(SB), NOSPLIT, $0-0
	RET

TEXT ·fast(SB), NOSPLIT, $0-0
	RET

TEXT ·unknownRegister(SB), NOSPLIT, $0-0
	MRC 15, 0, R7, C9, C13, 0
	SWI $0
	RET

TEXT ·highByte(SB), NOSPLIT, $0-0
	MOVW $0, R7
	CLZ R7, R7
	SWI $0
	RET

TEXT ·partlyWritten(SB), NOSPLIT, $16-0
	MOVW $1, R0
	MOVW R0, 8(R13)
	MOVB R0, 9(R13)
	MOVW 8(R13), R7
	SWI $0
	RET

// The result of one call is the number of the next.
TEXT ·setBetween(SB), NOSPLIT, $0-0
	MOVW $221, R7
	SWI $0
	MOVW R0, R7
	SWI $0
	RET

// A computed jump that no table explains may lead anywhere in the function.
TEXT ·dispatched(SB), NOSPLIT, $0-4
	MOVW $224, R7
	MOVW i+0(FP), R1
	B (R1)
	MOVW $225, R7
call:
	SWI $0
	RET
	B call

// Another function jumps behind the constant.
TEXT ·strayTarget(SB), NOSPLIT|NOFRAME, $0-0
	MOVW $222, R7
	SWI $0
	RET

TEXT ·strayJump(SB), NOSPLIT|NOFRAME, $0-0
	MOVW $223, R7
	MOVW $·strayTarget+4(SB), R1
	B (R1)

// There are no instructions inside others.
TEXT ·hidden(SB), NOSPLIT, $0-0
	MOVW $233, R7
	SWI $0
	RET

// A number from among the instructions.
TEXT ·literal(SB), NOSPLIT, $0-0
	MOVW $0xf0002, R7
	SWI $0
	RET

// A call that may not be made, and one that is.
TEXT ·perhaps(SB), NOSPLIT, $16-4
	MOVW $226, R5
	MOVW i+0(FP), R0
	CMP $0, R0
	BL.NE viaR5<>(SB)
	MOVW $227, R7
	SWI $0
	RET

// Several registers, onto the stack and back.
TEXT ·block(SB), NOSPLIT|NOFRAME, $0-0
	MOVW $228, R7
	MOVM.DB.W [R4-R8], (R13)
	MOVW $0, R7
	MOVM.IA.W (R13), [R4-R8]
	SWI $0
	RET

// A call of the old ABI.
TEXT ·oldABI(SB), NOSPLIT, $0-0
	MOVW $229, R7
	WORD $0xef900014
	RET
