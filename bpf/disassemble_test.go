package bpf

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sysgate/sysgate/abi"
)

func TestDisassemble(t *testing.T) {
	p := Program{
		Stmt(LdAbs, OffsetArch),
		Jump(JeqK, 0xc000003e, 0, 11),
		Stmt(LdAbs, OffsetNR),
		Jump(JgeK, 0x40000000, 9, 0),
		Jump(JeqK, 41, 0, 6),
		Stmt(LdAbs, OffsetArg(1, true, false)),
		Jump(JeqK, 0, 0, 6),
		Stmt(LdAbs, OffsetArg(1, false, false)),
		Stmt(AndK, 0xf),
		Jump(JeqK, 1, 0, 3),
		Stmt(RetK, uint32(abi.Allow)),
		Jump(JsetK, 0x80, 0, 1),
		Stmt(Ja, 2),
		Stmt(RetK, uint32(abi.Errno.WithData(38))),
		Stmt(RetK, uint32(abi.KillProcess)),
		Jump(JgtX, 0, 0, 1),
		Stmt(RetK, 0x12340000),
		Stmt(RetA, 0),
	}
	const want = ` 0: ld arch
 1: jeq #0xc000003e, 2, 13         ; amd64
 2: ld nr
 3: jge #0x40000000, 13, 4         ; x32 read
 4: jeq #41, 5, 11                 ; socket
 5: ld args[1].hi
 6: jeq #0, 7, 13
 7: ld args[1].lo
 8: and #0xf
 9: jeq #1, 10, 13
10: ret allow
11: jset #0x80, 12, 13
12: ja 15
13: ret errno(38)
14: ret kill_process
15: jgt x, 16, 17
16: ret 0x12340000
17: ret a
`
	var out bytes.Buffer
	if err := p.Disassemble(&out, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestDisassembleNotes(t *testing.T) {
	tests := []struct {
		name string
		p    Program
		want string // the note of the last line
	}{
		{"no arch", Program{Stmt(LdAbs, OffsetNR), Jump(JeqK, 41, 0, 0)}, ""},
		{"arch", Program{Stmt(LdAbs, OffsetArch), Jump(JeqK, 0x40000003, 0, 0)}, "386"},
		{"unknown arch", Program{Stmt(LdAbs, OffsetArch), Jump(JeqK, 0x1234, 0, 0)}, ""},
		{"386", Program{Stmt(LdAbs, OffsetArch), Jump(JeqK, 0x40000003, 0, 2), Stmt(LdAbs, OffsetNR), Jump(JgtK, 102, 0, 0)}, "socketcall"},
		{"x32", Program{Stmt(LdAbs, OffsetArch), Jump(JeqK, 0xc000003e, 0, 2), Stmt(LdAbs, OffsetNR), Jump(JeqK, 0x40000029, 0, 0)}, "x32 socket"},
		{"errno", Program{Stmt(LdAbs, OffsetArch), Jump(JeqK, 0xc000003e, 0, 1), Stmt(RetK, 0x50026)}, "ENOSYS"},
		{"errno of mips", Program{Stmt(LdAbs, OffsetArch), Jump(JeqK, 0x8, 0, 1), Stmt(RetK, 0x50059)}, "ENOSYS"},
		{"either arch", Program{
			Stmt(LdAbs, OffsetArch), Jump(JeqK, 0xc000003e, 1, 0), Jump(JeqK, 0x40000003, 0, 2),
			Stmt(LdAbs, OffsetNR), Jump(JeqK, 1, 0, 0),
		}, ""},
		{"other word", Program{Stmt(LdAbs, OffsetArch), Stmt(AddK, 1), Jump(JeqK, 0x40000003, 0, 0)}, ""},
		{"unreachable", Program{Stmt(RetA, 0), Stmt(LdAbs, OffsetArch), Jump(JeqK, 0x40000003, 0, 0)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			notes := tt.p.notes()
			if got := notes[len(notes)-1]; got != tt.want {
				t.Errorf("note %q, want %q", got, tt.want)
			}
		})
	}
}

func TestInstructionString(t *testing.T) {
	tests := []struct {
		i    Instruction
		want string
	}{
		{Stmt(LdAbs, 0), "ld nr"},
		{Stmt(LdAbs, 4), "ld arch"},
		{Stmt(LdAbs, 20), "ld [20]"},
		{Stmt(LdAbs, 70), "ld [70]"},
		{Stmt(LdAbs, 2), "ld [2]"},
		{Stmt(LdImm, 5), "ld #5"},
		{Stmt(LdMem, 5), "ld M[5]"},
		{Stmt(LdLen, 0), "ld len"},
		{Stmt(LdxImm, 0x10000), "ldx #0x10000"},
		{Stmt(LdxMem, 1), "ldx M[1]"},
		{Stmt(LdxLen, 0), "ldx len"},
		{Stmt(St, 3), "st M[3]"},
		{Stmt(Stx, 99), "stx M[99]"},
		{Stmt(AddX, 0), "add x"},
		{Stmt(Neg, 0), "neg"},
		{Stmt(Tax, 0), "tax"},
		{Stmt(Txa, 0), "txa"},
		{Stmt(Ja, 0xffffffff), "ja +4294967295"},
		{Jump(JeqK, 41, 0, 255), "jeq #41, +0, +255"},
		{Jump(JgeX, 0, 1, 2), "jge x, +1, +2"},
		{Stmt(RetA, 0), "ret a"},
		{Stmt(RetK, 0x30007), "ret trap(7)"},
		{Stmt(RetK, 0x7fff0001), "ret allow|1"},
		{Stmt(0x28, 12), "raw 0x0028, 0, 0, 0xc"},
		{Instruction{0xffff, 1, 2, 3}, "raw 0xffff, 1, 2, 0x3"},
		{Instruction{RetA, 0, 0, 1}, "raw 0x0016, 0, 0, 0x1"},
		{Instruction{LdAbs, 1, 0, 4}, "raw 0x0020, 1, 0, 0x4"},
		{Jump(JeqX, 1, 0, 0), "raw 0x001d, 0, 0, 0x1"},
	}
	for _, tt := range tests {
		if got := tt.i.String(); got != tt.want {
			t.Errorf("%#v: %q, want %q", tt.i, got, tt.want)
		}
	}
}

// TestTextIsExact holds the text to telling any two instructions apart, as
// reading it back needs.
func TestTextIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, bigEndian := range []bool{false, true} {
		seen := map[string]Instruction{}
		for range 300_000 {
			i := Instruction{Code: uint16(r.IntN(300)), K: randomWord(r)}
			if r.IntN(2) == 0 {
				i.K = uint32(r.IntN(70))
			}
			if r.IntN(3) == 0 || formOf(i.Code) == branchK {
				i.JT, i.JF = uint8(r.IntN(4)), uint8(r.IntN(4))
			}
			text := i.text(0, bigEndian)
			if other, ok := seen[text]; ok && other != i {
				t.Fatalf("%#v and %#v are both %q", i, other, text)
			}
			seen[text] = i
		}
	}
}

// FuzzDisassemble prints arbitrary programs: one line an instruction.
func FuzzDisassemble(f *testing.F) {
	f.Add(Program{Stmt(LdAbs, 16), Jump(JeqK, 1, 0, 1), Stmt(RetK, 0), Stmt(RetA, 0)}.Bytes(false), true)
	f.Add(Program{Stmt(Ja, 0xffffffff), Stmt(LdMem, 77)}.Bytes(false), false)
	f.Fuzz(func(t *testing.T, raw []byte, bigEndian bool) {
		p, err := FromBytes(raw, bigEndian)
		if err != nil {
			t.Skip(err)
		}
		var out strings.Builder
		if err := p.Disassemble(&out, bigEndian); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines != len(p) {
			t.Errorf("%d lines for %d instructions", lines, len(p))
		}
		for _, i := range p {
			_ = i.String()
		}
	})
}
