package profile

import (
	"bytes"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
)

// An implicitCall is a system call that is made without an instruction of the
// program.
type implicitCall struct {
	name   string
	marker string // text in the program's data that brings it; "" for every program
	reason string
}

// implicitCalls: the kernel restarts interrupted sleeps and waits, and returns
// from signal handlers, which every Go program installs; the vDSO falls back to
// the call it stands for where the clock or the kernel gives it nothing else.
// The runtime looks the vDSO's functions up by these names. An ABI has only some
// of them.
var implicitCalls = []implicitCall{
	{"restart_syscall", "", "the kernel restarts an interrupted sleep or wait with it"},
	{"rt_sigreturn", "", "a signal handler returns with it"},
	{"sigreturn", "", "a signal handler that takes no siginfo returns with it"}, // 386
	{"clock_gettime", "__vdso_clock_gettime", "the vDSO falls back to it"},
	{"clock_gettime64", "__vdso_clock_gettime64", "the vDSO falls back to it"}, // 386
	{"gettimeofday", "__vdso_gettimeofday", "the vDSO falls back to it"},
	{"getrandom", "__vdso_getrandom", "the vDSO falls back to it"},
	{"clock_gettime", "__kernel_clock_gettime", "the vDSO falls back to it"}, // arm64 has other names
	{"gettimeofday", "__kernel_gettimeofday", "the vDSO falls back to it"},
	{"getrandom", "__kernel_getrandom", "the vDSO falls back to it"},
}

// vdsoCalls are the calls that the vDSO falls back to (lib/vdso/gettimeofday.c and
// getrandom.c of the kernel), riscvCalls those of riscv64's besides, which makes the first
// each time (arch/riscv/kernel/vdso).
var (
	vdsoCalls  = []string{"clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "getrandom", "gettimeofday"}
	riscvCalls = []string{"getcpu", "riscv_flush_icache", "riscv_hwprobe"}
)

// implicit returns the calls that no instruction of the program makes.
func (a *analysis) implicit() []implicitCall {
	p := a.prog
	var out []implicitCall
	var found []string
	if a.vdso {
		found = append(found, vdsoCalls...)
	}
	if a.vdso && p.ABI == abi.RISCV64 {
		found = append(found, riscvCalls...)
	}
	for _, name := range found {
		out = append(out, implicitCall{name, "", "the vDSO falls back to it, which the program finds by itself"})
	}
	for _, c := range implicitCalls {
		// Native code that asks the vDSO makes the call itself where it has none.
		if c.marker == "" || !p.Foreign() && holds(p, c.marker) {
			out = append(out, c)
		}
	}
	return out
}

func holds(p *image.Program, text string) bool {
	for _, s := range p.Segments {
		if !s.Exec && bytes.Contains(s.Data, []byte(text)) {
			return true
		}
	}
	return false
}
