package proof

import "github.com/sysgate/sysgate/bpf"

// A registerSet has bit r set for each register r that it contains.
type registerSet uint32

func (s registerSet) has(r int) bool { return s>>r&1 != 0 }

const (
	setA registerSet = 1 << regA
	setX registerSet = 1 << regX
	// The order of bytes does not move these words.
	setArch registerSet = 1 << regArch
	setNR   registerSet = 1 << regNR
)

// liveness returns, for each instruction of a valid program, the registers whose
// values before it can still matter. Jumps go forward, so that one pass from the
// end is enough.
func liveness(p bpf.Program) []registerSet {
	live := make([]registerSet, len(p))
	for pc := len(p) - 1; pc >= 0; pc-- {
		i := p[pc]
		switch i.Code {
		case bpf.RetK:
			continue
		case bpf.RetA:
			live[pc] = setA
			continue
		case bpf.Ja:
			live[pc] = live[pc+1+int(i.K)]
			continue
		}
		if i.IsBranch() {
			live[pc] = live[pc+1+int(i.JT)] | live[pc+1+int(i.JF)] | setA
			if usesX(i) {
				live[pc] |= setX
			}
			continue
		}
		reads, writes := effect(i)
		live[pc] = live[pc+1]&^writes | reads
	}
	return live
}

// effect returns what an instruction that falls through reads and writes.
func effect(i bpf.Instruction) (reads, writes registerSet) {
	switch i.Code {
	case bpf.LdAbs:
		switch i.K {
		case bpf.OffsetArch:
			return setArch, setA
		case bpf.OffsetNR:
			return setNR, setA
		}
		return 0, setA
	case bpf.LdLen, bpf.LdImm:
		return 0, setA
	case bpf.LdMem:
		return 1 << i.K, setA
	case bpf.LdxLen, bpf.LdxImm:
		return 0, setX
	case bpf.LdxMem:
		return 1 << i.K, setX
	case bpf.St:
		return setA, 1 << i.K
	case bpf.Stx:
		return setX, 1 << i.K
	case bpf.Tax:
		return setA, setX
	case bpf.Txa:
		return setX, setA
	}
	if usesX(i) {
		return setA | setX, setA
	}
	return setA, setA
}
