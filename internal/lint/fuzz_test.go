package lint

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// Whatever a policy says, Check ends, its findings have a code and a place in the
// file, and Fix changes no verdict.
func FuzzCheck(f *testing.F) {
	f.Add("version: 1\nabis: [amd64, 386]\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: [read, setuid]\n  calls:\n  - socket(domain in {1, 2}, type & 0xf == 1)\n- action: kill_thread\n  calls: [clone(flags == 1), \"kill(sig:64 == 9)\"]\n")
	f.Add("seccomp:\n  default_action: allow\n  syscalls:\n  - action: errno\n    names_with_args:\n    - name: open\n      arguments: [{argument: 0, operation: Equal, value: 5}]\n")
	f.Add("abis: [s390x]\ndefault_action: log\nbad_arch_action: allow\nsyscalls:\n- {action: trap, names: [\"@systemd/mount\", mmap], only: true}\n- {action: trap, calls: [\"nr:3-9(arg1 != 0)\"]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := policy.Parse("p.yaml", []byte(text))
		if err != nil {
			return
		}
		o := policy.Options{Native: abi.AMD64}
		r, warnings, err := p.Resolve(o)
		if err != nil {
			return
		}
		s := Subject{
			Name: "p.yaml", Data: []byte(text), Policy: p, Resolved: r, Warnings: warnings, BigEndian: r.BigEndian(),
			Program: bpf.Program{bpf.Stmt(bpf.RetK, uint32(abi.Allow))}, // only counted
		}
		findings, err := Check(s)
		if errors.Is(err, proof.ErrUnknown) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(text, "\n") + 1
		for _, found := range findings {
			if found.Code == "" || found.Msg == "" || found.Severity < Note || found.Severity > Error || found.Pos.Line > lines {
				t.Fatalf("%+v", found)
			}
		}
		fixed, _, err := Fix(s, o, findings)
		if err != nil {
			return
		}
		again, _, err := fixed.Resolve(o)
		if err != nil {
			t.Fatal(err)
		}
		space := proof.NewSpace(proof.Budget{})
		before, errBefore := space.Policy(r)
		after, errAfter := space.Policy(again)
		if err := errors.Join(errBefore, errAfter); err == nil && before != after {
			t.Fatalf("fixed otherwise:\n%s", fixed.Format())
		}
	})
}

// A policy that is made to have as many findings as it can is looked at in time,
// and says how many are not listed.
func TestManyFindings(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nabis: [amd64]\ndefault_action: errno(EPERM)\nsyscalls:\n")
	for i := range 1500 {
		fmt.Fprintf(&b, "- {action: errno(%d), calls: [\"kill(sig != %d)\"]}\n- {action: allow, names: [read]}\n", i+1, i)
	}
	p, err := policy.Parse("p.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	r, warnings, err := p.Resolve(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	findings := check(t, Subject{Name: "p.yaml", Data: []byte(b.String()), Policy: p, Resolved: r, Warnings: warnings})
	took := time.Since(start)
	t.Logf("%d findings in %v", len(findings), took)
	more := false
	for _, f := range findings {
		more = more || strings.Contains(f.Msg, "more findings of this kind")
	}
	if !more || len(findings) > 10*maxFindings || took > 30*time.Second {
		t.Errorf("%d findings in %v", len(findings), took)
	}
}
