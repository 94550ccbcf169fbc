package convert

import (
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A stack is the filters that a runtime gives a process, the oldest first: the
// kernel runs them all, and the strictest verdict counts, of two equal ones the
// newest (seccomp(2)).
type stack []*filter

// A filter is one of a stack: what libseccomp builds of rules for one ABI, whose
// rest gets one action. Calls of other ABIs pass.
type filter struct {
	abi   abi.ABI
	why   string // what asks for its rules, for people
	rest  policy.Action
	calls map[uint32]*call
	at    place // of the rules that are being added
}

func newFilter(a abi.ABI, why string, rest policy.Action) *filter {
	return &filter{abi: a, why: why, rest: rest, calls: make(map[uint32]*call)}
}

// add adds a rule as seccomp_rule_add_exact(3) does: a rule about a socket or
// System V IPC call is one about the multiplexer too, and where that exists it
// cannot have conditions. ok is false if the ABI cannot have the rule.
func (f *filter) add(action policy.Action, name string, args ...ociArg) (ok bool) {
	nr, direct := f.abi.Lookup(name)
	direct = direct && f.abi.SyscallName(nr) == name // libseccomp has no aliases
	mux, sub, multiplexed := f.abi.Multiplexed(name)
	if multiplexed && len(args) > 0 || !direct && !multiplexed {
		return false
	}
	if direct {
		f.rule(action, nr, args)
	}
	if multiplexed {
		f.rule(action, mux, []ociArg{{0, "SCMP_CMP_EQ", sub, 0}})
	}
	return true
}

// rule adds a rule about a number: one without conditions replaces those with.
func (f *filter) rule(action policy.Action, nr uint32, args []ociArg) {
	c := f.calls[nr]
	if c == nil {
		c = &call{name: f.abi.SyscallName(nr), abi: f.abi, nr: nr}
		f.calls[nr] = c
	}
	switch {
	case c.plain != nil:
	case len(args) == 0:
		c.plain, c.at, c.steps = &action, f.at, nil
	default:
		s := step{slices.Clone(args), action, f.at}
		for i := range s.chain {
			s.chain[i].value &= libseccompWord(f.abi)
			s.chain[i].valueTwo &= libseccompWord(f.abi)
		}
		c.steps = append(c.steps, s)
	}
}

// A clause is conditions that must all hold, and the action then. Of a list of
// clauses the first that holds decides; the last has no conditions.
type clause struct {
	conditions []policy.Condition
	action     policy.Action
	why        string
	at         place
}

// clauses returns what f does with a number.
func (f *filter) clauses(nr uint32) []clause {
	c := f.calls[nr]
	if c == nil {
		return []clause{{action: f.rest}}
	}
	if c.plain != nil {
		return []clause{{nil, *c.plain, f.why, c.at}}
	}
	var all []clause
	for _, s := range c.steps {
		if len(s.chain) == 0 { // whatever the arguments are
			return append(all, clause{nil, s.action, f.why, s.at})
		}
		for _, conditions := range s.alternatives(f.abi) {
			all = append(all, clause{conditions, s.action, f.why, s.at})
		}
	}
	return append(all, clause{action: f.rest})
}

// both returns what two filters do together.
func both(older, newer []clause) []clause {
	var all []clause
	for _, o := range older {
		for _, n := range newer {
			c := clause{slices.Concat(o.conditions, n.conditions), n.action, n.why, n.at}
			if a, b := o.action.Kind, n.action.Kind; a != b && proof.Stricter(a, b) == a || o.action == n.action && n.why == "" {
				c.action, c.why, c.at = o.action, o.why, o.at
			}
			all = append(all, c)
			if len(c.conditions) == 0 {
				return trim(all)
			}
		}
	}
	return trim(all)
}

// trim leaves out the clauses at the end that do what the last one does.
func trim(all []clause) []clause {
	last := all[len(all)-1]
	n := len(all) - 1
	for n > 0 && all[n-1].action == last.action {
		n--
	}
	return append(all[:n:n], last)
}

// clauses returns what the kernel makes of a call's number.
func (s stack) clauses(a abi.ABI, nr uint32) []clause {
	all := []clause{{action: policy.Action{Kind: abi.Allow}}}
	for _, f := range s {
		if f.abi == a {
			all = both(all, f.clauses(nr))
		}
	}
	return all
}

// rest returns what the kernel makes of a's calls that no filter has a rule for.
func (s stack) rest(a abi.ABI) policy.Action {
	all := []clause{{action: policy.Action{Kind: abi.Allow}}}
	for _, f := range s {
		if f.abi == a {
			all = both(all, []clause{{action: f.rest}})
		}
	}
	return all[0].action
}

// kernelOfSets is the release whose calls policies of version 1 know.
var kernelOfSets = abi.Kernel{Major: 6, Minor: 18}

// rules returns the rules of a policy for abis: what s decides otherwise than the
// policy does anyway with numbers that are known to it and that are not.
func (s stack) rules(abis []abi.ABI, anyway func(a abi.ABI, known bool) policy.Action) []policy.Rule {
	l := stackLowering{stack: s, abis: abis, decided: make(map[callKey][]clause)}
	for _, a := range abis {
		numbers := map[uint32]bool{}
		for nr := range a.Syscalls() {
			numbers[nr] = true
		}
		for _, f := range s {
			for nr := range f.calls {
				numbers[nr] = numbers[nr] || f.abi == a
			}
		}
		for nr, here := range numbers {
			if !here {
				continue
			}
			since, ok := a.Since(nr)
			all := s.clauses(a, nr)
			if len(all) > 1 || all[0].action != anyway(a, ok && !kernelOfSets.Before(since)) {
				l.decided[callKey{a, nr}] = all
			}
		}
	}
	return l.lower()
}

type stackLowering struct {
	stack
	abis    []abi.ABI
	decided map[callKey][]clause // but for what the policy does anyway

	conditional, plain []policy.Rule
}

func (l *stackLowering) lower() []policy.Rule {
	done := make(map[string]bool)
	for _, a := range l.abis {
		var numbers []uint32
		for key := range l.decided {
			if key.abi == a {
				numbers = append(numbers, key.nr)
			}
		}
		slices.Sort(numbers)
		for _, nr := range numbers {
			name, all := a.SyscallName(nr), l.decided[callKey{a, nr}]
			switch {
			case done[name]:
			case l.shared(name, all):
				done[name] = true
				l.emit(policy.Pattern{Name: name}, all)
			default:
				c := call{name: name, abi: a, nr: nr}
				l.emit(c.pattern(), all)
			}
		}
	}
	return append(l.conditional, l.plain...)
}

// shared reports whether all listed ABIs that have the call treat it alike, so
// that its name says it.
func (l *stackLowering) shared(name string, all []clause) bool {
	for _, a := range l.abis {
		numbers := a.Numbers(name)
		if _, _, mux := a.Multiplexed(name); mux || len(numbers) > 1 {
			return false
		}
		for _, nr := range numbers {
			if a.SyscallName(nr) != name || !slices.EqualFunc(l.clauses(a, nr), all, clause.equal) {
				return false
			}
		}
	}
	return name != ""
}

func (c clause) equal(d clause) bool {
	return c.action == d.action && c.text() == d.text()
}

// of returns p as a pattern that stands at a place.
func (at place) of(p policy.Pattern) policy.Pattern {
	if p.Pos = at.pos; at.set != "" && p.Comment != "" {
		p.Comment += ", "
	}
	p.Comment += at.set
	return p
}

func (c clause) text() string { return policy.Pattern{Conditions: c.conditions}.String() }

// emit adds the clauses of one call. Those with conditions come first and keep
// their order; where they all have one action, calls with the same one share a
// rule.
func (l *stackLowering) emit(p policy.Pattern, all []clause) {
	last := len(all) - 1
	alike := !slices.ContainsFunc(all[:last], func(c clause) bool { return c.action != all[0].action })
	var own []policy.Rule
	for _, c := range all[:last] {
		conditional := c.at.of(p)
		conditional.Conditions = c.conditions
		switch n := len(own); {
		case alike:
			appendRule(&l.conditional, c.action, c.why, conditional)
		case n > 0 && own[n-1].Action == c.action:
			own[n-1].Calls = append(own[n-1].Calls, conditional)
		default:
			own = append(own, policy.Rule{Action: c.action, Reason: c.why, Calls: []policy.Pattern{conditional}})
		}
	}
	l.conditional = append(l.conditional, own...)
	appendRule(&l.plain, all[last].action, all[last].why, all[last].at.of(p))
}

// appendRule adds p to the rule with this action and reason.
func appendRule(rules *[]policy.Rule, action policy.Action, why string, p policy.Pattern) {
	for i := range *rules {
		if r := &(*rules)[i]; r.Action == action && r.Reason == why {
			r.Calls = append(r.Calls, p)
			return
		}
	}
	*rules = append(*rules, policy.Rule{Action: action, Reason: why, Calls: []policy.Pattern{p}})
}
