package sysgate

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/certify"
	"github.com/sysgate/sysgate/policy"
)

// A Precompiled filter is what "sysgate compile --emit go" writes: a program that
// was proved equal to a policy when the file was generated. To install it takes
// no compiler, no proof and not even the policy to be read, only a hash:
//
//	//go:generate sysgate compile --emit go --package main -o seccomp_linux_amd64.go policy.yaml
//
//	_, err := Seccomp().Install(sysgate.Options{})
type Precompiled struct {
	Policy  string      // its text, in the canonical form
	ABIs    []abi.ABI   // that it lists, or was compiled for
	Load    policy.Load // what it says of installing
	Program bpf.Program
	Tables  string // abi.Tables of the sysgate that compiled it
	Sum     string // Hash, when it was proved

	// Certificate is for Check, in base64. Installing does not look at it.
	Certificate string
}

// Hash returns the SHA-256 hash, in hexadecimal, of all that decides what p means
// and does: policy, ABIs, what is said of installing, program and tables.
func (p *Precompiled) Hash() string {
	h := sha256.New()
	noNewPrivs := "unsaid"
	if p.Load.NoNewPrivs != nil {
		noNewPrivs = fmt.Sprint(*p.Load.NoNewPrivs)
	}
	fmt.Fprintf(h, "sysgate precompiled 1\n%q %q %v %t %s %q %d\n", p.Policy, p.Tables, p.ABIs, p.Load.Disabled, noNewPrivs, p.Load.Flags, len(p.Program))
	h.Write(p.Program.Bytes(false))
	return hex.EncodeToString(h.Sum(nil))
}

// proved returns nil if nothing has changed since p was proved. The error is
// [ErrUnproved].
func (p *Precompiled) proved() error {
	switch {
	case p.Tables != abi.Tables:
		return fmt.Errorf("%w: it was generated with the tables %s of system calls, and these are %s: generate it again", ErrUnproved, p.Tables, abi.Tables)
	case p.Sum != p.Hash():
		return fmt.Errorf("%w: it has been changed since it was generated: generate it again", ErrUnproved)
	case len(p.ABIs) == 0:
		return fmt.Errorf("%w: it is for no ABI", ErrUnproved)
	}
	return nil
}

// Filter returns p as [Compile] would, without compiling it: it reads the policy
// and looks at the hash. The error is [ErrUnproved] if p has been changed since it
// was generated, or was generated with other tables of system calls.
func (p *Precompiled) Filter() (*Filter, error) {
	if err := p.proved(); err != nil {
		return nil, fmt.Errorf("precompiled filter: %w", err)
	}
	source, err := policy.Parse("policy", []byte(p.Policy))
	if err != nil {
		return nil, fmt.Errorf("precompiled filter: %w", err)
	}
	o := CompileOptions{Native: p.ABIs[0]}
	resolved, warnings, err := source.Resolve(policy.Options{Native: o.Native})
	if err != nil {
		return nil, fmt.Errorf("precompiled filter: %w", err)
	}
	return &Filter{
		Program:  p.Program,
		Policy:   resolved,
		Warnings: warnings,
		source:   source,
		compile:  o,
		proved:   slices.Clone(p.Program),
	}, nil
}

// Install installs p as [Install] would install its policy. It looks at the hash
// only, so that Installed.Filter has the program and no policy; with
// Options.BestEffort, which can need another program, it is [Precompiled.Filter]
// that is installed.
func (p *Precompiled) Install(o Options) (*Installed, error) {
	if o.BestEffort {
		f, err := p.Filter()
		if err != nil {
			return nil, err
		}
		return f.Install(o)
	}
	if err := p.proved(); err != nil {
		return nil, fmt.Errorf("precompiled filter: %w", err)
	}
	f := &Filter{
		Program: p.Program,
		Policy:  &policy.Resolved{}, // settle asks for the ABIs
		source:  &policy.Policy{Load: p.Load},
		proved:  p.Program,
	}
	for _, a := range p.ABIs {
		f.Policy.ABIs = append(f.Policy.ABIs, policy.ResolvedABI{ABI: a})
	}
	in, err := f.Install(o)
	if in != nil {
		in.Filter = &Filter{Program: slices.Clone(p.Program)}
	}
	return in, err
}

// Check proves p again, by its certificate: it returns nil only if the program
// gives, for every possible call, the action that the policy says. Unlike the
// hash, which finds out about accidents, it trusts neither the compiler nor
// whoever wrote the file. It takes about a millisecond, and is for tests and
// for registries.
func (p *Precompiled) Check() error {
	if err := p.proved(); err != nil {
		return fmt.Errorf("precompiled filter: %w", err)
	}
	certificate, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p.Certificate), ""))
	if err != nil {
		return fmt.Errorf("precompiled filter: %w: certificate: %w", ErrUnproved, err)
	}
	err = certify.Check([]byte(p.Policy), policy.Options{Native: p.ABIs[0]}, p.Program, certificate)
	if refused := (*certify.Error)(nil); errors.As(err, &refused) {
		return fmt.Errorf("precompiled filter: %w: %w", ErrUnproved, err)
	}
	if err != nil {
		return fmt.Errorf("precompiled filter: %w", err)
	}
	return p.agrees()
}

// agrees returns nil if what p says beside the program is what the policy says.
func (p *Precompiled) agrees() error {
	f, err := p.Filter()
	if err != nil {
		return err
	}
	var abis []abi.ABI
	for _, s := range f.Policy.ABIs {
		abis = append(abis, s.ABI)
	}
	load := f.source.Load
	q := *p
	q.ABIs, q.Load = abis, load
	if q.Hash() != p.Hash() {
		return fmt.Errorf("precompiled filter: %w: the policy says something else of its ABIs or of installing", ErrUnproved)
	}
	return nil
}
