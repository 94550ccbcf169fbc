package bpf

// Offsets in struct seccomp_data (include/uapi/linux/seccomp.h), in bytes, as
// [LdAbs] takes them. A program reads it word by word.
const (
	OffsetNR   = 0
	OffsetArch = 4

	offsetIP   = 8
	offsetArgs = 16

	// DataSize is the size of the structure; LD LEN and LDX LEN give it.
	DataSize = 64
)

// OffsetIP returns the offset of the high or low word of the instruction
// pointer.
func OffsetIP(high, bigEndian bool) uint32 { return offsetIP + half(high, bigEndian) }

// OffsetArg returns the offset of the high or low word of argument i, 0 to 5.
func OffsetArg(i int, high, bigEndian bool) uint32 {
	return offsetArgs + 8*uint32(i) + half(high, bigEndian)
}

// half returns where in a 64-bit member one of its halves lies.
func half(high, bigEndian bool) uint32 {
	if high != bigEndian {
		return 4
	}
	return 0
}

// highHalf reports whether offset, of a word of a 64-bit member, is that of the
// high half.
func highHalf(offset uint32, bigEndian bool) bool { return (offset&4 != 0) != bigEndian }
