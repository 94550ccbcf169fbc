package cli

import (
	"errors"

	"github.com/sysgate/sysgate/internal/launch"
)

// The exit codes. A program that was launched has its own: 0 to 255, or 128 + n
// where signal n killed it.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitFindings = 3   // profile, check: the result has to be looked at
	exitLauncher = 125 // run: sysgate itself failed
	exitCannot   = 126 // run: the command cannot be executed
	exitNotFound = 127 // run: there is no such command
)

// A codeError ends the command with a code other than exitError.
type codeError struct {
	error
	code int
}

func (e codeError) Unwrap() error { return e.error }

// A quietError ends the command with a code and says nothing more: all has been
// said, or the code is a program's.
type quietError int

func (quietError) Error() string { return "" }

func usageError(err error) error { return codeError{err, exitUsage} }

func findingsError(err error) error { return codeError{err, exitFindings} }

// exitCode returns the code that err ends the command with.
func exitCode(err error) int {
	var quiet quietError
	var coded codeError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return int(quiet)
	case errors.As(err, &coded):
		return coded.code
	}
	return exitError
}

// launchError gives err the code of a launcher: those of env(1).
func launchError(err error) error {
	switch {
	case err == nil || errors.As(err, new(quietError)):
		return err
	case errors.Is(err, launch.ErrNotFound):
		return codeError{err, exitNotFound}
	case errors.Is(err, launch.ErrNotExecutable):
		return codeError{err, exitCannot}
	}
	return codeError{err, exitLauncher}
}
