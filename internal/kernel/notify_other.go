//go:build !linux

package kernel

import "errors"

// A Listener cannot be had: see the package comment.
type Listener struct{ fd int }

// Notifications fails: see the package comment.
func Notifications() (NotifySizes, error) { return NotifySizes{}, errors.ErrUnsupported }

// ListenOn returns a listener that fails.
func ListenOn(fd int, _ NotifySizes) *Listener { return &Listener{fd} }

// ServeOn returns a listener that fails.
func ServeOn(fd int, _ NotifySizes) *Listener { return &Listener{fd} }

// FD returns the descriptor.
func (l *Listener) FD() int { return l.fd }

// Open fails: see the package comment.
func (l *Listener) Open() error { return errors.ErrUnsupported }

// Close fails: see the package comment.
func (l *Listener) Close() error { return errors.ErrUnsupported }

// Interrupt does nothing.
func (l *Listener) Interrupt() {}

// Resume does nothing.
func (l *Listener) Resume() {}

// Receive fails: see the package comment.
func (l *Listener) Receive() (Notification, error) { return Notification{}, errors.ErrUnsupported }

// Valid fails: see the package comment.
func (l *Listener) Valid(uint64) error { return errors.ErrUnsupported }

// Send fails: see the package comment.
func (l *Listener) Send(uint64, Reply) error { return errors.ErrUnsupported }

// AddFD fails: see the package comment.
func (l *Listener) AddFD(uint64, AddFD) (int, error) { return -1, errors.ErrUnsupported }

// SetSyncWakeUp fails: see the package comment.
func (l *Listener) SetSyncWakeUp(bool) error { return errors.ErrUnsupported }

// ReadMemory fails: see the package comment.
func ReadMemory(int, uint64, []byte) (int, error) { return 0, errors.ErrUnsupported }
