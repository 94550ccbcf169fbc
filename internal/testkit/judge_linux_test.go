package testkit

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

func TestJudge(t *testing.T) {
	j := NewJudge(t)
	for _, tt := range []struct {
		p    bpf.Program
		want syscall.Errno
	}{
		{bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.KillProcess))}, 0},
		{bpf.Program{bpf.Stmt(bpf.RetA, 0)}, 0},
		{bpf.Program{bpf.Stmt(bpf.LdImm, 0)}, syscall.EINVAL},
		{nil, syscall.EINVAL},
		{make(bpf.Program, bpf.MaxLen+1), syscall.EINVAL},
	} {
		if got := j.Ask(tt.p); got != tt.want {
			t.Errorf("Ask(%v) = %v, want %v", tt.p, got, tt.want)
		}
	}
	// No question has left a filter behind: the main thread has none.
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "\nSeccomp:\t0\n") {
		t.Errorf("the main thread has a filter:\n%s", status)
	}
}
