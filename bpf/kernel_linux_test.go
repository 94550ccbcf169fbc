package bpf_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/testkit"
)

// long reports whether the long variants of tests are asked for.
func long() bool { return os.Getenv("SYSGATE_LONG") == "1" }

// TestRunIsTheKernel runs random programs over all codes but RET A on the
// simulator and on the running kernel.
func TestRunIsTheKernel(t *testing.T) {
	o := testkit.NewOracle(t)
	programs, calls := 400, 100
	if long() {
		programs = 10_000
	}
	r := rand.New(rand.NewPCG(7, 11))
	verdicts := map[abi.Action]int{}
	total, asked := 0, 0
	for range programs {
		p := bpf.RandomProgram(r, 1+r.IntN(80))
		for pc := range p {
			if p[pc].Code == bpf.RetA {
				p[pc] = bpf.Stmt(bpf.RetK, bpf.RandomWord(r))
			}
		}
		batch := randomCalls(r, p, calls)
		asked += len(batch)
		fired, got, err := o.Eval(p, batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range fired {
			total++
			verdicts[got[i]]++
			if want := p.Run(c, false).Return; got[i] != want {
				t.Fatalf("call %+v: the kernel returns %v, Run %v, of\n%v", c, got[i], want, p)
			}
		}
	}
	if total < asked*9/10 || asked < programs*calls*3/4 || len(verdicts) < 10 {
		t.Errorf("only %d evaluations with %d verdicts", total, len(verdicts))
	}
	t.Logf("%d evaluations, %d distinct verdicts, %d of them kill_thread", total, len(verdicts), verdicts[abi.KillThread])
}

// randomCalls returns n calls, or fewer, so that only a few of them end a thread:
// the oracle loads p once more after each.
func randomCalls(r *rand.Rand, p bpf.Program, n int) []abi.Call {
	var calls []abi.Call
	kills := 0
	for range n {
		c := randomLocalCall(r)
		if p.Run(c, false).Return == abi.KillThread {
			if kills++; kills > 3 {
				continue
			}
		}
		calls = append(calls, c)
	}
	return calls
}

// randomLocalCall returns a call that this machine can make.
func randomLocalCall(r *rand.Rand) abi.Call {
	c := abi.Call{NR: bpf.RandomWord(r), Arch: abi.AMD64.AuditArch()}
	if r.IntN(2) == 0 {
		c.Arch = abi.I386.AuditArch()
	}
	for i := range c.Args {
		c.Args[i] = bpf.RandomLong(r)
	}
	return c
}

// TestReturnAIsTheKernel turns what a random program leaves in A and X into
// branches: the kernel's registers, bit by bit, as far as an errno tells.
func TestReturnAIsTheKernel(t *testing.T) {
	o := testkit.NewOracle(t)
	r := rand.New(rand.NewPCG(3, 5))
	for range 200 {
		c := randomLocalCall(r)
		c.IP = o.IP(c.Arch)
		body := bpf.RandomProgram(r, 40)
		last := len(body) - 1
		body[last] = bpf.Stmt(bpf.RetA, 0)
		a := body.Run(c, false).Return
		p := append(body[:last:last], bpf.Jump(bpf.JeqK, uint32(a), 0, 1), bpf.Stmt(bpf.RetK, 1), bpf.Stmt(bpf.RetK, 2))
		for pc := range p {
			if p[pc].Code == bpf.RetA {
				p[pc] = bpf.Stmt(bpf.RetK, 3)
			}
		}
		_, got, err := o.Eval(p, []abi.Call{c})
		if err != nil {
			t.Fatal(err)
		}
		for _, verdict := range got {
			if want := p.Run(c, false).Return; verdict != want {
				t.Fatalf("the kernel returns %v, Run %v, of\n%v", verdict, want, p)
			}
		}
	}
}

// TestValidateIsTheKernel puts programs at the border of what is valid before
// the validator and the running kernel: all that the validator refuses, and as
// many of the others as can be loaded without harm (see testkit).
func TestValidateIsTheKernel(t *testing.T) {
	j := testkit.NewJudge(t)
	r := rand.New(rand.NewPCG(1, 9))
	n, loads := 30_000, 800
	if long() {
		n, loads = 1_000_000, 30_000
	}
	valid, refused := 0, 0
	for range n {
		p := bpf.RandomProgram(r, 1+r.IntN(30))
		for range r.IntN(3) {
			mutate(r, p)
		}
		switch {
		case p.Validate() != nil:
			refused++
		case valid < loads:
			valid++
		default:
			continue
		}
		judge(t, j, p)
	}
	t.Logf("%d programs, %d of them valid", valid+refused, valid)
	if valid < loads || refused < n/10 {
		t.Errorf("%d valid programs, %d others: too few of one kind", valid, refused)
	}
}

// TestEveryCode puts every 16-bit code before both, with constants at the
// borders of what any code takes.
func TestEveryCode(t *testing.T) {
	j := testkit.NewJudge(t)
	ret := bpf.Stmt(bpf.RetK, 0)
	for code := range 1 << 16 {
		judge(t, j, bpf.Program{bpf.Stmt(uint16(code), 0), ret})
	}
	for code := range 512 {
		for _, k := range []uint32{0, 1, 2, 4, 15, 16, 31, 32, 60, 62, 63, 64, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff} {
			i := bpf.Stmt(uint16(code), k)
			judge(t, j, bpf.Program{i})
			judge(t, j, bpf.Program{i, ret})
			judge(t, j, bpf.Program{bpf.Stmt(bpf.St, 15), i, ret, ret})
		}
	}
}

// TestLongestPrograms puts programs of the greatest length before both, of the
// instructions that the kernel's translation makes longest among others.
func TestLongestPrograms(t *testing.T) {
	j := testkit.NewJudge(t)
	for _, code := range bpf.Codes() {
		for _, n := range []int{bpf.MaxLen - 1, bpf.MaxLen, bpf.MaxLen + 1} {
			p := make(bpf.Program, n)
			for pc := range p {
				p[pc] = bpf.Stmt(code, 4)
			}
			p[0] = bpf.Stmt(bpf.St, 4)
			for pc := max(0, n-6); pc < n; pc++ {
				p[pc] = bpf.Stmt(bpf.RetK, 0)
			}
			judge(t, j, p)
		}
	}
}

// judge fails the test if the validator and the kernel differ on p.
func judge(t *testing.T, j *testkit.Judge, p bpf.Program) {
	t.Helper()
	err, errno := p.Validate(), j.Ask(p)
	if (err == nil) != (errno == 0) || errno != 0 && errno != syscall.EINVAL {
		t.Fatalf("Validate() = %v, the kernel says %v, of\n%v", err, errno, p)
	}
}

func mutate(r *rand.Rand, p bpf.Program) {
	i := &p[r.IntN(len(p))]
	switch r.IntN(6) {
	case 0:
		i.Code = uint16(r.IntN(256))
	case 1:
		i.Code = bpf.Codes()[r.IntN(len(bpf.Codes()))]
	case 2:
		i.K = bpf.RandomWord(r)
	case 3:
		i.K = uint32(r.IntN(70))
	case 4:
		i.JT = uint8(r.IntN(len(p) + 1))
	case 5:
		i.JF = uint8(r.IntN(len(p) + 1))
	}
}

// FuzzValidate puts arbitrary programs before the validator and the kernel.
func FuzzValidate(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 8 {
		f.Add(bpf.RandomProgram(r, 20).Bytes(false))
	}
	f.Add(bpf.Program{bpf.Jump(bpf.JeqK, 0, 0, 1), bpf.Stmt(bpf.St, 0), bpf.Stmt(bpf.LdMem, 0), bpf.Stmt(bpf.RetA, 0)}.Bytes(false))
	j := testkit.NewJudge(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		// The first bytes choose among codes, so that most programs have legal ones.
		var p bpf.Program
		for ; len(raw) >= 8; raw = raw[8:] {
			code := binary.LittleEndian.Uint16(raw)
			if code&0x8000 == 0 {
				code = bpf.Codes()[int(code)%len(bpf.Codes())]
			}
			p = append(p, bpf.Instruction{Code: code &^ 0x8000, JT: raw[2], JF: raw[3], K: binary.LittleEndian.Uint32(raw[4:])})
		}
		judge(t, j, p)
	})
}
