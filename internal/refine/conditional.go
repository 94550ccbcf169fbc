package refine

import (
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/observe"
)

// withoutConditional returns the sets without their conditional calls, and the
// lines of a policy's header that say what is missing and why.
func withoutConditional(sets []*observe.Set) (kept []*observe.Set, lines string) {
	var out strings.Builder
	for _, s := range sets {
		some := *s
		some.Calls = nil
		for _, c := range s.Calls {
			if c.Class != observe.Conditional {
				some.Calls = append(some.Calls, c)
				continue
			}
			name := c.Name
			if len(sets) > 1 {
				name = s.ABI.String() + ":" + name
			}
			out.WriteString("\nLeft out, because evidence says that it is not used: " + name + ": " + c.Evidence + ".")
		}
		kept = append(kept, &some)
	}
	return slices.Clip(kept), out.String()
}
