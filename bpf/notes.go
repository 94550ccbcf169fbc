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
	switch {
	case i.Code == RetK:
		return f.actionNote(abi.Action(i.K))
	case formOf(i.Code) != branchK || i.Code == JsetK:
		return ""
	case f.word == OffsetArch:
		return nameOf(abiOf(i.K, 0))
	case f.word == OffsetNR && f.known:
		return callName(f.arch, i.K)
	}
	return ""
}

// callName returns the name of a system call, those of x32 so marked.
func callName(audit, nr uint32) string {
	a := abiOf(audit, nr)
	name := a.SyscallName(nr)
	if a == abi.X32 && name != "" {
		return "x32 " + name
	}
	return name
}

// actionNote returns the errno name in a, if a has one.
func (f fact) actionNote(a abi.Action) string {
	if a.Kind() != abi.Errno || !f.known {
		return ""
	}
	return abiOf(f.arch, 0).ErrnoName(a.Data())
}

// abiOf returns the ABI of the calls with an audit architecture and number, None
// if there is none.
func abiOf(audit, nr uint32) abi.ABI {
	if (abi.Call{Arch: audit, NR: nr}).IsX32() {
		return abi.X32
	}
	for _, a := range abi.All() {
		if a.AuditArch() == audit {
			return a
		}
	}
	return abi.None
}

func nameOf(a abi.ABI) string {
	if a == abi.None {
		return ""
	}
	return a.String()
}
