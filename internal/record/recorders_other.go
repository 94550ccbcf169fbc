//go:build !linux

package record

import (
	"errors"
	"fmt"

	"github.com/sysgate/sysgate/internal/kernel"
)

// Recorders returns none: what they record is Linux's.
func Recorders() []Recorder { return nil }

// NotifyFlags fails: see [Recorders].
func NotifyFlags() (kernel.Flags, error) {
	return 0, fmt.Errorf("seccomp user notification: %w", errors.ErrUnsupported)
}
