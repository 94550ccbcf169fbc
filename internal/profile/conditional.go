package profile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/observe"
)

// A doubt is why the calls of a piece of code are perhaps never made.
type doubt struct {
	// covers reports that the code at a link, which makes the call name, is meant.
	covers func(l *link, name string) bool
	// evidence says of a call what it takes to be made, and why that is not so.
	evidence func(name string) string
}

// findDoubts returns what evidence there is against code.
func (a *analysis) findDoubts() []doubt {
	var all []doubt
	if d := a.processDoubt(); d != nil {
		all = append(all, *d)
	}
	for _, fn := range unreadOnce {
		if d := a.onceDoubt(fn); d != nil {
			all = append(all, *d)
		}
	}
	return all
}

// collectConditional finds the calls that only code makes for which evidence
// says that it is not used.
func (r *Result) collectConditional(a *analysis) {
	for i := range r.Set.Calls {
		c := &r.Set.Calls[i]
		if c.Class != observe.Certain || len(a.numbers[c.NR]) == 0 {
			continue
		}
		var evidence []string
		for _, l := range a.numbers[c.NR] {
			k := slices.IndexFunc(a.doubts, func(d doubt) bool { return d.covers(l, c.Name) })
			if k < 0 {
				evidence = nil
				break
			}
			if text := a.doubts[k].evidence(c.Name); !slices.Contains(evidence, text) {
				evidence = append(evidence, text)
			}
		}
		if len(evidence) > 0 {
			c.Class = observe.Conditional
			c.Evidence = fmt.Sprintf("%s; %s", strings.Join(evidence, "; "), c.Evidence)
		}
	}
}
