package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatSeccompiler = Format{
	Name: "seccompiler", Title: "seccompiler filter of one thread",
	Detect: func(name string, data []byte) bool { return threadsKey(name, data) == "mismatch_action" },
	Read:   readSeccompiler, Write: writeSeccompiler,
	Says: Says{
		Actions:   "one for all calls that are listed; trap without data",
		Default:   "one action",
		Unknown:   "the default",
		Arguments: "equality, order, masked equality, of 32 or 64 bits; OR of ANDs",
		Order:     "none: all rules have one action",
		ABIs:      "one; others: kill_process",
	},
}

// threadsStart matches the text of filters of seccompiler (1) or Firecracker (2).
var threadsStart = regexp.MustCompile(`"(match_action)"\s*:|"(filter_action)"\s*:`)

// threadsKey returns how the first filter in data names the action for all other
// calls; "" if data is no JSON object of filters, and no attempt at one.
func threadsKey(name string, data []byte) string {
	root, err := newDocument(name, data).parse()
	if m := threadsStart.FindSubmatch(data); err != nil && m != nil {
		if len(m[1]) > 0 {
			return "mismatch_action"
		}
		return "default_action"
	}
	if err != nil || root.object == nil || len(*root.object) == 0 {
		return ""
	}
	first := (*root.object)[0].value
	if f := first.get("filter"); f == nil || f.list == nil {
		return ""
	}
	for _, key := range []string{"mismatch_action", "default_action"} {
		if first.get(key) != nil {
			return key
		}
	}
	return ""
}

// A threadFilter is the filter of one thread in a JSON file of seccompiler or
// Firecracker.
type threadFilter struct {
	fallback, match abi.Action
	rules           []threadRule
}

// A threadRule is one rule: without conditions, for every call of the name.
type threadRule struct {
	name       *value
	conditions []threadCondition
	any        bool // it has no args at all
	off, end   int
}

type threadCondition struct {
	index int
	wide  bool
	op    policy.Op // MaskedEqual has a mask
	mask  uint64
	v     uint64
	value *value
}

// A threadReader reads a file with the filters of several threads.
type threadReader struct {
	*document
	strict bool // unknown fields are errors
	losses []Loss
}

func (r *threadReader) bad(v *value, hint, format string, args ...any) error {
	return r.errorf(v.off, max(v.end, v.off+1), hint, format, args...)
}

// filter reads the filter of the thread that the options name, or of the only one.
func (r *threadReader) filter(o Options) (*threadFilter, error) {
	root, err := r.parse()
	if err != nil {
		return nil, err
	}
	if root.object == nil || len(*root.object) == 0 {
		return nil, r.bad(root, "", "want an object with a filter for each thread")
	}
	var names []string
	for _, m := range *root.object {
		names = append(names, m.name)
	}
	i := slices.Index(names, o.Name)
	switch {
	case o.Name == "" && len(names) == 1:
		i = 0
	case o.Name == "":
		return nil, r.bad(root, "--name chooses one", "the file has filters for several threads: %s", strings.Join(names, ", "))
	case i < 0:
		return nil, r.bad(root, "", "no filter for a thread %q: there are %s", o.Name, strings.Join(names, ", "))
	}
	return r.thread((*root.object)[i].value)
}

// fields sees that v is an object of fields; an unknown one is an error, or
// ignored, as the runtime has it.
func (r *threadReader) fields(v *value, what string, known ...string) error {
	if v.object == nil {
		return r.bad(v, "", "%s: want an object", what)
	}
	for _, m := range *v.object {
		switch {
		case slices.Contains(known, m.name):
		case r.strict:
			return r.errorf(m.off, m.off+len(m.name)+2, "", "%s: unknown field %q", what, m.name)
		case m.name != "comment":
			r.losses = append(r.losses, Loss{r.pos(m.off), "field " + strconv.Quote(m.name) + " is unknown: Firecracker ignores it"})
		}
	}
	return nil
}

func (r *threadReader) thread(v *value) (*threadFilter, error) {
	known := []string{"default_action", "filter_action", "filter"}
	if r.strict {
		known = append(known, "mismatch_action", "match_action")
	}
	if err := r.fields(v, "the filter", known...); err != nil {
		return nil, err
	}
	one := func(names ...string) (*value, error) {
		var found *value
		for _, name := range names {
			if f := v.get(name); f != nil && (r.strict || strings.HasPrefix(name, "default") || strings.HasPrefix(name, "filter")) {
				if found != nil {
					return nil, r.bad(f, "", "%s and %s are one field: write one", names[0], names[1])
				}
				found = f
			}
		}
		if found == nil {
			name := names[0]
			if !r.strict {
				name = names[1]
			}
			return nil, r.bad(v, "", "missing %s", name)
		}
		return found, nil
	}
	f := &threadFilter{}
	fallback, err := one("mismatch_action", "default_action")
	if err != nil {
		return nil, err
	}
	match, err := one("match_action", "filter_action")
	if err != nil {
		return nil, err
	}
	if f.fallback, err = r.action(fallback); err != nil {
		return nil, err
	}
	if f.match, err = r.action(match); err != nil {
		return nil, err
	}
	if f.match == f.fallback {
		return nil, r.bad(match, "", "calls that match get the same action as all others: the compiler refuses it")
	}
	list := v.get("filter")
	if list == nil || list.list == nil {
		return nil, r.bad(v, "", "filter: want a list of rules")
	}
	for _, item := range *list.list {
		rule, err := r.rule(item)
		if err != nil {
			return nil, err
		}
		f.rules = append(f.rules, rule)
	}
	return f, nil
}

var threadActions = map[string]abi.Action{
	"allow": abi.Allow, "kill_thread": abi.KillThread, "kill_process": abi.KillProcess, "log": abi.Log, "trap": abi.Trap, "user_notif": abi.UserNotify,
}

func (r *threadReader) action(v *value) (abi.Action, error) {
	if v.text != nil {
		if action, ok := threadActions[*v.text]; ok && (r.strict || action != abi.UserNotify) {
			return action, nil
		}
	}
	if v.object != nil && len(*v.object) == 1 {
		m := (*v.object)[0]
		kind, ok := map[string]abi.Action{"errno": abi.Errno, "trace": abi.Trace}[m.name]
		if ok {
			bits := 32
			if !r.strict {
				bits = 16
			}
			n, err := r.number(m.value, m.name, bits)
			if err != nil {
				return 0, err
			}
			if n > 0xffff || kind == abi.Errno && n > abi.MaxErrno {
				r.losses = append(r.losses, Loss{r.pos(m.value.off), fmt.Sprintf("%s %d is cut", m.name, n)})
			}
			return kind.WithData(uint16(n)), nil
		}
	}
	return 0, r.bad(v, `allow, log, trap, kill_thread, kill_process, {"errno": N} or {"trace": N}`, "unknown action")
}

func (r *threadReader) number(v *value, what string, bits int) (uint64, error) {
	if v != nil && v.number != nil {
		if n, err := strconv.ParseUint(v.number.String(), 10, bits); err == nil {
			return n, nil
		}
	}
	return 0, r.bad(v, "", "%s: want a number of %d bits, in decimal", what, bits)
}

func (r *threadReader) rule(v *value) (threadRule, error) {
	if err := r.fields(v, "the rule", "syscall", "args", "comment"); err != nil {
		return threadRule{}, err
	}
	rule := threadRule{name: v.get("syscall"), off: v.off, end: v.end}
	if rule.name == nil || rule.name.text == nil {
		return rule, r.bad(v, "", "syscall: want the name of a call")
	}
	args := v.get("args")
	if args == nil {
		rule.any = true
		return rule, nil
	}
	if args.list == nil {
		return rule, r.bad(args, "", "args: want a list of conditions")
	}
	for _, item := range *args.list {
		c, err := r.condition(item)
		if err != nil {
			return rule, err
		}
		rule.conditions = append(rule.conditions, c)
	}
	return rule, nil
}

var threadOps = map[string]policy.Op{
	"eq": policy.Equal, "ne": policy.NotEqual, "lt": policy.Less, "le": policy.LessOrEqual, "gt": policy.Greater, "ge": policy.GreaterOrEqual,
}

func (r *threadReader) condition(v *value) (threadCondition, error) {
	c := threadCondition{value: v}
	if err := r.fields(v, "the condition", "index", "type", "op", "val", "comment"); err != nil {
		return c, err
	}
	for _, name := range []string{"index", "type", "op", "val"} {
		if v.get(name) == nil {
			return c, r.bad(v, "", "missing %s", name)
		}
	}
	index, err := r.number(v.get("index"), "index", 8)
	if err == nil && index > 5 {
		err = r.bad(v.get("index"), "", "index: there are arguments 0 to 5")
	}
	if err != nil {
		return c, err
	}
	c.index = int(index)
	switch kind := v.get("type"); {
	case kind.text != nil && *kind.text == "qword":
		c.wide = true
	case kind.text == nil || *kind.text != "dword":
		return c, r.bad(kind, "", "type: want dword or qword")
	}
	if c.v, err = r.number(v.get("val"), "val", 64); err != nil {
		return c, err
	}
	op := v.get("op")
	if op.text != nil {
		c.op = threadOps[*op.text]
	} else if mask := op.get("masked_eq"); mask != nil && len(*op.object) == 1 {
		c.op = policy.MaskedEqual
		if c.mask, err = r.number(mask, "masked_eq", 64); err != nil {
			return c, err
		}
	}
	if c.op == 0 {
		return c, r.bad(op, `eq, ne, lt, le, gt, ge or {"masked_eq": MASK}`, "unknown operator")
	}
	if cut := r.strict || c.op == policy.Equal; cut && !c.wide { // Firecracker compares the others whole
		for _, n := range []uint64{c.v, c.mask} {
			if n > 1<<32-1 {
				r.losses = append(r.losses, Loss{r.pos(v.off), fmt.Sprintf("a dword has 32 bits: %#x counts as %#x", n, n&(1<<32-1))})
			}
		}
	}
	return c, nil
}

// test returns c as seccompiler compares: a dword is the low 32 bits of both.
func (c threadCondition) test() policy.Test {
	word := uint64(1<<32 - 1)
	if c.wide {
		word = ^uint64(0)
	}
	if c.op == policy.MaskedEqual {
		return comparison(c.index, c.mask&word, policy.Equal, c.v&c.mask&word)
	}
	return comparison(c.index, word, c.op, c.v&word)
}

// seccompilerHas reports whether seccompiler compiles for a.
func seccompilerHas(a abi.ABI) bool { return a == abi.AMD64 || a == abi.ARM64 || a == abi.RISCV64 }

// readSeccompiler reads a thread's filter as rust-vmm's seccompiler compiles it
// (docs/json_format.md, src/frontend/json.rs and backend).
func readSeccompiler(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	a, err := o.machine()
	if err == nil && !seccompilerHas(a) {
		err = fmt.Errorf("seccompiler does not compile for %s: only for amd64, arm64 and riscv64", a)
	}
	if err != nil {
		return nil, nil, err
	}
	r := &threadReader{document: newDocument(name, data), strict: true}
	f, err := r.filter(o)
	if err != nil {
		return nil, nil, err
	}
	type entry struct {
		nr       uint32
		plain    *threadRule
		patterns []policy.Pattern
		pos      policy.Pos
	}
	var calls []*entry
	index := make(map[uint32]*entry)
	total := 0
	for _, rule := range f.rules {
		nr, ok := named(a, *rule.name.text)
		if !ok {
			hint := ""
			if s := abi.Suggest(*rule.name.text); s != "" && s != *rule.name.text {
				hint = "did you mean " + s + "?"
			}
			return nil, nil, r.bad(rule.name, hint, "%s has no call %q", a, *rule.name.text)
		}
		e := index[nr]
		if e == nil {
			e = &entry{nr: nr, pos: r.pos(rule.name.off)}
			index[nr], calls = e, append(calls, e)
		}
		if rule.any {
			e.plain = &rule
			continue
		}
		if len(rule.conditions) == 0 {
			return nil, nil, r.errorf(rule.off, rule.end, "leave args out", "args is empty: seccompiler refuses it")
		}
		var all policy.Alternative
		for _, c := range rule.conditions {
			all = append(all, c.test())
		}
		pattern := patternOf(a, nr)
		pattern.Pos = r.pos(rule.name.off)
		more, err := patterns(pattern, a, []policy.Alternative{all})
		if total += len(more); err == nil && total > 100*maxAlternatives {
			err = errTooManyAlternatives
		}
		if err != nil {
			return nil, nil, r.errorf(rule.off, rule.end, "", "%v", err)
		}
		e.patterns = append(e.patterns, more...)
		if len(more) == 0 { // never holds, but it is there
			e.patterns = append(e.patterns, policy.Pattern{})
		}
	}
	p := onOneABI(a, actionOf(a, f.fallback), policy.Action{Kind: abi.KillProcess})
	var rules ruleSet
	for _, e := range calls {
		if e.plain != nil && len(e.patterns) > 0 {
			r.losses = append(r.losses, Loss{r.pos(e.plain.off), fmt.Sprintf("%s: the rule without args has no effect, because others of the call have some", *e.plain.name.text)})
		}
		if len(e.patterns) == 0 {
			pattern := patternOf(a, e.nr)
			pattern.Pos = e.pos
			rules.add(actionOf(a, f.match), pattern)
		}
		for _, pattern := range e.patterns {
			if pattern.Name != "" || pattern.Numbers != nil {
				rules.add(actionOf(a, f.match), pattern)
			}
		}
	}
	p.Rules = rules
	return p, r.losses, nil
}

// threadFile is what both programs read, in the order of fields in which it is
// written.
type threadFile struct {
	Mismatch any              `json:"mismatch_action,omitempty"`
	Match    any              `json:"match_action,omitempty"`
	Default  any              `json:"default_action,omitempty"`
	Action   any              `json:"filter_action,omitempty"`
	Filter   []threadFileRule `json:"filter"`
}

type threadFileRule struct {
	Syscall string           `json:"syscall"`
	Comment string           `json:"comment,omitempty"`
	Args    []threadFileTest `json:"args,omitempty"`
}

type threadFileTest struct {
	Index uint8  `json:"index"`
	Type  string `json:"type"`
	Op    any    `json:"op"`
	Val   uint64 `json:"val"`
}

// add adds rules, each with the comment.
func (f *threadFile) add(rules []threadFileRule, comment string) {
	for _, rule := range rules {
		rule.Comment = comment
		f.Filter = append(f.Filter, rule)
	}
}

// write returns the file with f as the filter of one thread.
func (f threadFile) write(thread string) ([]byte, error) {
	if thread == "" {
		thread = "main"
	}
	if f.Filter == nil {
		f.Filter = []threadFileRule{}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(map[string]threadFile{thread: f})
	return b.Bytes(), err
}

// threadWord returns what an action is called; trap loses its data.
func threadWord(action abi.Action) (any, error) {
	switch action.Kind() {
	case abi.Errno:
		return map[string]uint16{"errno": action.Data()}, nil
	case abi.Trace:
		return map[string]uint16{"trace": action.Data()}, nil
	}
	for word, kind := range threadActions {
		if kind == action.Kind() {
			return word, nil
		}
	}
	return nil, errors.New("an action without a kind")
}

// matching returns the one action for the calls that are written, and the
// decisions that they are. Where the default denies, those are the calls that are
// let through; where it lets through, all that get less, the strictest of their
// actions.
func (d *Decisions) matching(a abi.ABI) (match abi.Action, calls []callDecisions) {
	calls = d.byCall(a, false)
	match = abi.Allow
	if d.Default == abi.Allow {
		match = abi.Errno.WithData(1)
		found := false
		for _, c := range calls {
			for _, part := range c.parts {
				if !found || part.Action.Stricter(match) {
					match, found = part.Action, true
				}
			}
		}
		return match, calls
	}
	for i := range calls {
		calls[i].parts = slices.DeleteFunc(slices.Clone(calls[i].parts), func(p Decision) bool { return p.Action != match })
	}
	return match, slices.DeleteFunc(calls, func(c callDecisions) bool { return len(c.parts) == 0 })
}

// maxThreadRules bounds the rules for one call.
const maxThreadRules = 1000

func writeSeccompiler(d *Decisions, o Options) ([]byte, []Loss, error) {
	a := d.ABIs[0]
	if !seccompilerHas(a) {
		return nil, nil, fmt.Errorf("seccompiler does not compile for %s: only for amd64, arm64 and riscv64", a)
	}
	match, calls := d.matching(a)
	var f threadFile
	var err error
	if f.Mismatch, err = threadWord(d.Default); err != nil {
		return nil, nil, err
	}
	if f.Match, err = threadWord(match); err != nil {
		return nil, nil, err
	}
	losses := loading(d.Policy)
	for _, c := range calls {
		rules, ok := seccompilerRules(&c)
		if !ok {
			losses = append(losses, Loss{Msg: c.name + ": its conditions have no short form: left out"})
			continue
		}
		f.add(rules, d.from(a, c.nr))
	}
	data, err := f.write(o.Name)
	return data, losses, err
}

// seccompilerRules returns the rules for what c's parts have in common.
func seccompilerRules(c *callDecisions) (rules []threadFileRule, ok bool) {
	for _, part := range c.parts {
		if part.Vague {
			return nil, false
		}
		if len(part.Any) == 0 {
			return []threadFileRule{{Syscall: c.name}}, true
		}
		for _, alternative := range part.Any {
			lists := [][]threadFileTest{nil}
			for _, t := range alternative {
				if t.Word == policy.IPWord {
					return nil, false
				}
				var next [][]threadFileTest
				for _, more := range seccompilerTests(t) {
					for _, before := range lists {
						next = append(next, append(slices.Clone(before), more...))
					}
				}
				if lists = next; len(lists)+len(rules) > maxThreadRules {
					return nil, false
				}
			}
			for _, list := range lists {
				if len(list) == 0 {
					return []threadFileRule{{Syscall: c.name}}, true
				}
				rules = append(rules, threadFileRule{Syscall: c.name, Args: list})
			}
		}
	}
	return rules, true
}

// seccompilerTests returns t as lists of tests of which one has to hold.
func seccompilerTests(t policy.Test) [][]threadFileTest {
	size := "qword"
	switch t.Mask {
	case ^uint64(0):
	case 1<<32 - 1:
		size = "dword"
	default:
		var all [][]threadFileTest
		for _, c := range cubes(t) {
			all = append(all, []threadFileTest{{t.Word, "qword", map[string]uint64{"masked_eq": c.mask}, c.value}})
		}
		return all
	}
	one := func(op string, v uint64) threadFileTest { return threadFileTest{t.Word, size, op, v} }
	if gaps := singles(opposite(t).In); len(gaps) > 0 && len(gaps) <= len(t.In)+1 {
		var all []threadFileTest
		for _, v := range gaps {
			all = append(all, one("ne", v))
		}
		return [][]threadFileTest{all}
	}
	var all [][]threadFileTest
	for _, in := range t.In {
		switch {
		case in.Lo == in.Hi:
			all = append(all, []threadFileTest{one("eq", in.Lo)})
		case in.Lo == 0 && in.Hi == t.Mask:
			all = append(all, nil)
		case in.Lo == 0:
			all = append(all, []threadFileTest{one("le", in.Hi)})
		case in.Hi == t.Mask:
			all = append(all, []threadFileTest{one("ge", in.Lo)})
		default:
			all = append(all, []threadFileTest{one("ge", in.Lo), one("le", in.Hi)})
		}
	}
	return all
}
