package testkit

import (
	"path/filepath"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/figures"
	"github.com/sysgate/sysgate/policy"
)

// BenchmarkPolicy reads P1, P2, P3 or P4 of testdata/policies at the root of the
// repository, for a test of a package two directories below it. They mean: a call
// whose entries all fail, an x32 call and an unknown number take the default
// action.
func BenchmarkPolicy(t testing.TB, name string, abis ...abi.ABI) *policy.Resolved {
	t.Helper()
	p, err := figures.Read(filepath.Join("..", "..", "testdata", "policies"), name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve(false, abis...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
