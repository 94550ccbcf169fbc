package sysgate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/build"
	"github.com/sysgate/sysgate/policy"
)

// A Filter is a program that has been proved equal to a policy. Only [Compile]
// makes one that can be installed; treat its fields as read-only.
type Filter struct {
	Program  bpf.Program
	Policy   *policy.Resolved
	Warnings []policy.Warning // what the policy's author should know

	CompileTime time.Duration
	ProofTime   time.Duration

	source  *policy.Policy // what was compiled
	compile CompileOptions // and how
	proved  bpf.Program    // the program that was proved
}

// CompileOptions are what a policy leaves to the machine that it is compiled for.
// The zero value is this one.
type CompileOptions struct {
	Native abi.ABI  // for policies that list no ABI; None: the running program's
	Caps   []string // for when: capabilities that the program has; see Install
	Kernel string   // for when: the release that it runs on, such as "6.12"; "": the policy's own
}

// Compile resolves p, compiles it and proves that the program returns, for every
// possible call, what p says. It needs no Linux. Errors: [*policy.Error] or
// [policy.Errors], also where p says complete: false, [ErrTooLarge], [ErrUnproved].
func Compile(p *policy.Policy, o CompileOptions) (*Filter, error) {
	if p == nil {
		return nil, errors.New("compile: no policy")
	}
	if err := p.CheckComplete(); err != nil {
		return nil, err
	}
	options := policy.Options{Native: o.Native, Caps: o.Caps}
	if o.Kernel != "" {
		k, err := abi.ParseKernel(o.Kernel)
		if err != nil {
			return nil, fmt.Errorf("compile options: %w", err)
		}
		options.Kernel = k
	}
	resolved, warnings, err := p.Resolve(options)
	if err != nil {
		return nil, err
	}
	built, err := build.Build(resolved)
	if err != nil {
		return nil, problem(err)
	}
	return &Filter{
		Program:     built.Program,
		Policy:      resolved,
		Warnings:    warnings,
		CompileTime: built.CompileTime,
		ProofTime:   built.ProofTime,
		source:      p,
		compile:     o,
		proved:      slices.Clone(built.Program),
	}, nil
}
