package build

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// An UnprovedError says why the program compiled for a policy is not used.
type UnprovedError struct {
	Result proof.Result // its Verdict is Different or Unknown
	Call   string       // where Different: the witness in the notation of calls
}

func (e *UnprovedError) Error() string {
	if e.Result.Verdict == proof.Different {
		return fmt.Sprintf("compiled program is not the policy: %s gets %v, should get %v", e.Call, e.Result.Got, e.Result.Want)
	}
	return "program is not proved equal to the policy: " + e.Result.Reason
}

func unproved(r *policy.Resolved, result proof.Result) *UnprovedError {
	e := &UnprovedError{Result: result}
	if result.Verdict == proof.Different {
		e.Call = notation(r, result.Witness)
	}
	return e
}

// notation writes a call as a pattern that matches it, such as
// "amd64:ioctl(0, 0x5413)". Arguments at the end that are 0 are left out.
func notation(r *policy.Resolved, c abi.Call) string {
	var b strings.Builder
	name := ""
	if on := abiOf(r, c); on != abi.None {
		fmt.Fprintf(&b, "%v:", on)
		name = on.SyscallName(c.NR)
	} else {
		fmt.Fprintf(&b, "arch:%#x:", c.Arch)
	}
	if name == "" {
		name = fmt.Sprintf("nr:%d", c.NR)
	}
	b.WriteString(name)
	var args []string
	for _, v := range c.Args {
		args = append(args, value(v))
	}
	for len(args) > 0 && args[len(args)-1] == "0" {
		args = args[:len(args)-1]
	}
	if c.IP != 0 {
		args = append(args, "ip == "+value(c.IP))
	}
	return b.String() + "(" + strings.Join(args, ", ") + ")"
}

func value(v uint64) string {
	if v < 10 {
		return strconv.FormatUint(v, 10)
	}
	return fmt.Sprintf("%#x", v)
}

// abiOf returns the ABI through which c is made, of those of r first, or None.
func abiOf(r *policy.Resolved, c abi.Call) abi.ABI {
	var all []abi.ABI
	for i := range r.ABIs {
		all = append(all, r.ABIs[i].ABI)
	}
	for _, a := range append(all, abi.All()...) {
		if a.AuditArch() == c.Arch && (a == abi.X32) == c.IsX32() {
			return a
		}
	}
	return abi.None
}
