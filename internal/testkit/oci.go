package testkit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// BenchmarkPolicy reads P1, P2, P3 or P4 of testdata/policies at the root of the
// repository, for a test of a package two directories below it. They are in the
// OCI form, of which no more is read here than they use, and mean: a call whose
// entries all fail, an x32 call and an unknown number take the default action.
func BenchmarkPolicy(t testing.TB, name string, abis ...abi.ABI) *policy.Resolved {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "policies", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var profile ociProfile
	if err := json.Unmarshal(data, &profile); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	fallback := ociAction(t, profile.DefaultAction, profile.DefaultErrnoRet)
	r := &policy.Resolved{BadArch: abi.KillProcess, X32: fallback}
	for _, a := range abis {
		s := policy.ResolvedABI{ABI: a, Default: fallback, Unknown: fallback}
		for nr := range a.Syscalls() {
			s.Known = append(s.Known, policy.NumberRange{Lo: nr, Hi: nr})
		}
		s.Known = JoinNumbers(s.Known)
		for i, e := range profile.Syscalls {
			if rule, ok := e.rule(t, a, i); ok {
				s.Rules = append(s.Rules, rule)
			}
		}
		r.ABIs = append(r.ABIs, s)
	}
	return r
}

type ociProfile struct {
	DefaultAction   string
	DefaultErrnoRet uint16
	Syscalls        []ociEntry
}

type ociEntry struct {
	Names    []string
	Action   string
	ErrnoRet uint16
	Args     []ociArg
}

type ociArg struct {
	Index           uint8
	Value, ValueTwo uint64
	Op              string
}

func ociAction(t testing.TB, action string, errno uint16) abi.Action {
	switch action {
	case "SCMP_ACT_ALLOW":
		return abi.Allow
	case "SCMP_ACT_TRAP":
		return abi.Trap
	case "SCMP_ACT_ERRNO":
		return abi.Errno.WithData(errno)
	}
	t.Fatalf("action %q", action)
	return 0
}

// rule returns the entry's rule on a; there is none if a has none of the names.
func (e *ociEntry) rule(t testing.TB, a abi.ABI, index int) (policy.ResolvedRule, bool) {
	rule := policy.ResolvedRule{Action: ociAction(t, e.Action, e.ErrnoRet), Rule: index}
	for _, name := range e.Names {
		if nr, ok := a.Lookup(name); ok {
			rule.Numbers = append(rule.Numbers, policy.NumberRange{Lo: nr, Hi: nr})
		}
	}
	rule.Numbers = JoinNumbers(rule.Numbers)
	if len(e.Args) > 0 {
		var all policy.Alternative
		for _, arg := range e.Args {
			test, err := arg.test()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, test)
		}
		rule.Any = []policy.Alternative{all}
	}
	return rule, len(rule.Numbers) > 0
}

func (a ociArg) test() (policy.Test, error) {
	const last = ^uint64(0)
	t := policy.Test{Word: a.Index, Mask: last}
	switch v := a.Value; a.Op {
	case "SCMP_CMP_EQ":
		t.In = []policy.Interval{{Lo: v, Hi: v}}
	case "SCMP_CMP_NE":
		t.In = outside(v, v, last)
	case "SCMP_CMP_LT":
		t.In = outside(v, last, last)
	case "SCMP_CMP_LE":
		t.In = []policy.Interval{{Lo: 0, Hi: v}}
	case "SCMP_CMP_GT":
		t.In = outside(0, v, last)
	case "SCMP_CMP_GE":
		t.In = []policy.Interval{{Lo: v, Hi: last}}
	case "SCMP_CMP_MASKED_EQ":
		t.Mask, t.In = v, []policy.Interval{{Lo: a.ValueTwo, Hi: a.ValueTwo}}
	default:
		return t, fmt.Errorf("comparison %q", a.Op)
	}
	return t, nil
}
