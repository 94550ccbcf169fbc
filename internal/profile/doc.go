// Package profile finds the system calls that a compiled program can make, from
// its machine code alone, and the shortest path to each.
//
// [File] profiles Go programs for linux/amd64, 386, arm64, arm or riscv64, Go
// 1.16 to 1.27, stripped or not, and programs of C, C++, Rust and assembly for
// all of them, static or with their libraries, also together (cgo). Every
// system-call instruction of every function is found by decoding; the number that
// it finds in its register is followed back through registers, stack words and
// variables, through wrappers to all their callers, to the constants it can be.
// [Result.Path] explains a call.
//
// With [Options.Cache], what is found of libraries is kept for other programs (see
// summary.go): it says nothing else, only sooner.
//
// # What counts
//
// The Go linker has removed what cannot be reached, so in Go code every site
// counts, whether a path to it is found or not. In all other code, native code, it
// counts if it can run: a function that can run calls it or takes its address, or
// an object of data holds its address that such a function refers to. It starts
// at the entries of the program and of its dynamic loader, at what the loader
// calls, and at what is opened and looked up by constant names at run time; of a
// shared library, at its constructors and at what it exports.
//
// Where a stripped program does not say how far an object of data extends, it
// extends to the next address that is taken, unless by its alignment that may lie
// inside the object.
//
// # Sound
//
// A profile is SOUND ([observe.Set.Sound]) when the calls of every run of the
// program, and of no other program, are in its set, provided that
// ([observe.Set.Assumptions] names those that matter to it)
//
//   - the program makes or loads no machine code at run time (a JIT, plugins);
//   - numbers are not changed behind the compiler's back: through unsafe
//     pointers into another function's frame, or by data races;
//   - functions are entered at their entries, or where a direct jump, a jump
//     table, an address in the code or a recovered panic says so;
//   - packages syscall and golang.org/x/sys/unix are the published ones: the
//     variable in which they keep fcntl's number, and the runtime's way to run
//     one call on all threads, are known from their source (see models.go);
//   - native code keeps the registers and the stack that its calling convention
//     says, reads its arguments on the stack once, and keeps pointers at multiples
//     of their size;
//   - the ways in which glibc and musl change the identity of all threads are those
//     of their source (see models.go), and glibc finds the functions of name
//     services by name (see services.go);
//   - a function that makes any system call, and whose address only data of its
//     own library holds, is called by that library;
//   - in native code of 386, arm64, arm and riscv64 the pieces of an address lie in the
//     order of the code or on the way of a jump, in one part of a function, on 386
//     also behind a jump out of it;
//   - in stripped code of arm a call that is followed by the constants of its function
//     does not come back, and what is only called from there is of the kind (A32 or
//     Thumb) that its pointers say or, without one, that is before it;
//   - the programs that it starts are profiled on their own: they run under the
//     same filter ([Result.StartsPrograms]);
//   - words of arm64 and arm code that an instruction of the same function loads as
//     constants are not run, unless they are system calls;
//   - the dynamic loader and the libraries are those that were looked at, and what
//     it opens at run time has a constant name or is in [Options].
//
// Whatever cannot be followed is an undetermined [Site], never left out: then
// the profile is not sound. So is a native program whose main is not reached.
//
// With [PhaseMain] it is of what can be called once main was entered. Then it is taken
// besides that the dynamic loader leaves behind only the functions whose address it
// stores, and that control enters the program's and the loader's entry once.
//
// Calls that no instruction of the program makes are added as
// [observe.Implicit]: the kernel's restart_syscall and rt_sigreturn, what the
// vDSO falls back to, and what only the dynamic loader calls.
package profile
