// Package observe is what sysgate knows about the system calls of a program,
// whoever found it out: a static profile ([Set]), a recording ([Run]), a violation
// ([Violation]).
//
// A [Tally] counts the calls of a run, [WriteRun] and [ReadRuns] keep it as lines
// of JSON, and [Join] puts several runs and profiles together: each call with the
// number of runs that made it. [Modes] says which arguments are kept.
package observe
