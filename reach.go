package sysgate

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// passes reports whether f lets every call of that name through, whatever its
// arguments: what the loader wants to be sure of before it makes a call under the
// filter. A name that the ABI lacks does not pass.
func (f *Filter) passes(a abi.ABI, name string) bool {
	nr, ok := a.Lookup(name)
	if !ok {
		return false
	}
	returns := returnsOf(f.Program, a.AuditArch(), nr)
	return len(returns) > 0 && !slices.ContainsFunc(returns, func(r abi.Action) bool {
		return r.Kind() != abi.Allow && r.Kind() != abi.Log
	})
}

// unsure stands for words that depend on more than architecture and number; as a
// return word it is an action that the kernel kills for.
const unsure = abi.Action(0x00010000)

// returnsOf returns the words that p can return for a call, whatever its arguments
// and address are, once each. It follows both ways of a comparison with something
// that it does not know, as the kernel gives up there when it looks for calls that
// a filter always allows (seccomp_is_const_allow in kernel/seccomp.c). So the list
// can hold a word too many, never one too few.
func returnsOf(p bpf.Program, arch, nr uint32) []abi.Action {
	// Instructions are visited front to back, jumps go forward: when it is an
	// instruction's turn, all that the accumulator can hold there is known.
	states := make([][]accumulator, len(p)+1)
	add := func(pc int, a accumulator) {
		if pc < len(p) && !slices.Contains(states[pc], a) {
			states[pc] = append(states[pc], a)
		}
	}
	var returns []abi.Action
	end := func(word abi.Action) {
		if !slices.Contains(returns, word) {
			returns = append(returns, word)
		}
	}
	add(0, accumulator{known: true})
	for pc, i := range p {
		for _, a := range states[pc] {
			switch i.Code {
			case bpf.RetK:
				end(abi.Action(i.K))
			case bpf.RetA:
				end(unsure)
			case bpf.Ja:
				add(pc+1+int(i.K), a)
			case bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK, bpf.JeqX, bpf.JgtX, bpf.JgeX, bpf.JsetX:
				taken, sure := a.compare(i)
				if taken || !sure {
					add(pc+1+int(i.JT), a)
				}
				if !taken || !sure {
					add(pc+1+int(i.JF), a)
				}
			case bpf.DivX:
				end(abi.KillThread) // X can be 0
				add(pc+1, accumulator{})
			default:
				add(pc+1, a.after(i, arch, nr))
			}
		}
	}
	return returns
}

// An accumulator is what is known of the register A.
type accumulator struct {
	known bool
	value uint32 // 0 if it is not known
}

func (a accumulator) compare(i bpf.Instruction) (taken, sure bool) {
	if !a.known {
		return false, false
	}
	switch i.Code {
	case bpf.JeqK:
		return a.value == i.K, true
	case bpf.JgtK:
		return a.value > i.K, true
	case bpf.JgeK:
		return a.value >= i.K, true
	case bpf.JsetK:
		return a.value&i.K != 0, true
	}
	return false, false // with X
}

func (a accumulator) after(i bpf.Instruction, arch, nr uint32) accumulator {
	switch {
	case i.Code == bpf.LdAbs && i.K == bpf.OffsetArch:
		return accumulator{true, arch}
	case i.Code == bpf.LdAbs && i.K == bpf.OffsetNR:
		return accumulator{true, nr}
	case i.Code == bpf.LdImm:
		return accumulator{true, i.K}
	case i.Code == bpf.St, i.Code == bpf.Stx, i.Code == bpf.Tax, i.Code == bpf.LdxImm, i.Code == bpf.LdxMem, i.Code == bpf.LdxLen:
		return a
	case i.Code == bpf.AndK && a.known:
		return accumulator{true, a.value & i.K}
	}
	return accumulator{}
}
