package lint

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// A Severity says how bad a finding is.
type Severity uint8

// The severities.
const (
	Note    Severity = iota + 1 // a fact that the author should know
	Warning                     // a likely mistake
	Error                       // a rule that does not hold, or what cannot be enforced
)

// String returns "note", "warning" or "error".
func (s Severity) String() string { return [...]string{"", "note", "warning", "error"}[s] }

// A Finding is one thing found at one place.
type Finding struct {
	Code     string // of Codes
	Severity Severity
	Pos      policy.Pos // in the policy; the file alone where it is about all of it
	Width    int        // bytes that are meant, from Pos on
	Source   string     // the line that Pos is in
	Msg      string     // lower case, without the position
	Fix      string     // what to write instead; "" where the code's remedy says it all
	Needless Part       // what can be taken out without changing a verdict
}

// A Part is a rule of a policy, or a pattern of it, or a condition of that; each
// is numbered from 1, and 0 is all of them. The zero value is no part.
type Part struct{ Rule, Pattern, Condition int }

// A Subject is what is looked at: a policy with the filter that it compiles to, or
// a filter alone.
type Subject struct {
	Name string // the file's
	Data []byte // its text, for the lines of findings; nil if there is none

	Policy   *policy.Policy   // nil for a filter
	Resolved *policy.Resolved // with Policy
	Warnings []policy.Warning // of its resolution
	Foreign  bool             // Policy is made from another tool's format: its rules have no places
	// Kernel is a release on which the policy is to be used, for what that has and
	// the policy's own has not. The zero value asks nothing.
	Kernel abi.Kernel

	Program   bpf.Program // valid
	BigEndian bool
}

// Check returns what there is to say about s, by position, then by code. The
// error wraps proof.ErrUnknown where the budget does not suffice.
func Check(s Subject) ([]Finding, error) {
	c := &checker{Subject: s, s: proof.NewSpace(proof.Budget{}), counts: map[string]int{}, sets: map[setKey]proof.Set{}}
	var err error
	if s.Policy != nil {
		c.f, err = c.s.Policy(s.Resolved)
	} else {
		c.f, err = c.s.Program(s.Program, s.BigEndian)
	}
	if err != nil {
		return nil, err
	}
	c.prepare()
	for _, look := range looks {
		look(c)
	}
	if err := c.s.Err(); err != nil {
		return nil, err
	}
	for _, code := range codes {
		if more := c.counts[code.ID] - maxFindings; more > 0 {
			c.found = append(c.found, Finding{Code: code.ID, Severity: Note, Pos: c.whole(), Width: 1, Msg: fmt.Sprintf("%d more findings of this kind are not listed", more)})
		}
	}
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col), cmp.Compare(a.Code, b.Code))
	})
	return c.found, nil
}

// looks is everything that Check does.
var looks = []func(*checker){
	(*checker).warnings,
	(*checker).dead,
	(*checker).overlaps,
	(*checker).conditions,
	(*checker).actions,
	(*checker).foreignABIs,
	(*checker).siblings,
	(*checker).rings,
	(*checker).terminals,
	(*checker).fallbacks,
	(*checker).runtimes,
	(*checker).probes,
	(*checker).size,
	(*checker).cost,
	(*checker).newerKernel,
}

type checker struct {
	Subject
	s      *proof.Space
	f      proof.Function
	abis   []abi.ABI               // that the subject lists, or decides
	tables map[abi.ABI]proof.Table // of abis
	common map[abi.ABI]abi.Action  // what most known calls get
	lines  []string
	found  []Finding
	counts map[string]int // findings by code
	sets   map[setKey]proof.Set
}

// maxFindings bounds the findings of one code: nobody reads more, and a policy
// made for it has a number of them that is quadratic in its size.
const maxFindings = 100

// prepare finds out what many looks ask.
func (c *checker) prepare() {
	if c.Policy != nil {
		for i := range c.Resolved.ABIs {
			c.abis = append(c.abis, c.Resolved.ABIs[i].ABI)
		}
	} else {
		c.abis = c.s.Decided(c.f)
	}
	c.lines = splitLines(c.Data)
	c.tables, c.common = map[abi.ABI]proof.Table{}, map[abi.ABI]abi.Action{}
	for _, a := range c.abis {
		t := c.s.Table(c.f, a)
		c.tables[a] = t
		counts := map[abi.Action]int{}
		var best abi.Action
		for nr := range a.Syscalls() {
			for _, action := range t.Actions(nr) {
				counts[action]++
				if n := counts[action]; n > counts[best] || n == counts[best] && action < best {
					best = action
				}
			}
		}
		c.common[a] = best
	}
}

// report adds a finding, its severity that of the code, and returns it.
func (c *checker) report(code string, pos policy.Pos, width int, fix, msg string) *Finding {
	return c.reportAs(severityOf(code), code, pos, width, fix, msg)
}

func (c *checker) reportAs(severity Severity, code string, pos policy.Pos, width int, fix, msg string) *Finding {
	if pos.Line == 0 {
		pos = policy.Pos{File: c.Name}
	}
	f := Finding{Code: code, Severity: severity, Pos: pos, Width: max(width, 1), Msg: msg, Fix: fix}
	if 0 < pos.Line && pos.Line <= len(c.lines) {
		f.Source = c.lines[pos.Line-1]
	}
	if slices.ContainsFunc(c.found, func(old Finding) bool { old.Needless = Part{}; return old == f }) {
		return &f // the same for another ABI
	}
	if c.counts[code]++; c.counts[code] > maxFindings {
		return &f
	}
	c.found = append(c.found, f)
	return &c.found[len(c.found)-1]
}

// whole is the place of a finding about all of the subject.
func (c *checker) whole() policy.Pos { return policy.Pos{File: c.Name} }

// lets reports whether the kernel makes a call with this action, or may.
func lets(a abi.Action) bool { return !a.Stricter(abi.UserNotify) }

// passes reports whether the kernel makes a call with this action, as asked.
func passes(a abi.Action) bool { return a.Kind() == abi.Allow || a.Kind() == abi.Log }

// A status is what happens to the calls of one name.
type status struct {
	exists  bool
	actions []abi.Action
}

// always and ever report whether all calls are made, and whether any is.
func (s status) always() bool {
	return s.exists && !slices.ContainsFunc(s.actions, func(a abi.Action) bool { return !passes(a) })
}
func (s status) ever() bool { return s.exists && slices.ContainsFunc(s.actions, lets) }

// status returns what happens to the calls of name through a. Of x32's calls with
// two numbers it looks at the one that kernels since 5.4 serve.
func (c *checker) status(a abi.ABI, name string) status {
	nr, ok := a.Lookup(name)
	if !ok {
		return status{}
	}
	return status{true, c.tables[a].Actions(nr)}
}

// restricted reports whether someone meant to stop some calls of name: its
// arguments decide, or it is stopped where most calls are not.
func (c *checker) restricted(a abi.ABI, name string) bool {
	s := c.status(a, name)
	if !s.exists || s.always() {
		return false
	}
	return s.ever() || passes(c.common[a])
}

func splitLines(data []byte) []string {
	var all []string
	start := 0
	for i, b := range data {
		if b == '\n' {
			all = append(all, string(data[start:i]))
			start = i + 1
		}
	}
	return append(all, string(data[start:]))
}
