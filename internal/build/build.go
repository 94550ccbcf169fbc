package build

import (
	"time"

	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/compile"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A Filter is a program and the policy that it has been proved equal to.
type Filter struct {
	Program bpf.Program
	Policy  *policy.Resolved

	CompileTime time.Duration
	ProofTime   time.Duration
	Nodes       int // of the proof's diagrams
}

// ErrTooLarge is wrapped by the error for a policy whose program is longer than
// the kernel takes; the text tells the size.
var ErrTooLarge = compile.ErrTooLarge

// Build is BuildFor with the default options.
func Build(r *policy.Resolved) (*Filter, error) { return BuildFor(r, Options{}) }

// BuildFor compiles r and proves the program. It establishes that a filter it
// returns gives, for every possible call, the action of r.Eval, and that the
// kernel's checks accept it. The error is one of the compiler ([ErrTooLarge], or
// r is malformed) or an [*UnprovedError].
func BuildFor(r *policy.Resolved, o Options) (*Filter, error) {
	start := time.Now()
	program, err := compile.Compile(r, o)
	if err != nil {
		return nil, err
	}
	compiled := time.Now()
	result := proof.Equal(r, program, proof.Budget{})
	if result.Verdict != proof.Proved {
		return nil, unproved(result)
	}
	return &Filter{
		Program:     program,
		Policy:      r,
		CompileTime: compiled.Sub(start),
		ProofTime:   time.Since(compiled),
		Nodes:       result.Nodes,
	}, nil
}
