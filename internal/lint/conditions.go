package lint

import (
	"fmt"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// conditions reports conditions that test nothing, or not what they seem to.
func (c *checker) conditions() {
	if !c.own() {
		return
	}
	for _, i := range c.active() {
		r := &c.Policy.Rules[i]
		denies := !lets(r.Action.Kind)
		for j := range r.Calls {
			c.conditionsOf(&r.Calls[j], denies, Part{Rule: i + 1, Pattern: j + 1})
		}
		for j := range r.Except {
			c.conditionsOf(&r.Except[j], !denies, Part{})
		}
		c.together(r)
	}
}

// conditionsOf reports the conditions of p, which is part of a policy; denies says
// whether it takes calls from what is let through.
func (c *checker) conditionsOf(p *policy.Pattern, denies bool, part Part) {
	if len(p.Conditions) == 0 {
		return
	}
	c.degenerate(p, denies, part)
	for k := range p.Conditions {
		c.unread(p, &p.Conditions[k], denies)
		if denies {
			c.byValue(p, &p.Conditions[k])
		}
	}
}

// A truth is what conditions are on all ABIs that have the call.
type truth uint8

const (
	sometimes truth = iota
	always
	never
)

// truth returns what p's conditions are.
func (c *checker) truth(p policy.Pattern) truth {
	all := truth(255)
	for _, a := range c.abis {
		whole := c.matched(a, bare(a, p))
		if whole.Empty() {
			continue
		}
		set, err := c.s.Calls(a, p)
		this := sometimes
		switch {
		case set == whole:
			this = always
		case isNoCalls(err):
			this = never
		}
		if all != 255 && all != this {
			return sometimes
		}
		all = this
	}
	return all & 3
}

// bare returns p without conditions, and without what a multiplexer carries.
func bare(a abi.ABI, p policy.Pattern) policy.Pattern {
	p.Conditions = nil
	if numbers := a.Numbers(p.Name); p.Numbers == nil && len(numbers) == 1 {
		p.Name, p.Numbers = "", &policy.NumberRange{Lo: numbers[0], Hi: numbers[0]}
	}
	return p
}

// degenerate reports the conditions of a pattern that hold always or never.
func (c *checker) degenerate(p *policy.Pattern, denies bool, part Part) {
	found := false
	for k, cond := range p.Conditions {
		one := *p
		one.Conditions = []policy.Condition{cond}
		switch c.truth(one) {
		case always:
			f := c.report("SG003", cond.Pos, len(cond.String()), "", fmt.Sprintf("%s: %s holds for every call", p, cond))
			if f.Needless = part; part != (Part{}) {
				f.Needless.Condition = k + 1
			}
			found = true
		case never:
			c.never(cond.Pos, len(cond.String()), denies, fmt.Sprintf("%s: no call satisfies %s", p, cond)).Needless = part
			found = true
		}
	}
	if !found && len(p.Conditions) > 1 && c.truth(*p) == never {
		c.never(p.Pos, len(p.Name), denies, fmt.Sprintf("%s: no call satisfies these conditions together", p)).Needless = part
	}
}

// never reports conditions that no call satisfies: a denial that does not hold.
func (c *checker) never(pos policy.Pos, width int, denies bool, msg string) *Finding {
	severity := severityOf("SG004")
	if denies {
		severity = Error
	}
	return c.reportAs(severity, "SG004", pos, width, "", msg)
}

// together reports alternatives of r that leave nothing out.
func (c *checker) together(r *policy.Rule) {
	done := map[string]bool{}
	for i := range r.Calls {
		p := &r.Calls[i]
		if len(p.Conditions) == 0 || p.Name == "" || done[p.Name] {
			continue
		}
		done[p.Name] = true
		holds, n := false, 0
		for _, a := range c.abis {
			whole := c.matched(a, bare(a, *p))
			if whole.Empty() {
				continue
			}
			var all proof.Set
			n = 0
			for _, q := range r.Calls {
				if q.Name != p.Name || len(q.Conditions) == 0 {
					continue
				}
				set := c.matched(a, q)
				if set == whole {
					return // one of them alone, which has been said
				}
				all = c.s.Union(all, set)
				n++
			}
			if holds = all == whole; !holds {
				break
			}
		}
		if holds && n > 1 {
			c.report("SG003", p.Pos, len(p.Name), fmt.Sprintf("%s without conditions, if that is meant", p.Name),
				fmt.Sprintf("the %d alternatives of %s hold for every call together", n, p.Name))
		}
	}
}

// unread reports comparisons of the whole word where the kernel reads less.
func (c *checker) unread(p *policy.Pattern, cond *policy.Condition, denies bool) {
	if !cond.Wide {
		return
	}
	for _, a := range c.abis {
		for _, nr := range numbersOf(a, *p) {
			index := argumentOf(a, nr, cond)
			if index < 0 || a.ReadMask(nr, index) == a.WordMask() {
				continue
			}
			severity := severityOf("SG005")
			if denies {
				severity = Error
			}
			narrow := *cond
			narrow.Wide = false
			c.reportAs(severity, "SG005", cond.Pos, len(cond.String()), narrow.String(),
				fmt.Sprintf("the kernel reads %#x of %s, the condition compares more", a.ReadMask(nr, index), strings.TrimSuffix(argumentName(cond), ":64")))
			return
		}
	}
}

// byValue reports denials of flags that one more bit passes.
func (c *checker) byValue(p *policy.Pattern, cond *policy.Condition) {
	if cond.Op != policy.Equal && cond.Op != policy.In {
		return
	}
	for _, a := range c.abis {
		for _, nr := range numbersOf(a, *p) {
			args, _ := a.Args(nr)
			index := argumentOf(a, nr, cond)
			if index < 0 || index >= len(args) || !isBits(a.SyscallName(nr), args[index].Name) {
				continue
			}
			if len(cond.Values) == 1 && cond.Values[0] == "0" {
				continue // no bit at all is one value
			}
			fix := ""
			if len(cond.Values) == 1 {
				value := cond.Values[0]
				if strings.Contains(value, "|") {
					value = "(" + value + ")"
				}
				fix = argumentName(cond) + " & " + value + " != 0"
				if args[index].Name == "type" {
					fix = argumentName(cond) + " & 0xf == " + value // the rest are flags
				}
			}
			c.report("SG006", cond.Pos, len(cond.String()), fix,
				fmt.Sprintf("%s of %s is a set of bits: one bit more passes this denial", args[index].Name, a.SyscallName(nr)))
			return
		}
	}
}

// isBits reports whether an argument is a set of bits, not one of several values.
func isBits(call, arg string) bool {
	if arg == "type" {
		return call == "socket" || call == "socketpair" // SOCK_CLOEXEC, SOCK_NONBLOCK
	}
	return arg == "prot" || strings.Contains(arg, "flag") || strings.HasSuffix(arg, "flg")
}

// argumentOf returns the index of the argument that cond compares, -1 for the
// instruction pointer and for one that the call does not have.
func argumentOf(a abi.ABI, nr uint32, cond *policy.Condition) int {
	if cond.Arg == "" {
		if cond.Index == policy.IPWord {
			return -1
		}
		return cond.Index
	}
	if i, ok := a.ArgIndex(nr, cond.Arg); ok {
		return i
	}
	return -1
}

func argumentName(cond *policy.Condition) string {
	if cond.Arg != "" {
		return cond.Arg
	}
	return fmt.Sprintf("arg%d", cond.Index)
}
