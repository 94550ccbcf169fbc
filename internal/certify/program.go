package certify

import (
	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// A place is an instruction and what the accumulator holds when it is reached:
// the word at a level under a mask, or nothing yet.
type place struct {
	pc     int
	loaded bool
	level  int
	mask   uint32
}

// lowerProgram returns what p returns from at on.
func (c *Circuit) lowerProgram(p bpf.Program, bigEndian bool, at place) (out Operand, err error) {
	start := at
	i := p[at.pc]
	at.pc++
	c.work += 16 // as much as to sort 16 numbers
	out, known := c.done[start]
	switch {
	case known || c.work > maxWork:
		return out, nil
	case i.Code == bpf.RetK:
		out = word(abi.Action(i.K))
	case i.Code == bpf.Ja:
		at.pc += int(i.K)
		out, err = c.lowerProgram(p, bigEndian, at)
	case i.Code == bpf.LdAbs:
		at.loaded, at.level, at.mask = true, levelAt(i.K, bigEndian), 1<<32-1
		out, err = c.lowerProgram(p, bigEndian, at)
	case i.Code == bpf.AndK && at.loaded:
		at.mask &= i.K
		out, err = c.lowerProgram(p, bigEndian, at)
	case i.IsBranch() && i.Code&sourceX == 0 && at.loaded:
		then, otherwise := at, at
		then.pc += int(i.JT)
		otherwise.pc += int(i.JF)
		var t, f Operand
		if t, err = c.lowerProgram(p, bigEndian, then); err == nil {
			f, err = c.lowerProgram(p, bigEndian, otherwise)
		}
		out = c.choose(comparison(i, at), t, f)
	default:
		err = refuse("instruction %d, %v: certificates do not cover it there", start.pc, i)
	}
	c.done[start] = out
	return out, err
}

// sourceX is set in the code of what compares with X (BPF_X, bpf_common.h).
const sourceX = 0x08

// comparison returns the test that i does on what at holds.
func comparison(i bpf.Instruction, at place) Test {
	t := Test{Level: at.level, Width: 32, Mask: uint64(at.mask)}
	in := policy.Interval{Lo: uint64(i.K), Hi: 1<<32 - 1} // JgeK
	switch i.Code {
	case bpf.JeqK:
		in.Hi = in.Lo
	case bpf.JgtK:
		in.Lo++
	case bpf.JsetK:
		t.Mask &= uint64(i.K)
		in.Lo = 1
	}
	if in.Lo <= in.Hi {
		t.In = []policy.Interval{in}
	}
	return t
}

// levelAt returns the level of the word of struct seccomp_data at byte offset k
// (include/uapi/linux/seccomp.h): int nr, __u32 arch, __u64 instruction_pointer,
// __u64 args[6].
func levelAt(k uint32, bigEndian bool) int {
	slot := int(k / 4)
	half := slot & 1 // 0: at the lower address, where the high half is if bigEndian
	if !bigEndian {
		half ^= 1
	}
	switch {
	case slot == 0:
		return 32 * wordNR
	case slot == 1:
		return 32 * wordArch
	case slot < 4:
		return 32 * (wordIP + half)
	}
	return 32 * (wordArgs + slot - 4 - slot&1 + half)
}
