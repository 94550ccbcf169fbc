package compile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// A Phase is what a policy has become after one pass.
type Phase struct {
	Name string // of the pass
	Why  string // the pass exists
	Text string // one item a line
}

// Explain compiles as Compile does, and returns what each pass made.
func Explain(r *policy.Resolved, o Options) ([]Phase, bpf.Program, error) {
	var phases []Phase
	u, err := compile(r, o, func(p pass, u *unit) {
		if p.name == passes[0].name {
			phases = nil
		}
		phases = append(phases, Phase{p.name, p.why, u.describe(p.name)})
	})
	if err != nil {
		return nil, nil, err
	}
	return phases, u.program, nil
}

// describe writes what u is after a pass.
func (u *unit) describe(pass string) string {
	var b strings.Builder
	switch pass {
	case "check":
		u.describePolicy(&b)
	case "split":
		u.describeRuns(&b, func(r run) string { return u.listText(r.list) })
	case "weigh":
		u.describeRuns(&b, func(r run) string {
			return fmt.Sprintf("%8.4f%%  %s", float64(r.weight)/perCall*100, u.listText(r.list))
		})
	case "decide", "fold":
		var roots []ref
		u.describeRuns(&b, func(r run) string {
			roots = append(roots, r.to)
			return u.target(r.to)
		})
		b.WriteByte('\n')
		u.describeGraph(&b, roots)
	case "dispatch":
		u.describeGraph(&b, []ref{u.root})
	case "layout":
		var asm bytes.Buffer
		_ = u.program.Disassemble(&asm, u.policy.BigEndian()) // a buffer takes everything
		b.Write(asm.Bytes())
	}
	return b.String()
}

func (u *unit) describePolicy(b *strings.Builder) {
	for i := range u.policy.ABIs {
		s := &u.policy.ABIs[i]
		for _, r := range s.Rules {
			fmt.Fprintf(b, "%v: rule %d: %d ranges of numbers, %d alternatives: %s\n", s.ABI, r.Rule, len(r.Numbers), len(r.Any), s.ABI.ActionString(r.Action))
		}
		fmt.Fprintf(b, "%v: default: %s, unknown numbers: %s\n", s.ABI, s.ABI.ActionString(s.Default), s.ABI.ActionString(s.Unknown))
	}
	fmt.Fprintf(b, "x32 where it is not listed: %v\nother architectures: %v\n", u.policy.X32, u.policy.BadArch)
}

// describeRuns writes the runs of every architecture, with what text says of each.
func (u *unit) describeRuns(b *strings.Builder, text func(run) string) {
	for _, a := range u.axes {
		for i, r := range a.runs {
			last := fullMask
			if i+1 < len(a.runs) {
				last = a.runs[i+1].lo - 1
			}
			fmt.Fprintf(b, "%-34s %s\n", u.numbersText(a.arch, r.lo, last), text(r))
		}
	}
}

// numbersText names the numbers lo to hi of an architecture.
func (u *unit) numbersText(arch, lo, hi uint32) string {
	name := func(nr uint32) string {
		for i := range u.policy.ABIs {
			a := u.policy.ABIs[i].ABI
			if a.AuditArch() != arch {
				continue
			}
			if name := a.SyscallName(nr); name != "" {
				return name
			}
		}
		return fmt.Sprintf("%#x", nr)
	}
	at := slices.IndexFunc(u.policy.ABIs, func(s policy.ResolvedABI) bool { return s.ABI.AuditArch() == arch })
	text := fmt.Sprintf("%v %d %s", u.policy.ABIs[at].ABI, lo, name(lo))
	if hi != lo {
		text += " – " + name(hi)
	}
	return text
}

func (u *unit) listText(l listID) string {
	var parts []string
	for ; u.lists[l].rule != nil; l = u.lists[l].rest {
		parts = append(parts, fmt.Sprintf("rule %d", u.lists[l].rule.Rule))
	}
	return strings.Join(append(parts, u.lists[l].action.String()), ", else ")
}

// target says where control goes.
func (u *unit) target(r ref) string {
	if n := u.graph.nodes[r]; n.op == opReturn {
		return abi.Action(n.k).String()
	}
	return fmt.Sprintf("→ %d", r)
}

// describeGraph writes the tests from roots on, each before its successors.
func (u *unit) describeGraph(b *strings.Builder, roots []ref) {
	seen := make(map[ref]bool)
	for _, root := range roots {
		for _, r := range slices.Backward(u.graph.reach(root)) {
			n := u.graph.nodes[r]
			if n.op == opReturn || seen[r] {
				continue
			}
			seen[r] = true
			fmt.Fprintf(b, "%d: %s ? %s : %s\n", r, n, u.target(n.t), u.target(n.f))
		}
	}
}

var opTexts = map[op]string{opEqual: "==", opGreaterOrEqual: ">=", opAnyBits: "&"}

// String writes the test of n as a C expression.
func (n node) String() string {
	word := n.word.String()
	if n.mask != fullMask && n.op != opAnyBits {
		word = fmt.Sprintf("(%s & %#x)", word, n.mask)
	}
	k := fmt.Sprint(n.k)
	if n.op == opAnyBits || n.k > 1<<16 {
		k = fmt.Sprintf("%#x", n.k)
	}
	return word + " " + opTexts[n.op] + " " + k
}

func (w word) String() string {
	switch w {
	case wordArch:
		return "arch"
	case wordNR:
		return "nr"
	}
	half := [...]string{".hi", ".lo"}[(w-wordArgs)%2]
	if arg := (w - wordArgs) / 2; arg < 6 {
		return fmt.Sprintf("args[%d]%s", arg, half)
	}
	return "ip" + half
}
