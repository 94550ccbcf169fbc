package bpf

import (
	"encoding/binary"
	"fmt"
)

// instructionSize is the size of struct sock_filter.
const instructionSize = 8

func byteOrder(bigEndian bool) binary.ByteOrder {
	if bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Bytes returns p as an array of struct sock_filter
// (include/uapi/linux/filter.h) in the byte order of the machine that is to load
// it: what runtimes and tools call a raw filter.
func (p Program) Bytes(bigEndian bool) []byte {
	order := byteOrder(bigEndian)
	b := make([]byte, instructionSize*len(p))
	for n, i := range p {
		at := b[instructionSize*n:]
		order.PutUint16(at, i.Code)
		at[2], at[3] = i.JT, i.JF
		order.PutUint32(at[4:], i.K)
	}
	return b
}

// FromBytes reads what [Program.Bytes] writes. It is an error if data is not a
// whole number of instructions, empty ([ErrEmpty]) or longer than [MaxLen]
// instructions ([ErrTooLong]); the program need not be valid.
func FromBytes(data []byte, bigEndian bool) (Program, error) {
	n := len(data) / instructionSize
	switch {
	case len(data)%instructionSize != 0:
		return nil, fmt.Errorf("raw filter of %d bytes: not a multiple of %d, the size of an instruction", len(data), instructionSize)
	case n == 0:
		return nil, ErrEmpty
	case n > MaxLen:
		return nil, fmt.Errorf("%d instructions: %w", n, ErrTooLong)
	}
	order := byteOrder(bigEndian)
	p := make(Program, n)
	for i := range p {
		at := data[instructionSize*i:]
		p[i] = Instruction{order.Uint16(at), at[2], at[3], order.Uint32(at[4:])}
	}
	return p, nil
}
