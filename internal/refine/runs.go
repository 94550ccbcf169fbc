package refine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// notUsed is the comment of the rule for what profiles have and no run made.
const notUsed = "Found by static analysis, used by no run."

// FromRuns returns the policy that allows the calls of t and no others, each with how
// many runs made it. With args, a call that is one of several by its arguments
// ([observe.Modes]) is allowed with the values that were seen, if they are all known;
// where a profile has the call too, other values are possible, and the comment says
// so. What only a profile has is in a rule of its own. unnamed are the calls that no
// table has; they are left out. The rest is as with [FromSets].
func FromRuns(t *observe.Together, o Options, args bool) (p *policy.Policy, elsewhere []string, unnamed []observe.MadeOften) {
	made := map[abi.ABI]*observe.Set{}
	only := map[abi.ABI]map[string]bool{} // what only a profile has
	entries := map[abi.ABI]map[string]*observe.MadeOften{}
	for i := range t.Calls {
		c := &t.Calls[i]
		if c.Name == "" {
			unnamed = append(unnamed, *c)
			continue
		}
		s := made[c.ABI]
		if s == nil {
			s = &observe.Set{ABI: c.ABI, Sound: t.Sound}
			made[c.ABI], only[c.ABI], entries[c.ABI] = s, map[string]bool{}, map[string]*observe.MadeOften{}
		}
		only[c.ABI][c.Name], entries[c.ABI][c.Name] = c.Runs == 0, c
		s.Calls = append(s.Calls, observe.Call{NR: c.NR, Name: c.Name, Class: observe.Certain, Evidence: seenBy(c, c.Count, t.Runs)})
	}
	var sets []*observe.Set
	for _, s := range made {
		for i := range s.Calls {
			if all := onAll(entries, s.Calls[i].Name); all != nil {
				s.Calls[i].Evidence = seenBy(all, all.Count, t.Runs)
			}
		}
		sets = append(sets, s)
	}
	// Those of 64 bits first: the first is the native one.
	slices.SortFunc(sets, func(a, b *observe.Set) int {
		return cmp.Or(cmp.Compare(b.ABI.Bits(), a.ABI.Bits()), cmp.Compare(a.ABI, b.ABI))
	})
	if len(sets) > 0 {
		sets[0].Sources = t.Sources
	}
	p, elsewhere = FromSets(sets, o)
	p.Comment = runsHeader(t, p.Comment)
	if args {
		restrict(p, entries, t.Runs)
	}
	splitUnused(p, only)
	return p, elsewhere, unnamed
}

// onAll returns what was made of a call through all ABIs together, nil unless each has it
// and there are several: the policy has one line for it then.
func onAll(entries map[abi.ABI]map[string]*observe.MadeOften, name string) *observe.MadeOften {
	if len(entries) < 2 {
		return nil
	}
	var all *observe.MadeOften
	for _, a := range slices.Sorted(maps.Keys(entries)) {
		c := entries[a][name]
		switch {
		case c == nil || c.Runs == 0:
			return nil
		case all == nil:
			first := *c
			all = &first
			continue
		}
		all.Count += c.Count
		all.Denied += c.Denied
		all.Runs = max(all.Runs, c.Runs) // at least
		if all.Exe == "" {
			all.Exe = c.Exe
		}
	}
	return all
}

// seenBy says who made a call, n times, as far as is known.
func seenBy(c *observe.MadeOften, n uint64, runs int) string {
	if c.Runs == 0 {
		return clean(c.Static)
	}
	text := ""
	if runs > 1 {
		text = fmt.Sprintf("%d of %d runs", c.Runs, runs)
	}
	switch {
	case n == 1:
		text += ", once"
	case n > 1:
		text += fmt.Sprintf(", %d times", n)
	}
	switch {
	case c.Denied == 0:
	case c.Denied == c.Count:
		text += ", each time denied by a filter"
	default:
		text += fmt.Sprintf(", %d times denied by a filter", c.Denied)
	}
	if c.Exe != "" {
		text += ", first by " + clean(c.Exe)
	}
	if text = strings.TrimPrefix(text, ", "); text == "" {
		return "seen"
	}
	return text
}

// runsHeader replaces what the header of a set says of soundness.
func runsHeader(t *observe.Together, header string) string {
	var lines []string
	for line := range strings.Lines(header) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case !strings.HasPrefix(line, "Sound:") && !strings.HasPrefix(line, "NOT sound:"):
			lines = append(lines, clean(line))
			continue
		case t.Runs > 0:
			runs := fmt.Sprintf("Recorded in %d runs", t.Runs)
			if t.Runs == 1 {
				runs = "Recorded in one run"
			}
			if t.Sound {
				runs += ", and found by static analysis, which is sound: no run makes any other call."
			} else {
				runs += ": another may make calls that are not listed."
			}
			lines = append(lines, runs)
		default:
			lines = append(lines, line)
		}
		if t.Lost > 0 {
			lines = append(lines, fmt.Sprintf("The recorder lost %d calls.", t.Lost))
		}
		for _, d := range t.Doubts {
			lines = append(lines, "Open: "+clean(d)+".")
		}
	}
	return strings.Join(lines, "\n")
}

// restrict replaces the patterns of calls whose arguments are known by one for each
// combination, or with one argument by one for all.
func restrict(p *policy.Policy, entries map[abi.ABI]map[string]*observe.MadeOften, runs int) {
	for i := range p.Rules {
		rule := &p.Rules[i]
		if rule.Action != allow {
			continue
		}
		var calls []policy.Pattern
		for _, pattern := range rule.Calls {
			if len(pattern.Conditions) > 0 || pattern.Comment == listed {
				calls = append(calls, pattern)
				continue
			}
			calls = append(calls, withValues(p, pattern, entries, runs)...)
		}
		rule.Calls = calls
	}
}

// withValues returns the patterns for a call with the values that were seen: the
// pattern itself where they are not known on each ABI that it is for.
func withValues(p *policy.Policy, pattern policy.Pattern, entries map[abi.ABI]map[string]*observe.MadeOften, runs int) []policy.Pattern {
	on := p.ABIs
	if pattern.ABI != abi.None {
		on = []abi.ABI{pattern.ABI}
	}
	var calls []policy.Pattern
	for _, a := range on {
		c := entries[a][pattern.Name]
		if c == nil {
			continue
		}
		if c.Open || len(c.Values) == 0 {
			return []policy.Pattern{pattern}
		}
		with := pattern
		if len(on) > 1 {
			with.ABI = a
		}
		calls = append(calls, valuePatterns(with, c, runs)...)
	}
	if len(calls) == 0 {
		return []policy.Pattern{pattern}
	}
	return calls
}

// valuePatterns returns the patterns for a call with each of its values.
func valuePatterns(pattern policy.Pattern, c *observe.MadeOften, runs int) []policy.Pattern {
	comment := func(n uint64) string {
		text := seenBy(c, n, runs)
		if c.Static != "" {
			text += "; other values are possible: " + clean(c.Static)
		}
		return text
	}
	masks, _ := observe.Modes(c.ABI, c.NR)
	args, _ := c.ABI.Args(c.NR)
	var at []int
	for i, mask := range masks {
		if mask != 0 {
			at = append(at, i)
		}
	}
	condition := func(i int, op policy.Op, values []string) policy.Condition {
		return policy.Condition{Arg: args[i].Name, Index: -1, Op: op, Values: values}
	}
	if len(at) == 1 && len(c.Values) > 1 {
		var values []string
		for _, v := range c.Values {
			values = append(values, proof.Constant(c.ABI, c.Name, at[0], v.Args[at[0]]))
		}
		pattern.Conditions = []policy.Condition{condition(at[0], policy.In, values)}
		pattern.Comment = comment(c.Count)
		return []policy.Pattern{pattern}
	}
	var all []policy.Pattern
	for _, v := range c.Values {
		one := pattern
		one.Conditions, one.Comment = nil, comment(v.Count)
		for _, i := range at {
			one.Conditions = append(one.Conditions, condition(i, policy.Equal, []string{proof.Constant(c.ABI, c.Name, i, v.Args[i])}))
		}
		all = append(all, one)
	}
	return all
}

// splitUnused gives the calls that only profiles have a rule of their own.
func splitUnused(p *policy.Policy, only map[abi.ABI]map[string]bool) {
	unused := policy.Rule{Action: allow, Comment: notUsed}
	for i := range p.Rules {
		rule := &p.Rules[i]
		if rule.Action != allow {
			continue
		}
		rule.Calls = slices.DeleteFunc(rule.Calls, func(c policy.Pattern) bool {
			if c.Comment == listed || !onlyStatic(p, c, only) {
				return false
			}
			unused.Calls = append(unused.Calls, c)
			return true
		})
	}
	p.Rules = slices.DeleteFunc(p.Rules, func(r policy.Rule) bool { return len(r.Calls) == 0 })
	if len(unused.Calls) > 0 {
		p.Rules = append(p.Rules, unused)
	}
}

// onlyStatic reports whether no run made the call of a pattern on any of its ABIs,
// and a profile has it.
func onlyStatic(p *policy.Policy, c policy.Pattern, only map[abi.ABI]map[string]bool) bool {
	found := false
	for _, a := range p.ABIs {
		unused, has := only[a][c.Name]
		if c.ABI != abi.None && c.ABI != a || !has {
			continue
		}
		if !unused {
			return false
		}
		found = true
	}
	return found
}
