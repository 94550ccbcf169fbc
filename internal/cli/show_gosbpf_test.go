package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/source"
)

// goSeccompBPF compiles a policy with go-seccomp-bpf, as libbeat does.
const goSeccompBPF = `package main

import (
	"encoding/binary"
	"os"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
)

func main() {
	instructions, err := (&seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{{
			Action: seccomp.ActionAllow,
			Names:  []string{"read", "write", "close", "openat", "mmap", "exit_group", "futex"},
			NamesWithCondtions: []seccomp.NameWithConditions{
				{Name: "clone", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsNotSet, Value: 0x10000000}}},
				{Name: "socket", Conditions: seccomp.ArgumentConditions{
					{Argument: 0, Operation: seccomp.Equal, Value: 1}, {Argument: 1, Operation: seccomp.GreaterOrEqual, Value: 2},
				}},
				{Name: "kill", Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.LessThan, Value: 0x100000009}}},
			},
		}},
	}).Assemble()
	if err != nil {
		panic(err)
	}
	raw, err := bpf.Assemble(instructions)
	if err != nil {
		panic(err)
	}
	for _, i := range raw {
		binary.Write(os.Stdout, binary.LittleEndian, i)
	}
}
`

// A filter of go-seccomp-bpf comes back as a policy that differs nowhere from it.
// The module is a peer of bench's: nothing is downloaded for this test.
func TestShowGoSeccompBPF(t *testing.T) {
	bench, err := os.ReadFile("../../bench/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The same requirements, so that what bench has downloaded is enough.
	mod := strings.Replace(string(bench), "module github.com/sysgate/sysgate/bench", "module peer", 1)
	var kept []string
	for line := range strings.Lines(mod) {
		if !strings.Contains(line, "github.com/sysgate/sysgate") && !strings.HasPrefix(line, "tool ") {
			kept = append(kept, line)
		}
	}
	sum, err := os.ReadFile("../../bench/go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"go.mod": strings.Join(kept, ""), "go.sum": string(sum), "main.go": goSeccompBPF} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOOS=linux", "GOARCH=amd64")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	filter, err := cmd.Output()
	if err != nil {
		if strings.Contains(stderr.String(), "GOPROXY=off") {
			t.Skip("go-seccomp-bpf is not in the module cache: go mod download in bench")
		}
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	in, err := source.Parse("peer", filter, source.Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	sh, err := newShown(in)
	if err != nil || sh.err != nil {
		t.Fatal(err, sh.err)
	}
	again, err := source.Parse("policy", []byte(sh.policy), source.Options{Native: abi.AMD64})
	if err != nil {
		t.Fatalf("%v\n%s", err, sh.policy)
	}
	d, err := compare(in, again, diffOptions{})
	if err != nil || d.count() > 0 {
		t.Errorf("%v, %d differences\n%s", err, d.count(), sh.policy)
	}
	if !strings.Contains(sh.policy, "socket(domain:64 == AF_UNIX, type:64 >= 2)") {
		t.Errorf("policy:\n%s", sh.policy)
	}
}
