//go:build !linux

package monitor

import (
	"context"
	"errors"
	"fmt"

	"github.com/sysgate/sysgate/abi"
)

// JournalSocket is where the journal listens, on Linux.
const JournalSocket = "/run/systemd/journal/socket"

// A Journal cannot be had.
type Journal struct{}

// NewJournal returns a journal that takes nothing.
func NewJournal(string, abi.ABI) *Journal { return &Journal{} }

// Send fails.
func (j *Journal) Send(context.Context, []Event) (int, error) {
	return 0, fmt.Errorf("journal: %w", errors.ErrUnsupported)
}

// Close does nothing.
func (j *Journal) Close() error { return nil }
