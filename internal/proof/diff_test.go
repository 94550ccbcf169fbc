package proof

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// calls returns the calls of a region, by its description alone.
func (s *Space) calls(t interface{ Fatalf(string, ...any) }, r *Region) Set {
	var all Set
	for _, p := range r.Patterns {
		read, err := policy.ParsePattern(p.String())
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		set, err := s.Calls(r.ABI, read)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		all = s.Union(all, set)
	}
	return all
}

func (s *Space) differ(f, g Function) Set {
	return Set{s.d.apply(f.root, g.root, func(a, b ref) ref {
		if a == b {
			return no
		}
		return yes
	})}
}

// Regions are exact: read back from their text, each is the calls that have its
// two actions, no two overlap, and with those outside they are all.
func TestDiffRandom(t *testing.T) {
	described, vague, sampled := 0, 0, 0
	for range (rounds() + 2) / 3 {
		rapid.Check(t, func(rt *rapid.T) {
			a := genPolicy().Draw(rt, "a")
			b := genPolicy().Draw(rt, "b")
			if rapid.Bool().Draw(rt, "near") {
				b = near(rt, a)
			}
			s := NewSpace(Budget{})
			f, err := s.Policy(a)
			g, errB := s.Policy(b)
			if err := errors.Join(err, errB); err != nil {
				rt.Skip(err)
			}
			var listed []abi.ABI
			for i := range a.ABIs {
				listed = append(listed, a.ABIs[i].ABI)
			}
			regions, err := s.Diff(f, g, listed, nil)
			if errors.Is(err, ErrUnknown) {
				rt.Skip(err)
			}
			if err != nil {
				rt.Fatal(err)
			}
			left := s.differ(f, g)
			for i := range regions {
				r := &regions[i]
				if err := r.Confirm(func(c abi.Call) abi.Action { return a.Eval(c).Action }, func(c abi.Call) abi.Action { return b.Eval(c).Action }); err != nil {
					rt.Fatal(err)
				}
				pair := s.Intersection(
					s.Where(f, func(x abi.Action) bool { return x == r.A }),
					s.Where(g, func(x abi.Action) bool { return x == r.B }))
				if r.ABI == abi.None {
					for _, l := range listed {
						pair = s.Without(pair, s.Through(l))
					}
					left = s.Without(left, pair)
					continue
				}
				pair = s.Intersection(s.Intersection(pair, s.Through(r.ABI)), Set{s.d.numbers(r.Numbers)})
				left = s.Without(left, pair)
				if len(r.Patterns) == 0 {
					vague++
					continue
				}
				described++
				if got := s.calls(rt, r); got != pair {
					rt.Fatalf("%v does not describe its region on %s", r.Patterns, r.ABI)
				}
			}
			sampled += sample(rt, a, b, regions, listed)
			if !left.Empty() && s.Err() == nil {
				rt.Fatalf("no region has %s", policy.FormatCall(call(s.d.first(left.root, [words]uint32{}))))
			}
		})
	}
	t.Logf("%d regions described, %d without a description", described, vague)
	if described == 0 || vague > described/2 || sampled == 0 {
		t.Errorf("%d regions described, %d not", described, vague)
	}
}

// sample fails unless calls are in a region exactly if the two policies' Evals
// differ: without diagrams, the patterns of the region as a policy.
func sample(t *rapid.T, a, b *policy.Resolved, regions []Region, listed []abi.ABI) (differing int) {
	sampler := newSampler(uint64(len(regions)), a, nil)
	for range 40 {
		c := sampler.call()
		x, y := a.Eval(c).Action, b.Eval(c).Action
		on := slices.IndexFunc(listed, func(l abi.ABI) bool { return l.AuditArch() == c.Arch && (l == abi.X32) == c.IsX32() })
		if on < 0 {
			continue
		}
		if x != y {
			differing++
		}
		in, vague := 0, false
		for i := range regions {
			r := &regions[i]
			if r.ABI != listed[on] || len(r.Numbers) > 0 && !slices.ContainsFunc(r.Numbers, func(n policy.NumberRange) bool { return n.Lo <= c.NR && c.NR <= n.Hi }) {
				continue
			}
			if len(r.Patterns) == 0 {
				vague = true
				continue
			}
			as := policy.Policy{
				ABIs: []abi.ABI{r.ABI}, Default: policy.Action{Kind: abi.KillProcess},
				Rules: []policy.Rule{{Action: policy.Action{Kind: abi.Allow}, Calls: r.Patterns, Only: true}},
			}
			resolved, _, err := as.Resolve(policy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if resolved.Eval(c).Action != abi.Allow {
				continue
			}
			in++
			if r.A != x || r.B != y {
				t.Fatalf("%s is in a region of %v and %v, but gets %v and %v", policy.FormatCall(c), r.A, r.B, x, y)
			}
		}
		if want := x != y; !vague && (in != 0) != want || in > 1 {
			t.Fatalf("%s gets %v and %v, and is in %d regions", policy.FormatCall(c), x, y, in)
		}
	}
	return differing
}

// near returns r with one action changed.
func near(t *rapid.T, r *policy.Resolved) *policy.Resolved {
	changed := *r
	changed.ABIs = append([]policy.ResolvedABI(nil), r.ABIs...)
	i := rapid.IntRange(0, len(r.ABIs)-1).Draw(t, "section")
	s := &changed.ABIs[i]
	s.Rules = append([]policy.ResolvedRule(nil), s.Rules...)
	if len(s.Rules) == 0 {
		s.Default = genAction().Draw(t, "default")
		return &changed
	}
	s.Rules[rapid.IntRange(0, len(s.Rules)-1).Draw(t, "rule")].Action = genAction().Draw(t, "action")
	return &changed
}

func TestDiffDescribes(t *testing.T) {
	const base = `{version: 1, abis: [amd64], default_action: errno(EPERM), syscalls: [{action: allow, %s}]}`
	for _, c := range []struct{ a, b, want string }{
		{`names: [read]`, `names: [read, write]`, "amd64:write"},
		{`names: [read], calls: ["socket(domain in {1, 2})"]`, `names: [read], calls: ["socket(domain in {1, 2, 38})"]`, "amd64:socket(domain == AF_ALG)"},
		{`names: [read], calls: ["socket(domain in {1, 2})"]`, `names: [read]`, "amd64:socket(domain in {AF_UNIX, AF_INET})"},
		{`names: [read], calls: ["socket(domain not in {1, 2})"]`, `names: [read]`, "amd64:socket(domain not in {AF_UNIX, AF_INET})"},
		{`names: [read], calls: ["clone(flags & 0x10000000 == 0)"]`, `names: [read]`, "amd64:clone(flags & CLONE_NEWUSER == 0)"},
		{`names: [read], calls: ["clone(flags & 0x10020000 != 0)"]`, `names: [read]`, "amd64:clone(flags & (CLONE_NEWNS | CLONE_NEWUSER) != 0)"},
		{`names: [read], calls: ["openat(flags & 3 == 1, mode < 8)"]`, `names: [read]`, "amd64:openat(flags & O_ACCMODE == O_WRONLY, mode <= 7)"},
		{`names: [read], calls: ["kill(pid < 0)"]`, `names: [read]`, "amd64:kill(pid <= -1)"},
		{`names: [read], calls: ["kill(pid == -1)"]`, `names: [read]`, "amd64:kill(pid == -1)"},
		{`names: [read], calls: ["kill(pid > 0)"]`, `names: [read]`, "amd64:kill(pid >= 1)"},
		{`names: [read], calls: ["kill(pid != 0)"]`, `names: [read]`, "amd64:kill(pid != 0)"},
		{
			`names: [read], calls: ["socket(domain:64 == 1)"]`, `names: [read], calls: ["socket(domain == 1)"]`,
			"amd64:socket(domain:64 & 0xffffffff == AF_UNIX, domain:64 & 0xffffffff00000000 != 0)",
		},
		{
			`names: [read], calls: ["socket(1, 2)", "socket(2, 3)", "socket(protocol == 9)"]`, `names: [read]`,
			"amd64:socket(protocol == 9) amd64:socket(domain == AF_UNIX, type == SOCK_DGRAM) amd64:socket(domain == AF_INET, type == SOCK_RAW)",
		},
		{`names: [read], calls: ["sendto(addr == NULL)"]`, `names: [read]`, "amd64:sendto(addr == 0)"},
		{`names: [read], calls: ["mmap(prot & 4 == 0)", "mmap(prot & 2 == 0)"]`, `names: [read, mmap]`, "amd64:mmap(prot & (PROT_WRITE | PROT_EXEC) == PROT_WRITE | PROT_EXEC)"},
		{`names: [read], calls: ["chmod(mode & 0o7000 == 0)"]`, `names: [read]`, "amd64:chmod(mode & 0o7000 == 0)"},
		{`names: [read], calls: ["nr:600-610"]`, `names: [read]`, "amd64:nr:600-610"},
	} {
		s := NewSpace(Budget{})
		f, err := s.Policy(resolve(t, fmt.Sprintf(base, c.a)))
		g, errB := s.Policy(resolve(t, fmt.Sprintf(base, c.b)))
		if err := errors.Join(err, errB); err != nil {
			t.Fatal(err)
		}
		regions, err := s.Diff(f, g, []abi.ABI{abi.AMD64}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range regions {
			for _, p := range r.Patterns {
				got = append(got, p.String())
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s to %s:\n got %s\nwant %s", c.a, c.b, strings.Join(got, " "), c.want)
		}
	}
}

// Constants that descriptions use exist, at least on one ABI, and are read back as
// the number that they stand for.
func TestVocabulary(t *testing.T) {
	for _, call := range []string{"socket", "clone", "unshare", "setns", "mmap", "mprotect", "open", "openat", "ioctl", "fcntl", "prctl", "madvise"} {
		total := 0
		for argument := range 6 {
			v := vocabularyOf(call, argument)
			for _, name := range append(v.values, v.bits...) {
				total++
				if _, ok := abi.AMD64.Constant(name); !ok {
					t.Errorf("%s, argument %d: amd64 has no constant %s", call, argument, name)
				}
			}
		}
		if total == 0 {
			t.Errorf("no constants for %s", call)
		}
	}
}
