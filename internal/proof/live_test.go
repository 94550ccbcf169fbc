package proof

import (
	"fmt"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// Two paths that meet with different values in one register stay apart as long
// as something reads it, however it does so.
func TestLiveness(t *testing.T) {
	const a, b, m = 7, 2, 3
	tails := map[int][]bpf.Program{
		regX: {
			{bpf.Stmt(bpf.Txa, 0)},
			{bpf.Stmt(bpf.Stx, m), bpf.Stmt(bpf.LdMem, m)},
			{bpf.Stmt(bpf.LdImm, 4), bpf.Jump(bpf.JgtX, 0, 0, 1), bpf.Stmt(bpf.RetK, 9), bpf.Stmt(bpf.RetK, 8)},
		},
		m: {
			{bpf.Stmt(bpf.LdMem, m)},
			{bpf.Stmt(bpf.LdxMem, m), bpf.Stmt(bpf.Txa, 0)},
		},
		regA: {
			{bpf.Stmt(bpf.Tax, 0), bpf.Stmt(bpf.Txa, 0)},
			{bpf.Stmt(bpf.St, m), bpf.Stmt(bpf.LdMem, m)},
			{bpf.Stmt(bpf.AddK, 1)},
			{bpf.Stmt(bpf.Neg, 0)},
			{bpf.Jump(bpf.JgtK, 4, 0, 1), bpf.Stmt(bpf.RetK, 9), bpf.Stmt(bpf.RetK, 8)},
		},
		regNR:   {{bpf.Stmt(bpf.LdAbs, bpf.OffsetNR)}},
		regArch: {{bpf.Stmt(bpf.LdAbs, bpf.OffsetArch)}},
	}
	for _, code := range []uint16{
		bpf.AddX, bpf.SubX, bpf.MulX, bpf.DivX, bpf.OrX, bpf.AndX, bpf.XorX, bpf.LshX, bpf.RshX,
	} {
		tails[regX] = append(tails[regX], bpf.Program{bpf.Stmt(bpf.LdImm, 100), bpf.Stmt(code, 0)})
	}
	// For the register in question, how the two paths come by a and b.
	set := map[int]func(k uint32) bpf.Program{
		regA: func(k uint32) bpf.Program { return bpf.Program{bpf.Stmt(bpf.LdImm, k)} },
		regX: func(k uint32) bpf.Program { return bpf.Program{bpf.Stmt(bpf.LdxImm, k)} },
		m:    func(k uint32) bpf.Program { return bpf.Program{bpf.Stmt(bpf.LdImm, k), bpf.Stmt(bpf.St, m)} },
		regNR: func(k uint32) bpf.Program {
			return bpf.Program{bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Jump(bpf.JeqK, k, 1, 0), bpf.Stmt(bpf.RetK, 5)}
		},
		regArch: func(k uint32) bpf.Program {
			return bpf.Program{bpf.Stmt(bpf.LdAbs, bpf.OffsetArch), bpf.Jump(bpf.JeqK, k, 1, 0), bpf.Stmt(bpf.RetK, 5)}
		},
	}
	for register, tails := range tails {
		for i, tail := range tails {
			t.Run(fmt.Sprintf("%d/%d", register, i), func(t *testing.T) {
				first, second := set[register](a), set[register](b)
				p := bpf.Program{bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(0, false, false)), bpf.Jump(bpf.JeqK, 0, 0, uint8(len(first)+1))}
				p = append(append(append(p, first...), bpf.Stmt(bpf.Ja, uint32(len(second)))), second...)
				if register != regA { // where the paths meet, a comparison of the same A
					p = append(p, bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(1, false, false)), bpf.Jump(bpf.JsetK, 1, 0, 0))
				} else {
					p = append(p, bpf.Stmt(bpf.LdxImm, 0), bpf.Jump(bpf.JeqX, 0, 0, 0))
				}
				p = append(append(p, tail...), bpf.Stmt(bpf.RetA, 0))
				if err := p.Validate(); err != nil {
					t.Fatal(err)
				}
				var calls []abi.Call
				var words []uint32
				for bits := range uint64(16) {
					c := abi.Call{Args: [6]uint64{bits & 1, bits >> 1 & 1}, NR: a, Arch: a}
					if bits&4 != 0 {
						c.NR = b
					}
					if bits&8 != 0 {
						c.Arch = b
					}
					calls = append(calls, c)
					words = append(words, uint32(p.Run(c, false).Return))
				}
				d := newDiagram(Budget{}.limits())
				root := d.program(p, false, words)
				for i, c := range calls {
					if got := d.at(root, c); got != words[i] {
						t.Errorf("%#x, want %#x of %+v", got, words[i], c)
					}
				}
			})
		}
	}
}
