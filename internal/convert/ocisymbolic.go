package convert

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

const (
	maxGuards   = 8 // capabilities that decide together about one call
	maxReleases = 8 // releases that a profile asks for
)

// guarded lowers a profile whose entries ask for capabilities or releases. What
// libseccomp makes of its rules about one number does not depend on its rules about
// others: so calls are taken apart by the entries that name them, and each group is
// lowered once for every combination of what these ask for.
func (r *ociReader) guarded(p *profile) []policy.Rule {
	if n := len(releases(p.entries)) - 1; n > maxReleases {
		r.fail(p.entries[0].names[0], "decide it by --kernel, without --symbolic", "the profile asks for %d releases, at most %d can be left open", n, maxReleases)
		return nil
	}
	asks := func(e ociEntry) bool { return !e.guard.empty() }
	// Only entries with the highest numbers decide what is newer than all.
	highest := slices.DeleteFunc(slices.Clone(p.entries), asks)
	last := r.quiet().build(p, highest).last
	for _, e := range p.entries {
		for a, nr := range r.quiet().build(p, []ociEntry{e}).last {
			if !asks(e) || nr <= last[a] {
				continue
			}
			if e.guard.from != (abi.Kernel{}) || e.guard.before != (abi.Kernel{}) {
				return r.byRelease(p)
			}
			highest = append(highest, e)
			break
		}
	}
	rules := r.cells(highest, nil, func(active []ociEntry) []policy.Rule { return r.quiet().build(p, active).newer() })
	var always []ociEntry
	for _, g := range groups(p) {
		if !slices.ContainsFunc(g, asks) {
			always = append(always, g...)
			continue
		}
		rules = merge(rules, r.cells(g, r.quiet().build(p, g).patterns(), func(active []ociEntry) []policy.Rule {
			return r.build(p, active).decided()
		}))
	}
	return append(rules, r.build(p, always).decided()...)
}

// byRelease lowers a profile once for each span of releases, the newest first, and
// closes all but the last with the default action.
func (r *ociReader) byRelease(p *profile) []policy.Rule {
	var all []policy.Rule
	spans := releases(p.entries)
	for i, release := range spans {
		q := *p
		q.entries = nil
		for _, e := range p.entries {
			capsOnly := guard{caps: e.guard.caps, notCaps: e.guard.notCaps}
			e.guard.caps, e.guard.notCaps = nil, nil
			if e.guard.holds(nil, release) {
				e.guard = capsOnly
				q.entries = append(q.entries, e)
			}
		}
		rules := r.guarded(&q)
		if i < len(spans)-1 {
			rest := policy.Rule{Action: r.fallback}
			for _, a := range p.abis {
				rest.Calls = append(rest.Calls, policy.Pattern{ABI: a, Numbers: &policy.NumberRange{Lo: 0, Hi: 0xffffffff}})
			}
			rules = append(rules, rest)
		}
		for k := range rules {
			rules[k].When.MinKernel = release
		}
		all = append(all, rules...)
	}
	return all
}

// releases returns where entries start or cease to count, the newest first, and at
// last the zero release.
func releases(entries []ociEntry) []abi.Kernel {
	all := []abi.Kernel{{}}
	for _, e := range entries {
		all = append(all, e.guard.from, e.guard.before)
	}
	slices.SortFunc(all, func(a, b abi.Kernel) int {
		switch {
		case b.Before(a):
			return -1
		case a.Before(b):
			return 1
		}
		return 0
	})
	return slices.Compact(all)
}

// merge appends more to rules. Calls without conditions join those of a rule that
// is alike but for its calls, where the order of releases does not count.
func merge(rules, more []policy.Rule) []policy.Rule {
	ordered := slices.ContainsFunc(more, func(r policy.Rule) bool { return r.When.MinKernel != abi.Kernel{} })
	for _, rule := range more {
		conditions := slices.ContainsFunc(rule.Calls, func(p policy.Pattern) bool { return len(p.Conditions) > 0 })
		i := slices.IndexFunc(rules, func(r policy.Rule) bool {
			return r.Action == rule.Action && slices.Equal(r.When.Caps, rule.When.Caps) && slices.Equal(r.When.NotCaps, rule.When.NotCaps) &&
				!slices.ContainsFunc(r.Calls, func(p policy.Pattern) bool { return len(p.Conditions) > 0 })
		})
		if ordered || conditions || i < 0 {
			rules = append(rules, rule)
			continue
		}
		rules[i].Calls = append(rules[i].Calls, rule.Calls...)
	}
	return rules
}

// quiet returns a reader whose findings nobody wants: those about entries that
// count together are reported where their rules are made.
func (r *ociReader) quiet() *ociReader {
	return &ociReader{document: r.document, options: r.options, fallback: r.fallback}
}

// once removes findings that were made for several combinations.
func (r *ociReader) once() {
	errs, losses := r.errs, r.losses
	r.errs, r.losses = nil, nil
	seen := map[string]bool{}
	for _, e := range errs {
		if !seen[e.Error()] {
			seen[e.Error()] = true
			r.errs = append(r.errs, e)
		}
	}
	for _, l := range losses {
		if !seen[l.String()] {
			seen[l.String()] = true
			r.losses = append(r.losses, l)
		}
	}
}

// groups takes the entries of a profile apart by their calls: entries of one group
// name calls that no other group decides about. Names that the same entries have
// share a group, and so do those that share a number, as the sub-calls of a
// multiplexer do.
func groups(p *profile) [][]ociEntry {
	type member struct{ entry, name int }
	parent := map[string]string{} // names, and numbers of ABIs, that belong together
	var find func(string) string
	find = func(x string) string {
		if parent[x] == "" || parent[x] == x {
			parent[x] = x
			return x
		}
		parent[x] = find(parent[x])
		return parent[x]
	}
	join := func(x, y string) { parent[find(x)] = find(y) }
	for _, e := range p.entries {
		for _, name := range e.names {
			for _, a := range p.abis {
				if mux, _, ok := a.Multiplexed(*name.text); ok {
					join(*name.text, fmt.Sprint(a, mux))
				}
				if nr, ok := a.Lookup(*name.text); ok {
					join(*name.text, fmt.Sprint(a, nr))
				}
			}
		}
	}
	entries := map[string]map[int]bool{} // of each class of names
	members := map[string][]member{}
	var order []string
	for i, e := range p.entries {
		for j, name := range e.names {
			class := find(*name.text)
			if entries[class] == nil {
				entries[class] = map[int]bool{}
				order = append(order, class)
			}
			entries[class][i] = true
			members[class] = append(members[class], member{i, j})
		}
	}
	alike := map[string][]member{} // by the entries
	var keys []string
	for _, class := range order {
		var key strings.Builder
		for i := range p.entries {
			if entries[class][i] {
				fmt.Fprint(&key, i, " ")
			}
		}
		if alike[key.String()] == nil {
			keys = append(keys, key.String())
		}
		alike[key.String()] = append(alike[key.String()], members[class]...)
	}
	var all [][]ociEntry
	for _, key := range keys {
		in := alike[key]
		slices.SortFunc(in, func(x, y member) int {
			if x.entry != y.entry {
				return x.entry - y.entry
			}
			return x.name - y.name
		})
		var group []ociEntry
		last := -1
		for _, m := range in {
			if m.entry != last {
				e := p.entries[m.entry]
				e.names = nil
				group, last = append(group, e), m.entry
			}
			e := &group[len(group)-1]
			e.names = append(e.names, p.entries[m.entry].names[m.name])
		}
		all = append(all, group)
	}
	return all
}

// patterns returns the pattern of every call that b decides about.
func (b *builder) patterns() []policy.Pattern {
	var all []policy.Pattern
	for _, c := range b.calls {
		all = append(all, c.pattern())
	}
	return all
}

// cells returns the rules that lower makes of entries for each combination of
// capabilities and releases, under the conditions that tell them apart. Rules for
// newer releases come first; those for older ones hold for the newer as well, so
// the newer ones end with the default action for all of calls.
func (r *ociReader) cells(entries []ociEntry, calls []policy.Pattern, lower func(active []ociEntry) []policy.Rule) []policy.Rule {
	var caps []string
	for _, e := range entries {
		caps = append(append(caps, e.guard.caps...), e.guard.notCaps...)
	}
	slices.Sort(caps)
	caps = slices.Compact(caps)
	if len(caps) > maxGuards {
		r.fail(entries[0].names[0], "decide it by --caps, without --symbolic", "%s, and %d other capabilities decide together about %s", caps[0], len(caps)-1, *entries[0].names[0].text)
		return nil
	}
	var out []policy.Rule
	spans := releases(entries)
	for i, release := range spans {
		sets := map[string][]uint32{} // of capabilities, by the rules
		rules := map[string][]policy.Rule{}
		var order []string
		for set := range uint32(1) << len(caps) {
			var active []ociEntry
			for _, e := range entries {
				if e.guard.holds(func(c string) bool { return set>>slices.Index(caps, c)&1 != 0 }, release) {
					active = append(active, e)
				}
			}
			made := lower(active)
			if i < len(spans)-1 && len(calls) > 0 {
				made = append(made, policy.Rule{Action: r.fallback, Calls: calls})
			}
			key := string((&policy.Policy{Rules: made}).Format())
			if sets[key] == nil {
				order = append(order, key)
			}
			sets[key], rules[key] = append(sets[key], set), made
		}
		for _, key := range order {
			for _, c := range capCover(sets[key], len(caps)) {
				for _, rule := range rules[key] {
					rule.When = policy.When{MinKernel: release}
					for k, name := range caps {
						switch bit := uint32(1) << k; {
						case c.care&c.set&bit != 0:
							rule.When.Caps = append(rule.When.Caps, name)
						case c.care&bit != 0:
							rule.When.NotCaps = append(rule.When.NotCaps, name)
						}
					}
					rule.Calls = slices.Clone(rule.Calls)
					out = append(out, rule)
				}
			}
		}
	}
	return out
}

// A capCube is the sets of capabilities that agree with set in the bits of care.
type capCube struct{ care, set uint32 }

// capCover returns cubes that hold sets of n capabilities and no others, few and
// large: prime implicants, of which each step takes one that holds the most sets
// that none before it does.
func capCover(sets []uint32, n int) []capCube {
	level := map[capCube]bool{}
	for _, s := range sets {
		level[capCube{1<<n - 1, s}] = true
	}
	var primes []capCube
	for len(level) > 0 {
		next, merged := map[capCube]bool{}, map[capCube]bool{}
		for c := range level {
			for k := range n {
				bit := uint32(1) << k
				if other := (capCube{c.care, c.set ^ bit}); c.care&bit != 0 && level[other] {
					next[capCube{c.care &^ bit, c.set &^ bit}] = true
					merged[c], merged[other] = true, true
				}
			}
		}
		for c := range level {
			if !merged[c] {
				primes = append(primes, c)
			}
		}
		level = next
	}
	slices.SortFunc(primes, func(a, b capCube) int {
		return cmp.Or(cmp.Compare(bits.OnesCount32(a.care), bits.OnesCount32(b.care)), cmp.Compare(a.care, b.care), cmp.Compare(b.set, a.set))
	})
	left := map[uint32]bool{}
	for _, s := range sets {
		left[s] = true
	}
	var out []capCube
	for len(left) > 0 {
		best, most := capCube{}, 0
		for _, c := range primes {
			n := 0
			for s := range left {
				if s&c.care == c.set&c.care {
					n++
				}
			}
			if n > most {
				best, most = c, n
			}
		}
		out = append(out, best)
		for s := range left {
			if s&best.care == best.set&best.care {
				delete(left, s)
			}
		}
	}
	return out
}
