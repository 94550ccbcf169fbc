package bpf

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sysgate/sysgate/abi"
)

func TestRun(t *testing.T) {
	call := abi.Call{
		NR: 41, Arch: 0xc000003e, IP: 0x1122334455667788,
		Args: [6]uint64{0xa0a1a2a3b0b1b2b3, 1, 2, 3, 4, 0xffffffff00000005},
	}
	tests := []struct {
		name      string
		p         Program
		bigEndian bool
		want      Result
	}{
		{"nr", Program{Stmt(LdAbs, OffsetNR), Stmt(RetA, 0)}, false, Result{41, 2}},
		{"arch", Program{Stmt(LdAbs, OffsetArch), Stmt(RetA, 0)}, true, Result{0xc000003e, 2}},
		{"ip lo", Program{Stmt(LdAbs, 8), Stmt(RetA, 0)}, false, Result{0x55667788, 2}},
		{"ip hi", Program{Stmt(LdAbs, 12), Stmt(RetA, 0)}, false, Result{0x11223344, 2}},
		{"ip first word, big endian", Program{Stmt(LdAbs, 8), Stmt(RetA, 0)}, true, Result{0x11223344, 2}},
		{"ip second word, big endian", Program{Stmt(LdAbs, 12), Stmt(RetA, 0)}, true, Result{0x55667788, 2}},
		{"args[0] lo", Program{Stmt(LdAbs, 16), Stmt(RetA, 0)}, false, Result{0xb0b1b2b3, 2}},
		{"args[0] hi", Program{Stmt(LdAbs, 20), Stmt(RetA, 0)}, false, Result{0xa0a1a2a3, 2}},
		{"args[5] lo", Program{Stmt(LdAbs, 56), Stmt(RetA, 0)}, false, Result{5, 2}},
		{"args[5] lo, big endian", Program{Stmt(LdAbs, 60), Stmt(RetA, 0)}, true, Result{5, 2}},
		{"args[5] hi", Program{Stmt(LdAbs, 60), Stmt(RetA, 0)}, false, Result{0xffffffff, 2}},
		{"registers start as 0", Program{Stmt(Tax, 0), Stmt(AddX, 0), Stmt(RetA, 0)}, false, Result{0, 3}},
		{"len", Program{Stmt(LdLen, 9), Stmt(RetA, 0)}, false, Result{64, 2}},
		{"x len", Program{Stmt(LdxLen, 9), Stmt(Txa, 0), Stmt(RetA, 0)}, false, Result{64, 3}},
		{"scratch", Program{Stmt(LdImm, 7), Stmt(St, 15), Stmt(LdImm, 0), Stmt(LdMem, 15), Stmt(RetA, 0)}, false, Result{7, 5}},
		{"x scratch", Program{Stmt(LdxImm, 7), Stmt(Stx, 0), Stmt(LdxImm, 0), Stmt(LdxMem, 0), Stmt(Txa, 0), Stmt(RetA, 0)}, false, Result{7, 6}},
		{"sub wraps", Program{Stmt(SubK, 1), Stmt(RetA, 0)}, false, Result{0xffffffff, 2}},
		{"mul wraps", Program{Stmt(LdImm, 0x10001), Stmt(MulK, 0x10001), Stmt(RetA, 0)}, false, Result{0x20001, 3}},
		{"div is unsigned", Program{Stmt(LdImm, 0xfffffffe), Stmt(DivK, 2), Stmt(RetA, 0)}, false, Result{0x7fffffff, 3}},
		{"div by x", Program{Stmt(LdImm, 9), Stmt(LdxImm, 2), Stmt(DivX, 0), Stmt(RetA, 0)}, false, Result{4, 4}},
		{"div by x = 0", Program{Stmt(LdImm, 9), Stmt(DivX, 0), Stmt(RetK, uint32(abi.Allow))}, false, Result{abi.KillThread, 2}},
		{"neg", Program{Stmt(LdImm, 1), Stmt(Neg, 0), Stmt(RetA, 0)}, false, Result{0xffffffff, 3}},
		{"xor", Program{Stmt(LdImm, 6), Stmt(XorK, 3), Stmt(RetA, 0)}, false, Result{5, 3}},
		{"lsh", Program{Stmt(LdImm, 3), Stmt(LshK, 31), Stmt(RetA, 0)}, false, Result{0x80000000, 3}},
		{"rsh is unsigned", Program{Stmt(LdImm, 0x80000000), Stmt(RshK, 31), Stmt(RetA, 0)}, false, Result{1, 3}},
		{"shift by x uses 5 bits", Program{Stmt(LdImm, 3), Stmt(LdxImm, 33), Stmt(LshX, 0), Stmt(RetA, 0)}, false, Result{6, 4}},
		{"ja", Program{Stmt(Ja, 1), Stmt(RetK, 1), Stmt(RetK, 2)}, false, Result{2, 2}},
		{"jgt is unsigned", Program{Stmt(LdImm, 0x80000000), Jump(JgtK, 1, 0, 1), Stmt(RetK, 1), Stmt(RetK, 2)}, false, Result{1, 3}},
		{"jset", Program{Stmt(LdImm, 6), Jump(JsetK, 9, 0, 1), Stmt(RetK, 1), Stmt(RetK, 2)}, false, Result{2, 3}},
		{"jeq x", Program{Stmt(LdxImm, 0), Jump(JeqX, 5, 0, 1), Stmt(RetK, 1), Stmt(RetK, 2)}, false, Result{1, 3}},
		{"jge x", Program{Stmt(LdxImm, 1), Jump(JgeX, 0, 0, 1), Stmt(RetK, 1), Stmt(RetK, 2)}, false, Result{2, 3}},

		{"invalid: empty", nil, false, Result{abi.KillProcess, 0}},
		{"invalid: no return", Program{Stmt(LdImm, 1)}, false, Result{abi.KillProcess, 1}},
		{"invalid: far jump", Program{Stmt(Ja, 0xffffffff)}, false, Result{abi.KillProcess, 1}},
		{"invalid: offset", Program{Stmt(LdAbs, 64), Stmt(RetA, 0)}, false, Result{abi.KillProcess, 1}},
		{"invalid: code", Program{Stmt(0x28, 0), Stmt(RetA, 0)}, false, Result{abi.KillProcess, 1}},
		{"invalid: div by 0", Program{Stmt(DivK, 0), Stmt(RetA, 0)}, false, Result{abi.KillThread, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.p.Run(call, tt.bigEndian)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	p, c := randomProgram(r, 60), randomCall(r)
	if n := testing.AllocsPerRun(100, func() { p.Run(c, false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRun runs arbitrary programs, valid or not: each ends within its length.
func FuzzRun(f *testing.F) {
	f.Add(Program{Stmt(LdAbs, 16), Jump(JeqK, 1, 0, 1), Stmt(RetK, 0), Stmt(RetA, 0)}.Bytes(false), uint64(1), true)
	f.Add(Program{Stmt(Ja, 0xffffffff), Stmt(LdMem, 77)}.Bytes(false), uint64(0), false)
	f.Fuzz(func(t *testing.T, raw []byte, arg uint64, bigEndian bool) {
		p, err := FromBytes(raw, false)
		if err != nil {
			t.Skip(err)
		}
		got := p.Run(abi.Call{NR: uint32(arg), IP: arg, Args: [6]uint64{arg, arg}}, bigEndian)
		if got.Steps < 1 || got.Steps > len(p) {
			t.Errorf("%d steps of %d", got.Steps, len(p))
		}
	})
}

func BenchmarkRun(b *testing.B) {
	// A linear list of 300 numbers, of which the last matches.
	var p Program
	p = append(p, Stmt(LdAbs, OffsetNR))
	for nr := range uint32(300) {
		p = append(p, Jump(JeqK, nr, 0, 1), Stmt(RetK, uint32(abi.Allow)))
	}
	p = append(p, Stmt(RetK, 0))
	c := abi.Call{NR: 299}
	steps := 0
	for b.Loop() {
		steps = p.Run(c, false).Steps
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(steps), "ns/step")
}
