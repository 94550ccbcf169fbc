package policytest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/internal/profile"
	"github.com/sysgate/sysgate/policy"
)

// Covers checks that p lets through whatever the compiled program in a file can
// call, found by static analysis of its machine code. The test fails with every
// call that p never lets through, and the shortest path to it in the program; and
// with every place whose call the analysis cannot tell. A call that p lets
// through only with some arguments is logged with one that it does not: whether
// the program uses such is for a run to find out; see [RunUnder].
func Covers(t testing.TB, p *policy.Policy, program string) {
	t.Helper()
	Target{}.Covers(t, p, program)
}

// Covers is the function of this name, for the target; but its ABI, where p lists
// none, is the program's.
func (target Target) Covers(t testing.TB, p *policy.Policy, program string) {
	t.Helper()
	r, err := profile.File(program, profile.Options{})
	if err != nil {
		t.Fatalf("policytest: profile: %v", err)
	}
	target.Native = r.Set.ABI
	q := target.newQuestioner(t, p)
	for _, site := range r.Undetermined {
		t.Errorf("%s: not known which system call %s makes: %s", program, site.Func, site.Reason)
	}
	for _, call := range r.Set.Calls {
		q.covers(t, program, r, call)
	}
	if r.StartsPrograms {
		t.Logf("%s can start other programs (%s), which run under the same policy", program, strings.Join(r.Starts, ", "))
	}
}

// covers checks one call of the program.
func (q *questioner) covers(t testing.TB, program string, r *profile.Result, call observe.Call) {
	t.Helper()
	pattern := policy.Pattern{ABI: r.Set.ABI, Numbers: &policy.NumberRange{Lo: call.NR, Hi: call.NR}}
	calls, err := q.space.Calls(r.Set.ABI, pattern)
	if err != nil {
		t.Fatalf("policytest: %v", err)
	}
	outcomes := q.space.Outcomes(q.verdicts, calls)
	if err := q.space.Err(); err != nil {
		t.Fatalf("policytest: %s: %v", call.Name, err)
	}
	var refused []string
	through := false
	for _, o := range outcomes {
		if lets(o.Action) {
			through = true
			continue
		}
		refused = append(refused, "\t"+q.decision(o.Witness))
	}
	switch {
	case len(refused) == 0:
	case through:
		t.Logf("%s can call %s, which is let through with some arguments only:\n%s", program, name(call), strings.Join(refused, "\n"))
	default:
		t.Errorf("%s can call %s:\n%s\n\t%s", program, name(call), strings.Join(refused, "\n"), reached(r, call))
	}
}

// reached says how the program comes to the call.
func reached(r *profile.Result, call observe.Call) string {
	path := r.Path(call.Name)
	if len(path) == 0 {
		return fmt.Sprintf("%s: %s", call.Class, call.Evidence)
	}
	var steps []string
	for _, s := range path {
		steps = append(steps, s.Func)
	}
	return "reached by " + strings.Join(steps, " → ")
}

func name(c observe.Call) string {
	if c.Name == "" {
		return fmt.Sprintf("number %d", c.NR)
	}
	return c.Name
}
