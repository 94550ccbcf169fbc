package convert

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/testkit"
	"github.com/sysgate/sysgate/policy"
)

// Pseudo code, read as it is meant, decides as the policy does.
func TestPFCMeans(t *testing.T) {
	testkit.Check(t, 100, func(t *rapid.T) {
		r := testkit.Policies(testkit.PolicyOptions{}).Draw(t, "policy")
		var out bytes.Buffer
		if err := PFC(&out, nil, r); err != nil {
			t.Skip(err)
		}
		lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
		gen := testkit.NewCallGen(r, rapid.Uint64().Draw(t, "seed"))
		for range 50 {
			c := gen.Next()
			got, ok := runPFC(t, lines, c)
			want := pfcWord(r.Eval(c).Action)
			if !ok || got != want {
				t.Fatalf("%+v: got %q, want %q\n%s", c, got, want, out.String())
			}
		}
	})
}

// pfcWord returns what libseccomp calls an action.
func pfcWord(a abi.Action) string {
	var b bytes.Buffer
	p := pfc{w: &b}
	p.action(a)
	return strings.TrimSpace(b.String())
}

type fataler interface{ Fatalf(string, ...any) }

// runPFC runs lines from the top: below a condition that fails it goes on with
// the lines that are indented as the condition is, or with its else.
func runPFC(t fataler, lines []string, c abi.Call) (action string, ok bool) {
	depth := func(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
	failed := map[int]bool{} // by depth: the last condition there did not hold
	skip := -1               // lines deeper than this are not run
	for _, line := range lines {
		d, text := depth(line), strings.TrimSpace(line)
		if skip >= 0 && d > skip {
			continue
		}
		skip = -1
		switch {
		case strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "if ("):
			failed[d] = !pfcHolds(t, strings.TrimSuffix(strings.TrimPrefix(text, "if ("), ")"), c)
			if failed[d] {
				skip = d
			}
		case text == "else":
			if !failed[d] {
				skip = d
			}
		case strings.HasPrefix(text, "action "):
			return text, true
		default:
			t.Fatalf("line %q", line)
		}
	}
	return "", false
}

func pfcHolds(t fataler, condition string, c abi.Call) bool {
	f := strings.Fields(condition)
	var v uint64
	name, half, _ := strings.Cut(f[0], ".")
	switch {
	case name == "$arch":
		v = uint64(c.Arch)
	case name == "$syscall":
		v = uint64(c.NR)
	case name == "$ip":
		v = c.IP
	default:
		v = c.Args[name[2]-'0']
	}
	switch half {
	case "hi32":
		v >>= 32
	case "lo32":
		v &= 1<<32 - 1
	}
	if len(f) == 5 && f[1] == "&" {
		mask, err := strconv.ParseUint(f[2], 0, 32)
		if err != nil {
			t.Fatalf("condition %q: %v", condition, err)
		}
		v &= mask
		f = f[2:]
	}
	n, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		t.Fatalf("condition %q: %v", condition, err)
	}
	switch f[1] {
	case "==":
		return v == n
	case ">=":
		return v >= n
	case ">":
		return v > n
	}
	t.Fatalf("condition %q", condition)
	return false
}

func FuzzPFC(f *testing.F) {
	f.Add(uint64(0), uint64(5), uint64(1<<32-1), uint64(3))
	f.Add(uint64(7), uint64(1<<33), uint64(1<<64-1), uint64(1<<32))
	f.Fuzz(func(t *testing.T, lo, hi, mask, value uint64) {
		in := policy.Interval{Lo: min(lo, hi), Hi: max(lo, hi)}
		r := &policy.Resolved{ABIs: []policy.ResolvedABI{{ABI: abi.ARM64, Default: abi.Errno, Unknown: abi.Errno, Rules: []policy.ResolvedRule{{
			Numbers: []policy.NumberRange{{Lo: 1, Hi: 1}},
			Any:     []policy.Alternative{{{Word: 2, Mask: mask, In: []policy.Interval{in}}}},
			Action:  abi.Allow,
		}}}}}
		var out bytes.Buffer
		if err := PFC(&out, nil, r); err != nil {
			t.Fatal(err)
		}
		c := abi.Call{Arch: abi.ARM64.AuditArch(), NR: 1}
		c.Args[2] = value
		got, _ := runPFC(t, strings.Split(strings.TrimRight(out.String(), "\n"), "\n"), c)
		if want := pfcWord(r.Eval(c).Action); got != want {
			t.Fatalf("got %q, want %q\n%s", got, want, out.String())
		}
	})
}
