// Package cli is the command line: one file a command, which reads flags, calls
// one function and prints its result. [Main] runs it.
//
// What a program reads goes to standard output; everything else goes to standard
// error, in lines that start with "sysgate:", lower case, without a final
// period. Exit codes are in exit.go.
package cli
