package refine

import (
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/policy"
)

// TestSuggest: what is suggested is a rule that a policy can have.
func TestSuggest(t *testing.T) {
	v := func(arch abi.ABI, nr uint32) *observe.Violation {
		a, name := observe.Identify(arch.AuditArch(), nr)
		return &observe.Violation{ABI: a, Arch: arch.AuditArch(), NR: nr, Name: name, Action: abi.Errno, Exe: "/bin/x\ny", Count: 2}
	}
	seen := Gather([]*observe.Violation{v(abi.AMD64, 49), v(abi.AMD64, 9999), v(abi.I386, 20), {Arch: 1, NR: 5, Action: abi.Log}})
	text := Suggest(seen, abi.AMD64)
	const want = `- action: allow
  names:
  - bind # seen 2 times, errno: /bin/x?y
  calls:
  - "386:getpid" # seen 2 times, errno: /bin/x?y
  - nr:9999 # seen 2 times, errno: /bin/x?y
`
	if text != want {
		t.Errorf("%s", text)
	}
	p, err := policy.Parse("x", []byte("version: 1\nabis: [amd64, 386]\ndefault_action: errno(EPERM)\nsyscalls:\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Resolve(policy.Options{Native: abi.AMD64}); err != nil {
		t.Error(err)
	}
	if text := Suggest(seen[:0], abi.AMD64); text != "" {
		t.Errorf("for nothing: %s", text)
	}
}
