#include "textflag.h"

// A number in the low byte of a cleared register.
TEXT ·partial(SB), NOSPLIT, $0-0
	XORL AX, AX
	MOVB $201, AL
	INT $0x80
	RET

TEXT ·swapped(SB), NOSPLIT, $0-0
	MOVL $202, BX
	XCHGL BX, AX
	INT $0x80
	RET

// Either number.
TEXT ·conditional(SB), NOSPLIT, $0-4
	MOVL $203, AX
	MOVL $204, CX
	CMPL which+0(FP), $0
	CMOVLEQ CX, AX
	INT $0x80
	RET

TEXT ·pushed(SB), NOSPLIT, $0-0
	PUSHL $205
	MOVL $0, AX
	POPL AX
	INT $0x80
	RET

// Through a pointer into the frame.
TEXT ·pointed(SB), NOSPLIT, $8-0
	LEAL 4(SP), BX
	MOVL $206, 4(SP)
	MOVL (BX), AX
	INT $0x80
	RET

TEXT ·shifted(SB), NOSPLIT, $0-0
	MOVL $414, AX
	SHRL $1, AX
	INT $0x80
	RET

// A constant kept over a loop.
TEXT ·looped(SB), NOSPLIT, $0-0
	MOVL $208, SI
	MOVL $10, CX
again:
	MOVL SI, AX
	MOVL CX, DI
	INT $0x80
	MOVL DI, CX
	DECL CX
	JNZ again
	RET

TEXT ·copied(SB), NOSPLIT, $8-0
	MOVL $209, 0(SP)
	MOVL 0(SP), DX
	MOVL DX, 4(SP)
	MOVL 4(SP), AX
	INT $0x80
	RET

// One of the words of a table.
TEXT ·tabled(SB), NOSPLIT, $0-4
	MOVL i+0(FP), AX
	ANDL $1, AX
	LEAL ·table(SB), CX
	MOVL (CX)(AX*4), AX
	INT $0x80
	RET

DATA ·table+0(SB)/4, $210
DATA ·table+4(SB)/4, $211
GLOBL ·table(SB), RODATA|NOPTR, $8

// A number passed in a register to a wrapper that is jumped to.
TEXT ·tail(SB), NOSPLIT|NOFRAME, $0-0
	MOVL $212, DX
	JMP viaDX<>(SB)

TEXT viaDX<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVL DX, AX
	INT $0x80
	RET

// A number passed on the stack to a wrapper that is called, through another.
TEXT ·wrapped(SB), NOSPLIT, $4-0
	MOVL $213, 0(SP)
	CALL outer<>(SB)
	RET

TEXT outer<>(SB), NOSPLIT, $4-4
	MOVL nr+0(FP), AX
	MOVL AX, 0(SP)
	CALL inner<>(SB)
	RET

TEXT inner<>(SB), NOSPLIT, $0-4
	MOVL nr+0(FP), AX
	INT $0x80
	RET

// Joined over branches.
TEXT ·jumped(SB), NOSPLIT, $0-0
	MOVL $214, AX
	TESTL DI, DI
	JZ make
	MOVL $215, AX
	JMP make
make:
	INT $0x80
	RET

TEXT ·zeroed(SB), NOSPLIT, $0-0
	SUBL AX, AX
	ADDL $216, AX
	INT $0x80
	RET

TEXT ·added(SB), NOSPLIT, $0-0
	MOVL $200, BX
	LEAL 17(BX), AX
	INT $0x80
	RET

TEXT ·negated(SB), NOSPLIT, $0-0
	MOVL $-218, AX
	NEGL AX
	INT $0x80
	RET

// A word of read-only memory.
TEXT ·constantWord(SB), NOSPLIT, $0-0
	MOVL ·word(SB), AX
	INT $0x80
	RET

DATA ·word+0(SB)/4, $219
GLOBL ·word(SB), RODATA|NOPTR, $4

// Nothing is known to lead to the second site; it counts.
TEXT ·dead(SB), NOSPLIT, $0-0
	RET
	MOVL $220, AX
	INT $0x80
	RET

TEXT ·deadUnknown(SB), NOSPLIT, $0-0
	RET
	INT $0x80
	RET

TEXT ·legacy(SB), NOSPLIT, $0-0
	MOVL $20, AX
	INT $0x80
	RET

TEXT ·fast(SB), NOSPLIT, $0-0
	MOVL $20, AX
	SYSENTER
	RET

TEXT ·unknownRegister(SB), NOSPLIT, $0-0
	CPUID
	INT $0x80
	RET

TEXT ·highByte(SB), NOSPLIT, $0-0
	MOVL $0, AX
	MOVB $1, AH
	INT $0x80
	RET

TEXT ·partlyWritten(SB), NOSPLIT, $4-0
	MOVL $1, 0(SP)
	MOVB $2, 1(SP)
	MOVL 0(SP), AX
	INT $0x80
	RET

// The result of one call is the number of the next.
TEXT ·setBetween(SB), NOSPLIT, $0-0
	MOVL $221, AX
	INT $0x80
	INT $0x80
	RET

// A computed jump that no table explains may lead anywhere in the function.
TEXT ·dispatched(SB), NOSPLIT, $0-4
	MOVL $224, AX
	MOVL i+0(FP), BX
	JMP BX
	MOVL $225, AX
call:
	INT $0x80
	RET
	JMP call

// Another function jumps behind the constant.
TEXT ·strayTarget(SB), NOSPLIT, $0-0
	MOVL $222, AX
	INT $0x80
	RET

TEXT ·strayJump(SB), NOSPLIT|NOFRAME, $0-0
	MOVL $223, AX
	LEAL ·strayTarget+5(SB), BX
	JMP BX

// A register chooses the bit that is set, in the variable or far from it.
TEXT ·bitSet(SB), NOSPLIT, $0-4
	MOVL i+0(FP), CX
	BTSL CX, ·bits+8192(SB)
	MOVL ·bits+8192(SB), AX
	INT $0x80
	RET

DATA ·bits+8192(SB)/4, $226
GLOBL ·bits(SB), NOPTR, $16384

// All registers are pushed and popped again.
TEXT ·allPushed(SB), NOSPLIT, $0-0
	MOVL $227, AX
	PUSHAL
	MOVL $0, AX
	POPAL
	INT $0x80
	RET

// The address of a word is a constant.
TEXT ·constantAddress(SB), NOSPLIT, $0-0
	MOVL $·word(SB), BX
	MOVL (BX), AX
	INT $0x80
	RET

// A table is written, and with a wrong index the variable beside it.
TEXT ·tableWritten(SB), NOSPLIT, $0-4
	MOVL i+0(FP), CX
	MOVL CX, ·wide+8200(SB)(CX*4)
	MOVL ·wide+8192(SB), AX
	INT $0x80
	RET

DATA ·wide+8192(SB)/4, $228
GLOBL ·wide(SB), NOPTR, $16384

// A table far from the variable is read, which changes nothing.
TEXT ·tableRead(SB), NOSPLIT, $0-4
	MOVL i+0(FP), CX
	MOVL ·table(SB)(CX*4), BX
	MOVL ·word(SB), AX
	INT $0x80
	RET

// The address of a wrapper is kept.
TEXT ·passedAddress(SB), NOSPLIT, $4-0
	MOVL $229, 0(SP)
	CALL taken<>(SB)
	MOVL $taken<>(SB), 0(SP)
	RET

TEXT taken<>(SB), NOSPLIT, $0-4
	MOVL nr+0(FP), AX
	INT $0x80
	RET

// A variable that has its own number, and one from another function.
TEXT ·stored(SB), NOSPLIT, $0-0
	MOVL ·lonely+8192(SB), AX
	INT $0x80
	RET

TEXT ·storer(SB), NOSPLIT, $0-0
	MOVL $231, ·lonely+8192(SB)
	RET

DATA ·lonely+8192(SB)/4, $230
GLOBL ·lonely(SB), NOPTR, $16384

// A jump leads behind the first byte of a comparison, whose constant and what
// follows are a number and a call of the kernel.
TEXT ·hidden(SB), NOSPLIT, $0-0
	BYTE $0xeb; BYTE $0x01 // JMP over one byte
	BYTE $0x3d             // CMPL AX, with the next four bytes
	MOVL $233, AX
	INT $0x80
	RET

// A jump to another code segment, as another mode of the processor has it; one
// that nothing leads to does not count.
TEXT ·far(SB), NOSPLIT, $0-0
	BYTE $0xff; BYTE $0x2b // LJMP (BX)
	RET

TEXT ·farSkipped(SB), NOSPLIT, $0-0
	JMP skip
	BYTE $0xff; BYTE $0x2b
skip:
	MOVL $238, AX
	INT $0x80
	RET

// The vDSO's way into the kernel, as C libraries keep it: CALL 0x10(GS).
TEXT ·vsyscall(SB), NOSPLIT, $0-0
	MOVL $239, AX
	BYTE $0x65; BYTE $0xff; BYTE $0x15; LONG $0x10
	RET

// A socketcall with a number of its own for what it is, and one through a
// wrapper.
TEXT ·sockets(SB), NOSPLIT, $4-4
	MOVL $102, AX
	MOVL which+0(FP), BX
	INT $0x80
	MOVL $102, 0(SP)
	CALL inner<>(SB)
	RET
