package proof

import "github.com/sysgate/sysgate/abi"

// The 32-bit words of a call in the order in which diagrams test them, each from
// its most significant bit on: the level of bit b of word w is 32*w + 31 - b.
// What decides most calls, the architecture and then the number, comes first;
// the halves of a 64-bit word lie side by side, the high one first, so that a
// 64-bit comparison takes a number of nodes linear in its width.
const (
	wordArch = iota
	wordNR
	wordArgs      // high and low half of args[0], then of args[1], …
	wordIP   = 14 // high and low half
	words    = 16 // of all
	wordBits = 32 // of one
)

// wordAt returns which word of a call a filter loads from byte offset k of
// struct seccomp_data (include/uapi/linux/seccomp.h): int nr, __u32 arch,
// __u64 instruction_pointer, __u64 args[6].
func wordAt(k uint32, bigEndian bool) int {
	slot := int(k / 4)
	switch slot {
	case 0:
		return wordNR
	case 1:
		return wordArch
	}
	half := slot & 1 // 0: at the lower address
	if !bigEndian {
		half ^= 1 // the low half comes first in memory, the high half first here
	}
	if slot < 4 {
		return wordIP + half
	}
	return wordArgs + slot - 4 - slot&1 + half
}

// call returns the call whose words are w.
func call(w [words]uint32) abi.Call {
	c := abi.Call{
		Arch: w[wordArch],
		NR:   w[wordNR],
		IP:   uint64(w[wordIP])<<32 | uint64(w[wordIP+1]),
	}
	for i := range c.Args {
		c.Args[i] = uint64(w[wordArgs+2*i])<<32 | uint64(w[wordArgs+2*i+1])
	}
	return c
}
