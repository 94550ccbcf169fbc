package policytest

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// A Result is what a program did under a policy.
type Result struct {
	ExitCode int      // -1 if it did not exit by itself
	Output   []byte   // what it wrote, where the command says nothing of its output
	Denials  []Denial // in the order of their first times
}

// A Denial is calls that a policy denied, alike in number, action and rule.
type Denial struct {
	Call   abi.Call // the first of them
	Action abi.Action
	By     string // the rule's place, or the field of the policy that decided
	Times  int
}

// String returns the first call, what it got, and by which rule.
func (d Denial) String() string {
	on := abi.AMD64
	for _, a := range abi.All() {
		if a.AuditArch() == d.Call.Arch && (a == abi.X32) == d.Call.IsX32() {
			on = a
		}
	}
	call := d.Call
	call.IP = 0 // says nothing to people
	text := fmt.Sprintf("%s → %s by %s", policy.FormatCall(call), on.ActionString(d.Action), d.By)
	if d.Times > 1 {
		text += fmt.Sprintf(", %d times", d.Times)
	}
	return text
}

// RunUnder runs a command under p and fails the test if p denies it a call, or if
// it does not end with exit code 0. See [Run].
func RunUnder(t testing.TB, p *policy.Policy, command ...string) {
	t.Helper()
	Target{}.RunUnder(t, p, command...)
}

// RunUnder is the function of this name, for the target.
func (target Target) RunUnder(t testing.TB, p *policy.Policy, command ...string) {
	t.Helper()
	if len(command) == 0 {
		t.Fatal("policytest: no command to run")
	}
	r := target.Run(t, p, exec.CommandContext(t.Context(), command[0], command[1:]...))
	what := strings.Join(command, " ")
	for _, d := range r.Denials {
		t.Errorf("%s: denied: %v", what, d)
	}
	if r.ExitCode != 0 {
		t.Errorf("%s: exit code %d\n%s", what, r.ExitCode, bytes.TrimSpace(r.Output))
	}
}

// Run runs a command under p, from its first instruction on and with whatever it
// starts, and returns what it did and what p denied. It needs Linux 5.6, and
// [Main] in the TestMain of the test's package. The test ends if the command
// cannot be started. cmd itself is not started: it says what is, with which
// arguments, environment, directory, streams and attributes.
//
// The program gets the filter of p, proved, but that it asks the test instead of
// denying: the test answers as p says, and takes notes. So allowed calls are as
// quick as ever, and a denied call fails as it would, with these differences:
// kill_thread and kill_process kill the process by SIGKILL; the signal of trap
// does not tell the call; and trace and user_notify, for which nobody is there,
// fail with ENOSYS.
//
// It is for tests. Use the root package to enforce a policy.
func Run(t testing.TB, p *policy.Policy, cmd *exec.Cmd) *Result {
	t.Helper()
	return Target{}.Run(t, p, cmd)
}

// asking returns p with user_notify for every action that denies a call.
func asking(p *policy.Policy) *policy.Policy {
	ask := policy.Action{Kind: abi.UserNotify}
	change := func(a policy.Action) policy.Action {
		if lets(a.Kind) {
			return a
		}
		return ask
	}
	maybe := func(a *policy.Action, absent policy.Action) *policy.Action {
		if a != nil {
			absent = *a
		}
		absent = change(absent)
		return &absent
	}
	q := *p
	q.Documented = false // it has actions that the documented form has not
	q.Load = policy.Load{}
	q.Default = change(p.Default)
	q.Unknown = maybe(p.Unknown, p.Default)
	q.BadArch = maybe(p.BadArch, policy.Action{Kind: abi.KillProcess})
	q.X32 = maybe(p.X32, policy.Action{Kind: abi.Errno, Errno: "ENOSYS"})
	q.Rules = append([]policy.Rule(nil), p.Rules...)
	for i := range q.Rules {
		q.Rules[i].Action = change(q.Rules[i].Action)
		q.Rules[i].Optional = true // p has said what there is to say
	}
	return &q
}
