package bpf

import (
	"fmt"
	"io"
	"strconv"

	"github.com/sysgate/sysgate/abi"
)

// Disassemble writes p as text, one instruction a line: its index, the
// instruction, and after a semicolon what its number means where that is known.
// p need not be valid.
//
//	0: ld arch
//	1: jeq #0xc000003e, 2, 5    ; amd64
//	2: ld nr
//	3: jeq #41, 4, 6            ; socket
//	4: ret allow
//	5: ret kill_process
//	6: ret errno(38)            ; ENOSYS
//
// A jump names the indexes that it goes to: first the one for a comparison that
// holds. #N is a constant, x the index register, M[N] scratch memory, and the
// words of struct seccomp_data are nr, arch, ip.lo, ip.hi, args[N].lo and
// args[N].hi. An instruction that no such line can give back bit by bit (an
// unknown code, a field set that means nothing) is written as
// "raw CODE, JT, JF, K".
func (p Program) Disassemble(w io.Writer, bigEndian bool) error {
	notes := p.notes()
	width := len(strconv.Itoa(len(p)))
	var out []byte
	for pc, i := range p {
		out = fmt.Appendf(out, "%*d: ", width, pc)
		const column = 30
		text := i.text(pc, bigEndian)
		if notes[pc] == "" {
			out = fmt.Appendf(out, "%s\n", text)
		} else {
			out = fmt.Appendf(out, "%-*s ; %s\n", column, text, notes[pc])
		}
	}
	_, err := w.Write(out)
	return err
}

// String returns i in the notation of [Program.Disassemble], as far as i alone
// tells: jumps as +N, the number of instructions skipped, and words of
// seccomp_data whose name depends on the byte order as [OFFSET].
func (i Instruction) String() string {
	text := func(k string) string { return ops[i.Code].name + " " + k }
	switch f := formOf(i.Code); {
	case !i.canonical():
		return i.raw()
	case f == withData && i.K != OffsetNR && i.K != OffsetArch:
		return text(fmt.Sprintf("[%d]", i.K))
	case f == jump:
		return text(fmt.Sprintf("+%d", i.K))
	case f == branchK:
		return text(fmt.Sprintf("%s, +%d, +%d", i.constant(), i.JT, i.JF))
	case f == branchX:
		return text(fmt.Sprintf("x, +%d, +%d", i.JT, i.JF))
	}
	return i.text(0, false)
}

// text returns i as it is written at index pc.
func (i Instruction) text(pc int, bigEndian bool) string {
	if !i.canonical() {
		return i.raw()
	}
	name := ops[i.Code].name
	next := uint64(pc) + 1
	switch formOf(i.Code) {
	case withData:
		return name + " " + wordName(i.K, bigEndian)
	case withMem:
		return fmt.Sprintf("%s M[%d]", name, i.K)
	case withK:
		return name + " " + i.constant()
	case withX:
		return name + " x"
	case jump:
		return fmt.Sprintf("%s %d", name, next+uint64(i.K))
	case branchK:
		return fmt.Sprintf("%s %s, %d, %d", name, i.constant(), next+uint64(i.JT), next+uint64(i.JF))
	case branchX:
		return fmt.Sprintf("%s x, %d, %d", name, next+uint64(i.JT), next+uint64(i.JF))
	case retK:
		return name + " " + abi.Action(i.K).String()
	}
	return name
}

// constant writes small numbers, which are mostly numbers of something, in
// decimal and others, mostly bits and addresses, in hexadecimal.
func (i Instruction) constant() string {
	if i.K < 4096 && i.Code != JsetK && i.Code != AndK {
		return fmt.Sprintf("#%d", i.K)
	}
	return fmt.Sprintf("#%#x", i.K)
}

func (i Instruction) raw() string {
	return fmt.Sprintf("raw %#04x, %d, %d, %#x", i.Code, i.JT, i.JF, i.K)
}

// canonical reports whether i has a code that seccomp admits and nothing in the
// fields that the code does not use.
func (i Instruction) canonical() bool {
	switch formOf(i.Code) {
	case illegal:
		return false
	case bare, withX:
		return i.JT == 0 && i.JF == 0 && i.K == 0
	case branchK:
		return true
	case branchX:
		return i.K == 0
	}
	return i.JT == 0 && i.JF == 0
}

// wordName returns the name of the word of seccomp_data at offset.
func wordName(offset uint32, bigEndian bool) string {
	half := "lo"
	if highHalf(offset, bigEndian) {
		half = "hi"
	}
	switch {
	case offset >= DataSize || offset%4 != 0:
		return fmt.Sprintf("[%d]", offset)
	case offset == OffsetNR:
		return "nr"
	case offset == OffsetArch:
		return "arch"
	case offset < offsetArgs:
		return "ip." + half
	}
	return fmt.Sprintf("args[%d].%s", (offset-offsetArgs)/8, half)
}
