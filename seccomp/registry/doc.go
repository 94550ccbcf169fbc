// Package registry chooses the policy that a program runs under, and loads it:
// the one in the program's configuration, else the one that the program has
// registered, else a built-in default. It is the model of libbeat's
// common/seccomp.
//
// The calls that most people need:
//
//   - [MustRegisterPolicy], in an init function of the program's include
//     package, which `sysgate profile --format go` writes from the binary.
//   - [LoadFilter], first thing in main, with the program's configuration. It
//     says what it did in a [Result], and to a logger.
//   - [ModifyDefaultPolicy], for a library that needs one call more than the
//     default policy lets through, or one less.
//
// The configuration is the one that libbeat documents:
//
//	seccomp:
//	  enabled: true           # the default
//	  required: true          # start with a filter or not at all; false is the default
//	  default_action: allow
//	  syscalls:
//	  - action: errno
//	    names: [execve, execveat, fork, vfork]
//
// It takes the place of the other policies as a whole: lists are never merged. A
// missing or an unknown key is an error, and so is a name that the ABI does not
// have. All functions can be called from several goroutines.
//
// # Default policies
//
// On amd64 and 386 the default is an allow-list: the calls of a program that does
// what services do (testdata/app), by its profile, with those added that C
// libraries were seen to make on its behalf (defaults/allow.txt). Other programs
// cannot be started. Calls that are dangerous in a service (defaults/deny.txt)
// get EPERM; all others get ENOSYS, so that a C library takes them for calls of a
// newer kernel and does without. On arm and arm64 only the dangerous calls are
// denied. Elsewhere there is no default.
//
// # Limits
//
// There is one policy for the process, since a filter holds for all of it. A
// program that merges several components registers one policy for all.
package registry
