package compile

import (
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// A Constant is what the kernel finds out about one number when a filter is
// attached.
type Constant struct {
	Allowed bool // the kernel keeps that in its bitmap, and runs no filter for the number
	// Why says why not, naming the instruction; "" where Allowed.
	Why   string
	At    int // the instruction at which that was clear
	Steps int // instructions that it emulated
}

// ConstAllow emulates p with nothing known of c but its architecture and number,
// as the kernel does on Linux 5.11 and later for every number, when it attaches
// a filter (seccomp_is_const_allow, kernel/seccomp.c). A number is answered from
// the bitmap if the program comes to "ret allow", with data 0, over nothing but
// loads of nr and arch, and with a constant, and jumps that compare with a
// constant. The kernel keeps no bitmap for some numbers: see HasBitmap. On amd64
// it never runs a filter for uretprobe and uprobe, whatever that says; here they
// are numbers like any other.
func ConstAllow(p bpf.Program, c abi.Call) Constant {
	a, steps := uint32(0), 0
	no := func(pc int, why string) Constant {
		return Constant{Why: fmt.Sprintf("instruction %d, %v: %s", pc, p[pc], why), At: pc, Steps: steps}
	}
	for pc := 0; pc < len(p); pc++ {
		steps++
		i := p[pc]
		holds := false
		switch i.Code {
		case bpf.LdAbs:
			switch i.K {
			case bpf.OffsetNR:
				a = c.NR
			case bpf.OffsetArch:
				a = c.Arch
			default:
				return no(pc, "the verdict depends on more than architecture and number")
			}
			continue
		case bpf.RetK:
			switch action := abi.Action(i.K); {
			case action == abi.Allow:
				return Constant{Allowed: true, At: pc, Steps: steps}
			case action.Kind() == abi.Allow:
				return no(pc, "the kernel takes allow only without data")
			default:
				return no(pc, "only allow is kept")
			}
		case bpf.Ja:
			pc += int(i.K)
			continue
		case bpf.AndK:
			a &= i.K
			continue
		case bpf.JeqK:
			holds = a == i.K
		case bpf.JgeK:
			holds = a >= i.K
		case bpf.JgtK:
			holds = a > i.K
		case bpf.JsetK:
			holds = a&i.K != 0
		default:
			return no(pc, "the kernel does not emulate it")
		}
		if holds {
			pc += int(i.JT)
		} else {
			pc += int(i.JF)
		}
	}
	return Constant{Why: "the program does not return", At: len(p) - 1, Steps: steps}
}

// HasBitmap reports whether the kernel keeps a bitmap of constant allows for a:
// it does where the architecture defines SECCOMP_ARCH_NATIVE, and for numbers
// below its NR_syscalls, which those of x32 never are (kernel/seccomp.c).
func HasBitmap(a abi.ABI) bool {
	switch a {
	case abi.X32, abi.MIPS, abi.MIPSLE, abi.MIPS64, abi.MIPS64LE:
		return false
	}
	return true
}
