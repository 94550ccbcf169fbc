package policytest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// Allow checks that p lets every call through that one of the patterns matches:
// allow or log, on each ABI that p lists and that has the call. The test fails
// with a call that p does not let through; it ends if a pattern is wrong or
// matches no call at all.
func Allow(t testing.TB, p *policy.Policy, calls ...string) {
	t.Helper()
	Target{}.Allow(t, p, calls...)
}

// Deny checks that p denies every call that one of the patterns matches: errno,
// trap or kill. The test fails with a call that is made, logged, or handed to a
// tracer or listener; it ends if a pattern is wrong or matches no call at all.
//
// It asks for what a denial needs to mean anything, unless the pattern is pinned
// to one ABI (amd64:socket(…)), which leaves out the first:
//   - the call is denied on every ABI of the machine, whether p lists it or not:
//     on amd64 also to 386 and x32 code;
//   - so are the calls that do the same service (setuid and setuid32), with the
//     same conditions if they have the same arguments, else altogether;
//   - so are the sub-calls of socketcall and ipc that carry it, whose arguments
//     no filter sees.
func Deny(t testing.TB, p *policy.Policy, calls ...string) {
	t.Helper()
	Target{}.Deny(t, p, calls...)
}

// Allow is the function of this name, for the target.
func (target Target) Allow(t testing.TB, p *policy.Policy, calls ...string) {
	t.Helper()
	a := target.newAssertion(t, p)
	for _, text := range calls {
		q := a.question(parse(t, text), a.listed())
		a.check(t, text, "let through", lets, a.matching(t, q, false))
	}
}

// Deny is the function of this name, for the target.
func (target Target) Deny(t testing.TB, p *policy.Policy, calls ...string) {
	t.Helper()
	a := target.newAssertion(t, p)
	for _, text := range calls {
		q := a.question(parse(t, text), a.served())
		a.check(t, text, "denied", denies, a.matching(t, q, true))
	}
}

// lets reports whether the call is made.
func lets(a abi.Action) bool { return a.Kind() == abi.Allow || a.Kind() == abi.Log }

// denies reports whether the call is certainly not made.
func denies(a abi.Action) bool {
	switch a.Kind() {
	case abi.Errno, abi.Trap, abi.KillThread, abi.KillProcess:
		return true
	}
	return !a.Known() // kills the process
}

func parse(t testing.TB, text string) policy.Pattern {
	t.Helper()
	p, err := policy.ParsePattern(text)
	if err != nil {
		t.Fatalf("policytest: %s", explain(err))
	}
	return p
}

// An assertion is a policy as a diagram, to be asked about sets of calls.
type assertion struct {
	policy   *policy.Policy
	resolved *policy.Resolved
	space    *proof.Space
	verdicts proof.Function
}

func (target Target) newAssertion(t testing.TB, p *policy.Policy) *assertion {
	t.Helper()
	a := &assertion{policy: p, resolved: target.resolve(t, p), space: proof.NewSpace(proof.Budget{})}
	var err error
	if a.verdicts, err = a.space.Policy(a.resolved); err != nil {
		t.Fatalf("policytest: %v", err)
	}
	return a
}

// listed returns the ABIs of the policy.
func (a *assertion) listed() []abi.ABI {
	var all []abi.ABI
	for _, s := range a.resolved.ABIs {
		all = append(all, s.ABI)
	}
	return all
}

// served returns the ABIs of the policy and those that a kernel for one of them
// serves too.
func (a *assertion) served() []abi.ABI {
	all := a.listed()
	for _, listed := range a.listed() {
		for _, also := range listed.Compat() {
			if !slices.Contains(all, also) {
				all = append(all, also)
			}
		}
	}
	return all
}

// question asks p of the ABIs, or of the one that p is pinned to.
func (a *assertion) question(p policy.Pattern, abis []abi.ABI) question {
	if p.ABI != abi.None {
		abis = []abi.ABI{p.ABI}
	}
	return question{p, abis}
}

// matching returns the calls that the question is about. The test ends if there
// is none. With services, that is also every other call that does the service,
// and those that carry it as a sub-call.
func (a *assertion) matching(t testing.TB, q question, services bool) proof.Set {
	t.Helper()
	var all proof.Set
	for _, on := range q.abis {
		patterns := q.on(on)
		if services {
			patterns = q.services(on)
		}
		for _, p := range patterns {
			calls, err := a.space.Calls(on, p)
			if err != nil && !errors.Is(err, proof.ErrNoCalls) {
				t.Fatalf("policytest: %s", explain(err))
			}
			all = a.space.Union(all, calls)
		}
		if services {
			calls, err := a.space.Carriers(on, q.pattern)
			if err != nil {
				t.Fatalf("policytest: %v", err)
			}
			all = a.space.Union(all, calls)
		}
	}
	if err := a.space.Err(); err != nil {
		t.Fatalf("policytest: %s: %v", q.pattern, err)
	}
	if all.Empty() {
		t.Fatalf("policytest: no call on %s matches %s", names(q.abis), q.pattern)
	}
	return all
}

// check fails the test if a call of set gets an action that ok does not accept.
func (a *assertion) check(t testing.TB, text, want string, ok func(abi.Action) bool, set proof.Set) {
	t.Helper()
	var wrong []string
	for _, o := range a.space.Outcomes(a.verdicts, set) {
		if ok(o.Action) {
			continue
		}
		if got := a.resolved.Eval(o.Witness).Action; got != o.Action {
			t.Fatalf("policytest: internal error: %s gets %v, not %v", policy.FormatCall(o.Witness), got, o.Action)
		}
		wrong = append(wrong, fmt.Sprintf("\t%s → %s", policy.FormatCall(o.Witness), decision(a.policy, a.resolved, o.Witness)))
	}
	if err := a.space.Err(); err != nil {
		t.Fatalf("policytest: %s: %v", text, err)
	}
	if len(wrong) > 0 {
		t.Errorf("%s is not always %s:\n%s", text, want, strings.Join(wrong, "\n"))
	}
}

func names(abis []abi.ABI) string {
	var all []string
	for _, a := range abis {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}
