package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/kernel"
	"github.com/sysgate/sysgate/internal/source"
	"github.com/sysgate/sysgate/policy"
)

// readPolicy reads a policy from file, "-" for standard input, in any form that
// package source knows. The options are for a container profile, whose entries
// depend on them.
func (e *env) readPolicy(file string, o policy.Options) (*policy.Policy, error) {
	in, err := source.Read(file, source.Options{Native: o.Native, Caps: o.Caps, Kernel: o.Kernel, Stdin: e.stdin})
	switch {
	case err != nil:
		return nil, err
	case in.Policy == nil:
		return nil, withHint(fmt.Errorf("%s: a filter, where a policy is wanted", in.Name), "sysgate show %s --format policy -o policy.yaml", file)
	}
	for _, loss := range in.Losses {
		e.warningf("%v", loss)
	}
	return in.Policy, nil
}

func (e *env) readFile(file string) (data []byte, name string, err error) {
	if file == "-" {
		data, err = io.ReadAll(e.stdin)
		return data, "standard input", err
	}
	data, err = os.ReadFile(file)
	return data, file, err
}

// resolve resolves p and says what its author should know.
func (e *env) resolve(p *policy.Policy, o policy.Options) (*policy.Resolved, []policy.Warning, error) {
	r, warnings, err := p.Resolve(o)
	for _, w := range warnings {
		e.warningf("%v", w)
		if w.Hint != "" {
			e.hintf("%s", w.Hint)
		}
	}
	return r, warnings, err
}

// here returns the options for a program that this process starts.
func here(keepPrivileges bool) (policy.Options, error) {
	release, err := kernel.Release()
	if err != nil {
		return policy.Options{}, fmt.Errorf("find out the kernel's release: %w", err)
	}
	caps, err := programCaps(keepPrivileges)
	if err != nil {
		return policy.Options{}, err
	}
	return policy.Options{Native: abi.Native(), Kernel: release, Caps: caps}, nil
}
