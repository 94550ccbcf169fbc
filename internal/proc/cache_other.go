//go:build !linux

package proc

import (
	"context"
	"errors"
	"fmt"
)

// A Cache knows nothing here.
type Cache struct{}

// Watch fails: see the package comment.
func Watch(context.Context, string) (*Cache, error) {
	return nil, fmt.Errorf("process events: %w", errors.ErrUnsupported)
}

// Lookup returns nil.
func (c *Cache) Lookup(int) *Process { return nil }
