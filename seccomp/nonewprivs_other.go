//go:build !linux

package seccomp

import (
	"errors"
	"fmt"
)

// SetNoNewPrivs fails: see the one for Linux.
func SetNoNewPrivs() error { return fmt.Errorf("no_new_privs: %w", errors.ErrUnsupported) }
