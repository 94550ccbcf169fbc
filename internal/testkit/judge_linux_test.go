package testkit

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

func TestJudge(t *testing.T) {
	j := NewJudge(t)
	before := filteredThreads(t)
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
	if after := filteredThreads(t); after != before {
		t.Errorf("%d threads have a filter, %d had one before the questions", after, before)
	}
}

func filteredThreads(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		// A thread may have ended since.
		if status, err := os.ReadFile(file); err == nil && strings.Contains(string(status), "\nSeccomp:\t2\n") {
			n++
		}
	}
	if n == 0 {
		t.Fatal("no thread has a filter, not even the judge's")
	}
	return n
}
