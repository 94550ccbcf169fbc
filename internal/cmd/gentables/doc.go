// Command gentables makes the tables of package abi out of the text files in
// abi/tables:
//
//	go generate ./abi
//
// does only that: offline, from nothing but these files, and the same bytes
// every time. Two flags first take new facts over into the text files:
//
//	go run ./internal/cmd/gentables -abi abi -update latest
//	go run ./internal/cmd/gentables -abi abi -tracefs DIR
//
// -update VERSION reads the numbers, errno values and constants of that version
// of golang.org/x/sys/unix, which are those of one release of Linux for every
// port of Go; -tracefs reads the tracepoint formats of the running kernel, which
// say what system calls take. Both add and refuse to contradict: a number that
// has got another name is an error. docs/updating-tables.md says what to check
// afterwards.
//
// What the text files hold, and how they are written, their first lines say:
//
//	release.txt           the release that the tables are current to
//	syscalls/*.txt        number, name and first release of each call
//	aliases.txt           other names
//	groups.txt            calls that do the same service
//	multiplexers.txt      calls that carry others
//	signatures.txt        what kernel functions take, from tracepoints
//	signatures-extra.txt  the same by hand, with the source of each deviation
//	entries.txt           which of them a call enters, where not its own
//	kinds.txt             what an argument is, by its name
//	argnames.txt          second names of arguments
//	families.txt          which constants of x/sys are wanted
//	constants.txt         those constants
//	constants-extra.txt   constants by hand
//	errno.txt             errno values
package main
