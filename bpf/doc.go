// Package bpf handles classic BPF programs as seccomp(2) takes them: it
// assembles, validates, runs, disassembles and encodes them.
//
// [Program.Validate] accepts exactly the programs that the kernel accepts,
// [Program.Run] computes what the kernel would return for a system call, and
// [Assembler] builds a program from statements and labels, with jumps of any
// length:
//
//	var a bpf.Assembler
//	deny := a.NewLabel()
//	a.Stmt(bpf.LdAbs, bpf.OffsetArch)
//	a.If(bpf.JeqK, abi.AMD64.AuditArch(), bpf.Next, deny)
//	a.Stmt(bpf.RetK, uint32(abi.Allow))
//	a.Bind(deny)
//	a.Stmt(bpf.RetK, uint32(abi.KillProcess))
//	p, err := a.Assemble()
//
// [Program.Disassemble] writes a program as text, [Parse] reads it back bit by
// bit.
//
// A filter reads struct seccomp_data as 32-bit words in the byte order of its
// machine. The order decides where the halves of a 64-bit member lie, so every
// function that deals with them takes it as bigEndian; see [abi.ABI.BigEndian].
//
// The package covers what seccomp admits of classic BPF, not the packet loads
// and extensions of socket filters. It makes no system call.
package bpf
