// Package launch starts a command under a seccomp filter that holds before the
// program's first instruction, without root.
//
// [LookPath] finds the executable, [Prepare] lays out the launcher's one
// execve(2), and [Prepared.Run] forks, installs the filter in the child,
// executes the program there, passes signals on and waits.
//
// # How the launcher's own execve passes
//
// The filter is installed before the execve that starts the program, so it
// decides that call too. A policy that denies execve therefore needs one rule
// more, which admits the launcher's call and nothing that the program can make:
// [Prepared.Execve] is that call, and its path, argument and environment
// pointers lie in three mappings at independent random addresses. The rule
// compares all three 64-bit words. The program cannot use it: the execve
// replaces the address space, so nothing is mapped there any more, and to map
// it again the program would have to guess three addresses, about 130 random
// bits. The addresses are nowhere in the program's memory, and this process,
// which knows them, cannot be read by it: it is not dumpable (prctl(2),
// PR_SET_DUMPABLE), so that tracing it or opening its /proc/PID/mem takes
// CAP_SYS_PTRACE.
//
// # What the program gets
//
//   - Descriptors, process group, session, terminal, working directory and
//     resource limits as this process got them. Everything that this process
//     opened itself is close-on-exec.
//   - The signal mask, and the signals that are ignored, as this process got
//     them, as far as Go's runtime lets know. Before any code of ours can look,
//     it unblocks SIGCHLD, SIGPROF and the faults, and it stops ignoring all but
//     SIGHUP (nohup), SIGINT, SIGTSTP, SIGTTIN, SIGTTOU and SIGCONT: the program
//     gets the rest at their default.
//   - no_new_privs, unless [Command.KeepPrivileges].
//   - A parent-death signal: SIGKILL to this process kills the program too. The
//     kernel drops it where the execve raises privileges.
//
// # Limits
//
// Linux only: elsewhere everything fails with [errors.ErrUnsupported]. The calls between the installation of the filter and the first
// instruction are one: execve. A signal in between finds no handler, because the
// child has reset them all; it acts as it would on the program.
package launch
