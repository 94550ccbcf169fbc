package cli

import "github.com/sysgate/sysgate/internal/observe"

// openArgs says with -v which arguments got no condition, and why.
func (e *env) openArgs(all []*observe.Set) {
	for _, s := range all {
		for _, c := range s.Calls {
			for _, o := range c.Open {
				e.detailf("%s: %s is not known: %s", c.Name, o.Name, o.Why)
			}
		}
	}
}
