package cli

import (
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/convert"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// candidateShown is how many of the differences are said.
const candidateShown = 20

// candidate returns the policy that does what now does, but logs the calls that now
// lets through and next would not: what the kernel does with both filters installed,
// next with log for all that it denies. Every call counts, by proof.
func (e *env) candidate(now, next *policy.Resolved, native abi.ABI, name string) (*policy.Policy, error) {
	s := proof.NewSpace(proof.Budget{})
	f, err := s.Policy(now)
	if err != nil {
		return nil, err
	}
	g, err := s.Policy(logged(next))
	if err != nil {
		return nil, err
	}
	both := s.Combine(f, g, proof.Stack)
	var listed []abi.ABI
	for _, section := range now.ABIs {
		listed = append(listed, section.ABI)
	}
	more, err := s.Diff(f, both, listed, nil)
	if err != nil {
		return nil, err
	}
	e.infof("candidate: %s would deny more in %s, which are logged", name, count(len(more), "region"))
	for i := range more[:min(len(more), candidateShown)] {
		e.infof("  %s", describeRegion(&more[i], native))
	}
	if n := len(more) - candidateShown; n > 0 {
		e.infof("  and %d more: sysgate diff shows all", n)
	}
	p, err := s.Decompile(both, native)
	if err != nil {
		return nil, fmt.Errorf("candidate %s: %w", name, err)
	}
	p.Comment = "What " + name + " would deny more is logged."
	return p, nil
}

// withCandidate returns resolved with the candidate in file.
func (e *env) withCandidate(resolved *policy.Resolved, file string, options policy.Options) (*policy.Resolved, error) {
	next, err := e.readPolicy(file, options)
	if err != nil {
		return nil, fmt.Errorf("--candidate: %w", err)
	}
	nextResolved, _, err := e.resolve(next, options)
	if err != nil {
		return nil, fmt.Errorf("--candidate: %w", err)
	}
	p, err := e.candidate(resolved, nextResolved, options.Native, file)
	if err != nil {
		return nil, err
	}
	both, _, err := p.Resolve(options)
	return both, err
}

// convertCandidate returns p with the candidate in file, which can be in any format.
func (e *env) convertCandidate(file string, p *policy.Policy, o convert.Options) (*policy.Policy, []convert.Loss, error) {
	next, losses, _, err := e.readForeign("", file, o)
	if err != nil {
		return nil, nil, fmt.Errorf("--candidate: %w", err)
	}
	options := policy.Options{Native: o.Native, Caps: o.Caps, Kernel: o.Kernel}
	now, _, err := e.resolve(p, options)
	if err != nil {
		return nil, nil, err
	}
	nextResolved, _, err := e.resolve(next, options)
	if err != nil {
		return nil, nil, fmt.Errorf("--candidate: %w", err)
	}
	both, err := e.candidate(now, nextResolved, now.ABIs[0].ABI, file)
	return both, losses, err
}
