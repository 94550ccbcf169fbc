package convert

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// maxKafelTests bounds the comparisons of one rule: kafel bounds how deep they
// nest, and each more is one deeper.
const maxKafelTests = 100

// writeKafel writes d as a policy for kafel. Arguments have names of their own,
// which are 64 bits wide, and masks where the kernel reads less.
func writeKafel(d *Decisions, _ Options) ([]byte, []Loss, error) {
	a := d.ABIs[0]
	if !kafelHas(a) {
		return nil, nil, fmt.Errorf("kafel policies for %s cannot be written: only those for amd64, 386, arm, arm64 and riscv64", a)
	}
	type block struct {
		action abi.Action
		rules  []kafelLine
	}
	var blocks []block
	losses := loading(d.Policy)
	add := func(action abi.Action, rule kafelLine) {
		i := slices.IndexFunc(blocks, func(b block) bool { return b.action == action })
		if i < 0 {
			i, blocks = len(blocks), append(blocks, block{action: action})
		}
		blocks[i].rules = append(blocks[i].rules, rule)
	}
	for _, c := range append(d.byCall(a, false), d.byNumber(a)...) {
		name := kafelName(a, c.nr)
		if name == "" {
			name = fmt.Sprintf("SYSCALL[%d]", c.nr)
		}
		for _, part := range c.parts {
			rules, ok := kafelRules(name, part)
			if !ok {
				losses = append(losses, Loss{Msg: fmt.Sprintf("%s: %s under conditions that cannot be told: left out", c.name, a.ActionString(part.Action))})
			}
			notes := []string{d.from(part.ABI, c.nr)}
			if strings.HasPrefix(name, "SYSCALL") {
				notes = []string{c.name, notes[0]}
			}
			notes = slices.DeleteFunc(notes, func(s string) bool { return s == "" })
			for _, rule := range rules {
				add(part.Action, kafelLine{rule, strings.Join(notes, ", ")})
			}
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "// For %s.\nPOLICY sysgate {\n", a)
	for i, block := range blocks {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "  %s {\n", kafelAction(block.action))
		for k, rule := range block.rules {
			comma := ","
			if k == len(block.rules)-1 {
				comma = ""
			}
			fmt.Fprintf(&b, "    %s%s%s\n", rule.text, comma, behind(" // ", rule.comment))
		}
		b.WriteString("  }")
	}
	fmt.Fprintf(&b, "\n}\n\nUSE sysgate DEFAULT %s\n", kafelAction(d.Default))
	return b.Bytes(), losses, nil
}

// maxUnnamed bounds the numbers that are written one by one.
const maxUnnamed = 256

// byNumber returns the decisions on single numbers that no call of a has, x32's
// included.
func (d *Decisions) byNumber(a abi.ABI) []callDecisions {
	var all []callDecisions
	for _, part := range d.Calls {
		if part.ABI != a && (part.ABI != abi.X32 || a != abi.AMD64) {
			continue
		}
		for _, r := range part.Numbers {
			if r.Hi-r.Lo >= maxUnnamed {
				continue // the proof reports it
			}
			for nr := uint64(r.Lo); nr <= uint64(r.Hi) && len(all) < maxUnnamed; nr++ {
				n := uint32(nr)
				if part.ABI == a && a.SyscallName(n) != "" {
					continue
				}
				i := slices.IndexFunc(all, func(c callDecisions) bool { return c.nr == n })
				if i < 0 {
					i, all = len(all), append(all, callDecisions{name: part.ABI.SyscallName(n), nr: n})
				}
				all[i].parts = append(all[i].parts, part)
			}
		}
	}
	return all
}

// A kafelLine is a rule with its comment.
type kafelLine struct{ text, comment string }

func kafelAction(action abi.Action) string {
	for name, kind := range kafelDataActions {
		if kind == action.Kind() {
			return fmt.Sprintf("%s(%d)", name, action.Data())
		}
	}
	for _, name := range []string{"ALLOW", "LOG", "KILL", "KILL_PROCESS", "USER_NOTIF"} {
		if kafelActions[name] == action.Kind() {
			return name
		}
	}
	panic("an action without a kind") // Resolve lets none through
}

// kafelRules returns the rules that say what part does; ok is false if they leave
// something out.
func kafelRules(name string, part Decision) (rules []string, ok bool) {
	switch {
	case part.Vague:
		return nil, false
	case len(part.Any) == 0:
		return []string{name}, true
	}
	ok = true
	for _, alternative := range chunks(part.Any, maxKafelTests/4) {
		used, all, size := -1, []string(nil), 0
		for _, t := range alternative {
			text, n := kafelTest(t)
			if text == "" {
				continue
			}
			used, all, size = max(used, int(t.Word)), append(all, text), size+n
		}
		if used == policy.IPWord || size > maxKafelTests {
			ok = false
			continue
		}
		if used < 0 {
			return []string{name}, true
		}
		args := []string{"a", "b", "c", "d", "e", "f"}[:used+1]
		rules = append(rules, fmt.Sprintf("%s(%s) { %s }", name, strings.Join(args, ", "), strings.Join(all, " && ")))
	}
	return rules, ok
}

// chunks splits alternatives so that no test has more intervals than limit: a set
// of many values becomes several alternatives.
func chunks(alternatives []policy.Alternative, limit int) []policy.Alternative {
	var all []policy.Alternative
	for _, alternative := range alternatives {
		i := slices.IndexFunc(alternative, func(t policy.Test) bool { return len(t.In) > limit })
		if i < 0 {
			all = append(all, alternative)
			continue
		}
		head, rest := slices.Clone(alternative), slices.Clone(alternative)
		head[i].In, rest[i].In = alternative[i].In[:limit], alternative[i].In[limit:]
		all = append(all, chunks([]policy.Alternative{head, rest}, limit)...)
	}
	return all
}

// kafelTest returns a test of an argument, and how many comparisons it has; none
// if it always holds.
func kafelTest(t policy.Test) (text string, size int) {
	if t.Word == policy.IPWord {
		return "ip", 1
	}
	rest := opposite(t).In
	arg := string("abcdef"[t.Word])
	if t.Mask != ^uint64(0) {
		arg = fmt.Sprintf("(%s & %s)", arg, number(t.Mask))
	}
	is := func(op string, v uint64) string { return arg + " " + op + " " + number(v) }
	if len(rest) == 0 {
		return "", 0
	}
	if gaps := singles(rest); len(gaps) > 0 && len(gaps) <= len(t.In)+1 {
		var all []string
		for _, v := range gaps {
			all = append(all, is("!=", v))
		}
		return strings.Join(all, " && "), len(all)
	}
	var all []string
	for _, in := range t.In {
		switch {
		case in.Lo == in.Hi:
			all = append(all, is("==", in.Lo))
		case in.Lo == 0:
			all = append(all, is("<=", in.Hi))
		case in.Hi == t.Mask:
			all = append(all, is(">=", in.Lo))
		default:
			all = append(all, is(">=", in.Lo)+" && "+is("<=", in.Hi))
		}
	}
	switch {
	case len(all) == 0:
		return "1 == 0", 1
	case len(all) == 1:
		return all[0], 2
	}
	return "(" + strings.Join(all, " || ") + ")", 2 * len(all)
}
