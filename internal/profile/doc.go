// Package profile finds the system calls that a compiled program can make, from
// its machine code alone, and the shortest path to each.
//
// [File] profiles a Go program for linux/amd64, 386, arm64, arm or riscv64: Go 1.17
// to 1.26, without cgo, stripped or not, on amd64 position-independent or not. Every
// system-call instruction of every function is found by decoding; the number
// that it finds in its register is followed back through registers, stack words
// and variables, through wrappers to all their callers, to the constants it can
// be. [Result.Path] explains a call.
//
// # Sound
//
// A profile is SOUND ([observe.Set.Sound]) when the calls of every run of the
// program, and of no other program, are in its set, provided that
//
//   - the program makes or loads no machine code at run time (a JIT, plugins);
//   - numbers are not changed behind the compiler's back: through unsafe
//     pointers into another function's frame, or by data races;
//   - functions are entered at their entries, or where a direct jump, a jump
//     table, an address in the code (of arm, of an entry) or a recovered panic says so;
//   - packages syscall and golang.org/x/sys/unix are the published ones: the
//     variable in which they keep fcntl's number, and the runtime's way to run
//     one call on all threads, are known from their source (see models.go);
//   - the programs that it starts are profiled on their own: they run under the
//     same filter ([Result.StartsPrograms]);
//   - words of arm64 and arm code that an instruction of the same function loads as
//     constants are not run, unless they are system calls;
//   - the dynamic loader that a position-independent program names is the one
//     that was looked at, and loads nothing else.
//
// Whatever cannot be followed is an undetermined [Site], never left out: then
// the profile is not sound. The linker has removed what cannot be reached, so
// every site counts, whether a path to it is found or not.
//
// Calls that no instruction of the program makes are added as
// [observe.Implicit]: the kernel's restart_syscall and rt_sigreturn, what the
// vDSO falls back to, and all system calls in the code of the dynamic loader.
package profile
