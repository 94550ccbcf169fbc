// Package record finds out which system calls a program makes by watching it run,
// with all that it starts.
//
//	r, reason, err := record.Choose("", target)   // the best recorder that works here
//	result, err := r.Record(ctx, target)           // runs the program
//	run, err := record.Import("strace.txt", data, native) // what other tools recorded
//
// There are three recorders, behind one interface, [Recorder]:
//
//   - ebpf counts in the kernel, at its tracepoints. It needs root, costs little
//     and loses nothing.
//   - notify has a seccomp filter tell of every call, and lets it go on. It needs no
//     root, and with a base policy it hears only of what that does not allow.
//   - ptrace stops the program at every call. It can attach to a running program
//     without root.
//
// A recording begins with the first instruction of the program: what the launcher
// does before is left out.
//
// # Limits
//
// Another run can make other calls. Calls of the vDSO (clock_gettime, …) reach the
// kernel only where the vDSO cannot answer. ebpf is for amd64 and arm64 with their
// 32-bit ABIs, in the initial PID namespace, Linux 5.13 or later. notify does not hear
// of calls that another filter denies.
package record
