//go:build !linux

package kernel

import (
	"errors"

	"github.com/sysgate/sysgate/bpf"
)

// Filters fails: see the package comment.
func Filters(int) ([]bpf.Program, error) { return nil, errors.ErrUnsupported }

func (e *DumpError) explain() string { return "" }
