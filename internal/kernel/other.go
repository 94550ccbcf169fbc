//go:build !linux

package kernel

import (
	"errors"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
)

// SetFilter fails: see the package comment.
func SetFilter(bpf.Program, Flags) error { return errors.ErrUnsupported }

// SetFilterListener fails: see the package comment.
func SetFilterListener(bpf.Program, Flags) (fd int, err error) { return -1, errors.ErrUnsupported }

// FlagsAvailable fails: see the package comment.
func FlagsAvailable(Flags) (bool, error) { return false, errors.ErrUnsupported }

// ActionAvailable fails: see the package comment.
func ActionAvailable(abi.Action) (bool, error) { return false, errors.ErrUnsupported }

// NoNewPrivs fails: see the package comment.
func NoNewPrivs() error { return errors.ErrUnsupported }

// HasNoNewPrivs fails: see the package comment.
func HasNoNewPrivs() (bool, error) { return false, errors.ErrUnsupported }

// Release fails: see the package comment.
func Release() (abi.Kernel, error) { return abi.Kernel{}, errors.ErrUnsupported }
