package image

import (
	"reflect"
	"slices"
	"testing"
)

// TestSweepRestart goes over one piece of code and then over another, with the same
// Sweep: that is as if the other were the first.
func TestSweepRestart(t *testing.T) {
	far := []byte{0x48, 0xb8, 0x10, 0, 0, 0, 0, 0, 0, 0, 0xc3}                // mov rax, 16 in ten bytes; ret
	near := []byte{0xe8, 0, 0, 0, 0, 0x48, 0x8d, 0x05, 1, 0, 0, 0, 0xc3}      // call; lea; ret
	literal := []byte{0x40, 0, 0, 0x58, 0xc0, 3, 0x5f, 0xd6, 1, 0, 0, 0xd4}   // ldr x0, 8; ret; svc 0, a constant
	page := []byte{0, 0, 0, 0x90, 0, 0, 0, 0x91, 1, 0, 0, 0xd4, 0, 0, 0, 0xb} // adrp x0; add x0, x0, 0; svc 0
	program := Range{0x1000, 0x9000}
	for name, of := range map[string]func(code []byte, addr uint64) *Sweep{
		"amd64": NewSweep, "arm64": NewSweepARM64, "riscv64": NewSweepRISCV64,
		"fixed": func(code []byte, addr uint64) *Sweep { return NewSweepFixed(code, addr, program) },
		"386":   func(code []byte, addr uint64) *Sweep { return NewSweep386(code, addr, program) },
		"arm":   func(code []byte, addr uint64) *Sweep { return NewSweepARM(code, addr, program) },
	} {
		stops := func(s *Sweep) (out []Inst) {
			for in := (Inst{}); s.Next(&in); {
				out = append(out, in)
			}
			return out
		}
		codes := [][]byte{far, near, literal, page}
		for _, first := range codes {
			for _, second := range codes {
				s, want := of(first, 0x1000), of(second, 0x2000)
				for in := (Inst{}); s.pos < len(first)/2 && s.Next(&in); { // not to its end
				}
				s.Restart(second, 0x2000)
				if got, want := stops(s), stops(want); !slices.Equal(got, want) {
					t.Errorf("%s: % x behind % x: %+v, want %+v", name, second, first, got, want)
				}
				if !reflect.DeepEqual(s, want) {
					t.Errorf("%s: % x behind % x leaves %+v, want %+v", name, second, first, s, want)
				}
			}
		}
	}
}
