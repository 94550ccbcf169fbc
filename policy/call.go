package policy

import (
	"fmt"
	"strings"

	"github.com/sysgate/sysgate/abi"
)

// ParseCall reads one concrete call in the notation of patterns:
// amd64:socket(AF_ALG, SOCK_SEQPACKET, 0). Without an ABI before it, the call is
// native's. Arguments that are left out are 0; they can be named (domain ==
// AF_ALG), and ip is the instruction pointer. A call of an architecture without
// an ABI is arch:0xNUMBER:nr:N(…). A negative value fills the register. An error
// is an [*Error] with the position in s.
func ParseCall(s string, native abi.ABI) (abi.Call, error) {
	c, bad := parseCall(s, native)
	if bad != nil {
		return abi.Call{}, bad.in(s)
	}
	return c, nil
}

func parseCall(s string, native abi.ABI) (abi.Call, *mistake) {
	arch, rest, bad := splitArch(s)
	if bad != nil {
		return abi.Call{}, bad
	}
	p, bad := parsePattern(s[rest:])
	if bad != nil {
		bad.off += rest
		return abi.Call{}, bad
	}
	whole := func(format string, args ...any) *mistake {
		return &mistake{rest, len(s) - rest, "", fmt.Sprintf(format, args...)}
	}
	a := native
	if p.ABI != abi.None {
		a = p.ABI
	}
	c := abi.Call{Arch: a.AuditArch()}
	switch {
	case rest > 0 && (p.Numbers == nil || p.ABI != abi.None):
		return c, whole("a call of an architecture number has a number: arch:0x…:nr:N(…)")
	case rest > 0:
		a, c.Arch = abi.None, arch
	case a == abi.None:
		return c, whole("the call of which ABI? write amd64:%s", p)
	}
	switch {
	case p.Numbers != nil && p.Numbers.Lo != p.Numbers.Hi || isSet(p.Name):
		return c, whole("want one call, got several")
	case p.Numbers != nil:
		c.NR = p.Numbers.Lo
	default:
		nr, ok := a.Lookup(p.Name)
		if !ok {
			return c, whole("%s has no call %s", a, p.Name)
		}
		c.NR = nr
	}
	return c, setArguments(&c, a, p.Conditions, rest)
}

// splitArch reads "arch:0xNUMBER:" at the start of s; rest is where it ends, 0 if
// it is not there.
func splitArch(s string) (arch uint32, rest int, bad *mistake) {
	l := lexer{text: s}
	if l.next().text != "arch" || !l.accept(":") {
		return 0, 0, nil
	}
	if arch, bad = l.callNumber(); bad == nil {
		bad = l.want(":")
	}
	return arch, l.off, bad
}

// setArguments sets the arguments of c that the conditions give.
func setArguments(c *abi.Call, a abi.ABI, conditions []Condition, rest int) *mistake {
	given := make(map[int]bool)
	for i := range conditions {
		cond := &conditions[i]
		at := &mistake{off: rest + cond.Pos.Col - 1, width: 1}
		index := cond.Index
		if cond.Arg != "" {
			var ok bool
			if index, ok = a.ArgIndex(c.NR, cond.Arg); !ok {
				at.msg = fmt.Sprintf("the call has no argument %q that the tables know", cond.Arg)
				at.hint = argHint(cond.Arg, a, NumberRange{c.NR, c.NR})
				return at
			}
		}
		switch {
		case cond.Op != Equal:
			at.msg, at.hint = "a call has values, not conditions", "write name == value"
			return at
		case given[index]:
			at.msg = "the argument stands twice"
			return at
		}
		given[index] = true
		e, bad := parseExpr(cond.Values[0])
		var v uint64
		if bad == nil {
			v, bad = e.eval(a, ^uint64(0), true)
		}
		if bad != nil {
			at.msg, at.hint = bad.msg, bad.hint
			return at
		}
		if index == IPWord {
			c.IP = v
			continue
		}
		if e.op != 'n' && a != abi.None {
			v &= a.WordMask() // a negative value fills the register, not more
		}
		c.Args[index] = v
	}
	return nil
}

// FormatCall writes c in the notation that [ParseCall] reads, as short as it
// can: names where the tables have them, no trailing arguments that the call
// does not take or that are 0 in a call without a known signature.
func FormatCall(c abi.Call) string {
	var b strings.Builder
	a := abiOf(c)
	if a == abi.None {
		fmt.Fprintf(&b, "arch:%#x:", c.Arch)
	} else {
		b.WriteString(a.String() + ":")
	}
	if name := a.SyscallName(c.NR); name != "" && isCanonical(a, name, c.NR) {
		b.WriteString(name)
	} else {
		b.WriteString("nr:" + shortNumber(uint64(c.NR)))
	}
	args, known := a.Args(c.NR)
	count := len(args)
	for i, v := range c.Args {
		if v != 0 {
			count = max(count, i+1)
		}
	}
	var list []string
	for _, v := range c.Args[:count] {
		list = append(list, shortNumber(v))
	}
	if c.IP != 0 {
		list = append(list, "ip == "+shortNumber(c.IP))
	}
	if len(list) > 0 || known {
		b.WriteString("(" + strings.Join(list, ", ") + ")")
	}
	return b.String()
}

// abiOf returns the ABI that c was made through, None if it is none of ours.
func abiOf(c abi.Call) abi.ABI {
	for _, a := range abi.All() {
		if a.AuditArch() == c.Arch && (a == abi.X32) == c.IsX32() {
			return a
		}
	}
	return abi.None
}

// isCanonical reports whether name denotes nr on a: some x32 calls have two
// numbers.
func isCanonical(a abi.ABI, name string, nr uint32) bool {
	known, ok := a.Lookup(name)
	return ok && known == nr
}

// shortNumber writes small numbers in decimal, others in hexadecimal.
func shortNumber(n uint64) string {
	if n < 0x10000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%#x", n)
}
