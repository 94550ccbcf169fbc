// Package image reads programs for analysis: the executable with its libraries
// and its dynamic loader as one address space, all of its functions, and the
// machine instructions.
//
// [Load] maps the files, as the dynamic loader would find them (inside another
// root too), gives each its addresses, and binds their references to each other.
// [Program.Funcs] are the functions: those of Go by the table that the linker
// leaves in every program, stripped or not; the others by their unwind data and
// symbols, the stubs of linkage tables one by one, and what neither describes by
// what leads there. [Program.Unknown] tells the bytes to which nothing does.
// [Program.Depths] has the stack depths in a function, [Program.Line] source
// positions of Go. [File.Slot] says what a word holds that only the loader
// writes, [Program.Lookup] who defines a symbol. [File.Decode] decodes one
// instruction, [File.Sweep] goes over many. [OpenUnwind] is for who walks up the stack
// of a thread.
//
// Files are read by their program headers and dynamic sections. Section headers,
// which may be missing or lie, are hints: for symbols that were left for
// debuggers, for unwind data without a table, and to tell constant data from code
// in one segment, as far as nothing else contradicts them.
//
// Code of arm is of two kinds, A32 and Thumb, and has constants among it. Mapping
// symbols tell them apart; where those are gone the ways that control takes do.
//
// Limits: ELF for amd64, 386, arm64, arm and riscv64; at most [MaxSpan] of address space; the environment
// (LD_PRELOAD and the like) is not asked, and of libraries in variants for certain
// processors (glibc-hwcaps) the plain one is taken; one Go module with one text
// section, in the executable; Go 1.16 to
// 1.27, and later ones whose tables are where they were. Everything else is a
// [*RefusedError] that says what it is.
package image
