//go:build !linux

package seccomp

import (
	"errors"
	"fmt"
)

// Supported returns true if the seccomp syscall is supported: not here.
func Supported() bool { return false }

// SetNoNewPrivs fails: see the one for Linux.
func SetNoNewPrivs() error { return fmt.Errorf("no_new_privs: %w", errors.ErrUnsupported) }
