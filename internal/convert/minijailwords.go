package convert

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// minijailOps are the operators of both dialects; "&" and "in" are about bits.
var minijailOps = map[string]policy.Op{
	"==": policy.Equal, "!=": policy.NotEqual, "<": policy.Less, "<=": policy.LessOrEqual, ">": policy.Greater, ">=": policy.GreaterOrEqual,
	"&": policy.AnyBits, "in": policy.NoBits,
}

// minijailTest returns one comparison: of the whole word, unsigned. "arg & m"
// holds if a bit of m is set, "arg in m" if no other bit is.
func minijailTest(a abi.ABI, arg int, op policy.Op, v uint64) policy.Test {
	word := a.WordMask()
	mask := v & word
	switch op {
	case policy.NoBits:
		return comparison(arg, word&^mask, policy.Equal, 0)
	case policy.AnyBits:
		return comparison(arg, mask, policy.NotEqual, 0)
	}
	return comparison(arg, word, op, mask)
}

// minijailNumber reads a number as strtol does with base 0, or a constant of a.
func minijailNumber(a abi.ABI, text string) (uint64, error) {
	if v, ok := a.Constant(text); ok {
		return v & a.WordMask(), nil
	}
	if n, ok := a.Errno(text); ok {
		return uint64(n), nil
	}
	digits, negative := strings.CutPrefix(text, "-")
	base := 10
	switch {
	case strings.HasPrefix(digits, "0x"), strings.HasPrefix(digits, "0X"):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	case digits == "" || digits[0] < '0' || digits[0] > '9':
		return 0, fmt.Errorf("unknown constant %q", text)
	}
	v, err := strconv.ParseUint(digits, base, 64)
	switch {
	case err != nil || strings.HasPrefix(digits, "+"):
		return 0, fmt.Errorf("%q is no number", text)
	case v&^a.WordMask() != 0, negative && v > uint64(1)<<(a.Bits()-1):
		return 0, fmt.Errorf("%s does not fit in the %d bits of an argument", text, a.Bits())
	case negative:
		return -v & a.WordMask(), nil
	}
	return v, nil
}

// maxAtoms bounds the comparisons of one line.
const maxAtoms = 2000

// minijailExpression writes alternatives in the form that both dialects read; ok
// is false where they cannot be said, or not shortly.
func minijailExpression(a abi.ABI, alternatives []policy.Alternative) (text string, ok bool) {
	var clauses []string
	atoms := 0
	for _, alternative := range alternatives {
		lists := []string{""}
		for _, t := range alternative {
			if t.Word == policy.IPWord {
				return "", false
			}
			pieces := minijailAtoms(a, t)
			var next []string
			for _, before := range lists {
				for _, piece := range pieces {
					if before != "" && piece != "" {
						piece = " && " + piece
					}
					next = append(next, before+piece)
				}
			}
			if lists = next; len(lists) > maxAtoms {
				return "", false
			}
		}
		for _, list := range lists {
			if list == "" {
				list = fmt.Sprintf("arg0 in %#x", a.WordMask()) // always
			}
			atoms += 1 + strings.Count(list, "&&")
			clauses = append(clauses, list)
		}
	}
	return strings.Join(clauses, " || "), len(clauses) > 0 && atoms <= maxAtoms
}

// minijailAtoms returns t as alternatives, each of atoms joined by "&&".
func minijailAtoms(a abi.ABI, t policy.Test) []string {
	atom := func(op string, v uint64) string { return fmt.Sprintf("arg%d %s %s", t.Word, op, number(v)) }
	word := a.WordMask()
	rest := opposite(t).In
	if t.Mask == word {
		if gaps := singles(rest); len(gaps) > 0 && len(gaps) < len(t.In)+4 {
			var all []string
			for _, v := range gaps {
				all = append(all, atom("!=", v))
			}
			return []string{strings.Join(all, " && ")}
		}
		var all []string
		for _, in := range t.In {
			switch {
			case in.Lo == in.Hi:
				all = append(all, atom("==", in.Lo))
			case in.Lo == 0 && in.Hi == word:
				all = append(all, "")
			case in.Lo == 0:
				all = append(all, atom("<=", in.Hi))
			case in.Hi == word:
				all = append(all, atom(">=", in.Lo))
			default:
				all = append(all, atom(">=", in.Lo)+" && "+atom("<=", in.Hi))
			}
		}
		return all
	}
	if zero := (policy.Interval{}); len(rest) == 1 && rest[0] == zero {
		return []string{atom("&", t.Mask)}
	}
	var all []string
	for _, c := range cubes(t) {
		var parts []string
		if clear := c.mask &^ c.value; clear != 0 {
			parts = append(parts, atom("in", word&^clear))
		}
		for set := c.value; set != 0; set &= set - 1 {
			parts = append(parts, atom("&", uint64(1)<<bits.TrailingZeros64(set)))
		}
		all = append(all, strings.Join(parts, " && "))
	}
	return all
}

// minijailErrno returns the errno to return as the headers call it on a.
func minijailErrno(a abi.ABI, action abi.Action) string {
	if name := a.ErrnoName(action.Data()); name != "" && action.Data() != 0 {
		return name
	}
	return fmt.Sprint(action.Data())
}

// minijailARM stands before the names of ARM's own calls in minijail's tables, which
// are made of the headers' __ARM_NR_…; minijailOwn is their first number.
const (
	minijailARM = "ARM_"
	minijailOwn = 0xf0001
)

// minijailCall returns the number of the call that minijail knows by a name.
func minijailCall(a abi.ABI, name string) (nr uint32, ok bool) {
	plain, own := strings.CutPrefix(name, minijailARM)
	nr, ok = named(a, plain)
	return nr, ok && own == (a == abi.ARM && nr >= minijailOwn)
}

// minijailName returns the name by which minijail knows a call of a.
func minijailName(a abi.ABI, c callDecisions) string {
	if a == abi.ARM && c.nr >= minijailOwn {
		return minijailARM + c.name
	}
	return c.name
}

// A callDecisions is what is decided of one call of an ABI, by action: the calls
// with the rest of the arguments get the default.
type callDecisions struct {
	name  string
	nr    uint32
	parts []Decision
}

// byCall returns the decisions on the calls of a that have names, by number. With
// all, calls that get the default whatever their arguments are come too, with no
// parts: those of the policy's kernel, because a compiler refuses what its headers
// lack.
func (d *Decisions) byCall(a abi.ABI, all bool) []callDecisions {
	index := make(map[uint32]*callDecisions)
	for nr, name := range a.Syscalls() {
		index[nr] = &callDecisions{name: name, nr: nr}
	}
	for _, part := range d.Calls {
		if part.ABI != a {
			continue
		}
		for _, r := range part.Numbers {
			for nr := range a.Syscalls() {
				if r.Lo <= nr && nr <= r.Hi {
					index[nr].parts = append(index[nr].parts, part)
				}
			}
		}
	}
	known := func(nr uint32) bool {
		return slices.ContainsFunc(d.Resolved.ABIs, func(r policy.ResolvedABI) bool {
			return r.ABI == a && slices.ContainsFunc(r.Known, func(n policy.NumberRange) bool { return n.Lo <= nr && nr <= n.Hi })
		})
	}
	var list []callDecisions
	for nr := range a.Syscalls() {
		if c := index[nr]; len(c.parts) > 0 || all && known(nr) {
			list = append(list, *c)
		}
	}
	return slices.Clip(list)
}

// whole returns the action that c gets whatever its arguments are.
func (c *callDecisions) whole(fallback abi.Action) (abi.Action, bool) {
	switch {
	case len(c.parts) == 0:
		return fallback, true
	case len(c.parts) == 1 && len(c.parts[0].Any) == 0 && !c.parts[0].Vague:
		return c.parts[0].Action, true
	}
	return 0, false
}

// vague reports whether the conditions of c cannot be told.
func (c *callDecisions) vague() bool {
	return slices.ContainsFunc(c.parts, func(p Decision) bool { return p.Vague })
}
