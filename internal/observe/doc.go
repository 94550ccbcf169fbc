// Package observe is what sysgate knows about the system calls of a program,
// whoever found it out: a static profile, a recording, a violation.
package observe
