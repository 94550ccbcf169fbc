#include "textflag.h"

// A number in the low byte of a cleared register.
TEXT ·partial(SB), NOSPLIT, $0-0
	XORL AX, AX
	MOVB $201, AL
	SYSCALL
	RET

TEXT ·swapped(SB), NOSPLIT, $0-0
	MOVQ $202, BX
	XCHGQ BX, AX
	SYSCALL
	RET

// Either number.
TEXT ·conditional(SB), NOSPLIT, $0-8
	MOVL $203, AX
	MOVL $204, CX
	CMPQ which+0(FP), $0
	CMOVLEQ CX, AX
	SYSCALL
	RET

TEXT ·pushed(SB), NOSPLIT, $0-0
	PUSHQ $205
	MOVL $0, AX
	POPQ AX
	SYSCALL
	RET

// Through a pointer into the frame.
TEXT ·pointed(SB), NOSPLIT, $16-0
	LEAQ 8(SP), BX
	MOVQ $206, 8(SP)
	MOVQ (BX), AX
	SYSCALL
	RET

TEXT ·shifted(SB), NOSPLIT, $0-0
	MOVL $414, AX
	SHRL $1, AX
	SYSCALL
	RET

// A constant kept over a loop.
TEXT ·looped(SB), NOSPLIT, $0-0
	MOVL $208, R12
	MOVL $10, CX
again:
	MOVL R12, AX
	MOVQ CX, R13
	SYSCALL
	MOVQ R13, CX
	DECQ CX
	JNZ again
	RET

TEXT ·copied(SB), NOSPLIT, $16-0
	MOVQ $209, 0(SP)
	MOVQ 0(SP), R8
	MOVQ R8, 8(SP)
	MOVQ 8(SP), AX
	SYSCALL
	RET

// One of the words of a table.
TEXT ·tabled(SB), NOSPLIT, $0-8
	MOVQ i+0(FP), AX
	ANDQ $1, AX
	LEAQ ·table(SB), CX
	MOVQ (CX)(AX*8), AX
	SYSCALL
	RET

DATA ·table+0(SB)/8, $210
DATA ·table+8(SB)/8, $211
GLOBL ·table(SB), RODATA|NOPTR, $16

// A number passed in a register to a wrapper that is jumped to.
TEXT ·tail(SB), NOSPLIT|NOFRAME, $0-0
	MOVL $212, R9
	JMP viaR9<>(SB)

TEXT viaR9<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ R9, AX
	SYSCALL
	RET

// A number passed on the stack to a wrapper that is called, through another.
TEXT ·wrapped(SB), NOSPLIT, $8-0
	MOVQ $213, 0(SP)
	CALL outer<>(SB)
	RET

TEXT outer<>(SB), NOSPLIT, $8-8
	MOVQ nr+0(FP), AX
	MOVQ AX, 0(SP)
	CALL inner<>(SB)
	RET

TEXT inner<>(SB), NOSPLIT, $0-8
	MOVQ nr+0(FP), AX
	SYSCALL
	RET

// Joined over branches.
TEXT ·jumped(SB), NOSPLIT, $0-0
	MOVL $214, AX
	TESTQ DI, DI
	JZ make
	MOVL $215, AX
	JMP make
make:
	SYSCALL
	RET

TEXT ·zeroed(SB), NOSPLIT, $0-0
	SUBQ AX, AX
	ADDQ $216, AX
	SYSCALL
	RET

TEXT ·added(SB), NOSPLIT, $0-0
	MOVL $200, BX
	LEAQ 17(BX), AX
	SYSCALL
	RET

TEXT ·negated(SB), NOSPLIT, $0-0
	MOVQ $-218, AX
	NEGQ AX
	SYSCALL
	RET

// A word of read-only memory.
TEXT ·constantWord(SB), NOSPLIT, $0-0
	MOVQ ·word(SB), AX
	SYSCALL
	RET

DATA ·word+0(SB)/8, $219
GLOBL ·word(SB), RODATA|NOPTR, $8

// Nothing is known to lead to the second site; it counts.
TEXT ·dead(SB), NOSPLIT, $0-0
	RET
	MOVL $220, AX
	SYSCALL
	RET

TEXT ·deadUnknown(SB), NOSPLIT, $0-0
	RET
	SYSCALL
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
	SYSCALL
	RET

TEXT ·highByte(SB), NOSPLIT, $0-0
	MOVL $0, AX
	MOVB $1, AH
	SYSCALL
	RET

TEXT ·partlyWritten(SB), NOSPLIT, $8-0
	MOVQ $1, 0(SP)
	MOVB $2, 1(SP)
	MOVQ 0(SP), AX
	SYSCALL
	RET

// The result of one call is the number of the next.
TEXT ·setBetween(SB), NOSPLIT, $0-0
	MOVL $221, AX
	SYSCALL
	SYSCALL
	RET

// A computed jump that no table explains may lead anywhere in the function.
TEXT ·dispatched(SB), NOSPLIT, $0-8
	MOVL $224, AX
	MOVQ i+0(FP), BX
	JMP BX
	MOVL $225, AX
call:
	SYSCALL
	RET
	JMP call

// Another function jumps behind the constant.
TEXT ·strayTarget(SB), NOSPLIT, $0-0
	MOVL $222, AX
	SYSCALL
	RET

TEXT ·strayJump(SB), NOSPLIT|NOFRAME, $0-0
	MOVL $223, AX
	LEAQ ·strayTarget+5(SB), BX
	JMP BX

// A register chooses the bit that is set, in the variable or far from it.
TEXT ·bitSet(SB), NOSPLIT, $0-8
	MOVQ i+0(FP), CX
	BTSQ CX, ·bits+8192(SB)
	MOVQ ·bits+8192(SB), AX
	SYSCALL
	RET

DATA ·bits+8192(SB)/8, $226
GLOBL ·bits(SB), NOPTR, $16384

// A jump leads behind the first byte of a comparison, whose constant and what
// follows are a number and a call of the kernel.
TEXT ·hidden(SB), NOSPLIT, $0-0
	BYTE $0xeb; BYTE $0x01 // JMP over one byte
	BYTE $0x3d             // CMPL AX, with the next four bytes
	MOVL $233, AX
	SYSCALL
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
	SYSCALL
	RET
