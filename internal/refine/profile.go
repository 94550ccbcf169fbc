package refine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/policy"
)

// Options are what a policy is to say beyond the observation. The zero value
// says nothing more.
type Options struct {
	// DropConditional leaves out what only code makes for which evidence says that
	// it is not used.
	DropConditional bool
	// Default is for calls that the program was not seen to make; nil:
	// errno(ENOSYS), which programs take for an older kernel.
	Default *policy.Action
	// Allow is always admitted, even where Deny has it too; an item's own action
	// (log) takes the place of allow.
	Allow []Item
	// Deny is taken out although it was observed. An item with an action of its
	// own gets it, else the default.
	Deny []Item
	// Runtime, if set, is the container runtime that starts the program: what it
	// calls under the filter is admitted, on RuntimeABI; on that of the first set
	// if that is None.
	Runtime    *Runtime
	RuntimeABI abi.ABI
	// Everywhere admits a call on every ABI of the policy if a program of one of
	// them needs it: container profiles cannot say more.
	Everywhere bool
}

// listed is the comment of calls that Options.Allow has.
const listed = "listed to be allowed"

// FromSet returns the policy that allows the calls of s and no others, on its ABI
// alone: FromSets of one set.
func FromSet(s *observe.Set, o Options) (p *policy.Policy, elsewhere []string) {
	return FromSets([]*observe.Set{s}, o)
}

// FromSets returns the policy that allows the calls of all sets and no others,
// each with its reason in a comment and with who makes it where not all programs
// do. It is for the ABIs of the sets, one of each ([observe.MergeABIs]): a call
// that programs of one ABI make is allowed on that one. Numbers that are newer
// than the policy's tables get errno(ENOSYS). elsewhere are the names of the lists
// that none of these ABIs has.
func FromSets(sets []*observe.Set, o Options) (p *policy.Policy, elsewhere []string) {
	dropped := ""
	if o.DropConditional {
		sets, dropped = withoutConditional(sets)
	}
	sets = withRuntime(sets, o)
	p = &policy.Policy{
		Version: 1,
		Default: enosys,
		Unknown: &enosys,
		Comment: header(sets, o) + dropped,
	}
	for _, s := range sets {
		p.ABIs = append(p.ABIs, s.ABI)
	}
	if o.Default != nil {
		p.Default = *o.Default
	}
	admitted, elsewhere := Rules(o.Allow, allow, p.ABIs...)
	admittedNames, _ := Names(o.Allow, p.ABIs...)
	for i := range admitted {
		for j := range admitted[i].Calls {
			admitted[i].Calls[j].Comment = listed
		}
	}
	var stated []Item // denials with an action of their own
	for _, item := range o.Deny {
		if item.Action != nil {
			stated = append(stated, item)
		}
	}
	denials, _ := Rules(stated, p.Default, p.ABIs...)
	denied, unknown := Names(o.Deny, p.ABIs...)
	elsewhere = append(elsewhere, unknown...)
	slices.Sort(elsewhere)

	observed := policy.Rule{Action: allow}
	for _, pattern := range patterns(sets, o.Everywhere) {
		if !slices.Contains(denied, pattern.Name) && !slices.Contains(admittedNames, pattern.Name) {
			observed.Calls = append(observed.Calls, pattern)
		}
	}
	p.Rules = slices.Concat(admitted, denials)
	if len(observed.Calls) > 0 {
		p.Rules = append(p.Rules, observed)
	}
	return p, slices.Compact(elsewhere)
}

// patterns returns one pattern for each call of the sets, sorted by name. Those of
// one of several ABIs name it, unless they are to hold everywhere; numbers always
// do.
func patterns(sets []*observe.Set, everywhere bool) []policy.Pattern {
	var all []policy.Pattern
	for i, s := range sets {
		for _, c := range s.Calls {
			on := s.ABI
			switch {
			case len(sets) == 1:
				on = abi.None
			case c.Name == "":
			case everywhere || inAll(sets, c.Name):
				on = abi.None
				if slices.ContainsFunc(sets[:i], func(s *observe.Set) bool { return s.Has(c.Name) }) {
					continue
				}
			}
			p := policy.Pattern{ABI: on, Name: c.Name, Comment: c.Evidence}
			if c.Class != observe.Certain {
				p.Comment = c.Class.String() + ": " + c.Evidence
			}
			if by := makers(sets, s, c, on); len(by) > 0 {
				p.Comment = "by " + strings.Join(by, ", ") + ": " + p.Comment
			}
			if on != abi.None || len(sets) == 1 {
				var lines []string
				p.Conditions, lines = argConditions(s.ABI, c)
				p.Comment = strings.Join(append([]string{p.Comment}, lines...), "\n")
			}
			for _, site := range c.Sites {
				p.Comment += "\n" + "at " + site
			}
			if c.Name == "" {
				p.Numbers = &policy.NumberRange{Lo: c.NR, Hi: c.NR}
			}
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b policy.Pattern) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func inAll(sets []*observe.Set, name string) bool {
	return !slices.ContainsFunc(sets, func(s *observe.Set) bool { return !s.Has(name) })
}

// makers returns who makes c, a call of s; nothing where all programs do. With a
// pattern for every ABI, those of the other sets count too.
func makers(sets []*observe.Set, s *observe.Set, c observe.Call, on abi.ABI) []string {
	var by []string
	programs := 0
	for _, other := range sets {
		programs += len(other.Programs)
		i := slices.IndexFunc(other.Calls, func(o observe.Call) bool { return o.Name == c.Name && o.Name != "" })
		switch {
		case other == s:
			by = append(by, s.Makers(c)...)
		case on == abi.None && i >= 0:
			by = append(by, other.Makers(other.Calls[i])...)
		}
	}
	if len(by) == programs {
		return nil
	}
	return by
}

// header says where a policy comes from and what its reader may rely on.
func header(sets []*observe.Set, o Options) string {
	all := observe.Set{Sound: true}
	for _, s := range sets {
		all.Sources = append(all.Sources, s.Sources...)
		all.Sound = all.Sound && s.Sound
		for _, a := range s.Assumptions {
			if !slices.Contains(all.Assumptions, a) {
				all.Assumptions = append(all.Assumptions, a)
			}
		}
	}
	between := ", "
	if len(all.Sources) > 3 {
		between = ",\n"
	}
	lines := []string{"The system calls of " + strings.Join(all.Sources, between) + "."}
	if o.Runtime != nil {
		lines = append(lines, fmt.Sprintf("With what %v calls to start a container.", o.Runtime))
	}
	if all.Sound {
		lines = append(lines, "Sound: no run makes any other call.")
	} else {
		lines = append(lines, "NOT sound: a run may make calls that are not listed.")
	}
	for _, a := range all.Assumptions {
		lines = append(lines, "Assumed: "+a+".")
	}
	if len(o.Deny) > 0 {
		var names []string
		for _, item := range o.Deny {
			names = append(names, item.Name)
		}
		lines = append(lines, fmt.Sprintf("Taken out by list: %s.", strings.Join(names, ", ")))
	}
	return strings.Join(lines, "\n")
}

// Allowed returns the calls of p's rules that let through, in the notation of
// patterns, sorted: names, without conditions.
func Allowed(p *policy.Policy) []string {
	var calls []string
	for _, rule := range p.Rules {
		if rule.Action.Kind == abi.Allow || rule.Action.Kind == abi.Log {
			for _, c := range rule.Calls {
				c.Conditions = nil
				calls = append(calls, c.String())
			}
		}
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}
