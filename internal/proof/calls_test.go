package proof

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

func resolve(t testing.TB, source string) *policy.Resolved {
	t.Helper()
	p, err := policy.Parse("test", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := p.Resolve(policy.Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pattern(t testing.TB, s string) policy.Pattern {
	t.Helper()
	p, err := policy.ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// query returns what the calls through a that p matches get from f.
func query(s *Space, f Function, err error, a abi.ABI, p policy.Pattern) ([]Outcome, error) {
	if err != nil {
		return nil, err
	}
	calls, err := s.Calls(a, p)
	if err != nil {
		return nil, err
	}
	all := s.Outcomes(f, calls)
	if err := s.Err(); err != nil {
		return nil, err
	}
	return all, nil
}

func queryPolicy(r *policy.Resolved, a abi.ABI, p policy.Pattern, b Budget) ([]Outcome, error) {
	s := NewSpace(b)
	f, err := s.Policy(r)
	return query(s, f, err, a, p)
}

func queryProgram(program bpf.Program, a abi.ABI, p policy.Pattern, b Budget) ([]Outcome, error) {
	s := NewSpace(b)
	f, err := s.Program(program, a.BigEndian())
	return query(s, f, err, a, p)
}

func TestOutcomes(t *testing.T) {
	r := resolve(t, `{version: 1, abis: [amd64, 386], default_action: errno(EPERM), syscalls: [
		{action: allow, names: [read], calls: ["socket(domain in {AF_UNIX, AF_INET})", "openat(flags & 3 == 0)"]}]}`)
	eperm := abi.Errno.WithData(1)
	for _, c := range []struct {
		abi     abi.ABI
		pattern string
		want    map[abi.Action]string // a call that gets it
	}{
		{abi.AMD64, "read", map[abi.Action]string{abi.Allow: "amd64:read(0, 0, 0)"}},
		{abi.AMD64, "socket(AF_UNIX)", map[abi.Action]string{abi.Allow: "amd64:socket(1, 0, 0)"}},
		{abi.AMD64, "socket(domain not in {AF_UNIX, AF_INET})", map[abi.Action]string{eperm: "amd64:socket(0, 0, 0)"}},
		{abi.AMD64, "socket(domain in {AF_UNIX, AF_ALG})", map[abi.Action]string{abi.Allow: "amd64:socket(1, 0, 0)", eperm: "amd64:socket(38, 0, 0)"}},
		{abi.AMD64, "openat(flags & 7 == 4)", map[abi.Action]string{abi.Allow: "amd64:openat(0, 0, 4, 0)"}},
		{abi.AMD64, "nr:9000", map[abi.Action]string{eperm: "amd64:nr:9000"}},
		{abi.I386, "socket", map[abi.Action]string{eperm: "386:socketcall(1, 0)", abi.Allow: "386:socket(1, 0, 0)"}},
		{abi.I386, "socket(AF_UNIX)", map[abi.Action]string{abi.Allow: "386:socket(1, 0, 0)"}},
		{abi.X32, "read", map[abi.Action]string{abi.Errno.WithData(38): "x32:read(0, 0, 0)"}},
		{abi.ARM64, "read", map[abi.Action]string{abi.KillProcess: "arm64:read(0, 0, 0)"}},
	} {
		all, err := queryPolicy(r, c.abi, pattern(t, c.pattern), Budget{})
		if err != nil {
			t.Errorf("%s on %s: %v", c.pattern, c.abi, err)
			continue
		}
		got := map[abi.Action]string{}
		for _, o := range all {
			got[o.Action] = policy.FormatCall(o.Witness)
		}
		for action, call := range c.want {
			if got[action] != call {
				t.Errorf("%s on %s: %v: got %q, want %q", c.pattern, c.abi, action, got[action], call)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s on %s: %v, want %v", c.pattern, c.abi, got, c.want)
		}
	}
}

func TestOutcomesRefuses(t *testing.T) {
	r := resolve(t, `{version: 1, abis: [amd64], default_action: allow, syscalls: []}`)
	for name, c := range map[string]struct {
		abi     abi.ABI
		pattern string
		budget  int
		want    error
	}{
		"no such call on the ABI": {abi.ARM64, "open", 0, ErrNoCalls},
		"another ABI's pattern":   {abi.AMD64, "386:open", 0, ErrNoCalls},
		"a contradiction":         {abi.AMD64, "socket(domain == 1, arg0 == 2)", 0, ErrNoCalls},
		"out of budget":           {abi.AMD64, "socket(AF_UNIX)", 16, ErrUnknown},
	} {
		all, err := queryPolicy(r, c.abi, pattern(t, c.pattern), Budget{Nodes: c.budget})
		if !errors.Is(err, c.want) || all != nil {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
	if _, err := queryPolicy(r, abi.AMD64, pattern(t, "openat(filename == 3)"), Budget{}); !errors.As(err, new(*policy.Error)) {
		t.Errorf("a pattern that cannot be asked: %v", err)
	}
	if _, err := queryPolicy(&policy.Resolved{}, abi.AMD64, pattern(t, "read"), Budget{}); err == nil {
		t.Error("a policy without ABIs is accepted")
	}
	if _, err := queryProgram(bpf.Program{}, abi.AMD64, pattern(t, "read"), Budget{}); !errors.Is(err, bpf.ErrEmpty) {
		t.Errorf("an empty program: %v", err)
	}
}

// Outcomes of random policies and programs are those of sampled calls, and each
// witness is replayed.
func TestOutcomesRandom(t *testing.T) {
	found := 0
	rapid.Check(t, func(rt *rapid.T) {
		r := genPolicy().Draw(rt, "policy")
		set := genPolicy().Draw(rt, "set")
		p := linear(t, r)
		s := NewSpace(Budget{})
		f, err := s.Policy(r)
		g, programErr := s.Program(p, r.BigEndian())
		of, setErr := s.Policy(set)
		if err := errors.Join(err, programErr, setErr); err != nil {
			if errors.Is(err, ErrUnknown) {
				return
			}
			rt.Fatal(err)
		}
		if f != g {
			rt.Fatal("the program is not the policy")
		}
		calls := s.Where(of, func(a abi.Action) bool { return a == abi.Allow })
		all := s.Outcomes(f, calls)
		for _, o := range all {
			if got := r.Eval(o.Witness).Action; got != o.Action || set.Eval(o.Witness).Action != abi.Allow {
				rt.Fatalf("%+v: policy says %v", o, got)
			}
		}
		sampler := newSampler(uint64(len(p)), set, p)
		for range 300 {
			c := sampler.call()
			if set.Eval(c).Action != abi.Allow {
				continue
			}
			found++
			got := r.Eval(c).Action
			if !slices.ContainsFunc(all, func(o Outcome) bool { return o.Action == got }) {
				rt.Fatalf("%+v gets %v, which is none of %+v", c, got, all)
			}
		}
	})
	if found == 0 {
		t.Error("no sampled call was a member")
	}
}

// A program that returns a part of its input has every word of it.
func TestOutcomesOfReturnA(t *testing.T) {
	p := bpf.Program{
		bpf.Stmt(bpf.LdAbs, bpf.OffsetNR),
		bpf.Stmt(bpf.AndK, 3),
		bpf.Stmt(bpf.OrK, uint32(abi.Errno)),
		bpf.Stmt(bpf.RetA, 0),
	}
	all, err := queryProgram(p, abi.AMD64, pattern(t, "nr:5-6"), Budget{})
	want := []Outcome{
		{abi.Errno.WithData(1), abi.Call{Arch: abi.AMD64.AuditArch(), NR: 5}},
		{abi.Errno.WithData(2), abi.Call{Arch: abi.AMD64.AuditArch(), NR: 6}},
	}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("%+v, %v, want %+v", all, err, want)
	}
	_, err = queryProgram(bpf.Program{bpf.Stmt(bpf.LdAbs, 16), bpf.Stmt(bpf.RetA, 0)}, abi.AMD64, pattern(t, "read"), Budget{Nodes: 1 << 16})
	if !errors.Is(err, ErrUnknown) {
		t.Errorf("2^32 return words: %v", err)
	}
}

// A name alone means to Calls what it means to a policy.
func TestCallsByName(t *testing.T) {
	for _, a := range abi.All() {
		s := NewSpace(Budget{})
		names := policy.SetNames()
		for _, name := range a.Syscalls() {
			names = append(names, name)
		}
		for _, name := range append(names, "send", "recv", "newstat", "msgget") {
			r, _, err := (&policy.Policy{
				ABIs: []abi.ABI{a}, Default: policy.Action{Kind: abi.KillProcess}, X32: &policy.Action{Kind: abi.KillProcess},
				Rules: []policy.Rule{{Action: policy.Action{Kind: abi.Allow}, Calls: []policy.Pattern{{Name: name}}, Optional: true, Only: true}},
			}).Resolve(policy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f, err := s.Policy(r)
			if err != nil {
				t.Fatal(err)
			}
			want := s.Where(f, func(x abi.Action) bool { return x == abi.Allow })
			if got, err := s.named(a, name); err != nil || got != want {
				t.Errorf("%s on %s: another set (%v)", name, a, err)
			}
		}
	}
}
