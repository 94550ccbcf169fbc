// Package image reads executable files for analysis: the ELF segments, the
// function table that the Go linker leaves in every program (stripped or not),
// and the machine instructions.
//
// [Open] maps an ELF file from its program headers alone: section headers may
// be missing or lie, so they are never needed. [File.Go] finds the tables of a
// Go program: its functions with their ranges, names, stack depths and source
// positions. [File.Decode] decodes one instruction.
//
// A position-independent program is read as relocated to the addresses that it
// was linked for. It names a dynamic loader: [OpenLoader] maps that, and
// [File.Compiled] finds its functions.
//
// Limits: ELF for amd64, and for 386, arm64, arm and riscv64 with a fixed load address; no
// libraries; one Go module with one text section (no plugins, no -buildmode=shared, no cgo); Go
// 1.17 to 1.26. Everything else is a [*RefusedError] that says what it is.
package image
