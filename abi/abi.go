package abi

import "runtime"

// An ABI is one Linux system-call ABI: a table of numbers, and how numbers and
// arguments reach the kernel. The zero value, None, is no ABI.
type ABI uint8

// The ABIs: those of every linux port of Go, and x32.
const (
	None ABI = iota
	I386
	AMD64
	X32
	ARM
	ARM64
	RISCV64
	LOONG64
	PPC64
	PPC64LE
	S390X
	MIPS
	MIPSLE
	MIPS64
	MIPS64LE
	numABIs
)

// info is what does not depend on a kernel version.
type info struct {
	name   string // GOARCH, or x32
	audit  uint32 // AUDIT_ARCH_* (include/uapi/linux/audit.h)
	bits   uint8  // of an argument register
	big    bool
	compat []ABI // further ABIs that a kernel for this one also serves
}

var infos = [numABIs]info{
	None:     {name: "none"},
	I386:     {"386", 0x40000003, 32, false, nil},
	AMD64:    {"amd64", auditX86_64, 64, false, []ABI{I386, X32}},
	X32:      {"x32", auditX86_64, 64, false, nil},
	ARM:      {"arm", 0x40000028, 32, false, nil},
	ARM64:    {"arm64", 0xc00000b7, 64, false, []ABI{ARM}},
	RISCV64:  {"riscv64", 0xc00000f3, 64, false, nil},
	LOONG64:  {"loong64", 0xc0000102, 64, false, nil},
	PPC64:    {"ppc64", 0x80000015, 64, true, nil},
	PPC64LE:  {"ppc64le", 0xc0000015, 64, false, nil},
	S390X:    {"s390x", 0x80000016, 64, true, nil},
	MIPS:     {"mips", 0x00000008, 32, true, nil},
	MIPSLE:   {"mipsle", 0x40000008, 32, false, nil},
	MIPS64:   {"mips64", 0x80000008, 64, true, []ABI{MIPS}},
	MIPS64LE: {"mips64le", 0xc0000008, 64, false, []ABI{MIPSLE}},
}

// All returns every ABI, in a fixed order.
func All() []ABI {
	all := make([]ABI, 0, numABIs-1)
	for a := None + 1; a < numABIs; a++ {
		all = append(all, a)
	}
	return all
}

// Native returns the ABI of the running program, None if this port of Go has
// none here.
func Native() ABI {
	a, _ := Parse(runtime.GOARCH)
	return a
}

// info returns what is known of a, that of None if a is no ABI.
func (a ABI) info() *info {
	if a >= numABIs {
		a = None
	}
	return &infos[a]
}

// String returns the ABI's name: Go's name of the architecture, or "x32".
func (a ABI) String() string {
	if a >= numABIs {
		return "unknown"
	}
	return infos[a].name
}

// AuditArch returns the AUDIT_ARCH_* value that the kernel reports. amd64 and
// x32 share one; see [Call.IsX32].
func (a ABI) AuditArch() uint32 { return a.info().audit }

// Bits returns the width of an argument register, 32 or 64.
func (a ABI) Bits() int { return int(a.info().bits) }

// WordMask returns the bits of struct seccomp_data's 64-bit argument words that
// can mean something on a: the low 32 on a 32-bit ABI, whose high words can be
// dirty, else all.
func (a ABI) WordMask() uint64 {
	if a.info().bits == 32 {
		return 0xffffffff
	}
	return ^uint64(0)
}

// BigEndian reports the byte order of the machine: it decides where the halves
// of an argument lie in struct seccomp_data.
func (a ABI) BigEndian() bool { return a.info().big }

// Compat returns the further ABIs that a kernel built for a also serves: a
// filter that means to stop a call has to stop it there too.
func (a ABI) Compat() []ABI { return append([]ABI(nil), a.info().compat...) }
