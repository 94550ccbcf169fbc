package build

import (
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/compile"
)

// A Constant is what the kernel finds out about one number when it attaches a
// filter: whether it answers the number itself from then on, or why not.
type Constant = compile.Constant

// ConstAllow emulates p for the architecture and number of c, as Linux 5.11 and
// later does when it attaches a filter (seccomp_is_const_allow, kernel/seccomp.c).
func ConstAllow(p bpf.Program, c abi.Call) Constant { return compile.ConstAllow(p, c) }

// HasBitmap reports whether the kernel keeps the answers for numbers of a.
func HasBitmap(a abi.ABI) bool { return compile.HasBitmap(a) }
