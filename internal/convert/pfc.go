package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

var formatPFC = Format{
	Name: "pfc", Title: "pseudo code, as libseccomp writes it",
	Write: func(d *Decisions, _ Options) ([]byte, []Loss, error) {
		var b bytes.Buffer
		err := PFC(&b, d.Policy, d.Resolved)
		return b.Bytes(), loading(d.Policy), err
	},
	Says: filterSays,
}

// PFC writes what r, which source (nil if that is not known) resolves to, decides as the pseudo code of libseccomp's
// seccomp_export_pfc(3). It runs from the top down until an action is
// reached; a branch that reaches none goes on below. 64-bit words are compared by
// their halves.
func PFC(w io.Writer, source *policy.Policy, r *policy.Resolved) error {
	p := pfc{w: w, policy: source}
	p.line("#\n# pseudo filter code start\n#")
	for _, a := range abi.All() {
		if a != abi.X32 {
			p.architecture(r, a)
		}
	}
	p.line("# invalid architecture action")
	p.action(r.BadArch)
	p.line("#\n# pseudo filter code end\n#")
	return p.err
}

type pfc struct {
	policy *policy.Policy
	w      io.Writer
	indent int
	lines  int
	err    error
}

// maxPFC bounds the lines: conditions with several ranges multiply.
const maxPFC = 200_000

func (p *pfc) line(format string, args ...any) {
	if p.lines++; p.lines > maxPFC && p.err == nil {
		p.err = errors.New("the policy's conditions are too many for pseudo code")
	}
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, strings.Repeat("  ", p.indent)+format+"\n", args...)
	}
}

// when writes body below a condition.
func (p *pfc) when(condition string, body func()) {
	if p.err != nil {
		return
	}
	p.line("if (%s)", condition)
	p.indent++
	body()
	p.indent--
}

func (p *pfc) action(a abi.Action) {
	name, data := "", fmt.Sprintf("(%d)", a.Data())
	switch a.Kind() {
	case abi.KillThread:
		name, data = "KILL", ""
	case abi.UserNotify:
		name, data = "NOTIFY", ""
	case abi.Errno, abi.Trap, abi.Trace:
		name, _, _ = strings.Cut(strings.ToUpper(a.String()), "(")
	default:
		name, data = strings.ToUpper(a.String()), ""
	}
	if a.Kind() == abi.Trap && a.Data() == 0 {
		data = ""
	}
	p.line("action %s%s;", name, data)
}

// architecture writes what is decided of one audit architecture.
func (p *pfc) architecture(r *policy.Resolved, a abi.ABI) {
	native, x32 := sectionOf(r, a), sectionOf(r, abi.X32)
	if a != abi.AMD64 {
		x32 = nil
	}
	if native == nil && x32 == nil {
		return
	}
	p.line("# filter for arch %v (%d)", a, a.AuditArch())
	p.when(fmt.Sprintf("$arch == %d", a.AuditArch()), func() {
		if a == abi.AMD64 {
			p.line("# x32 calls")
			p.numbers(a, []policy.NumberRange{{Lo: abi.X32Bit, Hi: 1<<31 - 1}, {Lo: 1<<31 | abi.X32Bit, Hi: 1<<32 - 2}}, nil, func() {
				if x32 != nil {
					p.section(x32)
				} else {
					p.action(r.X32)
				}
			})
		}
		if native != nil {
			p.section(native)
		} else {
			p.action(r.BadArch)
		}
	})
}

func sectionOf(r *policy.Resolved, a abi.ABI) *policy.ResolvedABI {
	for i := range r.ABIs {
		if r.ABIs[i].ABI == a {
			return &r.ABIs[i]
		}
	}
	return nil
}

func (p *pfc) section(s *policy.ResolvedABI) {
	for i := range s.Rules {
		rule := &s.Rules[i]
		p.numbers(s.ABI, rule.Numbers, p.places(s.ABI, rule.Rule), func() {
			if len(rule.Any) == 0 {
				p.action(rule.Action)
			}
			for _, all := range rule.Any {
				p.tests(all, rule.Action)
			}
		})
	}
	if s.Default != s.Unknown {
		p.line("# default action for the calls of the policy's kernel")
		for _, r := range s.Known {
			p.between("$syscall", 1<<32-1, r.Lo, r.Hi, func() { p.action(s.Default) })
		}
	}
	p.line("# default action")
	p.action(s.Unknown)
}

// places returns where the patterns of a rule stand, by call.
func (p *pfc) places(a abi.ABI, rule int) map[uint32][]origin {
	if p.policy == nil {
		return nil
	}
	return ruleOrigins(a, &p.policy.Rules[rule])
}

// numbers writes body for the calls with one of the numbers, and where the rules
// about them stand.
func (p *pfc) numbers(a abi.ABI, ranges []policy.NumberRange, places map[uint32][]origin, body func()) {
	for _, r := range ranges {
		var origins []origin
		for nr := range a.Syscalls() {
			if r.Lo <= nr && nr <= r.Hi {
				origins = append(origins, places[nr]...)
			}
		}
		from := behind(", ", originText(origins))
		switch lo, hi := a.SyscallName(r.Lo), a.SyscallName(r.Hi); {
		case r.Lo == r.Hi:
			p.line("# filter for syscall %q (%d)%s", lo, r.Lo, from)
		case lo != "" && hi != "":
			p.line("# filter for syscalls %q to %q (%d to %d)%s", lo, hi, r.Lo, r.Hi, from)
		}
		p.between("$syscall", 1<<32-1, r.Lo, r.Hi, body)
	}
}

// tests writes the action for the calls that satisfy all tests.
func (p *pfc) tests(all []policy.Test, action abi.Action) {
	if len(all) == 0 {
		p.action(action)
		return
	}
	t := all[0]
	word := fmt.Sprintf("$a%d", t.Word)
	if t.Word == policy.IPWord {
		word = "$ip"
	}
	rest := func() { p.tests(all[1:], action) }
	high, low := uint32(t.Mask>>32), uint32(t.Mask)
	for _, in := range t.In {
		for _, piece := range halves(in) {
			p.between(word+".hi32", high, piece.high.Lo, piece.high.Hi, func() {
				p.between(word+".lo32", low, piece.low.Lo, piece.low.Hi, rest)
			})
		}
	}
}

// A piece is the 64-bit values whose halves lie in two ranges.
type piece struct{ high, low policy.NumberRange }

// halves cuts an interval into pieces.
func halves(in policy.Interval) []piece {
	first, last := uint32(in.Lo>>32), uint32(in.Hi>>32)
	at := func(n uint32) policy.NumberRange { return policy.NumberRange{Lo: n, Hi: n} }
	if first == last {
		return []piece{{at(first), policy.NumberRange{Lo: uint32(in.Lo), Hi: uint32(in.Hi)}}}
	}
	var all []piece
	if uint32(in.Lo) != 0 {
		all = append(all, piece{at(first), policy.NumberRange{Lo: uint32(in.Lo), Hi: 1<<32 - 1}})
		first++
	}
	whole := uint32(in.Hi) == 1<<32-1
	if whole || first < last {
		until := last
		if !whole {
			until--
		}
		all = append(all, piece{policy.NumberRange{Lo: first, Hi: until}, policy.NumberRange{Lo: 0, Hi: 1<<32 - 1}})
	}
	if !whole {
		all = append(all, piece{at(last), policy.NumberRange{Lo: 0, Hi: uint32(in.Hi)}})
	}
	return all
}

// between writes body for the calls with lo <= word & mask <= hi.
func (p *pfc) between(word string, mask, lo, hi uint32, body func()) {
	if mask != 1<<32-1 {
		word = fmt.Sprintf("%s & 0x%08x", word, mask)
	}
	most := uint32(1<<bits.Len32(mask) - 1) // no masked value is larger
	switch {
	case lo == hi && mask != 0:
		p.when(fmt.Sprintf("%s == %d", word, lo), body)
	case lo == 0 && hi >= most:
		body()
	case hi >= most:
		p.when(fmt.Sprintf("%s >= %d", word, lo), body)
	case lo == 0:
		p.upTo(word, hi, body)
	default:
		p.when(fmt.Sprintf("%s >= %d", word, lo), func() { p.upTo(word, hi, body) })
	}
}

// upTo writes body for the calls whose word is not above hi.
func (p *pfc) upTo(word string, hi uint32, body func()) {
	p.when(fmt.Sprintf("%s > %d", word, hi), func() {})
	p.line("else")
	p.indent++
	body()
	p.indent--
}
