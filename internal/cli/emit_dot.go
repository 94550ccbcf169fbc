package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/sysgate/sysgate/bpf"
)

// emitDot writes the filter's blocks, instructions that run one after the other,
// and where each goes.
func emitDot(w io.Writer, m *emission) error {
	var asm strings.Builder
	if err := emitAsm(&asm, m); err != nil {
		return err
	}
	lines := strings.Split(asm.String(), "\n")
	starts := map[int]bool{0: true}
	for pc, in := range m.program {
		if next := successors(m.program, pc); in.IsReturn() || len(next) != 1 || next[0] != pc+1 {
			starts[pc+1] = true
			for _, to := range next {
				starts[to] = true
			}
		}
	}
	fmt.Fprint(w, "digraph filter {\n\tnode [shape=box, fontname=monospace];\n")
	var block []string
	start := 0
	for pc, in := range m.program {
		if starts[pc] {
			start, block = pc, nil
		}
		block = append(block, dotText(lines[pc]))
		if !starts[pc+1] && pc+1 < len(m.program) {
			continue
		}
		fmt.Fprintf(w, "\tn%d [label=\"%s\\l\"];\n", start, strings.Join(block, `\l`))
		next := successors(m.program, pc)
		for i, to := range next {
			label := ""
			if in.IsBranch() && len(next) == 2 {
				label = [...]string{" [label=yes]", " [label=no]"}[i]
			}
			fmt.Fprintf(w, "\tn%d -> n%d%s;\n", start, to, label)
		}
	}
	_, err := fmt.Fprint(w, "}\n")
	return err
}

// successors returns where the instruction at pc of a valid program goes: for a
// comparison, first where it goes if that holds.
func successors(p bpf.Program, pc int) []int {
	switch in := p[pc]; {
	case in.IsReturn():
		return nil
	case in.Code == bpf.Ja:
		return []int{pc + 1 + int(in.K)}
	case in.IsBranch() && in.JT != in.JF:
		return []int{pc + 1 + int(in.JT), pc + 1 + int(in.JF)}
	case in.IsBranch():
		return []int{pc + 1 + int(in.JT)}
	}
	return []int{pc + 1}
}

// dotText returns a line of assembly for a label.
func dotText(line string) string {
	fields := strings.Fields(line)
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Join(fields, " "))
}
