package refine

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// argConditions returns what is known of the arguments of c as conditions, and the
// lines of a comment that say where each value comes from.
func argConditions(on abi.ABI, c observe.Call) (conditions []policy.Condition, lines []string) {
	args, _ := on.Args(c.NR)
	for _, a := range c.Args {
		if a.Index >= len(args) {
			continue
		}
		condition, ok := argCondition(on, c.Name, a, args[a.Index])
		if !ok {
			continue
		}
		conditions = append(conditions, condition)
		for _, v := range a.Values {
			lines = append(lines, fmt.Sprintf("%s %s: %s", a.Name, constantOf(on, c.Name, a, args[a.Index], v.N), strings.Join(v.Sites, ", ")))
		}
	}
	return conditions, lines
}

// Conditions returns what is known of the arguments of c, a call on an ABI, as
// conditions, all of which hold: one for each argument at most.
func Conditions(on abi.ABI, c observe.Call) []policy.Condition {
	conditions, _ := argConditions(on, c)
	return conditions
}

// argCondition returns the condition that an argument has one of its known
// values. Where the kernel looks at more bits than are known, only whether memory
// becomes executable is asked.
func argCondition(on abi.ABI, call string, a observe.Arg, arg abi.Arg) (policy.Condition, bool) {
	c := policy.Condition{Arg: a.Name, Index: -1}
	if arg.Mask&^a.Mask != 0 {
		exec, ok := on.Constant("PROT_EXEC")
		if !ok || a.Name != "prot" {
			return c, false
		}
		for _, v := range a.Values {
			if v.N&exec != 0 {
				return c, false
			}
		}
		c.Op, c.Mask, c.Values = policy.MaskedEqual, "PROT_EXEC", []string{"0"}
		return c, true
	}
	for _, v := range a.Values {
		c.Values = append(c.Values, constantOf(on, call, a, arg, v.N))
	}
	c.Op = policy.In
	if len(c.Values) == 1 {
		c.Op = policy.Equal
	}
	return c, true
}

// constantOf writes a value as policies do.
func constantOf(on abi.ABI, call string, a observe.Arg, arg abi.Arg, n uint64) string {
	text := proof.Constant(on, call, a.Index, n)
	if arg.Signed && arg.Mask == 0xffffffff && n > 0x7fffffff && strings.HasPrefix(text, "0x") {
		return strconv.FormatInt(int64(int32(uint32(n))), 10)
	}
	return text
}
