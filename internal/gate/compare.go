package gate

import (
	"errors"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/image"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/internal/refine"
	"github.com/sysgate/sysgate/policy"
)

// A Report is how the calls of one side differ from those of another.
type Report struct {
	Old, Now *Side
	// New are the calls that Now has and Old has not, or not with all of the
	// arguments that Now is known to use.
	New []Finding
	// Partly are the calls that Old has with some arguments only, where it is not
	// known which ones Now uses: its profile or recording does not say.
	Partly []Finding
	// Gone are the calls that Old has and Now has not.
	Gone []Reach
	// Renamed are numbers that have another name than Old's tables gave them.
	Renamed []Renaming
	// Unresolved are the sites of Now's programs whose call is not known and that
	// Old's have not: each may be for anything.
	Unresolved []profile.Site
	Idle       []policy.Pattern // of Options.Accept: those that no new call matches
}

// A Finding is a call that is new.
type Finding struct {
	Reach
	// Values are the known values of an argument that the old side never has, each
	// with the places that pass it.
	Values []Value
	// Denied are the actions that the old policy has for it, each with such a
	// call; none where the old side is no policy.
	Denied []proof.Outcome
	// Accepted reports that Options.Accept has all such calls.
	Accepted bool
	Cause    Cause
	// Module brought it; Was is the version of the same module in the old
	// program, "" if it has none.
	Module image.GoModule
	Was    string
}

// A Value is a known value of an argument, as a condition.
type Value struct {
	Condition string // "domain == AF_ALG"
	Sites     []string
}

// Options adjust a comparison. The zero value accepts nothing.
type Options struct {
	Accept []policy.Pattern // calls that may be new
}

// A Renaming is a number whose name changed between tables of system calls.
type Renaming struct {
	ABI      abi.ABI
	NR       uint32
	Was, Now string
}

// Compare says which calls of now old does not have, and what brought them.
func Compare(s *proof.Space, old, now *Side, o Options) (*Report, error) {
	if err := samePhase(old, now); err != nil {
		return nil, err
	}
	r := &Report{Old: old, Now: now}
	a := acceptance{space: s, patterns: o.Accept, used: make([]bool, len(o.Accept))}
	for _, c := range now.Calls {
		rest := s.Without(c.set, old.through)
		if rest.Empty() {
			continue
		}
		f := Finding{Reach: c}
		var err error
		if f.Accepted, err = a.has(c.ABI, rest); err != nil {
			return nil, err
		}
		if old.IsPolicy() {
			f.Denied = s.Outcomes(old.decides, rest)
		}
		f.explain(old, now)
		some := !s.Intersection(c.set, old.through).Empty()
		if some {
			if f.Values, err = lacking(s, c, old); err != nil {
				return nil, err
			}
		}
		if c.open && some && len(f.Values) == 0 {
			r.Partly = append(r.Partly, f)
		} else {
			r.New = append(r.New, f)
		}
	}
	for _, c := range old.Calls {
		if s.Intersection(c.set, now.through).Empty() {
			r.Gone = append(r.Gone, c)
		}
	}
	for i, used := range a.used {
		if !used {
			r.Idle = append(r.Idle, o.Accept[i])
		}
	}
	r.renamed()
	for _, p := range now.Programs {
		for _, site := range p.Undetermined {
			if !slices.ContainsFunc(old.Programs, func(o *profile.Result) bool { return open(o, site) }) {
				r.Unresolved = append(r.Unresolved, site)
			}
		}
	}
	return r, s.Err()
}

// lacking returns the known values of c's arguments with which old never has it.
func lacking(s *proof.Space, c Reach, old *Side) (values []Value, err error) {
	for _, a := range c.args {
		for _, v := range a.Values {
			one := a
			one.Values = []observe.ArgValue{v}
			conditions := refine.Conditions(c.ABI, observe.Call{NR: c.NR, Name: c.Name, Args: []observe.Arg{one}})
			if len(conditions) == 0 {
				continue
			}
			set, err := numbered(s, c, policy.Pattern{Conditions: conditions})
			if err != nil {
				return nil, err
			}
			if s.Intersection(s.Intersection(set, c.set), old.through).Empty() {
				values = append(values, Value{conditions[0].String(), v.Sites})
			}
		}
	}
	return values, nil
}

// open reports that r has the same site.
func open(r *profile.Result, site profile.Site) bool {
	return slices.ContainsFunc(r.Undetermined, func(s profile.Site) bool { return s.Func == site.Func })
}

// Newer returns the release that brought a call which the old side, a policy, does
// not know yet: its tables are older than the call.
func (r *Report) Newer(f *Finding) (since abi.Kernel, ok bool) {
	if r.Old.Release == (abi.Kernel{}) {
		return since, false
	}
	since, ok = f.ABI.Since(f.NR)
	return since, ok && r.Old.Release.Before(since)
}

// An acceptance is what Options.Accept means.
type acceptance struct {
	space    *proof.Space
	patterns []policy.Pattern
	used     []bool
}

// has reports that all of a set of calls on an ABI are accepted.
func (a *acceptance) has(on abi.ABI, set proof.Set) (bool, error) {
	for i, p := range a.patterns {
		calls, err := a.space.Calls(on, p)
		switch {
		case errors.Is(err, proof.ErrNoCalls):
			continue
		case err != nil:
			return false, err
		}
		if !a.space.Intersection(set, calls).Empty() {
			a.used[i] = true
			set = a.space.Without(set, calls)
		}
	}
	return set.Empty(), nil
}

// renamed collects the names that changed between the tables that profiles were
// made with.
func (r *Report) renamed() {
	type call struct {
		on abi.ABI
		nr uint32
	}
	was := map[call]string{}
	for _, p := range r.Old.Programs {
		for _, c := range p.Set.Calls {
			was[call{p.Set.ABI, c.NR}] = c.Name
		}
	}
	for _, p := range r.Now.Programs {
		for _, c := range p.Set.Calls {
			k := call{p.Set.ABI, c.NR}
			if name, ok := was[k]; ok && name != c.Name {
				r.Renamed = append(r.Renamed, Renaming{k.on, k.nr, name, c.Name})
				delete(was, k)
			}
		}
	}
}
