// Package abi knows the Linux system-call ABIs: numbers and names, what the
// arguments of a call are and which of their bits the kernel reads, errno values
// and the constants used in arguments. It also has the two words that a seccomp
// filter deals in: [Call], what it sees, and [Action], what it returns.
//
//	nr, ok := abi.AMD64.Lookup("openat")          // 257
//	name := abi.ARM64.SyscallName(56)             // "openat"
//	mask := abi.AMD64.ReadMask(nr, 3)             // 0xffff: mode is a umode_t
//	value, ok := abi.MIPS.Constant("SOCK_STREAM") // 2
//
// There is a table for every linux port of Go, and for x32. Numbers are those
// that the kernel reports to a filter: x32's have [X32Bit] set, MIPS's their
// base. A service can be reached in several ways on one ABI: [ABI.Group] has the
// calls that do the same under another number, [ABI.Multiplexed] those that
// travel inside socketcall and ipc.
//
// # Limits
//
// The tables are current to [Latest]. First releases are coarse: a call that is
// older than the records has none ([ABI.Since]), and one counts from the release
// that served it, which can be later than the one that gave it a number.
// Arguments are declared types and what the kernel is known to narrow them to;
// what a call makes of a value, such as bits that no flag has, is not recorded.
// The meaning of an argument that depends on another (the last ones of fcntl,
// prctl, keyctl and ioctl) is that of an integer as wide as its type.
//
// Everything is laid out by the linker: the package has no work to do at
// start-up. The tables are generated from the text files in tables; see
// docs/updating-tables.md.
package abi

//go:generate go run ../internal/cmd/gentables
