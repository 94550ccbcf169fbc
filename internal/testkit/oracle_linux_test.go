package testkit

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

func TestOracle(t *testing.T) {
	o := NewOracle(t)
	amd64, i386 := abi.AMD64.AuditArch(), abi.I386.AuditArch()
	// Returns a word of its own for each thing that is not as told.
	const good, badArch, badNR, badArg, badIP = abi.Allow, abi.KillProcess, abi.KillThread, abi.Trap + 1, abi.Errno + 7
	filter := func(c abi.Call) bpf.Program {
		var a bpf.Assembler
		want := func(offset, k uint32, bad abi.Action) {
			ok := a.NewLabel()
			a.Stmt(bpf.LdAbs, offset)
			a.If(bpf.JeqK, k, ok, bpf.Next)
			a.Stmt(bpf.RetK, uint32(bad))
			a.Bind(ok)
		}
		want(bpf.OffsetArch, c.Arch, badArch)
		want(bpf.OffsetNR, c.NR, badNR)
		for i, arg := range c.Args {
			want(bpf.OffsetArg(i, false, false), uint32(arg), badArg)
			want(bpf.OffsetArg(i, true, false), uint32(arg>>32), badArg)
		}
		want(bpf.OffsetIP(false, false), uint32(c.IP), badIP)
		want(bpf.OffsetIP(true, false), uint32(c.IP>>32), badIP)
		a.Stmt(bpf.RetK, uint32(good))
		p, err := a.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	args := [6]uint64{0xf1e2d3c4b5a69788, 1 << 63, 1, 0xffffffff00000000, 0x123456789abcdef0, ^uint64(0)}
	for _, c := range []abi.Call{
		{NR: 0, Arch: amd64, Args: args},
		{NR: 15, Arch: amd64, Args: args},         // rt_sigreturn
		{NR: 59, Arch: amd64, Args: args},         // execve
		{NR: 231, Arch: amd64, Args: args},        // exit_group
		{NR: 0x40000001, Arch: amd64, Args: args}, // x32
		{NR: 0xffffffff, Arch: amd64, Args: args},
		{NR: 0x7fffffff, Arch: amd64, Args: args},
		{NR: 1, Arch: i386, Args: args}, // exit
		{NR: 173, Arch: i386, Args: args},
		{NR: 0xffffffff, Arch: i386, Args: args},
		{NR: 335, Arch: i386, Args: args},
	} {
		c.IP = o.IP(c.Arch)
		other := c
		other.Args[2]++
		fired, got, err := o.Eval(filter(c), []abi.Call{c, other})
		if err != nil {
			t.Fatal(err)
		}
		if len(fired) != 2 || fired[0] != c || got[0] != good || got[1] != badArg {
			t.Errorf("call %+v: fired %+v, got %v", c, fired, got)
		}
	}
}
