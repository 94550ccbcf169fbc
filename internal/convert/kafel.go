package convert

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatKafel = Format{
	Name: "kafel", Title: "Kafel policy",
	Detect: isKafel, Read: readKafel, Write: writeKafel,
	Says: Says{
		Actions:   "all; kill_thread as KILL",
		Default:   "one action",
		Unknown:   "the default",
		Arguments: "equality, order and masks; AND, OR, NOT; of 64 bits where the argument or the number has them, else of 32",
		Order:     "the first rule of a call that matches",
		ABIs:      "one; others: kill_thread",
	},
}

var kafelWords = lexicon{
	operators: []string{"||", "&&", "==", "!=", "<=", ">=", "<", ">", "(", ")", "{", "}", "[", "]", ",", "!", "&", "|", "#", ";"},
	comments:  []string{"//"},
	block:     true,
	quotes:    true,
	negative:  true,
}

// kafelActions are the actions without data.
var kafelActions = map[string]abi.Action{
	"ALLOW": abi.Allow, "LOG": abi.Log, "KILL": abi.KillThread, "KILL_THREAD": abi.KillThread, "DENY": abi.KillThread,
	"KILL_PROCESS": abi.KillProcess, "USER_NOTIF": abi.UserNotify,
}

// kafelDataActions are those with data in parentheses.
var kafelDataActions = map[string]abi.Action{"ERRNO": abi.Errno, "TRAP": abi.Trap, "TRACE": abi.Trace}

// kafelKeywords cannot be names.
var kafelKeywords = []string{"SYSCALL", "POLICY", "USE", "DEFAULT", "ON", "define"}

func isKafelAction(word string) bool {
	_, plain := kafelActions[word]
	_, data := kafelDataActions[word]
	return plain || data
}

// isKafel reports whether data has what every policy of some use has: POLICY with
// a name and a brace, or an action with a brace, as words of the language.
func isKafel(name string, data []byte) bool {
	if len(data) > maxText || bytes.IndexByte(data, 0) >= 0 {
		return false
	}
	tokens, err := newDocument(name, data).tokens(kafelWords, string(data), 0)
	if err != nil || len(tokens) < 3 {
		return false
	}
	switch t := tokens[0]; {
	case t.text == "#" && tokens[1].text != "define" && tokens[1].text != "include":
		return false
	case t.text == "DEFAULT" && isKafelAction(tokens[1].text):
		return true
	case t.text != "#" && t.text != "POLICY" && t.text != "USE" && t.text != "DEFAULT" && !isKafelAction(t.text):
		return false
	}
	for i := range tokens[:len(tokens)-2] {
		t := tokens[i : i+3]
		if t[0].text == "POLICY" && t[1].kind == 'a' && t[2].text == "{" || t[0].kind == 'a' && isKafelAction(t[0].text) && (t[1].text == "{" || t[1].text == "(") {
			return true
		}
	}
	return false
}

// readKafel reads a policy as kafel compiles it for the machine's ABI (its
// README.md, src/parser.y, range_rules.c and codegen.c).
func readKafel(name string, data []byte, o Options) (*policy.Policy, []Loss, error) {
	a, err := o.machine()
	if err != nil {
		return nil, nil, err
	}
	if !kafelHas(a) {
		return nil, nil, fmt.Errorf("kafel policies for %s cannot be read: only those for amd64, 386, arm, arm64 and riscv64", a)
	}
	r := &kafelReader{abi: a, constants: make(map[string]uint64), policies: make(map[string][]kafelEntry)}
	if err := r.file(newDocument(name, data), 0); err != nil {
		return nil, nil, err
	}
	fallback := policy.Action{Kind: abi.KillThread}
	if r.fallback != nil {
		fallback = *r.fallback
	}
	p := onOneABI(a, fallback, policy.Action{Kind: abi.KillThread})
	used := make(map[string]bool)
	r.paste(r.main, used, p)
	if r.x32 { // then a name says whose it is
		p.ABIs, p.X32 = append(p.ABIs, abi.X32), nil
		for _, rule := range p.Rules {
			for i := range rule.Calls {
				if rule.Calls[i].ABI == abi.None {
					rule.Calls[i].ABI = a
				}
			}
		}
	}
	return p, r.losses, nil
}

type kafelReader struct {
	abi       abi.ABI
	constants map[string]uint64
	policies  map[string][]kafelEntry
	main      []kafelEntry
	fallback  *policy.Action
	losses    []Loss
	files     int
	patterns  int
	x32       bool // a number of x32 is named
}

// A kafelEntry is a policy to be pasted, or one action on calls.
type kafelEntry struct {
	use    string
	action policy.Action
	calls  []policy.Pattern
	pos    policy.Pos
}

// paste adds the rules of entries; a policy that has been pasted already has
// nothing to add.
func (r *kafelReader) paste(entries []kafelEntry, used map[string]bool, p *policy.Policy) {
	for _, e := range entries {
		switch {
		case e.use == "":
			if len(e.calls) > 0 {
				p.Rules = append(p.Rules, policy.Rule{Action: e.action, Calls: e.calls, Pos: e.pos})
			}
		case !used[e.use]:
			used[e.use] = true
			r.paste(r.policies[e.use], used, p)
		}
	}
}

// kafelFiles bounds the files that include each other, and how deep.
const kafelFiles = 32

func (r *kafelReader) file(d *document, depth int) error {
	if r.files++; len(d.data) > maxText || r.files > kafelFiles || depth > kafelFiles {
		return &policy.Error{Pos: policy.Pos{File: d.name}, Msg: fmt.Sprintf("too large for a policy, or its files include each other: the limits are %d bytes and %d files", maxText, kafelFiles)}
	}
	tokens, bad := d.tokens(kafelWords, string(d.data), 0)
	if bad != nil {
		return bad
	}
	p := &kafelParser{parser{document: d, all: tokens}, r}
	for p.peek().kind != 0 {
		if err := p.statement(depth); err != nil {
			return err
		}
	}
	if p.err != nil {
		return p.err
	}
	return nil
}

// A kafelParser parses one file.
type kafelParser struct {
	parser
	r *kafelReader
}

// statement reads what can stand in a file outside braces.
func (p *kafelParser) statement(depth int) error {
	t := p.peek()
	switch {
	case p.accept("#"):
		if p.accept("include") {
			return p.include(t, depth)
		}
		p.expect("define")
		p.define()
	case p.accept("POLICY"):
		name := p.name("the policy's name")
		if _, twice := p.r.policies[name.text]; twice {
			p.fail(name, "", "policy %s stands twice", name.text)
		}
		p.expect("{")
		var entries []kafelEntry
		if !p.accept("}") {
			entries = p.entries()
			p.expect("}")
		}
		p.r.policies[name.text] = entries
	case p.accept("DEFAULT"):
		if p.r.fallback != nil {
			p.fail(t, "", "DEFAULT stands twice")
		}
		action := p.action()
		p.r.fallback = &action
	default:
		p.r.main = append(p.r.main, p.entries()...)
	}
	return nil
}

// include reads files that lie beside this one or below: kafel looks only where
// it has been told to.
func (p *kafelParser) include(t token, depth int) error {
	for any := false; ; any = true {
		file := p.peek()
		if file.kind != '"' {
			if !any {
				p.fail(t, "", `want "FILE" after #include`)
			}
			p.accept(";")
			return nil
		}
		p.next()
		if !filepath.IsLocal(file.text) {
			return p.errorf(file.off, file.end, "copy the file there", "only files beside the policy, or below, are included")
		}
		path := filepath.Join(filepath.Dir(p.document.name), file.text)
		data, err := readIncluded(path)
		if err != nil {
			return p.errorf(file.off, file.end, "kafel's own search path is not known here: the file has to lie beside the policy", "%v", err)
		}
		if err := p.r.file(newDocument(path, data), depth+1); err != nil {
			return err
		}
	}
}

func (p *kafelParser) define() {
	name := p.name("the constant's name")
	v := p.number()
	if old, twice := p.r.constants[name.text]; twice && old != v {
		p.fail(name, "", "constant %s has had another value", name.text)
	}
	p.r.constants[name.text] = v
}

// name takes a word that is no keyword.
func (p *kafelParser) name(what string) token {
	t := p.word(what)
	if slices.Contains(kafelKeywords, t.text) || isKafelAction(t.text) || strings.HasPrefix(t.text, "_") {
		p.fail(t, "", "%q cannot be %s", t.text, what)
	}
	return t
}

// number takes a number: decimal, 0x, 0b, or octal after a 0.
func (p *kafelParser) number() uint64 {
	t := p.peek()
	if t.kind != '0' {
		p.fail(t, "", "want a number%s", p.instead(t))
		return 0
	}
	p.next()
	digits, negative := strings.CutPrefix(t.text, "-")
	base := 10
	switch {
	case strings.HasPrefix(digits, "0x"):
		digits, base = digits[2:], 16
	case strings.HasPrefix(digits, "0b"):
		digits, base = digits[2:], 2
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	v, err := strconv.ParseUint(digits, base, 64)
	if err != nil || negative && base != 10 || strings.Contains(digits, "_") {
		p.fail(t, "", "%q is no number of 64 bits", t.text)
	}
	if negative {
		v = -v
	}
	return v
}

// entries reads USE and action blocks, with commas between them.
func (p *kafelParser) entries() []kafelEntry {
	entries := []kafelEntry{p.entry()}
	for p.accept(",") {
		entries = append(entries, p.entry())
	}
	return entries
}

func (p *kafelParser) entry() kafelEntry {
	t := p.peek()
	if p.accept("USE") {
		name := p.word("the policy's name")
		if _, ok := p.r.policies[name.text]; !ok {
			p.fail(name, "it has to stand above", "no policy %q", name.text)
		}
		return kafelEntry{use: name.text}
	}
	e := kafelEntry{action: p.action(), pos: p.pos(t.off)}
	p.expect("{")
	if p.accept("}") {
		return e
	}
	for more := true; more && p.err == nil; more = p.accept(",") {
		e.calls = append(e.calls, p.rule()...)
	}
	p.expect("}")
	return e
}

func (p *kafelParser) action() policy.Action {
	t := p.next()
	if action, ok := kafelActions[t.text]; ok && t.kind == 'a' {
		return policy.Action{Kind: action}
	}
	kind, ok := kafelDataActions[t.text]
	if !ok || t.kind != 'a' {
		p.fail(t, "", "want an action%s", p.instead(t))
		return policy.Action{}
	}
	p.expect("(")
	number := p.peek()
	v := p.number()
	if v > 0xffff {
		p.fail(number, "", "%s is above 65535", number.text)
	}
	if kind == abi.Errno && v > abi.MaxErrno && p.err == nil {
		p.r.losses = append(p.r.losses, Loss{p.pos(number.off), fmt.Sprintf("the kernel cuts error %d to %d", v, abi.MaxErrno)})
	}
	p.expect(")")
	return actionOf(p.r.abi, kind.WithData(uint16(v)))
}

// low returns the low 32 bits of a call's number, which kafel takes. A negative one is
// meant to have ones above.
func (p *kafelParser) low(at token, v uint64) uint32 {
	if v > 1<<32-1 && int64(v) >= 0 {
		p.r.losses = append(p.r.losses, Loss{p.pos(at.off), fmt.Sprintf("kafel takes the low 32 bits of a call's number: %d", uint32(v))})
	}
	return uint32(v)
}

// rule reads one call with its conditions, as patterns; none if it is for other
// ABIs.
func (p *kafelParser) rule() []policy.Pattern {
	t := p.peek()
	c := &kafelCall{}
	unknown := false
	if p.accept("SYSCALL") {
		p.expect("[")
		at := p.peek()
		c.nr = p.low(at, p.number())
		p.expect("]")
		c.custom = true
	} else if name := p.name("a call"); p.err == nil {
		if v, ok := p.r.constants[name.text]; ok {
			c.nr, c.custom = p.low(name, v), true
		} else if c.nr, ok = kafelNumber(p.r.abi, name.text); !ok {
			unknown = true
		}
	}
	if p.accept("(") {
		c.named = true
		if !p.accept(")") {
			for more := true; more && p.err == nil; more = p.accept(",") {
				arg := p.name("an argument's name")
				switch {
				case slices.Contains(c.args, arg.text):
					p.fail(arg, "", "argument %s stands twice", arg.text)
				case len(c.args) == 6:
					p.fail(arg, "", "a call has six arguments")
				}
				c.args = append(c.args, arg.text)
			}
			p.expect(")")
		}
	}
	applies := p.guard()
	if unknown && applies && p.err == nil {
		hint := ""
		if s := abi.Suggest(t.text); s != "" && s != t.text {
			hint = "did you mean " + s + "?"
		}
		p.fail(t, hint, "kafel has no call %q on %s", t.text, p.r.abi)
	}
	// What is for other ABIs is parsed, and not looked at.
	c.any = !applies
	var alternatives []policy.Alternative
	conditional := false
	if p.accept("{") && !p.accept("}") {
		conditional = true
		e := p.list(c, 0)
		p.expect("}")
		if p.err == nil && applies {
			var err error
			if alternatives, err = e.alternatives(false); err != nil {
				p.fail(t, "", "%v", err)
			}
		}
	}
	if !applies || p.err != nil || conditional && len(alternatives) == 0 {
		return nil
	}
	pattern := patternOf(p.r.abi, c.nr)
	if p.r.abi == abi.AMD64 && c.nr&abi.X32Bit != 0 && c.nr != ^uint32(0) {
		pattern.ABI, p.r.x32 = abi.X32, true
	}
	pattern.Pos = p.pos(t.off)
	all, err := patterns(pattern, p.r.abi, alternatives)
	if p.r.patterns += len(all); err == nil && p.r.patterns > 100*maxAlternatives {
		err = errTooManyAlternatives
	}
	if err != nil {
		p.fail(t, "", "%v", err)
	}
	return all
}

// guard reads ON and ABIs, and reports whether the machine's is one.
func (p *kafelParser) guard() bool {
	if !p.accept("ON") {
		return true
	}
	one := func() bool {
		t := p.name("an architecture")
		a, ok := kafelArch(t.text)
		if !ok && p.err == nil {
			p.fail(t, "", "kafel has no architecture %q", t.text)
		}
		return a == p.r.abi
	}
	if !p.accept("{") {
		return one()
	}
	applies := one()
	for p.accept(",") {
		applies = one() || applies
	}
	p.expect("}")
	return applies
}
