// Package convert reads and writes the policy formats of other tools, each with
// its own runtime's meaning.
//
//	f, ok := convert.Detect(name, data)
//	p, losses, err := f.Read(name, data, convert.Options{})
//	e, err := convert.Export(f, p, convert.Options{})
//
// [Formats] lists them, a file each. A reader lowers what a file says into the
// ordered model of package policy; what that cannot carry is a [Loss], never a
// guess. A writer gets the policy as [Decisions]; [Export] reads the result again
// and proves where it means something else than the policy.
//
// # Limits
//
// Units mean what systemd 255 makes of them with a libseccomp that knows every
// call; @known is what policies of version 1 know. Firejail is as measured with
// 0.9.72, on amd64, and its groups take an installed one. What an engine decides
// before it applies a profile (capabilities, release, architecture) is decided by
// [Options] when the profile is read, or with Options.Symbolic carried as when.
package convert

//go:generate go run ../cmd/genformats ../../docs/formats.md

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
