// Package arch has the audit architectures and system-call tables of Linux, in
// the API of go-seccomp-bpf's package arch. The calls that most people need:
//
//	info, err := arch.GetInfo("")         // of the running program
//	nr, ok := info.SyscallNames["openat"]
//	name := arch.I386.SyscallNumbers[11]  // "execve"
//
// The tables are those of package [github.com/sysgate/sysgate/abi], which also
// knows aliases, arguments, read masks and first kernels: write new code with it.
//
// Limits: the fields of an [Info] are maps, as documented, so they are filled
// when a program starts that imports this package: half a millisecond and 0.8 MB
// for all architectures. Package seccomp does not import it. The maps are
// everybody's: treat them as read-only.
package arch
