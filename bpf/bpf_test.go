package bpf

import (
	"errors"
	"math/rand/v2"

	"github.com/sysgate/sysgate/abi"
)

// codes lists every code that seccomp admits.
func codes() []uint16 {
	var all []uint16
	for code := range ops {
		if ops[code].form != illegal {
			all = append(all, uint16(code))
		}
	}
	return all
}

// words are constants that filters and calls share often enough to matter.
var words = []uint32{
	0, 1, 2, 3, 16, 31, 32, 41, 255, 0x40, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
	0x40000000, 0x40000029, 0xc000003e, 0x40000003,
}

func randomWord(r *rand.Rand) uint32 {
	if r.IntN(4) == 0 {
		return r.Uint32()
	}
	return words[r.IntN(len(words))]
}

func randomLong(r *rand.Rand) uint64 {
	return uint64(randomWord(r))<<32 | uint64(randomWord(r))
}

func randomCall(r *rand.Rand) abi.Call {
	c := abi.Call{NR: randomWord(r), Arch: randomWord(r), IP: randomLong(r)}
	for i := range c.Args {
		c.Args[i] = randomLong(r)
	}
	return c
}

// randomProgram returns a valid program of up to n instructions.
func randomProgram(r *rand.Rand, n int) Program {
	all := codes()
	p := make(Program, 1+r.IntN(n))
	for pc := range p {
		p[pc] = randomInstruction(r, all, len(p)-pc-1)
	}
	for {
		var invalid *InvalidError
		if !errors.As(p.Validate(), &invalid) {
			return p
		}
		p[invalid.Index] = Stmt(LdImm, randomWord(r)) // read scratch memory before it was written
	}
}

// randomInstruction returns one that is valid with rest instructions after it,
// unless it reads scratch memory.
func randomInstruction(r *rand.Rand, all []uint16, rest int) Instruction {
	for {
		i := Instruction{Code: all[r.IntN(len(all))], K: randomWord(r)}
		if r.IntN(3) == 0 {
			i.Code = []uint16{LdAbs, LdAbs, St, JeqK, JgtK, JgeK, JsetK, JeqX, Tax}[r.IntN(9)]
		}
		if rest == 0 {
			i.Code = []uint16{RetK, RetA}[r.IntN(2)]
		}
		switch formOf(i.Code) {
		case withData:
			i.K = uint32(4 * r.IntN(16))
		case withMem:
			i.K = uint32(r.IntN(3))
		case jump:
			i.K = uint32(r.IntN(min(rest, 6) + 1))
		case branchK, branchX:
			i.JT, i.JF = uint8(r.IntN(min(rest, 6)+1)), uint8(r.IntN(min(rest, 6)+1))
		}
		if i.fault(rest) == "" {
			return i
		}
	}
}
