package proof

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

func ask(t testing.TB, r *policy.Resolved, a Assertion) (Answer, error) {
	t.Helper()
	s := NewSpace(Budget{})
	f, err := s.Policy(r)
	if err != nil {
		t.Fatal(err)
	}
	var listed []abi.ABI
	for i := range r.ABIs {
		listed = append(listed, r.ABIs[i].ABI)
	}
	answer, err := s.Ask(f, a, listed)
	if answer.Verdict == Different {
		if got := r.Eval(answer.Witness).Action; got != answer.Got {
			t.Fatalf("witness %s gets %v, not %v", policy.FormatCall(answer.Witness), got, answer.Got)
		}
	}
	return answer, err
}

func TestAsk(t *testing.T) {
	one := resolve(t, `{version: 1, abis: [amd64], default_action: errno(EPERM), syscalls: [
		{action: allow, names: [read], calls: ["socket(domain in {AF_UNIX, AF_INET})", "mmap(prot & PROT_EXEC == 0)"]},
		{action: log, names: [write]}, {action: user_notify, names: [connect]}, {action: trace, names: [bind]}]}`)
	two := resolve(t, `{version: 1, abis: [amd64, 386], default_action: errno(EPERM), syscalls: [
		{action: allow, names: [read], calls: ["socket(domain in {AF_UNIX, AF_INET})", "386:socketcall(call == 1)"]}]}`)
	loose := resolve(t, `{version: 1, abis: [amd64], default_action: errno(EPERM), bad_arch_action: allow, syscalls: [{action: allow, names: [read]}]}`)
	for _, c := range []struct {
		r       *policy.Resolved
		claim   Claim
		pattern string
		want    string // "" proved; else the witness
		abis    string
	}{
		{one, Allowed, "read", "", "amd64"},
		{one, Allowed, "write", "", "amd64"}, // log lets it through
		{one, Allowed, "connect", "amd64:connect(0, 0, 0)", "amd64"},
		{one, Denied, "connect", "amd64:connect(0, 0, 0)", "amd64 386 x32"},
		{one, Denied, "bind", "amd64:bind(0, 0, 0)", "amd64 386 x32"},
		{one, Denied, "socket(AF_ALG)", "", "amd64 386 x32"},
		{one, Denied, "socket", "amd64:socket(1, 0, 0)", "amd64 386 x32"},
		{one, Allowed, "socket(AF_UNIX, SOCK_STREAM)", "", "amd64"},
		{one, Allowed, "socket(domain in {AF_UNIX, AF_ALG})", "amd64:socket(38, 0, 0)", "amd64"},
		{one, Denied, "mmap(prot & PROT_EXEC != 0)", "", "amd64 386 x32"}, // 386's own mmap too, whatever its arguments
		{one, Exactly, "ptrace", "", "amd64"},
		{one, Exactly, "read", "amd64:read(0, 0, 0)", "amd64"},
		{one, Denied, "open", "", "amd64 386 x32"},
		{one, Denied, "@systemd/mount", "", "amd64 386 x32"},
		{one, Denied, "nr:9000", "", "amd64 386"},
		{two, Denied, "socket(AF_ALG)", "386:socketcall(1, 0)", "amd64 386 x32"},
		{two, Allowed, "socket(AF_UNIX)", "", "amd64 386"},
		{two, Allowed, "386:socket(AF_UNIX)", "", "386"},
		{two, Denied, "386:socket(AF_ALG)", "386:socketcall(1, 0)", "386"},
		{two, Denied, "x32:read", "", "x32"},
		{loose, Denied, "ptrace", "386:ptrace(0, 0, 0, 0)", "amd64 386 x32"},
		{loose, Denied, "amd64:ptrace", "", "amd64"},
	} {
		a := Assertion{Claim: c.claim, Action: policy.Action{Kind: abi.Errno, Errno: "EPERM"}, Pattern: pattern(t, c.pattern)}
		answer, err := ask(t, c.r, a)
		got := ""
		if answer.Verdict == Different {
			got = policy.FormatCall(answer.Witness)
		}
		var abis []string
		for _, a := range answer.ABIs {
			abis = append(abis, a.String())
		}
		if err != nil || got != c.want || (answer.Verdict == Proved) != (c.want == "") || strings.Join(abis, " ") != c.abis {
			t.Errorf("%d %s: %+v, %v: witness %q, want %q", c.claim, c.pattern, answer, err, got, c.want)
		}
	}
}

func TestAskRefuses(t *testing.T) {
	r := resolve(t, `{version: 1, abis: [amd64], default_action: allow, syscalls: []}`)
	if _, err := ask(t, r, Assertion{Claim: Allowed, Pattern: pattern(t, "setuid32")}); !errors.Is(err, ErrNoCalls) {
		t.Errorf("a call that the ABI does not have: %v", err)
	}
	if _, err := ask(t, r, Assertion{Claim: Denied, Pattern: pattern(t, "openat(pathname == 5)")}); !errors.As(err, new(*policy.Error)) {
		t.Errorf("a pointer: %v", err)
	}
	if _, err := ask(t, r, Assertion{Claim: Allowed, Pattern: pattern(t, "socket(domain == 1, arg0 == 2)")}); !errors.Is(err, ErrNoCalls) {
		t.Errorf("a contradiction: %v", err)
	}
	var s *Space
	var f Function
	for n, err := 100, error(ErrUnknown); err != nil; n += 10 { // just enough for the policy
		s = NewSpace(Budget{Nodes: n})
		f, err = s.Policy(r)
	}
	answer, err := s.Ask(f, Assertion{Claim: Denied, Pattern: pattern(t, "socket(AF_ALG)")}, []abi.ABI{abi.AMD64})
	if answer.Verdict != Unknown || answer.Reason == "" || err != nil {
		t.Errorf("out of budget: %+v, %v", answer, err)
	}
}

// Every property is proved of the policy that denies exactly what it lists, and
// refuted of one that leaves out any of it.
func TestProperties(t *testing.T) {
	if len(Properties()) < 15 {
		t.Fatal(len(Properties()))
	}
	prove := func(p Property, deny []string) Answer {
		t.Helper()
		pol := &policy.Policy{
			ABIs: []abi.ABI{abi.AMD64, abi.I386, abi.X32}, Default: policy.Action{Kind: abi.Allow},
			Rules: []policy.Rule{{Action: policy.Action{Kind: abi.Errno, Errno: "EPERM"}, Optional: true, Only: true}},
		}
		rule := &pol.Rules[0]
		for _, text := range append(slices.Clone(deny), "386:mmap", "socketcall(call == 1)", "ipc(call & 0xffff == 21)") {
			rule.Calls = append(rule.Calls, pattern(t, text))
		}
		r, _, err := pol.Resolve(policy.Options{})
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		s := NewSpace(Budget{})
		f, err := s.Policy(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, about, err := s.Prove(f, p, pol.ABIs)
		if err != nil {
			t.Fatalf("%s: %s: %v", p.Name, about.Text, err)
		}
		if answer.Verdict == Different && r.Eval(answer.Witness).Action != answer.Got {
			t.Fatalf("%s: %+v is not confirmed", p.Name, answer)
		}
		return answer
	}
	for _, p := range Properties() {
		if answer := prove(p, p.Deny); answer.Verdict != Proved || !slices.Contains(answer.ABIs, abi.I386) || !slices.Contains(answer.ABIs, abi.X32) {
			t.Errorf("%s: %+v", p.Name, answer)
		}
		for i, text := range p.Deny {
			if name := pattern(t, text).Name; len(abi.AMD64.Numbers(name)) == 0 && len(abi.I386.Numbers(name)) == 0 {
				continue // of other machines
			}
			answer := prove(p, slices.Delete(slices.Clone(p.Deny), i, i+1))
			if answer.Verdict != Different {
				t.Errorf("%s without %s: %+v", p.Name, text, answer)
			}
		}
	}
}

// The properties can be asked on every ABI: where the tables do not know a call's
// arguments, or it takes them behind a pointer, of all its calls.
func TestPropertiesEverywhere(t *testing.T) {
	for _, a := range abi.All() {
		r, _, err := (&policy.Policy{ABIs: []abi.ABI{a}, Default: policy.Action{Kind: abi.KillProcess}}).Resolve(policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		open, _, err := (&policy.Policy{ABIs: []abi.ABI{a}, Default: policy.Action{Kind: abi.Allow}}).Resolve(policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := NewSpace(Budget{})
		none, err := s.Policy(r)
		all, errAll := s.Policy(open)
		if err := errors.Join(err, errAll); err != nil {
			t.Fatal(err)
		}
		for _, p := range Properties() {
			if answer, about, err := s.Prove(none, p, []abi.ABI{a}); err != nil || answer.Verdict != Proved {
				t.Errorf("%s on %s: %+v of %s, %v", p.Name, a, answer, about.Text, err)
			}
			if answer, about, err := s.Prove(all, p, []abi.ABI{a}); err != nil || answer.Verdict != Different {
				t.Errorf("%s on %s: %+v of %s, %v", p.Name, a, answer, about.Text, err)
			}
			assertions, err := p.Assertions()
			if err != nil {
				t.Fatal(err)
			}
			if a != abi.AMD64 && a != abi.ARM64 && a != abi.X32 {
				continue
			}
			// Here every argument can be asked about.
			for _, claim := range assertions {
				claim.Pattern.ABI = a
				if _, err := s.Ask(none, claim, []abi.ABI{a}); err != nil && !errors.Is(err, ErrNoCalls) {
					t.Errorf("%s on %s: %v", claim.Text, a, err)
				}
			}
		}
	}
}

// What Ask says is what Eval says of sampled calls.
func TestAskRandom(t *testing.T) {
	patterns := []string{"socket(domain in {1, 2})", "read", "nr:0-3(arg0 & 7 == 1)", "openat(flags & 3 == 0)", "nr:0-600", "kill(pid < 0)", "write(fd == 1)"}
	answers := map[Verdict]int{}
	rapid.Check(t, func(rt *rapid.T) {
		r := genPolicy().Draw(rt, "policy")
		a := Assertion{
			Claim:   rapid.SampledFrom([]Claim{Denied, Allowed}).Draw(rt, "claim"),
			Pattern: pattern(t, rapid.SampledFrom(patterns).Draw(rt, "pattern")),
		}
		answer, err := ask(t, r, a)
		if err != nil || answer.Verdict != Proved {
			answers[answer.Verdict]++
			return
		}
		answers[Proved]++
		s := newSampler(1, r, nil)
		for range 500 {
			c := s.call()
			on := slices.IndexFunc(answer.ABIs, func(x abi.ABI) bool { return x.AuditArch() == c.Arch && (x == abi.X32) == c.IsX32() })
			if on < 0 {
				continue
			}
			// Does the pattern match c? A policy that allows it says so.
			asked := &policy.Policy{
				ABIs: []abi.ABI{answer.ABIs[on]}, Default: policy.Action{Kind: abi.KillProcess},
				Rules: []policy.Rule{{Action: policy.Action{Kind: abi.Allow}, Calls: []policy.Pattern{a.Pattern}, Optional: true, Only: true}},
			}
			m, _, err := asked.Resolve(policy.Options{})
			if err != nil {
				break
			}
			if m.Eval(c).Action == abi.Allow && !a.Claim.Holds(r.Eval(c).Action, 0) {
				rt.Fatalf("%s is proved, but %+v gets %v", a.Pattern, c, r.Eval(c).Action)
			}
		}
	})
	if answers[Proved] == 0 || answers[Different] == 0 {
		t.Error(answers)
	}
}
