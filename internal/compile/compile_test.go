package compile

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// TestCompileMeansThePolicy compares programs with Eval in the simulator.
// internal/build's tests go on from there, to the proof and the kernel.
func TestCompileMeansThePolicy(t *testing.T) {
	cases, tooLarge := 0, 0
	testkit.Check(t, 1000, func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		seed := rapid.Uint64().Draw(t, "seed")
		options := drawOptions(t)
		program, err := Compile(r, options)
		if errors.Is(err, ErrTooLarge) {
			tooLarge++
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := program.Validate(); err != nil {
			t.Fatal(err)
		}
		calls := testkit.NewCallGen(r, seed)
		for range 300 {
			c := calls.Next()
			if got, want := program.Run(c, r.BigEndian()).Return, r.Eval(c).Action; got != want {
				t.Fatalf("%+v: got %v, want %v", c, got, want)
			}
			cases++
		}
		if again, err := Compile(r, options); err != nil || !slices.Equal(again, program) {
			t.Fatalf("compiled again, it is another program (%v)", err)
		}
	})
	t.Logf("%d calls; %d policies too large for a program", cases, tooLarge)
	if tooLarge > 10 {
		t.Error("too many policies are too large")
	}
}

// drawOptions draws any options.
func drawOptions(t *rapid.T) Options {
	o := Options{Mode: rapid.SampledFrom([]Mode{Cached, Uncached, Size}).Draw(t, "mode")}
	if rapid.Bool().Draw(t, "frequency") {
		o.Frequency, _ = shipped()
	}
	return o
}

// TestConstantAllowsAreCacheable sees that the kernel can answer every call that
// is allowed whatever its arguments from its bitmap.
func TestConstantAllowsAreCacheable(t *testing.T) {
	cacheable := 0
	testkit.Check(t, 500, func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		options := drawOptions(t)
		program, err := Compile(r, options)
		if err != nil {
			t.Skip(err)
		}
		for _, s := range r.ABIs {
			for _, rule := range s.Rules {
				c := abi.Call{Arch: s.ABI.AuditArch(), NR: rule.Numbers[0].Lo}
				if (s.ABI == abi.X32) != c.IsX32() || !constantAllow(s, c.NR) {
					continue
				}
				if known := ConstAllow(program, c); !known.Allowed {
					t.Fatalf("%v: number %d is always allowed, but the kernel has to run the program: %s", s.ABI, c.NR, known.Why)
				}
				cacheable++
			}
		}
	})
	if cacheable == 0 {
		t.Error("no number was always allowed")
	}
}

// constantAllow reports whether the first rule on a number allows it whatever
// the arguments.
func constantAllow(s policy.ResolvedABI, nr uint32) bool {
	for _, rule := range s.Rules {
		for _, n := range rule.Numbers {
			if n.Lo <= nr && nr <= n.Hi {
				return len(rule.Any) == 0 && rule.Action == abi.Allow
			}
		}
	}
	return false
}

// simple returns a policy with the rules for amd64.
func simple(rules ...policy.ResolvedRule) *policy.Resolved {
	return &policy.Resolved{
		ABIs:    []policy.ResolvedABI{{ABI: abi.AMD64, Default: abi.Errno.WithData(1), Unknown: abi.Errno.WithData(1), Rules: rules}},
		BadArch: abi.KillProcess,
		X32:     abi.Errno.WithData(1),
	}
}

func numbers(lo, hi uint32) []policy.NumberRange { return []policy.NumberRange{{Lo: lo, Hi: hi}} }

func equal(word uint8, mask, value uint64) policy.Test {
	return policy.Test{Word: word, Mask: mask, In: []policy.Interval{{Lo: value, Hi: value}}}
}

// TestNamesCostNothing sees that a run of numbers takes no more than one number.
func TestNamesCostNothing(t *testing.T) {
	program, err := Compile(simple(policy.ResolvedRule{Numbers: numbers(10, 200), Action: abi.Allow}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := 8; len(program) != want { // ld, jeq, ld, two comparisons, three returns
		t.Errorf("got %d instructions, want %d: %v", len(program), want, program)
	}
}

// TestLarge compiles policies that make diagrams or lists explode. They must end
// in a correct program or in ErrTooLarge.
func TestLarge(t *testing.T) {
	tests := []struct {
		name     string
		rules    func() []policy.ResolvedRule
		tooLarge bool
	}{
		{"a rule for each of many numbers", func() (rules []policy.ResolvedRule) {
			for i := range uint32(1800) {
				rules = append(rules, policy.ResolvedRule{Numbers: numbers(2*i, 2*i), Action: abi.Allow})
			}
			return rules
		}, false},
		{"more numbers than a program holds", func() (rules []policy.ResolvedRule) {
			for i := range uint32(9000) {
				rules = append(rules, policy.ResolvedRule{Numbers: numbers(2*i, 2*i), Action: abi.Errno.WithData(uint16(i))})
			}
			return rules
		}, true},
		{"masks that slide over all arguments", func() (rules []policy.ResolvedRule) {
			for i := range uint8(240) {
				mask := uint64(0x11111) << (i % 44)
				rules = append(rules, policy.ResolvedRule{
					Numbers: numbers(1, 1),
					Any:     []policy.Alternative{{equal(i%6, mask, mask&0x1111111111111111), equal((i+1)%6, ^mask, 0)}},
					Action:  abi.Errno.WithData(uint16(i)),
				})
			}
			return rules
		}, false},
		{"many numbers whose rules make diagrams explode", func() (rules []policy.ResolvedRule) {
			for i := range uint32(300) {
				mask := uint64(0x5a5a5a5a5a) << (i % 24)
				rules = append(rules, policy.ResolvedRule{
					Numbers: numbers(i, i+40),
					Any:     []policy.Alternative{{equal(uint8(i%6), mask, mask&0x1111111111111111), equal(uint8((i+1)%6), ^mask, 0)}},
					Action:  abi.Errno.WithData(uint16(i)),
				})
			}
			return rules
		}, true},
		{"a condition of very many values on pairs of arguments", func() []policy.ResolvedRule {
			var any []policy.Alternative
			for i := range uint64(1000) {
				any = append(any, policy.Alternative{equal(0, ^uint64(0), i*i), equal(1, ^uint64(0), i*7919%1000)})
			}
			return []policy.ResolvedRule{{Numbers: numbers(1, 1), Any: any, Action: abi.Allow}}
		}, true},
		{"nested ranges, each with a condition", func() (rules []policy.ResolvedRule) {
			for i := range uint32(4000) {
				rules = append(rules, policy.ResolvedRule{
					Numbers: numbers(i, 10_000-i),
					Any:     []policy.Alternative{{equal(uint8(i%6), ^uint64(0), uint64(i))}},
					Action:  abi.Errno.WithData(uint16(i % 4000)),
				})
			}
			return rules
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := simple(test.rules()...)
			program, err := Compile(r, Options{})
			if test.tooLarge {
				if !errors.Is(err, ErrTooLarge) {
					t.Fatalf("got %d instructions and error %v, want ErrTooLarge", len(program), err)
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d instructions", len(program))
			for _, rule := range r.ABIs[0].Rules {
				if c := (abi.Call{Arch: abi.AMD64.AuditArch(), NR: rule.Numbers[0].Lo}); constantAllow(r.ABIs[0], c.NR) && !ConstAllow(program, c).Allowed {
					t.Errorf("number %d is always allowed, but the kernel has to run the program", c.NR)
				}
			}
			calls := testkit.NewCallGen(r, 1)
			for range 20_000 {
				c := calls.Next()
				if got, want := program.Run(c, false).Return, r.Eval(c).Action; got != want {
					t.Fatalf("%+v: got %v, want %v", c, got, want)
				}
			}
		})
	}
}

// TestMalformed sees that what breaks the promises of policy.Resolved is an
// error.
func TestMalformed(t *testing.T) {
	backwards := policy.Test{Mask: ^uint64(0), In: []policy.Interval{{Lo: 5, Hi: 6}, {Lo: 1, Hi: 2}}}
	tests := []struct {
		name   string
		policy *policy.Resolved
		want   string
	}{
		{"no ABI", &policy.Resolved{}, "no ABI"},
		{"None", &policy.Resolved{ABIs: []policy.ResolvedABI{{}}}, "no ABI"},
		{"twice", &policy.Resolved{ABIs: []policy.ResolvedABI{{ABI: abi.ARM}, {ABI: abi.ARM}}}, "twice"},
		{"byte order", &policy.Resolved{ABIs: []policy.ResolvedABI{{ABI: abi.ARM}, {ABI: abi.MIPS}}}, "byte order"},
		{"numbers", simple(policy.ResolvedRule{Numbers: []policy.NumberRange{{Lo: 3, Hi: 4}, {Lo: 4, Hi: 5}}}), "numbers"},
		{"argument", simple(policy.ResolvedRule{Numbers: numbers(1, 1), Any: []policy.Alternative{{equal(7, 1, 1)}}}), "argument 7"},
		{"values", simple(policy.ResolvedRule{Numbers: numbers(1, 1), Any: []policy.Alternative{{backwards}}}), "values"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Compile(test.policy, Options{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one about %q", err, test.want)
			}
		})
	}
}
