// Package policy is what a seccomp policy says and means: the model, its YAML
// and JSON form, its named sets, and the executable specification.
//
// The calls that most people need:
//
//   - [Parse] reads a policy: sysgate's own form, or the one that libbeat and
//     go-seccomp-bpf document. Errors have a position, the source line and a hint.
//   - [Policy.Resolve] replaces names, constants and sets by numbers, per ABI.
//   - [Resolved.Eval] says what happens to a call. Compiler and proof are held to
//     it.
//
// [Policy.Format] writes a policy, [ParsePattern] and [ParseCall] read the
// notation for calls that every message uses.
//
// Limits: a filter sees numbers and registers. What a pointer argument points to
// is out of reach, so a policy can ask of a pointer only whether it is NULL. The
// package never touches the kernel. docs/policy.md is the language's reference.
package policy
