package arch

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// An Info describes an architecture. Treat the ones of this package as
// read-only.
type Info struct {
	Name           string         // Linux's name of the architecture, not Go's
	ID             AuditArch      // what a filter reads as the architecture of a call
	SyscallNames   map[string]int // numbers by name; of two, the architecture's own
	SyscallNumbers map[int]string // names by number
	SeccompMask    int            // bits that numbers in a filter have besides: x32's
}

// The architectures that have system-call tables.
var (
	AARCH64  = newInfo("aarch64", abi.ARM64)
	ARM      = newInfo("arm", abi.ARM)
	I386     = newInfo("i386", abi.I386)
	LOONG64  = newInfo("loongarch64", abi.LOONG64)
	MIPS     = newInfo("mips", abi.MIPS)
	MIPS64   = newInfo("mips64", abi.MIPS64)
	MIPSEL   = newInfo("mipsel", abi.MIPSLE)
	MIPSEL64 = newInfo("mipsel64", abi.MIPS64LE)
	PPC64    = newInfo("ppc64", abi.PPC64)
	PPC64LE  = newInfo("ppc64le", abi.PPC64LE)
	RISCV64  = newInfo("riscv64", abi.RISCV64)
	S390X    = newInfo("s390x", abi.S390X)
	X32      = newInfo("x32", abi.X32)
	X86_64   = newInfo("x86_64", abi.AMD64)
)

// The architectures that have none; [GetInfo] does not return them.
var (
	MIPS64N32   = &Info{Name: "mips64n32", ID: 0xa0000008}
	MIPSEL64N32 = &Info{Name: "mipsel64n32", ID: 0xe0000008}
	PPC         = &Info{Name: "ppc", ID: 0x14}
	S390        = &Info{Name: "s390", ID: 0x16}
)

func newInfo(name string, a abi.ABI) *Info {
	const size = 512 // no ABI has more calls
	i := &Info{
		Name:           name,
		ID:             AuditArch(a.AuditArch()),
		SyscallNames:   make(map[string]int, size),
		SyscallNumbers: make(map[int]string, size),
	}
	if a == abi.X32 {
		i.SeccompMask = abi.X32Bit
	}
	for nr, name := range a.Syscalls() {
		i.SyscallNumbers[int(nr)&^i.SeccompMask] = name
		own, _ := a.Lookup(name)
		i.SyscallNames[name] = int(own) &^ i.SeccompMask
	}
	return i
}

// GetInfo returns the architecture called name, in either case of letters: by
// Go's name, by Linux's, or by another that [abi.Parse] knows. "" is the
// architecture that the program is built for. It is an error if there is none of
// that name, or if it has no system-call table.
func GetInfo(name string) (*Info, error) {
	if name == "" {
		name = runtime.GOARCH
	}
	name = strings.ToLower(name)
	a, known := abi.Parse(name)
	for _, i := range []*Info{AARCH64, ARM, I386, LOONG64, MIPS, MIPS64, MIPSEL, MIPSEL64, PPC64, PPC64LE, RISCV64, S390X, X32, X86_64} {
		// x32 and amd64 share an audit architecture.
		same := known && uint32(i.ID) == a.AuditArch() && (a == abi.X32) == (i == X32)
		if i.Name == name || same {
			return i, nil
		}
	}
	return nil, fmt.Errorf("unsupported arch: %s", name)
}
