package policytest

import (
	"errors"
	"os"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A Target is the machine that assertions are about. The zero value is the one
// that runs the test.
type Target struct {
	Native abi.ABI    // for policies that list no ABI; None: the running program's
	Caps   []string   // for when: capabilities that the program has
	Kernel abi.Kernel // for when: the release that it runs on; zero: the policy's own
}

// Load reads the policy in a file. The test ends if it is not there or not valid.
func Load(t testing.TB, file string) *policy.Policy {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("policytest: %v", err)
	}
	p, err := policy.Parse(file, data)
	if err != nil {
		t.Fatalf("policytest: %s", explain(err))
	}
	return p
}

// resolve returns p for the target. The test ends if p cannot be resolved.
func (target Target) resolve(t testing.TB, p *policy.Policy) *policy.Resolved {
	t.Helper()
	if p == nil {
		t.Fatal("policytest: no policy")
	}
	r, _, err := p.Resolve(policy.Options{Native: target.Native, Caps: target.Caps, Kernel: target.Kernel})
	if err != nil {
		t.Fatalf("policytest: %s", explain(err))
	}
	return r
}

// explain returns the text of err and, where it is one mistake of a policy, what
// to write instead.
func explain(err error) string {
	if bad := (*policy.Error)(nil); errors.As(err, &bad) && bad.Hint != "" {
		return err.Error() + "\n" + bad.Hint
	}
	return err.Error()
}
