package compile

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/figures"
)

// TestConstAllow emulates small programs on number 5 of amd64.
func TestConstAllow(t *testing.T) {
	allow, deny := bpf.Stmt(bpf.RetK, uint32(abi.Allow)), bpf.Stmt(bpf.RetK, uint32(abi.Errno)|1)
	nr, arch := bpf.Stmt(bpf.LdAbs, bpf.OffsetNR), bpf.Stmt(bpf.LdAbs, bpf.OffsetArch)
	tests := []struct {
		name    string
		program bpf.Program
		why     string // "" where it is kept
		steps   int
	}{
		{"allow", bpf.Program{allow}, "", 1},
		{"allow with data", bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow)|1)}, "instruction 0, ret allow|1: the kernel takes allow only without data", 1},
		{"deny", bpf.Program{deny}, "instruction 0, ret errno(1): only allow is kept", 1},
		{"log", bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Log))}, "only allow is kept", 1},
		{"accumulator", bpf.Program{bpf.Stmt(bpf.LdImm, uint32(abi.Allow)), bpf.Stmt(bpf.RetA, 0)}, "instruction 0, ld #0x7fff0000: the kernel does not emulate it", 1},
		{"argument", bpf.Program{nr, bpf.Stmt(bpf.LdAbs, bpf.OffsetArg(0, false, false)), allow}, "more than architecture and number", 2},
		{"instruction pointer", bpf.Program{bpf.Stmt(bpf.LdAbs, 8), allow}, "more than architecture and number", 1},
		{"jeq", bpf.Program{nr, bpf.Jump(bpf.JeqK, 5, 1, 0), deny, allow}, "", 3},
		{"jeq, another", bpf.Program{nr, bpf.Jump(bpf.JeqK, 6, 1, 0), deny, allow}, "only allow", 3},
		{"jge", bpf.Program{nr, bpf.Jump(bpf.JgeK, 5, 1, 0), deny, allow}, "", 3},
		{"jgt", bpf.Program{nr, bpf.Jump(bpf.JgtK, 5, 1, 0), allow, deny}, "", 3},
		{"jset", bpf.Program{nr, bpf.Jump(bpf.JsetK, 4, 1, 0), deny, allow}, "", 3},
		{"ja", bpf.Program{bpf.Stmt(bpf.Ja, 1), deny, allow}, "", 2},
		{"and", bpf.Program{nr, bpf.Stmt(bpf.AndK, 4), bpf.Jump(bpf.JeqK, 4, 1, 0), deny, allow}, "", 4},
		{"or", bpf.Program{nr, bpf.Stmt(bpf.OrK, 4), allow}, "does not emulate", 2},
		{"tax", bpf.Program{nr, bpf.Stmt(bpf.Tax, 0), allow}, "does not emulate", 2},
		{"jeq x", bpf.Program{nr, bpf.Jump(bpf.JeqX, 0, 0, 0), allow}, "does not emulate", 2},
		{"arch", bpf.Program{arch, bpf.Jump(bpf.JeqK, abi.AMD64.AuditArch(), 1, 0), deny, allow}, "", 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.program.Validate(); err != nil {
				t.Fatal(err)
			}
			got := ConstAllow(test.program, abi.Call{Arch: abi.AMD64.AuditArch(), NR: 5, Args: [6]uint64{1: 7}})
			if got.Allowed != (got.Why == "") || got.Allowed != (test.why == "") || !strings.Contains(got.Why, test.why) || got.Steps != test.steps {
				t.Errorf("got %+v, want %q in %d steps", got, test.why, test.steps)
			}
		})
	}
}

// TestColumns measures the program that the README of the benchmark policies works
// out as an example: every name of P2 in turn.
func TestColumns(t *testing.T) {
	p, err := figures.Read(policies, "P2")
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve(false, abi.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	var a bpf.Assembler
	allow, kill := a.NewLabel(), a.NewLabel()
	a.Stmt(bpf.LdAbs, bpf.OffsetArch)
	a.If(bpf.JeqK, abi.AMD64.AuditArch(), bpf.Next, kill)
	a.Stmt(bpf.LdAbs, bpf.OffsetNR)
	for _, numbers := range r.ABIs[0].Rules[0].Numbers {
		for nr := numbers.Lo; nr <= numbers.Hi; nr++ {
			a.If(bpf.JeqK, nr, allow, bpf.Next)
		}
	}
	a.Stmt(bpf.RetK, uint32(abi.Errno.WithData(1)))
	a.Bind(allow)
	a.Stmt(bpf.RetK, uint32(abi.Allow))
	a.Bind(kill)
	a.Stmt(bpf.RetK, uint32(abi.KillProcess))
	program, err := a.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	got := p.Measure(program, shares(t), emulate)
	want := figures.Columns{Instructions: 116, Worst: 114, Uniform: 98.429, Weighted: 44.676, Denied: 114, ConstAllow: 110, Steps: 48_995}
	for _, f := range []*float64{&got.Uniform, &got.Weighted, &got.Denied} {
		*f = math.Round(*f*1000) / 1000
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// shares returns the share of each call in the table that comes with sysgate.
func shares(t testing.TB) map[string]float64 {
	t.Helper()
	data, err := os.ReadFile("frequency.tsv")
	if err != nil {
		t.Fatal(err)
	}
	shares, err := figures.ParseFrequency(string(data))
	if err != nil {
		t.Fatal(err)
	}
	return shares
}
