package seccomp

import (
	"fmt"
	"io"

	"golang.org/x/net/bpf"

	"github.com/sysgate/sysgate"
	cbpf "github.com/sysgate/sysgate/bpf"
)

// Assemble assembles the policy into a list of BPF instructions, for the
// architecture that the program is built for. They have been proved equal to the
// policy for every possible call. If the policy contains any unknown syscalls or
// invalid actions an error will be returned.
func (p *Policy) Assemble() ([]bpf.Instruction, error) {
	f, err := p.compile()
	if err != nil {
		return nil, err
	}
	return instructions(f.Program), nil
}

// Dump writes a textual representation of the BPF instructions to out: one a
// line, after its index.
func (p *Policy) Dump(out io.Writer) error {
	assembled, err := p.Assemble()
	if err != nil {
		return err
	}
	for n, instruction := range assembled {
		if _, err := fmt.Fprintf(out, "%d: %v\n", n, instruction); err != nil {
			return err
		}
	}
	return nil
}

func (p *Policy) compile() (*sysgate.Filter, error) {
	lowered, err := p.Lower()
	if err != nil {
		return nil, err
	}
	return sysgate.Compile(lowered, sysgate.CompileOptions{})
}

// instructions returns p with the types of the documented API.
func instructions(p cbpf.Program) []bpf.Instruction {
	all := make([]bpf.Instruction, len(p))
	for n, i := range p {
		all[n] = bpf.RawInstruction{Op: i.Code, Jt: i.JT, Jf: i.JF, K: i.K}.Disassemble()
	}
	return all
}
