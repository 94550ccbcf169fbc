package bpf

import (
	"errors"
	"math/rand/v2"
	"testing"
)

func TestValidate(t *testing.T) {
	ret := Stmt(RetK, 0)
	long := func(n int) Program {
		p := make(Program, n)
		for i := range p {
			p[i] = ret
		}
		return p
	}
	const whole = -1 // the error is about the whole program
	tests := []struct {
		name string
		p    Program
		ok   bool
		at   int // index in the error
	}{
		{"return", Program{ret}, true, 0},
		{"return a", Program{Stmt(RetA, 0)}, true, 0},
		{"empty", nil, false, whole},
		{"4096", long(4096), true, 0},
		{"4097", long(4097), false, whole},
		{"no return", Program{ret, Stmt(LdImm, 0)}, false, whole},
		{"return x", Program{Stmt(0x0e, 0)}, false, 0},
		{"unused fields do not matter", Program{{Code: RetA, JT: 9, JF: 9, K: 9}}, true, 0},
		{"xor", Program{Stmt(XorK, 0), Stmt(XorX, 0), ret}, true, 0},
		{"mod k", Program{Stmt(0x94, 1), ret}, false, 0},
		{"mod x", Program{Stmt(0x9c, 1), ret}, false, 0},
		{"load half", Program{Stmt(0x28, 0), ret}, false, 0},
		{"load byte", Program{Stmt(0x30, 0), ret}, false, 0},
		{"load indirect", Program{Stmt(0x40, 0), ret}, false, 0},
		{"load msh", Program{Stmt(0xb1, 0), ret}, false, 0},
		{"code above 255", Program{Stmt(0x106, 0)}, false, 0},
		{"last offset", Program{Stmt(LdAbs, 60), ret}, true, 0},
		{"offset outside", Program{ret, Stmt(LdAbs, 64), ret}, false, 1},
		{"offset unaligned", Program{Stmt(LdAbs, 18), ret}, false, 0},
		{"ancillary offset", Program{Stmt(LdAbs, 0xfffff000), ret}, false, 0},
		{"div by 0", Program{Stmt(DivK, 0), ret}, false, 0},
		{"div by x", Program{Stmt(DivX, 0), ret}, true, 0},
		{"shift 31", Program{Stmt(LshK, 31), Stmt(RshK, 31), ret}, true, 0},
		{"shift 32 left", Program{Stmt(LshK, 32), ret}, false, 0},
		{"shift 32 right", Program{Stmt(RshK, 32), ret}, false, 0},
		{"shift by x", Program{Stmt(LshX, 99), ret}, true, 0},
		{"ja to the last", Program{Stmt(Ja, 1), ret, ret}, true, 0},
		{"ja outside", Program{Stmt(Ja, 2), ret, ret}, false, 0},
		{"ja wraps", Program{Stmt(Ja, 0xffffffff), ret}, false, 0},
		{"jt outside", Program{Jump(JeqK, 0, 1, 0), ret}, false, 0},
		{"jf outside", Program{Jump(JeqX, 0, 0, 1), ret}, false, 0},
		{"jump is last", Program{Stmt(Ja, 0)}, false, 0},
		{"m[15]", Program{Stmt(St, 15), Stmt(LdMem, 15), ret}, true, 0},
		{"m[16]", Program{Stmt(St, 16), ret}, false, 0},
		{"x, m[16]", Program{Stmt(LdxMem, 16), ret}, false, 0},
		{"not stored", Program{Stmt(St, 1), Stmt(LdMem, 0), ret}, false, 1},
		{"stored by x", Program{Stmt(Stx, 1), Stmt(LdxMem, 1), ret}, true, 0},
		{"stored on one way", Program{Jump(JeqK, 0, 0, 1), Stmt(St, 0), Stmt(LdMem, 0), ret}, false, 2},
		{"stored on both ways", Program{Jump(JeqK, 0, 0, 2), Stmt(St, 0), Stmt(Ja, 1), Stmt(St, 0), Stmt(LdMem, 0), ret}, true, 0},
		{"not stored, after ja", Program{Stmt(Ja, 1), Stmt(LdMem, 0), ret}, true, 0},
		{"not stored, after return", Program{ret, Stmt(LdMem, 0), ret}, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.p.Validate()
			if (err == nil) != tt.ok {
				t.Fatalf("Validate() = %v, want ok %v", err, tt.ok)
			}
			var invalid *InvalidError
			switch {
			case tt.ok:
			case tt.at == whole:
				if !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrTooLong) && !errors.Is(err, ErrNoReturn) {
					t.Errorf("Validate() = %v", err)
				}
			case !errors.As(err, &invalid) || invalid.Index != tt.at || invalid.Instruction != tt.p[tt.at]:
				t.Errorf("Validate() = %v, want index %d", err, tt.at)
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	p := make(Program, 0, 600)
	for range 60 {
		p = append(p, Stmt(St, 0), Stmt(St, 1), Stmt(St, 2))
		for range 6 {
			p = append(p, Jump(JeqK, r.Uint32(), uint8(r.IntN(2)), 0))
		}
		p = append(p, Stmt(LdMem, 1))
	}
	p = append(p, Stmt(RetK, 0))
	for b.Loop() {
		if err := p.Validate(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(p)), "instructions")
}
