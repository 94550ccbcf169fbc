package bpf

// An Instruction is one classic BPF instruction, struct sock_filter of
// include/uapi/linux/filter.h.
type Instruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// A Program is a classic BPF program as seccomp(2) takes it.
type Program []Instruction

// MaxLen is the largest number of instructions that the kernel takes
// (BPF_MAXINSNS).
const MaxLen = 4096
