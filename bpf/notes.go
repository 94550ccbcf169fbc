package bpf

import "github.com/sysgate/sysgate/abi"

// fact is what is known when an instruction is reached, whatever the way.
type fact struct {
	reached bool
	word    int    // offset of the word of seccomp_data in A, or unknownWord
	arch    uint32 // the audit architecture, if archKnown
	known   bool   // arch is known
}

const unknownWord = -1

// meet returns what holds whichever of f and g does.
func (f fact) meet(g fact) fact {
	switch {
	case !f.reached:
		return g
	case !g.reached:
		return f
	}
	if f.word != g.word {
		f.word = unknownWord
	}
	f.known = f.known && g.known && f.arch == g.arch
	return f
}

// notes returns for each instruction what its constant means, "" if that is not
// known.
func (p Program) notes() []string {
	facts := make([]fact, len(p))
	notes := make([]string, len(p))
	flow := func(to uint64, f fact) {
		if to < uint64(len(p)) {
			facts[to] = facts[to].meet(f)
		}
	}
	if len(p) > 0 {
		facts[0] = fact{reached: true, word: unknownWord}
	}
	for pc, i := range p {
		f := facts[pc]
		if !f.reached {
			continue
		}
		notes[pc] = f.note(i)
		next := uint64(pc) + 1
		switch formOf(i.Code) {
		case jump:
			flow(next+uint64(i.K), f)
		case branchK, branchX:
			flow(next+uint64(i.JF), f)
			if i.Code == JeqK && f.word == OffsetArch {
				f.arch, f.known = i.K, true
			}
			flow(next+uint64(i.JT), f)
		default:
			if !i.IsReturn() {
				flow(next, f.after(i))
			}
		}
	}
	return notes
}

// after returns what is known after i, which is no jump.
func (f fact) after(i Instruction) fact {
	switch i.Code {
	case LdAbs:
		f.word = int(i.K)
	case LdxImm, LdxMem, LdxLen, St, Stx, Tax:
	default:
		f.word = unknownWord
	}
	return f
}

// note returns what i's constant means under f.
func (f fact) note(i Instruction) string {
	if formOf(i.Code) == branchK && i.Code != JsetK && f.word == OffsetArch {
		return archName(i.K)
	}
	return ""
}

// archName returns the name of the ABI with an audit architecture, or "".
func archName(audit uint32) string {
	for _, a := range abi.All() {
		if a.AuditArch() == audit {
			return a.String()
		}
	}
	return ""
}
