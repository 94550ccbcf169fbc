package abi

// A Call is one system call as a seccomp filter sees it: the members of the
// kernel's struct seccomp_data (include/uapi/linux/seccomp.h).
type Call struct {
	NR   uint32    // number as the kernel reports it: the x32 bit and the MIPS bases included
	Arch uint32    // AUDIT_ARCH_* value
	IP   uint64    // address of the instruction after the call
	Args [6]uint64 // the six argument registers, whole
}

// X32Bit is set in the number of every x32 call (__X32_SYSCALL_BIT).
const X32Bit = 0x40000000

// IsX32 reports whether c is a call through the x32 ABI: made under the amd64
// audit architecture with [X32Bit] set. Number -1, which a tracer uses to skip
// a call, has the bit set and is not one.
func (c Call) IsX32() bool {
	return c.Arch == auditX86_64 && c.NR&X32Bit != 0 && c.NR != ^uint32(0)
}

const auditX86_64 = 0xc000003e
