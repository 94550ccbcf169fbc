package build

import (
	"github.com/sysgate/sysgate/internal/compile"
	"github.com/sysgate/sysgate/policy"
)

// A Phase is what a policy has become after one pass of the compiler.
type Phase = compile.Phase

// Explain builds a filter as BuildFor does, and returns what each pass of the
// compiler made on the way.
func Explain(r *policy.Resolved, o Options) ([]Phase, *Filter, error) {
	filter, err := BuildFor(r, o)
	if err != nil {
		return nil, nil, err
	}
	phases, _, err := compile.Explain(r, o) // the same program, as compile's tests see
	return phases, filter, err
}
