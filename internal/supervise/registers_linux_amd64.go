package supervise

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// canHold says that threads can be held on this machine.
const canHold = true

// threadRegs are a thread's registers, of 32-bit programs too.
type threadRegs struct {
	unix.PtraceRegs
	narrow     [17]uint32 // as the kernel gives those of 32-bit code
	fromNarrow bool
}

// wide returns where the registers of 32-bit code are kept, in the order of the kernel's
// struct user_regs_struct32.
func (r *threadRegs) wide() [17]*uint64 {
	return [17]*uint64{
		&r.Rbx, &r.Rcx, &r.Rdx, &r.Rsi, &r.Rdi, &r.Rbp, &r.Rax, &r.Ds, &r.Es, &r.Fs, &r.Gs,
		&r.Orig_rax, &r.Rip, &r.Cs, &r.Eflags, &r.Rsp, &r.Ss,
	}
}

const ntPRStatus = 1

// getRegs reads the set of the thread's own kind of code: what PTRACE_GETREGS gives of
// 32-bit code depends on the kernel's release.
func getRegs(tid int, r *threadRegs) error {
	iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(&r.PtraceRegs)), Len: uint64(unsafe.Sizeof(r.PtraceRegs))}
	if err := ptrace(unix.PTRACE_GETREGSET, tid, ntPRStatus, uintptr(unsafe.Pointer(&iov))); err != nil {
		return err
	}
	switch iov.Len {
	case uint64(unsafe.Sizeof(r.PtraceRegs)):
		return nil
	case uint64(unsafe.Sizeof(r.narrow)):
	default:
		return fmt.Errorf("registers of %d bytes", iov.Len)
	}
	r.fromNarrow = true
	r.narrow = *(*[17]uint32)(unsafe.Pointer(&r.PtraceRegs))
	r.PtraceRegs = unix.PtraceRegs{}
	for i, at := range r.wide() {
		*at = uint64(r.narrow[i])
	}
	return nil
}

func setRegs(tid int, r *threadRegs) error {
	iov := unix.Iovec{Base: (*byte)(unsafe.Pointer(&r.PtraceRegs)), Len: uint64(unsafe.Sizeof(r.PtraceRegs))}
	if r.fromNarrow {
		for i, at := range r.wide() {
			r.narrow[i] = uint32(*at)
		}
		iov = unix.Iovec{Base: (*byte)(unsafe.Pointer(&r.narrow)), Len: uint64(unsafe.Sizeof(r.narrow))}
	}
	return ptrace(unix.PTRACE_SETREGSET, tid, ntPRStatus, uintptr(unsafe.Pointer(&iov)))
}

// argRegs returns the registers that a call's arguments are in.
func argRegs(r *threadRegs, arch uint32) [6]*uint64 {
	if arch == abi.I386.AuditArch() {
		return [6]*uint64{&r.Rbx, &r.Rcx, &r.Rdx, &r.Rsi, &r.Rdi, &r.Rbp}
	}
	return [6]*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9}
}

// unwound returns the registers as unwind data numbers them (the psABI, "DWARF
// Register Number Mapping").
func unwound(r *threadRegs, machine abi.ABI) *image.Registers {
	numbered := []uint64{r.Rax, r.Rdx, r.Rcx, r.Rbx, r.Rsi, r.Rdi, r.Rbp, r.Rsp, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15, r.Rip}
	if machine == abi.I386 {
		numbered = []uint64{r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi, r.Rip}
	}
	regs := &image.Registers{}
	for n, v := range numbered {
		regs.Set(n, v)
	}
	return regs
}
