package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// scmpOps are libseccomp's operators, with their place in its order of tests:
// equality before less before greater.
var scmpOps = map[string]struct {
	op    policy.Op
	class int
}{
	"SCMP_CMP_EQ":        {policy.Equal, 0},
	"SCMP_CMP_NE":        {policy.NotEqual, 0},
	"SCMP_CMP_MASKED_EQ": {policy.MaskedEqual, 0},
	"SCMP_CMP_LT":        {policy.Less, 1},
	"SCMP_CMP_LE":        {policy.LessOrEqual, 1},
	"SCMP_CMP_GT":        {policy.Greater, 2},
	"SCMP_CMP_GE":        {policy.GreaterOrEqual, 2},
}

// A call is what libseccomp holds of one number of one ABI.
type call struct {
	name  string
	abi   abi.ABI
	nr    uint32
	plain *policy.Action // whatever the arguments are; then there are no steps
	at    place          // of plain
	steps []step
}

// A place is where a rule stands, and the set there that has the call, "" for none.
type place struct {
	pos policy.Pos
	set string
}

// A step is conditions that must all hold, and the action then.
type step struct {
	chain  []ociArg // one an index, by ascending index
	action policy.Action
	at     place
}

// lower builds the policy that libseccomp's rules amount to.
func (r *ociReader) lower(p *profile) *policy.Policy {
	killThread := policy.Action{Kind: abi.KillThread}
	out := &policy.Policy{
		Version: 1, ABIs: p.abis, Default: p.defaultAction,
		BadArch: &killThread, X32: &killThread,
		Load: policy.Load{Flags: p.flags},
	}
	if slices.ContainsFunc(p.entries, func(e ociEntry) bool { return !e.guard.empty() }) {
		out.Rules = r.guarded(p)
		r.once()
		return out
	}
	b := r.build(p, p.entries)
	out.Rules = append(out.Rules, b.newer()...)
	out.Rules = append(out.Rules, b.decided()...)
	return out
}

// build has libseccomp's rules for some entries of a profile.
func (r *ociReader) build(p *profile, entries []ociEntry) *builder {
	b := &builder{ociReader: r, profile: p, index: make(map[callKey]*call), last: make(map[abi.ABI]uint32)}
	for _, e := range entries {
		b.entry(e)
	}
	return b
}

// decided returns the rules about the calls of b.
func (b *builder) decided() []policy.Rule { return append(b.conditional(), b.plain()...) }

type callKey struct {
	abi abi.ABI
	nr  uint32
}

type builder struct {
	*ociReader
	profile *profile
	index   map[callKey]*call
	calls   []*call // in the order of the file
	last    map[abi.ABI]uint32
	guesses int // unknown names for which another one was looked for
}

func (b *builder) entry(e ociEntry) {
	for _, name := range e.names {
		found := false
		for _, a := range b.profile.abis {
			// A name counts only where it is the call's own: libseccomp has no aliases.
			nr, ok := a.Lookup(*name.text)
			mux, sub, multiplexed := a.Multiplexed(*name.text)
			if ok && a.SyscallName(nr) == *name.text {
				found = true
				if !multiplexed { // to runc, those have no number
					b.last[a] = max(b.last[a], nr)
				}
				b.add(e, name, a, nr, nil)
			}
			if multiplexed {
				found = true
				b.add(e, name, a, mux, &sub)
			}
		}
		if !found {
			b.lose(name.off, "dropped, as container runtimes do: "+b.foreign(*name.text))
		}
	}
}

// foreign says of a name that none of the architectures has whether another one has
// it, or what could be meant.
func (b *builder) foreign(name string) string {
	if abi.Known(name) {
		return name + " is a call of none of the architectures"
	}
	if b.guesses++; b.guesses <= maxSuggested { // each takes a look at every call there is
		if meant := abi.Suggest(name); meant != "" && abi.Edits(name, meant) <= 2 {
			return fmt.Sprintf("%s is no call that the tables know; did you mean %s?", name, meant)
		}
	}
	return name + " is no call that the tables know"
}

// add makes one rule of libseccomp's for one number, or one for each condition
// where an index stands twice, as runc does. A rule about a socket or System V
// IPC call has a companion about the multiplexer: there sub takes the place of
// what the rule says of argument 0, and the rest compares what it was not meant
// for.
func (b *builder) add(e ociEntry, name *value, a abi.ABI, nr uint32, sub *uint64) {
	if e.action == b.profile.defaultAction {
		return // runc leaves it out
	}
	c := b.index[callKey{a, nr}]
	if c == nil {
		c = &call{name: a.SyscallName(nr), abi: a, nr: nr}
		b.index[callKey{a, nr}] = c
		b.calls = append(b.calls, c)
	}
	indices := make(map[int]bool)
	for _, arg := range e.args {
		indices[arg.index] = true
	}
	rules := [][]ociArg{e.args}
	if len(indices) < len(e.args) {
		rules = nil
		for _, arg := range e.args {
			rules = append(rules, []ociArg{arg})
		}
	}
	for _, args := range rules {
		if sub != nil {
			args = slices.DeleteFunc(slices.Clone(args), func(arg ociArg) bool { return arg.index == 0 })
			args = append(args, ociArg{0, "SCMP_CMP_EQ", *sub, 0})
		}
		b.addRule(c, name, e.action, args)
	}
}

// addRule adds a rule with libseccomp's precedence: unconditional beats
// conditional, of two unconditional ones the first counts, and of two of which
// one has all conditions of the other and more, the shorter one.
func (b *builder) addRule(c *call, name *value, action policy.Action, args []ociArg) {
	var chain []ociArg
	at := place{pos: b.pos(name.off)}
	word := libseccompWord(c.abi)
	for _, arg := range args {
		arg.value &= word
		arg.valueTwo &= word
		if arg.op == "SCMP_CMP_MASKED_EQ" {
			if arg.valueTwo &= arg.value; arg.value == 0 {
				continue // always holds
			}
		} else {
			arg.valueTwo = 0
		}
		chain = append(chain, arg)
	}
	slices.SortFunc(chain, func(x, y ociArg) int { return cmp.Compare(x.index, y.index) })
	if c.abi == abi.X32 && ordered(chain) > 1 {
		b.fail(name, "take SCMP_ARCH_X32 out", "%s: several order comparisons on x32, where libseccomp compares 32 bits, have no short form", *name.text)
		return
	}
	switch {
	case c.plain != nil:
		return
	case len(chain) == 0:
		c.plain, c.at, c.steps = &action, at, nil
		return
	}
	for _, s := range c.steps {
		n := min(len(s.chain), len(chain))
		if !slices.Equal(s.chain[:n], chain[:n]) {
			continue
		}
		switch {
		case len(s.chain) < len(chain):
			return // the shorter one decides already
		case s.action != action:
			b.refuse(c, name)
			return
		case len(s.chain) == len(chain):
			return
		}
	}
	c.steps = slices.DeleteFunc(c.steps, func(s step) bool {
		return len(s.chain) > len(chain) && slices.Equal(s.chain[:len(chain)], chain)
	})
	c.steps = append(c.steps, step{chain, action, at})
}

// refuse reports a rule that libseccomp has with another action already, for which
// no runtime starts a container.
func (b *builder) refuse(c *call, name *value) {
	if c.name == *name.text {
		b.fail(name, "give the condition one action", "%s: the same condition with two actions: libseccomp refuses it", *name.text)
		return
	}
	b.fail(name, "give all entries of "+*name.text+" one action, or take "+c.abi.String()+"'s architecture out",
		"%s: two actions for one condition of %s on %s, which carries it: libseccomp refuses it", *name.text, c.name, c.abi)
}

// ordered returns how many comparisons of chain are of order.
func ordered(chain []ociArg) int {
	n := 0
	for _, arg := range chain {
		if scmpOps[arg.op].class > 0 {
			n++
		}
	}
	return n
}

// libseccompWord returns the bits of an argument that libseccomp compares: it
// takes x32 for a 32-bit ABI.
func libseccompWord(a abi.ABI) uint64 {
	if a == abi.X32 {
		return 1<<32 - 1
	}
	return a.WordMask()
}

// ordered returns the steps of c in the order in which libseccomp tests them.
func (c *call) ordered() []step {
	steps := slices.Clone(c.steps)
	slices.SortStableFunc(steps, func(x, y step) int {
		for i := range min(len(x.chain), len(y.chain)) {
			a, b := x.chain[i], y.chain[i]
			classA, classB := scmpOps[a.op].class, scmpOps[b.op].class
			datum := cmp.Compare(b.datum(), a.datum())
			if classA == 1 {
				datum = -datum
			}
			if order := cmp.Or(cmp.Compare(b.index, a.index), cmp.Compare(classA, classB), datum); order != 0 {
				return order
			}
		}
		return cmp.Compare(len(x.chain), len(y.chain))
	})
	return steps
}

// datum is the value that the argument is compared with.
func (a ociArg) datum() uint64 {
	if a.op == "SCMP_CMP_MASKED_EQ" {
		return a.valueTwo
	}
	return a.value
}

// alternatives returns the chain as conditions on the words that libseccomp
// compares on a.
func (s step) alternatives(a abi.ABI) [][]policy.Condition {
	all := [][]policy.Condition{nil}
	for _, arg := range slices.Backward(s.chain) {
		var next [][]policy.Condition
		for _, before := range all {
			for _, c := range arg.conditions(a) {
				next = append(next, append(slices.Clone(before), c))
			}
		}
		all = next
	}
	return all
}

// conditions returns arg as one condition, or as several of which one has to
// hold.
func (arg ociArg) conditions(a abi.ABI) []policy.Condition {
	masked := func(op policy.Op, mask, v uint64) policy.Condition {
		c := policy.Condition{Index: arg.index, Wide: true, Op: op, Mask: number(mask), Values: []string{number(v)}}
		switch {
		case v == 0 && op == policy.MaskedEqual:
			c.Op, c.Values = policy.NoBits, nil
		case v == 0:
			c.Op, c.Values = policy.AnyBits, nil
		}
		return c
	}
	op, word, v := scmpOps[arg.op].op, libseccompWord(a), arg.datum()
	switch {
	case op == policy.MaskedEqual:
		return []policy.Condition{masked(op, arg.value, v)}
	case word == a.WordMask():
		return []policy.Condition{{Index: arg.index, Wide: true, Op: op, Values: []string{number(v)}}}
	case op == policy.Equal:
		return []policy.Condition{masked(policy.MaskedEqual, word, v)}
	case op == policy.NotEqual:
		return []policy.Condition{masked(policy.MaskedNotEqual, word, v)}
	}
	// An order of part of the word: one masked comparison for each bit of v whose
	// other value decides, and one for v itself.
	var all []policy.Condition
	less := op == policy.Less || op == policy.LessOrEqual
	for bit := uint64(1 << 31); bit != 0; bit >>= 1 {
		if (v&bit != 0) == less {
			all = append(all, masked(policy.MaskedEqual, word&^(bit-1), (v^bit)&^(bit-1)))
		}
	}
	if op == policy.LessOrEqual || op == policy.GreaterOrEqual || len(all) == 0 {
		all = append(all, masked(policy.MaskedEqual, word, v))
		if op == policy.Less || op == policy.Greater { // never: v is the end of the order
			all[0].Op, all[0].Mask, all[0].Values = policy.Less, "", []string{"0"}
		}
	}
	return all
}

func number(n uint64) string {
	if n < 1024 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%#x", n)
}

// answersENOSYS reports whether runc has a rule of its own for newer calls: not
// where they would get through, or to a tracer.
func answersENOSYS(fallback abi.Action) bool {
	switch fallback.Kind() {
	case abi.Allow, abi.Log, abi.Trace:
		return false
	}
	return true
}

// newer returns runc's rule about numbers above every one that the profile
// names, per ABI, and what libseccomp says of amd64's numbers with bit 31.
func (b *builder) newer() []policy.Rule {
	enosys := policy.Rule{
		Action: policy.Action{Kind: abi.Errno, Errno: "ENOSYS"},
		Reason: "runc: newer than every call that the profile names",
	}
	add := func(rule *policy.Rule, a abi.ABI, lo, hi uint32) {
		rule.Calls = append(rule.Calls, policy.Pattern{ABI: a, Numbers: &policy.NumberRange{Lo: lo, Hi: hi}})
	}
	x32 := slices.Contains(b.profile.abis, abi.X32)
	answered := b.options.Runtime == Runc && answersENOSYS(b.profile.defaultAction.Kind)
	var rules []policy.Rule
	for _, a := range b.profile.abis {
		last := b.last[a]
		if !answered || last == 0 {
			if a == abi.AMD64 && !x32 {
				kill := policy.Rule{Action: policy.Action{Kind: abi.KillThread}, Reason: "libseccomp: from the x32 bit on, another architecture"}
				add(&kill, a, 0x80000000, 0xbfffffff)
				rules = append(rules, kill)
			}
			continue
		}
		switch a {
		case abi.S390X:
			add(&enosys, a, 0, 0)
			add(&enosys, a, last+1, 0xffffffff)
		case abi.AMD64:
			add(&enosys, a, last+1, 0xfffffffe) // without the x32 bit: all others are x32's
		case abi.X32:
			add(&enosys, a, last+1, 0xffffffff)
			add(&enosys, abi.AMD64, 0xffffffff, 0xffffffff) // has the bit, though it is no x32 call
		default:
			add(&enosys, a, last+1, 0xffffffff)
		}
	}
	if len(enosys.Calls) > 0 {
		rules = append(rules, enosys)
	}
	return rules
}

// conditional returns the rules of calls with conditions: one for each action
// where a call has one only, then the others in libseccomp's order.
func (b *builder) conditional() []policy.Rule {
	var alike ruleSet
	var mixed []policy.Rule
	b.byName(func(c *call) string {
		var all []string
		for _, s := range c.ordered() {
			for _, conditions := range s.alternatives(c.abi) {
				all = append(all, s.action.String()+policy.Pattern{Conditions: conditions}.String())
			}
		}
		return strings.Join(all, ";")
	}, func(c *call, pattern policy.Pattern) {
		steps := c.ordered()
		same := !slices.ContainsFunc(steps, func(s step) bool { return s.action != steps[0].action })
		if same {
			steps = c.steps
		} else if slices.ContainsFunc(steps, func(s step) bool {
			return len(s.chain) > 1 || libseccompWord(c.abi) > 1<<32 && ordered(s.chain) > 0
		}) {
			// libseccomp orders the comparisons of 32-bit words, and shares them
			// between rules, with results of their own.
			b.losses = append(b.losses, Loss{Msg: fmt.Sprintf("%s has several actions by order comparisons or several arguments: where they overlap, the order is libseccomp's as documented, not as measured", c.name)})
		}
		for _, s := range steps {
			var patterns ruleSet
			pattern.Pos = s.at.pos
			for _, conditions := range s.alternatives(c.abi) {
				pattern.Conditions = conditions
				if same {
					alike.add(s.action, pattern)
				} else {
					patterns.add(s.action, pattern)
				}
			}
			if same {
				continue
			}
			mixed = append(mixed, patterns...)
		}
	})
	return append(alike, mixed...)
}

// plain returns the rules of calls without conditions, one for each action.
func (b *builder) plain() []policy.Rule {
	var rules ruleSet
	b.byName(func(c *call) string {
		if c.plain == nil {
			return ""
		}
		return c.plain.String()
	}, func(c *call, pattern policy.Pattern) {
		pattern.Pos = c.at.pos
		rules.add(*c.plain, pattern)
	})
	return rules
}

// byName calls emit for every call that key describes (""  leaves it out): once
// for a name that means the same on all ABIs, else for each.
func (b *builder) byName(key func(*call) string, emit func(*call, policy.Pattern)) {
	done := make(map[string]bool)
	for _, first := range b.calls {
		if done[first.name] {
			continue
		}
		done[first.name] = true
		shared := true
		var calls []*call
		for _, a := range b.profile.abis {
			numbers := a.Numbers(first.name)
			var c *call
			if len(numbers) > 0 {
				nr, _ := a.Lookup(first.name)
				c = b.index[callKey{a, nr}]
			}
			if c != nil && c.name != first.name {
				c, shared = nil, false // an alias here
			}
			_, _, mux := a.Multiplexed(first.name)
			if mux || len(numbers) > 1 || len(numbers) == 1 && (c == nil || key(c) != key(first)) {
				shared = false
			}
			if c != nil {
				calls = append(calls, c)
			}
		}
		if shared {
			if key(first) != "" {
				emit(first, policy.Pattern{Name: first.name})
			}
			continue
		}
		for _, c := range calls {
			if key(c) != "" {
				emit(c, c.pattern())
			}
		}
	}
}

// pattern returns the pattern of c alone: by number where the name would also
// mean another one, or a multiplexer's sub-call.
func (c *call) pattern() policy.Pattern {
	if _, _, mux := c.abi.Multiplexed(c.name); mux || len(c.abi.Numbers(c.name)) != 1 {
		return policy.Pattern{ABI: c.abi, Numbers: &policy.NumberRange{Lo: c.nr, Hi: c.nr}, Comment: c.name}
	}
	return policy.Pattern{ABI: c.abi, Name: c.name}
}

// A ruleSet is rules of different actions, in the order of their first use.
type ruleSet []policy.Rule

func (s *ruleSet) add(action policy.Action, p policy.Pattern) {
	for i := range *s {
		if (*s)[i].Action == action {
			(*s)[i].Calls = append((*s)[i].Calls, p)
			return
		}
	}
	*s = append(*s, policy.Rule{Action: action, Calls: []policy.Pattern{p}})
}
