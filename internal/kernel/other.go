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

// SetFilterPrctl fails: see the package comment.
func SetFilterPrctl(bpf.Program, bool) error { return errors.ErrUnsupported }

// PrctlFilterAvailable fails: see the package comment.
func PrctlFilterAvailable() (bool, error) { return false, errors.ErrUnsupported }

// EveryThreadCalls is empty: see the package comment.
func EveryThreadCalls(abi.ABI, abi.Kernel) []string { return nil }

// Mode fails: see the package comment.
func Mode() (int, error) { return 0, errors.ErrUnsupported }

// Tasks fails: see the package comment.
func Tasks(bool) ([]Task, error) { return nil, errors.ErrUnsupported }

// TasksCalls is empty: see the package comment.
func TasksCalls() []string { return nil }

// ActionsLogged fails: see the package comment.
func ActionsLogged() ([]abi.Action, error) { return nil, errors.ErrUnsupported }

// SecurityModules fails: see the package comment.
func SecurityModules() ([]string, error) { return nil, errors.ErrUnsupported }

// AuditAvailable fails: see the package comment.
func AuditAvailable() (bool, error) { return false, errors.ErrUnsupported }

// AuditGet fails: see the package comment.
func AuditGet() (AuditStatus, error) { return AuditStatus{}, errors.ErrUnsupported }

// Capabilities fails: see the package comment.
func Capabilities() (uint64, error) { return 0, errors.ErrUnsupported }

// FlagsAvailable fails: see the package comment.
func FlagsAvailable(Flags) (bool, error) { return false, errors.ErrUnsupported }

// ActionAvailable fails: see the package comment.
func ActionAvailable(abi.Action) (bool, error) { return false, errors.ErrUnsupported }

// NoNewPrivsEveryThread fails: see the package comment.
func NoNewPrivsEveryThread() error { return errors.ErrUnsupported }

// NoNewPrivs fails: see the package comment.
func NoNewPrivs() error { return errors.ErrUnsupported }

// HasNoNewPrivs fails: see the package comment.
func HasNoNewPrivs() (bool, error) { return false, errors.ErrUnsupported }

// Release fails: see the package comment.
func Release() (abi.Kernel, error) { return abi.Kernel{}, errors.ErrUnsupported }
