// Package source reads what commands work on: policies and filters, whatever
// form they come in.
//
//	in, err := source.Read("web.yaml", source.Options{Native: abi.AMD64})
//
// [Read] takes the name of a file, "-" for standard input, "@set" for the policy
// that allows a set or "pid:N" for the filters of a process, finds out the format, or
// is told it ("minijail-c:old.policy"), and gives it its own meaning: sysgate's and libbeat's policies; policies of other tools, as their own
// runtime enforces them; raw filters as bytes of either byte order, as a C array,
// in base64, as JSON or as assembly. [Input.Eval] answers for one call, [Input.Function] for
// all of them.
//
// Limits: a raw filter in a text form does not say which byte order its machine
// has; it is that of the architectures that it compares with, else that of
// [Options.Native].
package source
