package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A place is one pattern of one rule.
type place struct{ rule, pattern int }

// own reports whether the subject is a policy whose rules its author wrote.
func (c *checker) own() bool { return c.Policy != nil && !c.Foreign }

// active returns the rules that are in force: not those whose when does not hold.
func (c *checker) active() []int {
	inForce := map[int]bool{}
	for i := range c.Resolved.ABIs {
		for _, r := range c.Resolved.ABIs[i].Rules {
			inForce[r.Rule] = true
		}
	}
	var all []int
	for i := range c.Policy.Rules {
		if inForce[i] {
			all = append(all, i)
		}
	}
	return all
}

// matched returns the calls through a that p matches; none where a has no such
// call, or where it has another shape.
func (c *checker) matched(a abi.ABI, p policy.Pattern) proof.Set {
	set, err := c.s.Calls(a, p)
	if err != nil {
		return proof.Set{}
	}
	return set
}

// setOf returns the calls through a that a pattern of the policy matches and no
// exception of its rule does, worked out once.
func (c *checker) setOf(a abi.ABI, at place) proof.Set {
	key := setKey{a, at}
	set, ok := c.sets[key]
	if !ok {
		r := &c.Policy.Rules[at.rule]
		set = c.matched(a, r.Calls[at.pattern])
		for _, p := range r.Except {
			set = c.s.Without(set, c.matched(a, p))
		}
		c.sets[key] = set
	}
	return set
}

type setKey struct {
	abi.ABI
	place
}

// dead reports rules and patterns that never decide.
func (c *checker) dead() {
	if !c.own() {
		return
	}
	active := c.active()
	live := map[place]bool{}   // it decides something on some ABI
	exists := map[place]bool{} // some ABI has its calls
	hides := map[place][]place{}
	other := map[place]bool{} // what hides it does something else
	for _, a := range c.abis {
		var covered proof.Set
		var before []place
		for _, i := range active {
			for j := range c.Policy.Rules[i].Calls {
				at := place{i, j}
				set := c.setOf(a, at)
				if set.Empty() {
					if p := c.Policy.Rules[i].Calls[j]; p.Set == "" && !c.matched(a, p).Empty() {
						exists[at], hides[at] = true, []place{{i, excepted}}
					}
					continue
				}
				exists[at] = true
				if rest := c.s.Without(set, covered); !rest.Empty() {
					live[at] = true
					covered = c.s.Union(covered, set)
				} else if !live[at] {
					if len(hides) <= maxFindings {
						hides[at] = c.hiding(a, set, before)
					}
					kind := c.Policy.Rules[i].Action.Kind
					if slices.ContainsFunc(c.s.Outcomes(c.f, set), func(o proof.Outcome) bool { return o.Action.Kind() != kind }) {
						other[at] = true
					}
				}
				before = append(before, at)
			}
		}
	}
	for _, i := range active {
		c.reportDead(i, live, exists, hides, other)
	}
}

// excepted is the pattern of a place that stands for a rule's exceptions.
const excepted = -1

// hiding returns the first of the patterns before that match calls of set.
func (c *checker) hiding(a abi.ABI, set proof.Set, before []place) []place {
	var all []place
	for _, at := range before {
		if c.s.Intersection(c.setOf(a, at), set).Empty() {
			continue
		}
		if all = append(all, at); len(all) > maxHiding {
			break
		}
	}
	return all
}

// maxHiding is how many rules a message names that hide another.
const maxHiding = 3

// reportDead reports rule i as a whole, or its patterns one by one.
func (c *checker) reportDead(i int, live, exists map[place]bool, hides map[place][]place, other map[place]bool) {
	r := &c.Policy.Rules[i]
	var dead []int
	alive := false
	for j := range r.Calls {
		switch at := (place{i, j}); {
		case live[at]:
			alive = true
		case exists[at]:
			dead = append(dead, j)
		}
	}
	severity := func(js ...int) Severity {
		for _, j := range js {
			if other[place{i, j}] {
				return Error
			}
		}
		return severityOf("SG001")
	}
	if len(dead) > 0 && !alive {
		var by []place
		for _, j := range dead {
			by = append(by, hides[place{i, j}]...)
		}
		f := c.reportAs(severity(dead...), "SG001", r.Pos, 1, "", fmt.Sprintf("the rule never decides: %s", c.hidden(i, by)))
		f.Needless = Part{Rule: i + 1}
		return
	}
	for _, j := range dead {
		p := r.Calls[j]
		if p.Set != "" {
			continue // a set holds what it holds
		}
		f := c.reportAs(severity(j), "SG001", p.Pos, len(p.Name), "", fmt.Sprintf("%s never decides: %s", p, c.hidden(i, hides[place{i, j}])))
		f.Needless = Part{Rule: i + 1, Pattern: j + 1}
	}
}

// hidden says what hides something of rule i.
func (c *checker) hidden(i int, by []place) string {
	var names []string
	for _, at := range by {
		r := &c.Policy.Rules[at.rule]
		name := fmt.Sprintf("%s (%s)", r.Pos, r.Action)
		if r.Pos.Line == 0 {
			name = fmt.Sprintf("rule %d (%s)", at.rule+1, r.Action)
		}
		switch {
		case at.pattern == excepted:
			name = "its exceptions"
		case at.rule == i:
			name = "the same rule"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > maxHiding {
		names = append(names[:maxHiding], "…")
	}
	if len(names) == 0 {
		return "earlier rules hide it"
	}
	switch names[0] {
	case "the same rule":
		if len(names) == 1 {
			return "the same rule has it already"
		}
	case "its exceptions":
		return "the rule's exceptions take it away"
	}
	verb := "hides it"
	if len(names) > 1 {
		verb = "hide it"
	}
	return strings.Join(names, ", ") + " " + verb
}

// overlaps reports calls that libseccomp would decide otherwise.
func (c *checker) overlaps() {
	if !c.own() {
		return
	}
	for _, a := range c.abis {
		users := map[uint32][]user{} // of each number that a pattern means alone
		var order []uint32
		for _, i := range c.active() {
			narrowed := slices.ContainsFunc(c.Policy.Rules[i].Except, func(p policy.Pattern) bool { return len(p.Conditions) > 0 })
			for j, p := range c.Policy.Rules[i].Calls {
				for _, nr := range numbersOf(a, p) {
					if users[nr] == nil {
						order = append(order, nr)
					}
					users[nr] = append(users[nr], user{place{i, j}, narrowed || len(p.Conditions) > 0})
				}
			}
		}
		for _, nr := range order {
			var conditional proof.Set // what earlier patterns with conditions match
			for x, later := range users[nr] {
				set := c.setOf(a, later.place)
				if !c.s.Intersection(conditional, set).Empty() {
					c.overlap(a, nr, users[nr][:x], later.place)
				}
				if later.conditional {
					conditional = c.s.Union(conditional, set)
				}
				if c.counts["SG002"] > maxFindings {
					return
				}
			}
		}
	}
}

// A user is a pattern that means a number.
type user struct {
	place
	conditional bool
}

// overlap reports the first pattern before later that decides some of its calls
// otherwise. Of two without conditions, the later one is dead.
func (c *checker) overlap(a abi.ABI, nr uint32, before []user, later place) {
	second := &c.Policy.Rules[later.rule]
	q := second.Calls[later.pattern]
	for _, b := range before {
		first := &c.Policy.Rules[b.rule]
		if !b.conditional || first.Action == second.Action || c.s.Intersection(c.setOf(a, b.place), c.setOf(a, later)).Empty() {
			continue
		}
		c.report("SG002", q.Pos, len(q.Name), "", fmt.Sprintf("%s gets %s, but where %s decides, %s: libseccomp orders such rules otherwise",
			a.SyscallName(nr), second.Action, first.Calls[b.pattern], first.Action))
		return
	}
}

// numbersOf returns the known numbers on a that p means.
func numbersOf(a abi.ABI, p policy.Pattern) []uint32 {
	if p.ABI != abi.None && p.ABI != a {
		return nil
	}
	names, isSet := policy.Set(p.Name)
	if !isSet {
		names = []string{p.Name}
	}
	var all []uint32
	switch {
	case p.Numbers == nil:
		for _, name := range names {
			all = append(all, a.Numbers(name)...)
		}
	case p.Numbers.Hi-p.Numbers.Lo < 1024:
		for nr := uint64(p.Numbers.Lo); nr <= uint64(p.Numbers.Hi); nr++ {
			if a.SyscallName(uint32(nr)) != "" {
				all = append(all, uint32(nr))
			}
		}
	}
	return all
}
