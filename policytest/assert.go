package policytest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/proof"
	"github.com/sysgate/sysgate/policy"
)

// Allow checks that p lets every call through that one of the patterns matches:
// allow or log, on each ABI that p lists and that has the call. The test fails
// with a call that p does not let through; it ends if a pattern is wrong or
// matches no call at all. "sysgate test" asks the same with allow.
func Allow(t testing.TB, p *policy.Policy, calls ...string) {
	t.Helper()
	Target{}.Allow(t, p, calls...)
}

// Deny checks that p denies every call that one of the patterns matches: errno,
// trap or kill. The test fails with a call that is made, logged, or handed to a
// tracer or listener; it ends if a pattern is wrong or matches no call at all.
//
// It asks for what a denial needs to mean anything; a pattern that is pinned to
// one ABI (amd64:socket(…)) leaves out the first:
//   - the call is denied on every ABI of the machine, whether p lists it or not:
//     on amd64 also to 386 and x32 code;
//   - so are the sub-calls of socketcall and ipc that carry it, whose arguments
//     no filter sees;
//   - so are the calls that do the same service (setuid and setuid32), with the
//     same conditions if they have the same arguments, else altogether. This is
//     more than deny of "sysgate test" asks.
func Deny(t testing.TB, p *policy.Policy, calls ...string) {
	t.Helper()
	Target{}.Deny(t, p, calls...)
}

// Allow is the function of this name, for the target.
func (target Target) Allow(t testing.TB, p *policy.Policy, calls ...string) {
	t.Helper()
	q := target.newQuestioner(t, p)
	for _, text := range calls {
		q.check(t, text, "let through", []proof.Assertion{{Claim: proof.Allowed, Pattern: parse(t, text)}})
	}
}

// Deny is the function of this name, for the target.
func (target Target) Deny(t testing.TB, p *policy.Policy, calls ...string) {
	t.Helper()
	q := target.newQuestioner(t, p)
	for _, text := range calls {
		pattern := parse(t, text)
		assertions := []proof.Assertion{{Claim: proof.Denied, Pattern: pattern}}
		for _, same := range services(pattern, proof.Served(q.listed)) {
			assertions = append(assertions, proof.Assertion{Claim: proof.Denied, Pattern: same})
		}
		q.check(t, text, "denied", assertions)
	}
}

// lets reports whether the call is made.
func lets(a abi.Action) bool { return proof.Allowed.Holds(a, 0) }

func parse(t testing.TB, text string) policy.Pattern {
	t.Helper()
	p, err := policy.ParsePattern(text)
	if err != nil {
		t.Fatalf("policytest: %s", explain(err))
	}
	return p
}

// A questioner asks about a policy.
type questioner struct {
	policy   *policy.Policy
	resolved *policy.Resolved
	listed   []abi.ABI
	space    *proof.Space
	verdicts proof.Function
}

func (target Target) newQuestioner(t testing.TB, p *policy.Policy) *questioner {
	t.Helper()
	q := &questioner{policy: p, resolved: target.resolve(t, p), space: proof.NewSpace(proof.Budget{})}
	for _, s := range q.resolved.ABIs {
		q.listed = append(q.listed, s.ABI)
	}
	var err error
	if q.verdicts, err = q.space.Policy(q.resolved); err != nil {
		t.Fatalf("policytest: %v", err)
	}
	return q
}

// check fails the test if one of the assertions that text stands for does not
// hold. The test ends if one of them cannot be answered.
func (q *questioner) check(t testing.TB, text, want string, assertions []proof.Assertion) {
	t.Helper()
	var wrong []string
	for _, a := range assertions {
		answer, err := q.space.Ask(q.verdicts, a, q.listed)
		switch {
		case err != nil:
			t.Fatalf("policytest: %s", explain(err))
		case answer.Verdict == proof.Unknown:
			t.Fatalf("policytest: %s: %s", text, answer.Reason)
		case answer.Verdict == proof.Different:
			wrong = append(wrong, "\t"+q.decision(answer.Witness))
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%s is not always %s:\n%s", text, want, strings.Join(wrong, "\n"))
	}
}

// decision returns what the policy says of c, and where:
// "amd64:getpid() → errno(EPERM) by web.yaml:4:3".
func (q *questioner) decision(c abi.Call) string {
	v := q.resolved.Eval(c)
	on := q.listed[0] // whose errno names calls of other ABIs get, as in Resolve
	for _, a := range q.listed {
		if a.AuditArch() == c.Arch && (a == abi.X32) == c.IsX32() {
			on = a
		}
	}
	return fmt.Sprintf("%s → %s by %s", policy.FormatCall(c), on.ActionString(v.Action), q.policy.RuleName(v.Rule))
}
