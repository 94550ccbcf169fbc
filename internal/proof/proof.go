package proof

import (
	"errors"
	"fmt"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

// A Verdict is the outcome of a comparison.
type Verdict uint8

// The verdicts. The zero value is Unknown, so that a Result that nobody filled
// in proves nothing.
const (
	Unknown   Verdict = iota // neither shown; Result.Reason says why
	Proved                   // equal for every input
	Different                // Result.Witness is an input where they differ
)

// String returns "unknown", "proved" or "different".
func (v Verdict) String() string {
	switch v {
	case Proved:
		return "proved"
	case Different:
		return "different"
	}
	return "unknown"
}

// A Result is a verdict with its evidence.
type Result struct {
	Verdict Verdict
	Witness abi.Call   // where Different: a call that gets different words
	Want    abi.Action // what the policy says of Witness
	Got     abi.Action // what the program returns for it
	Nodes   int        // size of the diagrams of both
	Reason  string     // where Unknown: why
}

// A Budget bounds what a comparison may cost. Every bound follows from Nodes, so
// that time is bounded too.
type Budget struct {
	Nodes int // of the diagrams, 12 bytes each and as much again in tables; 0 means DefaultNodes
}

// DefaultNodes is the default of [Budget.Nodes].
const DefaultNodes = 4 << 20

// limits are the bounds that a Budget stands for.
type limits struct {
	nodes  int
	steps  int // calls of ite, or as much other work
	states int // of the program
	words  int // that are returned: more than any action has data
}

func (b Budget) limits() limits {
	nodes := b.Nodes
	if nodes <= 0 {
		nodes = DefaultNodes
	}
	return limits{nodes: nodes, steps: 16 * nodes, states: nodes/16 + 64, words: nodes/64 + 64}
}

// Equal decides whether p returns the action that r's Eval gives, the whole word
// with its data, for every one of the 2^512 possible calls on machines of r's
// byte order. It establishes that:
//   - Proved is returned only if it does;
//   - Different only with a witness that r.Eval and p.Run have confirmed;
//   - it ends, with Unknown where b does not suffice, where the kernel would not
//     take p or where r is not well-formed.
func Equal(r *policy.Resolved, p bpf.Program, b Budget) Result {
	if err := check(r, p); err != nil {
		return Result{Reason: err.Error()}
	}
	d := newDiagram(b.limits())
	want := d.policy(r)
	got := d.program(p, r.BigEndian(), actions(r))
	result := Result{Nodes: len(d.nodes)}
	switch {
	case d.stopped != "":
		result.Reason = d.stopped
	case want == got:
		result.Verdict = Proved
	default:
		result.confirm(r, p, d.witness(want, got))
	}
	return result
}

// check returns why r and p cannot be compared.
func check(r *policy.Resolved, p bpf.Program) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("program: %w", err)
	}
	return checkPolicy(r)
}

// checkPolicy returns why r has no diagram.
func checkPolicy(r *policy.Resolved) error {
	if len(r.ABIs) == 0 {
		return errors.New("policy: no ABI listed")
	}
	for i := range r.ABIs {
		s := &r.ABIs[i]
		if s.ABI.BigEndian() != r.BigEndian() {
			return fmt.Errorf("policy: %v and %v differ in byte order, one filter cannot serve both", r.ABIs[0].ABI, s.ABI)
		}
		for _, rule := range s.Rules {
			for _, tests := range rule.Any {
				for _, t := range tests {
					if t.Word > policy.IPWord {
						return fmt.Errorf("policy: rule %d tests argument %d", rule.Rule, t.Word)
					}
				}
			}
		}
	}
	return nil
}

// confirm replays the call c, on which r and p should differ.
func (result *Result) confirm(r *policy.Resolved, p bpf.Program, c abi.Call) {
	result.Witness = c
	result.Want = r.Eval(c).Action
	result.Got = p.Run(c, r.BigEndian()).Return
	if result.Want == result.Got {
		result.Reason = fmt.Sprintf("internal error: witness %+v is not confirmed, both say %v", c, result.Want)
		return
	}
	result.Verdict = Different
}
