package source

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// filter answers one number with an action, and allows all else.
func filter(nr uint32, a abi.Action) bpf.Program {
	return bpf.Program{
		{Code: bpf.LdAbs, K: bpf.OffsetNR},
		{Code: bpf.JeqK, K: nr, JF: 1},
		{Code: bpf.RetK, K: uint32(a)},
		{Code: bpf.RetK, K: uint32(abi.Allow)},
	}
}

// TestStacked: several filters do what the kernel makes of them: the strictest
// action, of two equal ones the newest filter's data.
func TestStacked(t *testing.T) {
	o := Options{}
	in, err := Stacked("pid:7", []bpf.Program{filter(1, abi.Errno.WithData(2)), filter(1, abi.Errno.WithData(1)), filter(3, abi.KillProcess)}, o)
	if err != nil {
		t.Fatal(err)
	}
	arch := abi.Native().AuditArch()
	for nr, want := range map[uint32]abi.Action{1: abi.Errno.WithData(2), 3: abi.KillProcess, 4: abi.Allow} {
		if got := in.Eval(abi.Call{Arch: arch, NR: nr}); got != want {
			t.Errorf("%d: %v, want %v", nr, got, want)
		}
	}
	one, err := Stacked("pid:7", []bpf.Program{filter(1, abi.Trap)}, o)
	if err != nil || len(one.Program) != 4 || one.Policy != nil {
		t.Errorf("one filter: %+v, %v", one, err)
	}
	if _, err := Stacked("pid:7", nil, o); !errors.Is(err, ErrNoFilter) {
		t.Errorf("none: %v", err)
	}
}

func TestReadProcess(t *testing.T) {
	for _, name := range []string{"pid:", "pid:x", "pid:0", "pid:-1", "pid:1/x", "pid:99999999999"} {
		if _, err := Read(name, Options{}); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
	if _, err := Read(fmt.Sprintf("pid:%d", os.Getpid()), Options{}); err == nil {
		t.Error("a process that dumps its own filters")
	}
}
