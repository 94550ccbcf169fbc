package supervise

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// canHold says that threads can be held on this machine.
const canHold = true

// threadRegs are a thread's registers.
type threadRegs = unix.PtraceRegs

// getRegs fails for a thread of a 32-bit program, which has other registers.
func getRegs(tid int, r *threadRegs) error {
	return regSet(unix.PTRACE_GETREGSET, tid, r)
}

func setRegs(tid int, r *threadRegs) error { return regSet(unix.PTRACE_SETREGSET, tid, r) }

func regSet(request, tid int, r *threadRegs) error {
	const ntPRStatus = 1
	iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(r))}
	iov.SetLen(int(unsafe.Sizeof(*r)))
	if err := ptrace(request, tid, ntPRStatus, uintptr(unsafe.Pointer(&iov))); err != nil {
		return err
	}
	if iov.Len != uint64(unsafe.Sizeof(*r)) {
		return fmt.Errorf("registers of %d bytes, of a 32-bit program: %w", iov.Len, errors.ErrUnsupported)
	}
	return nil
}

// argRegs returns the registers that a call's arguments are in.
func argRegs(r *threadRegs, _ uint32) [6]*uint64 {
	return [6]*uint64{&r.Regs[0], &r.Regs[1], &r.Regs[2], &r.Regs[3], &r.Regs[4], &r.Regs[5]}
}

// unwound returns the registers as unwind data numbers them.
func unwound(r *threadRegs, _ abi.ABI) *image.Registers {
	regs := &image.Registers{}
	for n, v := range r.Regs {
		regs.Set(n, v)
	}
	regs.Set(image.StackPointer(abi.ARM64), r.Sp)
	return regs
}
