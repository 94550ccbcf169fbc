package gate

import (
	"fmt"

	"github.com/sysgate/sysgate/internal/profile"
)

// A PhaseError says that two sides are of different parts of the lives of programs:
// then what one has more says nothing.
type PhaseError struct {
	Main, Whole string // the names of the programs
}

func (e *PhaseError) Error() string {
	return fmt.Sprintf("%s is profiled from main on, %s for its whole life: they cannot be compared", e.Main, e.Whole)
}

// samePhase returns an error if the programs of the sides are not all profiled for the
// same phase.
func samePhase(sides ...*Side) error {
	of := map[profile.Phase]string{}
	for _, side := range sides {
		for _, r := range side.Programs {
			of[r.Phase] = r.File
		}
	}
	if len(of) > 1 {
		return &PhaseError{Main: of[profile.PhaseMain], Whole: of[profile.PhaseWhole]}
	}
	return nil
}
