package build

import "github.com/sysgate/sysgate/bpf"

// Longest returns the number of instructions on the longest way through a valid
// program: no call executes more. It need not be that one executes as many.
func Longest(p bpf.Program) int {
	from := make([]int, len(p)+1) // on the longest way from an instruction
	for pc := len(p) - 1; pc >= 0; pc-- {
		switch i := p[pc]; {
		case i.IsReturn():
			from[pc] = 1
		case i.IsBranch():
			from[pc] = 1 + max(from[pc+1+int(i.JT)], from[pc+1+int(i.JF)])
		case i.Code == bpf.Ja:
			from[pc] = 1 + from[pc+1+int(i.K)]
		default:
			from[pc] = 1 + from[pc+1]
		}
	}
	return from[0]
}
