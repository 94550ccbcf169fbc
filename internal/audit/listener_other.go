//go:build !linux

package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// errElsewhere is what reading the kernel fails with: it is Linux's.
var errElsewhere = fmt.Errorf("audit records come from a Linux kernel: %w", errors.ErrUnsupported)

// A Listener cannot be had.
type Listener struct{}

// Listen fails.
func Listen() (*Listener, error) { return nil, errElsewhere }

// Buffer returns 0.
func (l *Listener) Buffer() (size int, forced bool) { return 0, false }

// Next fails.
func (l *Listener) Next(context.Context) (Event, error) { return Event{}, errElsewhere }

// Close does nothing.
func (l *Listener) Close() error { return nil }

// SelfTest fails.
func SelfTest(context.Context, *Listener) ([]Event, error) { return nil, errElsewhere }

// OpenKmsg fails.
func OpenKmsg(context.Context, bool) (io.ReadCloser, error) { return nil, errElsewhere }
