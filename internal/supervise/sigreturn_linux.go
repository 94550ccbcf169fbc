package supervise

import (
	"encoding/binary"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/kernel"
)

// Where a signal handler of arm64 returns to, the vDSO has no unwind data on purpose since
// Linux 5.8 (arch/arm64/kernel/vdso/sigreturn.S): who unwinds is to know its two instructions,
// mov x8, #139 (rt_sigreturn) and svc #0.
var sigreturnARM64 = [8]byte{0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}

// The frame of a handler is struct rt_sigframe (arch/arm64/kernel/signal.c), at the stack
// pointer: siginfo_t, ucontext_t, and in this struct sigcontext, whose registers are x0 to
// x30, sp and pc behind the address of a fault.
const (
	sigContextARM64   = 128 + 176
	sigRegistersARM64 = sigContextARM64 + 8
	registersARM64    = 33
)

// upSignal goes to what a signal interrupted, if the thread is where a handler returns to.
func (w *walk) upSignal() (step image.Step, ok bool) {
	sp, known := w.stackPointer()
	if !known || w.machine != abi.ARM64 {
		return step, false
	}
	var code [len(sigreturnARM64)]byte
	if n, err := kernel.ReadMemory(w.tid, w.regs.PC, code[:]); err != nil || n != len(code) || code != sigreturnARM64 {
		return step, false
	}
	saved := make([]byte, 8*registersARM64)
	if n, err := kernel.ReadMemory(w.tid, sp+sigRegistersARM64, saved); err != nil || n != len(saved) {
		return step, false
	}
	w.regs = image.Registers{}
	for i := range registersARM64 {
		v := binary.LittleEndian.Uint64(saved[8*i:])
		switch i {
		case registersARM64 - 1:
			w.regs.PC = v
		case registersARM64 - 2:
			w.regs.Set(image.StackPointer(abi.ARM64), v)
		default:
			w.regs.Set(i, v)
		}
	}
	return image.Step{Interrupted: true}, true
}
