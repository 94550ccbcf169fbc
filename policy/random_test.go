package policy

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
)

func expressions() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"0x10", "7", "AF_UNIX", "O_CREAT", "PROT_EXEC | 2", "~PROT_READ", "-3", "NULL", "0b11", "~(1 | 2)", "1 | (2 | 4)", "0xffffffffffffffff"})
}

func conditions(documented bool) *rapid.Generator[Condition] {
	return rapid.Custom(func(t *rapid.T) Condition {
		c := Condition{Index: rapid.IntRange(0, 5).Draw(t, "index")}
		value := expressions()
		ops := []Op{Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, AnyBits, NoBits}
		if documented {
			value = rapid.SampledFrom([]string{"0", "0x10", "18446744073709551615"})
		} else {
			ops = append(ops, In, NotIn, MaskedEqual, MaskedNotEqual)
			c.Wide = rapid.Bool().Draw(t, "wide")
			switch rapid.IntRange(0, 2).Draw(t, "argument") {
			case 0:
				c.Arg, c.Index = rapid.SampledFrom([]string{"fd", "flags", "domain", "arg6", "whatever"}).Draw(t, "name"), -1
			case 1:
				c.Index = IPWord
			}
		}
		c.Op = rapid.SampledFrom(ops).Draw(t, "op")
		switch c.Op {
		case In, NotIn:
			c.Values = rapid.SliceOfN(value, 1, 3).Draw(t, "values")
		case AnyBits, NoBits:
			c.Mask = value.Draw(t, "mask")
		case MaskedEqual, MaskedNotEqual:
			c.Mask = value.Draw(t, "mask")
			c.Values = []string{value.Draw(t, "value")}
		default:
			c.Values = []string{value.Draw(t, "value")}
		}
		return c
	})
}

func comments() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "", "why", "a: b # c", "two\nlines", "# half", "ünï ✓", "- item", "  spaces  ", "tab\there"})
}

var callNames = []string{"read", "socket", "ioctl", "clone3", "setuid32", "break", "_llseek", "@systemd/io-event", "newstat"}

// policies draws policies as Parse returns them: patterns in the order of
// the fields.
func policies() *rapid.Generator[*Policy] {
	action := rapid.Custom(func(t *rapid.T) Action {
		a := Action{Kind: rapid.SampledFrom(kinds).Draw(t, "kind").kind}
		if a.Kind.TakesData() {
			a.Data = rapid.Uint16Range(0, 4095).Draw(t, "data")
			if a.Kind == abi.Errno && rapid.Bool().Draw(t, "named") {
				a.Errno, a.Data = rapid.SampledFrom([]string{"EPERM", "ENOSYS"}).Draw(t, "errno"), 0
			}
		}
		return a
	})
	optional := func(t *rapid.T, label string) *Action {
		if rapid.Bool().Draw(t, label+" set") {
			a := action.Draw(t, label)
			return &a
		}
		return nil
	}
	kernels := rapid.SampledFrom([]abi.Kernel{{}, {Major: 5, Minor: 10}, {Major: 6, Minor: 1}})
	rule := rapid.Custom(func(t *rapid.T) Rule {
		r := Rule{Action: action.Draw(t, "action"), Reason: comments().Draw(t, "reason"), Comment: comments().Draw(t, "comment")}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(callNames), 1, 6, rapid.ID).Draw(t, "names") {
			r.Calls = append(r.Calls, Pattern{Name: name, Comment: comments().Draw(t, "line")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "calls") {
			p := Pattern{Name: "socket", Comment: comments().Draw(t, "line")}
			p.ABI = rapid.SampledFrom([]abi.ABI{abi.None, abi.I386, abi.AMD64}).Draw(t, "abi")
			if rapid.Bool().Draw(t, "numbered") {
				lo := rapid.Uint32Range(0, 1<<31).Draw(t, "lo")
				p.Name, p.Numbers = "", &NumberRange{lo, lo + rapid.Uint32Range(0, 9).Draw(t, "more")}
			}
			p.Conditions = rapid.SliceOfN(conditions(false), 1, 3).Draw(t, "conditions")
			r.Calls = append(r.Calls, p)
		}
		for range rapid.IntRange(0, 2).Draw(t, "documented") {
			r.Calls = append(r.Calls, Pattern{
				Name: "ioctl", Documented: true, Comment: comments().Draw(t, "line"),
				Conditions: rapid.SliceOfN(conditions(true), 1, 3).Draw(t, "conditions"),
			})
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(append([]string{"@pledge/stdio", "write", "386:read", "nr:7", "socket(1)"}, callNames...)), 0, 3, rapid.ID).Draw(t, "except") {
			members, conditional := SetPatterns(name)
			if !conditional || !hasConditions(name) {
				p, err := ParsePattern(name)
				if err != nil {
					t.Fatal(err)
				}
				members = []Pattern{p}
			}
			members[0].Comment = comments().Draw(t, "line")
			r.Except = append(r.Except, members...)
		}
		if rapid.Bool().Draw(t, "when") {
			r.When = When{MinKernel: kernels.Draw(t, "minKernel")}
			r.When.Caps = rapid.SampledFrom([][]string{nil, {"CAP_BPF"}, {"CAP_BPF", "CAP_CHOWN"}}).Draw(t, "caps")
			r.When.NotCaps = rapid.SampledFrom([][]string{nil, {"CAP_SYS_ADMIN"}}).Draw(t, "not caps")
		}
		r.Only = rapid.Bool().Draw(t, "only")
		r.Optional = rapid.Bool().Draw(t, "optional")
		return r
	})
	return rapid.Custom(func(t *rapid.T) *Policy {
		p := &Policy{
			Version: 1,
			ABIs:    rapid.SampledFrom([][]abi.ABI{nil, {abi.I386}, {abi.AMD64, abi.I386, abi.X32}, {abi.ARM64}}).Draw(t, "abis"),
			Kernel:  kernels.Draw(t, "kernel"),
			Default: action.Draw(t, "default"),
			Unknown: optional(t, "unknown"),
			BadArch: optional(t, "bad arch"),
			X32:     optional(t, "x32"),
			Rules:   rapid.SliceOfN(rule, 0, 4).Draw(t, "rules"),
			Comment: comments().Draw(t, "comment"),
		}
		p.Load.Disabled = rapid.Bool().Draw(t, "disabled")
		if rapid.Bool().Draw(t, "no_new_privs set") {
			value := rapid.Bool().Draw(t, "no_new_privs")
			p.Load.NoNewPrivs = &value
		}
		p.Load.Flags = rapid.SampledFrom([][]string{nil, {"tsync"}, {"tsync", "log"}}).Draw(t, "flags")
		return p
	})
}

var samePolicy = cmp.Options{
	cmpopts.IgnoreUnexported(Policy{}),
	cmpopts.IgnoreTypes(Pos{}),
	cmpopts.EquateEmpty(),
	// Comments lose what is no text of a line; masks against 0 are bit tests.
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Comment" },
		cmp.Transformer("lines", func(s string) string { return strings.Join(commentLines(s), "\n") })),
}

// Format then Parse gives the policy back, and formatting that changes nothing.
func TestFormatRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		text := p.Format()
		q, err := Parse("p.yaml", text)
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, text)
		}
		if diff := cmp.Diff(p, q, samePolicy); diff != "" {
			t.Fatalf("%s\nby\n%s", diff, text)
		}
		if again := q.Format(); string(again) != string(text) {
			t.Fatalf("formatted\n%s\nthen\n%s", text, again)
		}
	})
}

// Resolve gives a policy that keeps its promises, or an error; and the same each
// time.
func TestResolveRandom(t *testing.T) {
	resolved := 0
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		r, _, err := p.Resolve(Options{Native: abi.AMD64})
		if err != nil {
			return
		}
		resolved++
		checkResolved(t, r)
		again, _, err := p.Resolve(Options{Native: abi.AMD64})
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Fatalf("resolved again: %v\n%s", err, diff)
		}
	})
	if resolved == 0 {
		t.Error("no policy was resolved")
	}
}

// Lowered intervals hold exactly the values that the operator accepts.
func TestConditionMeaning(t *testing.T) {
	for _, width := range []int{3, 4} {
		top := uint64(1)<<width - 1
		for _, signed := range []bool{false, true} {
			o := operand{0, top, signed}
			number := func(v uint64) int64 {
				if signed {
					return int64(signExtend(v, width))
				}
				return int64(v)
			}
			for v := range top + 1 {
				for _, op := range []struct {
					op    Op
					holds func(a, b int64) bool
				}{
					{Less, func(a, b int64) bool { return a < b }},
					{LessOrEqual, func(a, b int64) bool { return a <= b }},
					{Greater, func(a, b int64) bool { return a > b }},
					{GreaterOrEqual, func(a, b int64) bool { return a >= b }},
				} {
					in := order(op.op, v, o)
					for word := range top + 1 {
						got := slices.ContainsFunc(in, func(i Interval) bool { return i.Lo <= word && word <= i.Hi })
						if want := op.holds(number(word), number(v)); got != want {
							t.Fatalf("width %d, signed %v: %d op %d (%d): %v, want %v", width, signed, number(word), number(v), op.op, got, want)
						}
					}
				}
			}
		}
	}
}

// Every call prints as a call that reads back.
func TestCallRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64(), rapid.Uint64Range(0, 99))
		c := abi.Call{
			NR:   rapid.OneOf(rapid.Uint32Range(0, 500), rapid.Uint32(), rapid.Uint32Range(0x40000000, 0x40000300)).Draw(t, "nr"),
			Arch: rapid.OneOf(rapid.SampledFrom([]uint32{0xc000003e, 0x40000003, 0xc00000b7}), rapid.Uint32()).Draw(t, "arch"),
			IP:   word.Draw(t, "ip"),
		}
		for i := range c.Args {
			c.Args[i] = word.Draw(t, "arg")
		}
		text := FormatCall(c)
		got, err := ParseCall(text, abi.None)
		if err != nil || got != c {
			t.Fatalf("%s: read as %+v, %v; want %+v", text, got, err, c)
		}
	})
}

func TestSets(t *testing.T) {
	released := fnv.New64a()
	for _, name := range SetNames() {
		members, ok := Set(name)
		if strings.HasPrefix(name, "@systemd/") && name != knownSet {
			fmt.Fprintln(released, name, members)
		}
		if !ok || len(members) == 0 || !slices.IsSorted(members) {
			t.Errorf("%s: %d members, sorted %v", name, len(members), slices.IsSorted(members))
		}
		if len(slices.Compact(slices.Clone(members))) != len(members) {
			t.Errorf("%s holds a name twice", name)
		}
		for _, m := range members {
			if isSet(m) {
				t.Errorf("%s holds the set %s", name, m)
			}
		}
	}
	// A released set never changes under one version of the language.
	if got, want := released.Sum64(), uint64(0x7be8242a535bbd6d); got != want {
		t.Errorf("the sets of version 1 changed: their hash is %#x, not %#x", got, want)
	}
	for name, want := range map[string]int{
		"@systemd/aio": 10, "@systemd/basic-io": 17, "@systemd/default": 66, "@systemd/file-system": 77,
		"@systemd/network-io": 22, "@systemd/swap": 2, "@systemd/chown": 7,
	} {
		if members, _ := Set(name); len(members) != want {
			t.Errorf("%s has %d members, want %d", name, len(members), want)
		}
	}
	if _, ok := Set("@network-io"); ok {
		t.Error("a set without its namespace")
	}
}
