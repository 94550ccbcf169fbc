//go:build !linux

package policytest

import (
	"os/exec"
	"testing"

	"github.com/sysgate/sysgate/policy"
)

// Main runs the tests of a package.
func Main(m *testing.M) { m.Run() }

// Run is the function of this name, for the target.
func (target Target) Run(t testing.TB, _ *policy.Policy, _ *exec.Cmd) *Result {
	t.Helper()
	t.Fatal("policytest: a program is run under a policy on Linux only")
	return nil
}
