package convert

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatMinijailPy = Format{
	Name: "minijail-py", Title: "minijail policy, compiled by compile_seccomp_policy.py",
	Read: readMinijailPy, Write: writeMinijailPy,
	Says: Says{
		Actions:   "all; trap and trace without data",
		Default:   "kill, trap, user_notify; allow with @denylist",
		Unknown:   "the default",
		Arguments: "equality, order, bits set or clear, of whole words; OR of ANDs",
		Order:     "the first filter of a call that matches",
		ABIs:      "one; others: kill_thread, with @denylist errno(EPERM)",
	},
}

// minijailPyDepth is how deep files include each other.
const minijailPyDepth = 10

var minijailPyWords = lexicon{
	operators: []string{"||", "&&", "==", "!=", "<=", ">=", ":", ";", ",", "~", "(", ")", "{", "}", "[", "]", "|", "&", "<", ">", "="},
	inWord:    "-@",
	negative:  true,
}

// minijailPyActions are the words for actions; 1 is allow, return ERRNO errno.
// kill is the thread, unless the compiler is told otherwise.
var minijailPyActions = map[string]abi.Action{
	"allow": abi.Allow, "kill-process": abi.KillProcess, "kill-thread": abi.KillThread, "kill": abi.KillThread,
	"trap": abi.Trap, "trace": abi.Trace, "log": abi.Log, "user-notify": abi.UserNotify,
}

// readMinijailPy reads a policy as compile_seccomp_policy.py compiles it
// (tools/parser.py and compiler.py), for the machine's ABI. A policy with
// @denylist is one for its option --denylist, which then is required.
func readMinijailPy(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	a, err := o.machine()
	if err != nil {
		return nil, nil, err
	}
	r := &minijailPy{abi: a, index: make(map[uint32]*minijailPyCall), fallback: abi.KillThread, denylist: isDenylist(data)}
	if r.denylist {
		r.fallback = abi.Allow
	}
	if err := r.file(newDocument(name, data), 1); err != nil {
		return nil, nil, err
	}
	badArch := policy.Action{Kind: abi.KillThread}
	if r.denylist {
		badArch = policy.Action{Kind: abi.Errno, Errno: "EPERM"} // what the compiler then takes for kill
	}
	p := onOneABI(a, actionOf(a, r.fallback), badArch)
	var conditional, plain ruleSet
	for _, c := range r.calls {
		if c.plain != nil && c.plain.action.Kind == abi.Allow && !r.denylist && len(c.conditional) > 0 {
			// compile_filter_statement looks at the last filter first.
			r.losses = append(r.losses, Loss{c.plain.pattern.Pos, fmt.Sprintf("%s: its last filter allows, and the compiler then drops the others", c.plain.pattern)})
			c.conditional = nil
		}
		// The rules of a call stand in its order, unless all its conditions have the
		// same action.
		alike := !slices.ContainsFunc(c.conditional, func(x minijailPyRule) bool { return x.action != c.conditional[0].action })
		for _, rule := range c.conditional {
			if alike {
				conditional.add(rule.action, rule.pattern)
			} else {
				p.Rules = append(p.Rules, policy.Rule{Action: rule.action, Calls: []policy.Pattern{rule.pattern}, Pos: rule.pattern.Pos})
			}
		}
		if c.plain != nil {
			plain.add(c.plain.action, c.plain.pattern)
		}
	}
	p.Rules = append(p.Rules, conditional...)
	p.Rules = append(p.Rules, plain...)
	return p, r.losses, nil
}

type minijailPy struct {
	abi      abi.ABI
	fallback abi.Action
	denylist bool
	index    map[uint32]*minijailPyCall
	calls    []*minijailPyCall // in the order of the files
	losses   []Loss
	files    int
	rules    int
}

// A minijailPyCall is what the files say of a call, in their order.
type minijailPyCall struct {
	conditional []minijailPyRule
	plain       *minijailPyRule
}

type minijailPyRule struct {
	pattern policy.Pattern
	action  policy.Action
}

// isDenylist reports whether a line of data is @denylist.
func isDenylist(data []byte) bool {
	for line := range bytes.Lines(data) {
		if string(bytes.TrimSpace(line)) == "@denylist" {
			return true
		}
	}
	return false
}

// minijailPyFiles bounds the files that include each other.
const minijailPyFiles = 100

func (r *minijailPy) file(d *document, depth int) error {
	if r.files++; len(d.data) > maxText || r.files > minijailPyFiles {
		return &policy.Error{Pos: policy.Pos{File: d.name}, Msg: fmt.Sprintf("too large for a policy: the limits are %d bytes and %d files", maxText, minijailPyFiles)}
	}
	if r.denylist && !isDenylist(d.data) {
		return &policy.Error{Pos: policy.Pos{File: d.name}, Msg: "no @denylist, which a file has that is included by one", Hint: "the compiler refuses files of both kinds together"}
	}
	text := withoutComments(string(d.data))
	off := 0
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "  ")) {
		if err := r.line(d, line, off, depth); err != nil {
			return err
		}
		off += len(line)
	}
	return nil
}

// withoutComments writes spaces over comments. A backslash at their end continues
// the line all the same.
func withoutComments(text string) string {
	b := []byte(text)
	comment := false
	for i, c := range b {
		switch {
		case c == '\n':
			comment = false
		case comment && c == '\\' && i+1 < len(b) && b[i+1] == '\n':
		case comment || c == '#':
			comment, b[i] = true, ' '
		}
	}
	return string(b)
}

func (r *minijailPy) line(d *document, line string, off, depth int) error {
	trimmed := strings.TrimLeft(line, " \t\r\n")
	start := off + len(line) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, " \t\r\n")
	if !strings.HasPrefix(trimmed, "@") {
		return r.statement(d, trimmed, start)
	}
	word, rest, _ := strings.Cut(trimmed, " ")
	rest = strings.TrimLeft(rest, " \t")
	restOff := start + len(trimmed) - len(rest)
	switch word {
	case "@denylist":
		return nil
	case "@default":
		action, ok := minijailPyActions[rest]
		switch {
		case !ok:
			return d.errorf(restOff, restOff+len(rest), "", "unknown action %q", rest)
		case action == abi.Allow || action == abi.Log || action == abi.Trace:
			return d.errorf(restOff, restOff+len(rest), "", "%s cannot be the default: it lets calls through", rest)
		}
		r.fallback = action
		return nil
	case "@include", "@frequency":
		if !strings.HasPrefix(rest, "/") && !strings.HasPrefix(rest, "./") || strings.ContainsAny(rest, " \t") {
			return d.errorf(restOff, restOff+max(1, len(rest)), "", "%s wants a path with / or ./ before it", word)
		}
		if word == "@frequency" {
			r.losses = append(r.losses, Loss{d.pos(start), "@frequency is about speed, not about verdicts"})
			return nil
		}
		if depth == minijailPyDepth {
			return d.errorf(start, start+len(trimmed), "", "files include each other more than %d deep", minijailPyDepth)
		}
		path := filepath.Join(filepath.Dir(d.name), rest)
		if filepath.IsAbs(rest) {
			path = filepath.Clean(rest)
		}
		data, err := readIncluded(path)
		if err != nil {
			return d.errorf(restOff, restOff+len(rest), "", "%v", err)
		}
		return r.file(newDocument(path, data), depth+1)
	}
	return d.errorf(start, start+len(word), "", "unknown statement %q", word)
}

// statement reads "CALLS: FILTERS".
func (r *minijailPy) statement(d *document, text string, off int) error {
	tokens, bad := d.tokens(minijailPyWords, text, off)
	if bad != nil {
		return bad
	}
	if len(tokens) == 1 {
		return nil
	}
	p := &minijailPyLine{parser{document: d, all: tokens}, r}
	var calls []policy.Pattern
	var numbers []uint32
	descriptor := func() {
		if nr, pos, ok := p.descriptor(); ok {
			pattern := patternOf(r.abi, nr)
			pattern.Pos = pos
			calls, numbers = append(calls, pattern), append(numbers, nr)
		}
	}
	if p.accept("{") {
		for descriptor(); p.accept(","); {
			descriptor()
		}
		p.expect("}")
	} else {
		descriptor()
	}
	p.expect(":")
	var filters []minijailPyFilter
	if p.accept("{") {
		filters = append(filters, p.filter())
		for p.accept(",") {
			filters = append(filters, p.filter())
		}
		p.expect("}")
	} else {
		filters = append(filters, p.filter())
	}
	if t := p.peek(); t.kind != 0 {
		p.fail(t, "", "unexpected %q", t.text)
	}
	if p.err != nil {
		return p.err
	}
	for i, call := range calls {
		if err := r.add(d, off, numbers[i], call, filters); err != nil {
			return err
		}
	}
	return nil
}

// add adds filters to what is said of a call.
func (r *minijailPy) add(d *document, off int, nr uint32, call policy.Pattern, filters []minijailPyFilter) error {
	c := r.index[nr]
	if c == nil {
		c = &minijailPyCall{}
		r.index[nr], r.calls = c, append(r.calls, c)
	}
	for _, f := range filters {
		if c.plain != nil {
			return d.errorf(off, off+1, "", "%s has an action whatever its arguments are, at %s: nothing can follow that", call, c.plain.pattern.Pos)
		}
		if !f.conditional {
			c.plain = &minijailPyRule{call, f.action}
			continue
		}
		all, err := patterns(call, r.abi, f.alternatives)
		if r.rules += len(all); err == nil && r.rules > 100*maxAlternatives {
			err = errTooManyAlternatives
		}
		if err != nil {
			return d.errorf(off, off+1, "", "%v", err)
		}
		for _, pattern := range all {
			c.conditional = append(c.conditional, minijailPyRule{pattern, f.action})
		}
	}
	return nil
}

type minijailPyFilter struct {
	conditional  bool
	alternatives []policy.Alternative
	action       policy.Action
}

// A minijailPyLine parses one statement.
type minijailPyLine struct {
	parser
	r *minijailPy
}

// descriptor reads a call, with [key=values]; ok is false for another ABI's.
func (p *minijailPyLine) descriptor() (nr uint32, pos policy.Pos, ok bool) {
	t := p.word("a call")
	applies := true
	if p.accept("[") {
		seen := make(map[string]bool)
		for more := true; more && p.err == nil; more = p.accept(";") {
			key := p.word("a key")
			if seen[key.text] {
				p.fail(key, "", "%s stands twice", key.text)
			}
			seen[key.text] = true
			p.expect("=")
			any := false
			for more := true; more && p.err == nil; more = p.accept(",") {
				any = minijailArch(p.word("a value").text) == p.r.abi || any
			}
			if key.text == "arch" {
				applies = any
			}
		}
		p.expect("]")
	}
	if p.err != nil || !applies {
		return 0, policy.Pos{}, false
	}
	if strings.Contains(t.text, "@") {
		p.fail(t, "write the calls out", "the group %s is defined in the compiler's constants, which are not here", t.text)
		return 0, policy.Pos{}, false
	}
	nr, ok = minijailCall(p.r.abi, t.text)
	if !ok {
		hint := ""
		if s := abi.Suggest(t.text); s != "" && s != t.text {
			hint = "did you mean " + s + "?"
		} else if abi.Known(t.text) {
			hint = "write " + t.text + "[arch=…] where only others have it"
		}
		p.fail(t, hint, "%s has no call %q", p.r.abi, t.text)
	}
	return nr, p.pos(t.off), ok
}

// minijailArch returns the ABI that minijail calls name.
func minijailArch(name string) abi.ABI {
	switch name {
	case "x86_64", "arm64", "arm", "x86", "mips", "mips64", "riscv64", "ppc64le", "s390x", "i386", "aarch64":
		if name == "x86" {
			name = "i386"
		}
		a, _ := abi.Parse(name)
		return a
	}
	return abi.None
}

// filter reads "[EXPRESSION ;] ACTION" or an expression, which lets through.
func (p *minijailPyLine) filter() minijailPyFilter {
	t := p.peek()
	if t.kind != 'a' || !isMinijailArgument(t.text) {
		return minijailPyFilter{action: p.action()}
	}
	f := minijailPyFilter{conditional: true, action: policy.Action{Kind: abi.Allow}}
	f.alternatives = append(f.alternatives, p.clause())
	for p.accept("||") {
		f.alternatives = append(f.alternatives, p.clause())
	}
	switch {
	case p.accept(";"):
		f.action = p.action()
	case p.r.denylist:
		p.fail(p.peek(), "write ; return and an error", "with @denylist, every line says what error to return")
	}
	return f
}

// isMinijailArgument reports whether word is arg and digits.
func isMinijailArgument(word string) bool {
	digits, ok := strings.CutPrefix(word, "arg")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

func (p *minijailPyLine) clause() policy.Alternative {
	all := policy.Alternative{p.atom()}
	for p.accept("&&") {
		all = append(all, p.atom())
	}
	return all
}

func (p *minijailPyLine) atom() policy.Test {
	t := p.word("an argument")
	digits := strings.TrimLeft(strings.TrimPrefix(t.text, "arg"), "0")
	if !isMinijailArgument(t.text) || len(digits) > 1 || digits > "5" {
		p.fail(t, "", "%q is none of arg0 to arg5", t.text)
		return policy.Test{}
	}
	index := 0
	if digits != "" {
		index = int(digits[0] - '0')
	}
	operator := p.next()
	op, ok := minijailOps[operator.text]
	if !ok {
		p.fail(operator, "", "want an operator%s", p.instead(operator))
		return policy.Test{}
	}
	return minijailTest(p.r.abi, index, op, p.value(0))
}

// value reads constants joined by |.
func (p *minijailPyLine) value(depth int) uint64 {
	v := p.constant(depth)
	for p.accept("|") {
		v |= p.constant(depth)
	}
	return v
}

func (p *minijailPyLine) constant(depth int) uint64 {
	negate := p.accept("~")
	var v uint64
	switch t := p.peek(); {
	case p.accept("("):
		if depth == maxDepth {
			p.fail(t, "", "parentheses more than %d deep", maxDepth)
			return 0
		}
		v = p.value(depth + 1)
		p.expect(")")
	case t.kind == 'a' || t.kind == '0':
		v = p.number(p.next())
	default:
		p.fail(t, "", "want a constant%s", p.instead(t))
	}
	if negate {
		v = ^v & p.r.abi.WordMask()
	}
	return v
}

func (p *minijailPyLine) number(t token) uint64 {
	text := t.text
	if len(text) > 1 && strings.Trim(text, "0123456789") == "" && strings.ContainsAny(text, "89") {
		text = strings.TrimLeft(text, "0") // not octal, so decimal
	}
	v, err := minijailNumber(p.r.abi, text)
	if err != nil {
		p.fail(t, "", "%v", err)
	}
	return v
}

func (p *minijailPyLine) action() policy.Action {
	t := p.next()
	switch action, ok := minijailPyActions[t.text]; {
	case t.text == "return" && t.kind == 'a':
		code := p.peek()
		if code.kind != 'a' && code.kind != '0' {
			p.fail(code, "", "want an error after return%s", p.instead(code))
			return policy.Action{}
		}
		v := p.number(p.next())
		if v > abi.MaxErrno && p.err == nil {
			p.r.losses = append(p.r.losses, Loss{p.pos(code.off), fmt.Sprintf("error %s is cut to %d", code.text, min(v&0xffff, abi.MaxErrno))})
		}
		return actionOf(p.r.abi, abi.Errno.WithData(uint16(v)))
	case p.r.denylist:
		p.fail(t, "", "with @denylist, every action is return and an error")
	case t.kind == 'a' && ok:
		return policy.Action{Kind: action}
	case t.kind == '0' && p.number(t) == 1:
		return policy.Action{Kind: abi.Allow}
	default:
		p.fail(t, "", "want an action%s", p.instead(t))
	}
	return policy.Action{}
}

// writeMinijailPy writes d for compile_seccomp_policy.py.
func writeMinijailPy(d *Decisions, _ Options) ([]byte, []Loss, error) {
	a := d.ABIs[0]
	var b bytes.Buffer
	losses := loading(d.Policy)
	fmt.Fprintf(&b, "# For compile_seccomp_policy.py, on %s.\n", a)
	calls := d.byCall(a, true)
	denylist := d.Default == abi.Allow && !slices.ContainsFunc(calls, func(c callDecisions) bool {
		return slices.ContainsFunc(c.parts, func(p Decision) bool { return p.Action.Kind() != abi.Errno })
	})
	fallback, all := d.Default, false
	switch {
	case denylist:
		fmt.Fprintln(&b, "@denylist")
	case minijailPyWord(a, d.Default) != "" && minijailPyDefault(d.Default):
		fmt.Fprintln(&b, "@default", minijailPyWord(a, d.Default))
	default: // list everything
		fmt.Fprintln(&b, "@default kill-process")
		fallback, all = abi.KillProcess, true
	}
	for _, c := range calls {
		if len(c.parts) == 0 && !all {
			continue
		}
		c.name = minijailName(a, c)
		if c.vague() {
			losses = append(losses, Loss{Msg: c.name + ": its conditions cannot be told: left out"})
			continue
		}
		var filters []string
		if action, ok := c.whole(d.Default); ok {
			filters = append(filters, minijailPyWord(a, action))
		} else {
			for _, part := range c.parts {
				word := minijailPyWord(a, part.Action)
				if text, ok := minijailExpression(a, part.Any); ok && word != "" {
					filters = append(filters, text+"; "+word)
				} else {
					losses = append(losses, Loss{Msg: fmt.Sprintf("%s: %s under conditions has no short form: left out", c.name, a.ActionString(part.Action))})
				}
			}
			switch {
			case fallback == d.Default:
			case d.Default != abi.Allow:
				filters = append(filters, minijailPyWord(a, d.Default))
			default: // not as a last filter without conditions: see readMinijailPy
				allowed, _, ok := c.allowed(abi.Allow)
				if text, short := minijailExpression(a, allowed); ok && short {
					filters = append(filters, text+"; allow")
				} else if len(allowed) > 0 || !ok {
					losses = append(losses, Loss{Msg: c.name + ": what it is allowed has no short form: left out"})
				}
			}
		}
		filters = slices.DeleteFunc(filters, func(s string) bool { return s == "" })
		switch len(filters) {
		case 0:
		case 1:
			fmt.Fprintf(&b, "%s: %s%s\n", c.name, filters[0], behind(" # ", d.from(a, c.nr)))
		default:
			fmt.Fprintf(&b, "%s: { %s }%s\n", c.name, strings.Join(filters, ", "), behind(" # ", d.from(a, c.nr)))
		}
	}
	return b.Bytes(), losses, nil
}

// minijailPyDefault reports whether @default can say action.
func minijailPyDefault(action abi.Action) bool {
	switch action.Kind() {
	case abi.KillProcess, abi.KillThread, abi.UserNotify:
		return true
	case abi.Trap:
		return action.Data() == 0
	}
	return false
}

// minijailPyWord returns the word for an action; trap and trace lose their data.
func minijailPyWord(a abi.ABI, action abi.Action) string {
	if action.Kind() == abi.Errno {
		return "return " + minijailErrno(a, action)
	}
	for _, word := range []string{"allow", "kill-process", "kill-thread", "trap", "trace", "log", "user-notify"} {
		if minijailPyActions[word] == action.Kind() {
			return word
		}
	}
	return ""
}
