// Package convert reads and writes the policy formats of other tools, each with
// its own runtime's meaning.
//
//   - [OCI] reads an OCI or Docker profile as runc with libseccomp enforces it.
//   - [WriteOCI] writes the profile that container engines take.
//
// What a format cannot carry is a [Loss], never a guess.
package convert

import (
	"fmt"

	"github.com/sysgate/sysgate/policy"
)

// A Loss is something of the input that the output does not say.
type Loss struct {
	Pos policy.Pos // in the input; zero if it is nowhere in particular
	Msg string     // lower case, without the position
}

// String returns "file:line:col: message".
func (l Loss) String() string {
	if at := l.Pos.String(); at != "" {
		return fmt.Sprintf("%s: %s", at, l.Msg)
	}
	return l.Msg
}
