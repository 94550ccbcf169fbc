package seccomp

import (
	"golang.org/x/net/bpf"

	cbpf "github.com/sysgate/sysgate/bpf"
)

// A testingT is a *testing.T or *rapid.T.
type testingT interface {
	Helper()
	Fatal(...any)
}

// RawProgram returns what golang.org/x/net/bpf assembles.
func RawProgram(t testingT, all []bpf.Instruction) cbpf.Program {
	t.Helper()
	raw, err := bpf.Assemble(all)
	if err != nil {
		t.Fatal(err)
	}
	var p cbpf.Program
	for _, i := range raw {
		p = append(p, cbpf.Instruction{Code: i.Op, JT: i.Jt, JF: i.Jf, K: i.K})
	}
	return p
}
