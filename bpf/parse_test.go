package bpf

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
)

// Every instruction that 16 + 8 + 8 + 32 bits can be, valid or not, comes back from
// its text.
func TestParseRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []uint32{0, 1, 4, 8, 12, 16, 20, 60, 63, 64, 255, 4095, 4096, uint32(abi.Allow), uint32(abi.Allow) | 1, uint32(abi.Errno) | 38, uint32(abi.Trap), 0x1234, 1 << 31, 1<<32 - 1}
	for range 2000 {
		p := make(Program, 1+random.IntN(12))
		for i := range p {
			p[i] = Instruction{Code: uint16(random.IntN(256)), K: words[random.IntN(len(words))]}
			if random.IntN(2) == 0 {
				p[i].JT, p[i].JF = uint8(random.Uint32()), uint8(random.Uint32())
			}
			if random.IntN(10) == 0 {
				p[i].Code = uint16(random.Uint32())
			}
		}
		for _, bigEndian := range []bool{false, true} {
			roundTrip(t, p, bigEndian)
		}
	}
}

func roundTrip(t *testing.T, p Program, bigEndian bool) {
	t.Helper()
	var text strings.Builder
	if err := p.Disassemble(&text, bigEndian); err != nil {
		t.Fatal(err)
	}
	q, err := Parse(text.String(), bigEndian)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	if diff := cmp.Diff(p, q); diff != "" {
		t.Fatalf("%s\n%s", diff, text.String())
	}
}

func TestParse(t *testing.T) {
	const text = `
; what people write
        ld arch
        jeq #0xc000003e, native, foreign
native: ld nr                        ; x32 has bit 30
	jset #0x40000000, foreign, +0
        JOIN_2:
        ld args[1].hi
        jeq #0, +0, +1
        jgt x, 8, foreign
        ja foreign
        ret errno(38)
again: foreign: ret kill_process
`
	want := Program{
		Stmt(LdAbs, OffsetArch),
		Jump(JeqK, 0xc000003e, 0, 7),
		Stmt(LdAbs, OffsetNR),
		Jump(JsetK, 0x40000000, 5, 0),
		Stmt(LdAbs, OffsetArg(1, true, false)),
		Jump(JeqK, 0, 0, 1),
		Jump(JgtX, 0, 1, 2),
		Stmt(Ja, 1),
		Stmt(RetK, uint32(abi.Errno.WithData(38))),
		Stmt(RetK, uint32(abi.KillProcess)),
	}
	got, err := Parse(text, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err = Parse(text, true); err != nil || got[4].K != OffsetArg(1, true, true) {
		t.Errorf("big endian: %v, %v", got, err)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"lda arch":                       `1:1: unknown instruction "lda"`,
		"jne #1, 2, 3":                   `1:1: unknown instruction "jne"`,
		"  ret":                          `1:6: ret: want another operand, got the end of the line`,
		"ret permit":                     `1:5: unknown action "permit"`,
		"ret errno":                      `1:10: want "(", got the end of the line`,
		"ret errno(ENOSYS)":              `1:11: want a number, got "ENOSYS)"`,
		"ret errno(70000)":               `1:11: 70000 is out of range: the largest is 65535`,
		"ret allow(1)":                   `1:10: want the end of the line, got "(1)"`,
		"ld args[6].lo":                  `1:9: 6 is out of range: the largest is 5`,
		"ld args[1]":                     `1:11: want .hi or .lo, got the end of the line`,
		"ld number":                      `1:4: want a word of seccomp_data, got "number"`,
		"and #010\nret allow":            `1:6: bad number "010"`,
		"and #4294967296\nret allow":     `1:6: 4294967296 is out of range: the largest is 4294967295`,
		"and 5\nret allow":               `1:5: and: want another operand, got "5"`,
		"jeq #1, 2":                      `1:10: want ",", got the end of the line`,
		"jeq #1, there, 2":               `1:9: no place is called "there"`,
		"ret allow\njeq #1, 0, 2":        `2:9: the jump goes back`,
		"jeq #1, +256, 2":                `1:9: the jump is too far: 256 instructions, of at most 255`,
		"ja +4294967296":                 `1:4: the jump is too far: 4294967296 instructions, of at most 4294967295`,
		"ja 99999999999999999999":        `1:4: bad number "99999999999999999999"`,
		"ja +":                           `1:5: want the place that the jump goes to, got the end of the line`,
		"1: ret allow":                   `1:1: index 1 before instruction 0`,
		"a: ret allow\na: ret allow":     `2:1: place "a" stands twice`,
		"raw 0x28, 0, 0":                 `1:15: want ",", got the end of the line`,
		"raw 0x28, 256, 0, 0":            `1:11: 256 is out of range: the largest is 255`,
		"ret allow # permit":             `1:11: want the end of the line, got "# permit"`,
		"tax x":                          `1:5: tax: want another operand, got "x"`,
		"ld M[1":                         `1:7: want "]", got the end of the line`,
		"ret allow\n\n  ret\xff a":       `3:6: unknown action "\xff a"`,
		"":                               ErrEmpty.Error(),
		"; nothing\n\nplace:\n":          ErrEmpty.Error(),
		strings.Repeat("tax\n", 4097):    ErrTooLong.Error(),
		"jeq #1, 9, 9\nret allow\nld ip": `3:6: want .hi or .lo, got the end of the line`,
	} {
		p, err := Parse(text, false)
		if err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, %v\nwant %s", text, p, err, want)
		}
		var bad *SyntaxError
		if !errors.As(err, &bad) && !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrTooLong) {
			t.Errorf("%.40q: %T", text, err)
		}
	}
}

// FuzzParse: what can be read is read again from what is written of it.
func FuzzParse(f *testing.F) {
	f.Add("ld arch\njeq #0xc000003e, a, b\na: ret allow\nb: ret errno(1)\n", false)
	f.Add("raw 0x0028, 0, 0, 0xc\n ld args[5].hi ; x\n ldx M[3]\n jset x, +1, 9\n ret allow|1", true)
	f.Fuzz(func(t *testing.T, text string, bigEndian bool) {
		p, err := Parse(text, bigEndian)
		if err != nil {
			return
		}
		roundTrip(t, p, bigEndian)
	})
}
