//go:build !linux

package launch

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// errElsewhere is what everything fails with: there are filters on Linux alone.
var errElsewhere = fmt.Errorf("seccomp filters are Linux's, and this is %s: %w", runtime.GOOS, errors.ErrUnsupported)

// LookPath fails: see the package comment.
func LookPath(string, string) (string, error) { return "", errElsewhere }

// A Prepared command cannot be had.
type Prepared struct{}

// Prepare fails: see the package comment.
func Prepare(Command) (*Prepared, error) { return nil, errElsewhere }

// Execve returns no call.
func (p *Prepared) Execve() abi.Call { return abi.Call{} }

// Close does nothing.
func (p *Prepared) Close() error { return nil }

// Run fails: see the package comment.
func (p *Prepared) Run(bpf.Program) (Status, error) { return Status{}, errElsewhere }

// Start fails: see the package comment.
func (p *Prepared) Start(bpf.Program) (*Program, error) { return nil, errElsewhere }

// A Program cannot be started.
type Program struct{}

// PID returns no process.
func (p *Program) PID() int { return 0 }

// Listener returns no descriptor.
func (p *Program) Listener() int { return -1 }

// Signal fails: see the package comment.
func (p *Program) Signal(syscall.Signal) error { return errElsewhere }

// Wait fails: see the package comment.
func (p *Program) Wait() (Status, error) { return Status{}, errElsewhere }
