package policy

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sysgate/sysgate/abi"
)

// A rule decides what its calls match and its exceptions do not, whatever both are:
// each is asked alone.
func TestExceptMeaning(t *testing.T) {
	const matched, other = "log", "allow"
	pattern := rapid.SampledFrom([]string{
		"read", "socket", "ioctl", "@systemd/io-event", "386:ioctl", "386:socketcall", "nr:0-20", "nr:5", "amd64:nr:400-700", "amd64:nr:0-1(arg0 == 1)",
		"socket(domain == 1)", "socket(domain in {1, 2, 5})", "socket(domain != 2)", "socket(domain & 6 == 2)", "socket(domain < 3, type == 1)",
		"socket(type & 3 != 0)", "socket(protocol:64 == 1)", "ioctl(cmd == 2)", "ioctl(cmd != 2, fd == 1)", "ioctl(fd < 0)", "read(fd == 1, count > 3)",
		"socketcall(call == 1)", "amd64:nr:0-1(arg0 == 2, arg2 == 2)", "nr:600-700(arg2 != 1)", "read(ip == 7)",
	})
	list := func(label string) *rapid.Generator[[]string] { return rapid.SliceOfNDistinct(pattern, 1, 4, rapid.ID) }
	small := rapid.OneOf(rapid.Uint64Range(0, 8), rapid.SampledFrom([]uint64{1 << 32, 1<<32 + 1, 0xffffffff, ^uint64(0)}))
	number := rapid.OneOf(rapid.Uint32Range(0, 21), rapid.SampledFrom([]uint32{41, 54, 102, 232, 281, 359, 400, 600, 650, 700, 701, 0xffffffff}))
	taken, left := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		resolve := func(calls, except []string) *Resolved {
			p := &Policy{ABIs: []abi.ABI{abi.AMD64, abi.I386}, Default: Action{Kind: abi.Allow}, Rules: []Rule{{Action: Action{Kind: abi.Log}, Only: true}}}
			for _, list := range []struct {
				from []string
				to   *[]Pattern
			}{{calls, &p.Rules[0].Calls}, {except, &p.Rules[0].Except}} {
				for _, s := range list.from {
					c, err := ParsePattern(s)
					if err != nil {
						t.Fatal(err)
					}
					*list.to = append(*list.to, c)
				}
			}
			r, _, err := p.Resolve(Options{})
			if err != nil {
				t.Fatal(err)
			}
			checkResolved(t, r)
			return r
		}
		calls, except := list("calls").Draw(t, "calls"), list("except").Draw(t, "except")
		both, rule, exceptions := resolve(calls, except), resolve(calls, nil), resolve(except, nil)
		for range 100 {
			c := abi.Call{NR: number.Draw(t, "nr"), Arch: rapid.SampledFrom([]uint32{0xc000003e, 0x40000003}).Draw(t, "arch"), IP: small.Draw(t, "ip")}
			for i := range c.Args {
				c.Args[i] = small.Draw(t, "argument")
			}
			want := other
			if rule.Eval(c).Action == abi.Log {
				if want = matched; exceptions.Eval(c).Action == abi.Log {
					want = other
					taken++
				} else {
					left++
				}
			}
			if got := both.Eval(c).Action.String(); got != want {
				t.Fatalf("%v except %v: %s gets %s, want %s", calls, except, FormatCall(c), got, want)
			}
		}
	})
	if taken == 0 || left == 0 {
		t.Errorf("%d calls taken away and %d left", taken, left)
	}
}

// Each row is a rule with exceptions, and what is said about it.
func TestExceptFindings(t *testing.T) {
	const head = "version: 1\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n"
	for _, tt := range []struct {
		name, abis, rule string
		errs, warnings   []string
	}{
		{"a name of the set", "amd64", `names: ["@docker/default"], except: [ptrace]`, nil, nil},
		{"a set of the set", "amd64", `names: ["@docker/default"], except: ["@purpose/exec"]`, nil, nil},
		{"what the rule has not", "amd64", `names: [read], except: [write]`, nil, []string{"exception: the rule has no call of the exception write"}},
		{"a set that the rule has not", "amd64", `names: [read], except: ["@pledge/exec"]`, nil, []string{"exception: the rule has no call of the exception @pledge/exec"}},
		{"that is meant", "amd64", `names: [read], except: [write], optional: true`, nil, nil},
		{"all", "amd64", `names: [read], except: [read]`, nil, []string{"exception: the exceptions take away every call"}},
		{"all on one ABI of two", "amd64, 386", `names: [setuid32, read], except: ["amd64:read"]`, nil, nil},
		{"a name of another ABI", "amd64", `names: ["@systemd/setuid"], except: [setuid32]`, nil, []string{"other-abi: amd64 has no call setuid32"}},
		{"an unknown name", "amd64", `names: [read], except: [raed]`, []string{`unknown system call "raed"`}, nil},
		{"an unknown set", "amd64", `names: [read], except: ["@nothing"]`, []string{`unknown set "@nothing"`}, nil},
		{"a sub-call goes with its call", "386", `names: [socket, connect], except: [socket]`, nil, nil},
		{"one way of two", "386", `names: [setuid, setuid32], except: [setuid]`, nil, []string{"group: setuid on 386 is restricted, but setuid32 does the same"}},
		{"one way of two, meant", "386", `names: [setuid, setuid32], except: [setuid], only: true`, nil, nil},
		{"a condition that the sub-call passes by", "386", `names: [socket], except: [socket(domain == AF_ALG)]`, nil, []string{"group: socket on 386 is restricted, but socketcall(1) for socket"}},
		{"an argument that the ABI has not", "amd64, 386", `names: [mmap], except: ["mmap(prot & PROT_EXEC != 0)"], optional: true`, nil, nil},
		{"an argument that one ABI has not", "amd64, 386", `names: [mmap], except: ["mmap(prot & PROT_EXEC != 0)"]`, nil, []string{`group: mmap on 386 has no argument "prot": the exception does not apply there`}},
		{"conditions that multiply", "amd64", `names: [ioctl], except: [` + many("ioctl(fd != %, cmd & % == 0, arg & % != 0)", 14) + `]`, []string{"more than 4096 alternatives"}, nil},
	} {
		p, err := Parse("p.yaml", []byte(head+"  "+strings.Join(fields(tt.rule), "\n  ")+"\nabis: ["+tt.abis+"]\n"))
		var warnings []Warning
		if err == nil {
			_, warnings, err = p.Resolve(Options{})
		}
		var got []string
		for _, w := range warnings {
			got = append(got, w.Code+": "+w.Msg)
		}
		if len(tt.errs) > 0 && (err == nil || !strings.Contains(err.Error(), tt.errs[0])) || len(tt.errs) == 0 && err != nil {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.errs)
		}
		if len(got) != len(tt.warnings) || !slices.EqualFunc(got, tt.warnings, strings.HasPrefix) {
			t.Errorf("%s: warnings %q, want %q", tt.name, got, tt.warnings)
		}
	}
}

// fields splits a flow mapping's text at the commas between fields.
func fields(rule string) []string {
	var all []string
	depth, start := 0, 0
	for i, c := range rule {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == ',' && depth == 0:
			all = append(all, rule[start:i])
			start = i + 2
		}
	}
	return append(all, rule[start:])
}

// many returns n quoted patterns with a number of its own for each %.
func many(pattern string, n int) string {
	var all []string
	for i := range n {
		all = append(all, `"`+strings.ReplaceAll(pattern, "%", shortNumber(1<<i))+`"`)
	}
	return strings.Join(all, ", ")
}
