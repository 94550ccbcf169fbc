package gate

import (
	"slices"
	"strings"

	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/proof"
)

// ForecastGo compares what Go's own packages can call in upgraded, of which p's
// would be a part if it were built with the same Go release, with an old side. New
// in the report is what p cannot call today and old does not have.
func ForecastGo(s *proof.Space, old *Side, p, upgraded *profile.Result, o Options) (*Report, error) {
	r, err := forecast(s, old, p, upgraded, base(p.File)+" with "+upgraded.Build.Version, o)
	if err != nil {
		return nil, err
	}
	for _, findings := range [][]Finding{r.New, r.Partly} {
		for i := range findings {
			f := &findings[i]
			f.Cause, f.Was = Go, p.Build.Version
			f.Module = image.GoModule{Path: profile.Std, Version: upgraded.Build.Version}
		}
	}
	return r, nil
}

// ForecastLibraries compares what the program of p can call with other builds of
// its libraries, upgraded, with an old side. New in the report is what it cannot
// call today and old does not have.
func ForecastLibraries(s *proof.Space, old *Side, p, upgraded *profile.Result, o Options) (*Report, error) {
	r, err := forecast(s, old, p, upgraded, base(p.File)+" with other libraries", o)
	if err != nil {
		return nil, err
	}
	today := &Side{Programs: []*profile.Result{p}}
	for _, findings := range [][]Finding{r.New, r.Partly} {
		for i := range findings {
			findings[i].explain(today, r.Now)
		}
	}
	return r, nil
}

func forecast(s *proof.Space, old *Side, p, upgraded *profile.Result, name string, o Options) (*Report, error) {
	now, err := Programs(s, name, false, upgraded)
	if err != nil {
		return nil, err
	}
	r, err := Compare(s, old, now, o)
	if err != nil {
		return nil, err
	}
	today := func(f Finding) bool {
		return slices.ContainsFunc(p.Set.Calls, func(c observe.Call) bool { return c.NR == f.NR })
	}
	r.New, r.Partly = slices.DeleteFunc(r.New, today), slices.DeleteFunc(r.Partly, today)
	r.Unresolved = slices.DeleteFunc(r.Unresolved, func(site profile.Site) bool { return open(p, site) })
	r.Gone = nil // what is gone breaks nothing
	return r, nil
}

// Restrict returns the part of another program's profile that p would share if it
// were built with the same Go release: what the runtime calls, and calls whose
// paths lead through a function of Go's own that p links, too. Of the ways to a
// call only the shortest is looked at, so that some can be missing; a [Probe]
// misses none.
func Restrict(other, p *profile.Result) *profile.Result {
	shared := *other
	shared.Set.Calls = slices.DeleteFunc(slices.Clone(other.Set.Calls), func(c observe.Call) bool {
		return !shares(profile.Choosing(other.PathOf(c)), p)
	})
	return &shared
}

// shares reports that p has the end of a path, as far as that is in Go's own
// packages: the function nearest to where the call is chosen that has a name for
// other packages, or else the package.
func shares(steps []profile.Step, p *profile.Result) bool {
	last := len(steps) - 1
	for i := last; i >= 0 && steps[i].Module.Path == profile.Std; i-- {
		pkg := profile.PackageOf(steps[i].Func)
		function := strings.TrimPrefix(steps[i].Func, pkg+".")
		switch {
		case i == last && (pkg == "" || pkg == "runtime" || strings.HasPrefix(pkg, "internal/runtime/")):
			return true
		case profile.Exported(function) && !profile.Internal(pkg):
			_, linked := slices.BinarySearch(p.Linked[pkg], function)
			return linked
		}
	}
	if last < 0 {
		return true // made without an instruction
	}
	_, linked := p.Linked[profile.PackageOf(steps[last].Func)]
	return linked && steps[last].Module.Path == profile.Std
}
