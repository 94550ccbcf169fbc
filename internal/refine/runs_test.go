package refine

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/internal/observe"
	"github.com/sysgate/sysgate/policy"
)

func lookup(t *testing.T, a abi.ABI, name string) uint32 {
	t.Helper()
	nr, ok := a.Lookup(name)
	if !ok {
		t.Fatalf("%v has no %s", a, name)
	}
	return nr
}

func TestFromRuns(t *testing.T) {
	var one, two observe.Tally
	m, _ := one.Add(abi.AMD64, lookup(t, abi.AMD64, "read"), [6]uint64{}, 4)
	m.Exe = "/bin/a\nb"
	one.Add(abi.AMD64, lookup(t, abi.AMD64, "socket"), [6]uint64{1, 0x80001, 0}, 1)
	two.Add(abi.AMD64, lookup(t, abi.AMD64, "socket"), [6]uint64{2, 2, 17}, 2)
	two.Add(abi.AMD64, lookup(t, abi.AMD64, "ioctl"), [6]uint64{0, 0x5401}, 1)
	two.Add(abi.AMD64, lookup(t, abi.AMD64, "ioctl"), [6]uint64{0, 0x12345}, 1)
	two.Add(abi.AMD64, 6000, [6]uint64{}, 1)
	m, _ = two.Add(abi.AMD64, lookup(t, abi.AMD64, "mkdir"), [6]uint64{}, 3)
	m.Denied = 3
	runs := []*observe.Run{{Source: "a", Calls: one.Calls()}, {Source: "b", Calls: two.Calls(), Doubts: []string{"dark"}, Lost: 2}}
	static := &observe.Set{ABI: abi.AMD64, Sources: []string{"bin"}, Calls: []observe.Call{
		{NR: 0, Name: "read", Class: observe.Certain, Evidence: "main"},
		{NR: lookup(t, abi.AMD64, "kill"), Name: "kill", Class: observe.Certain, Evidence: "main.f"},
	}}
	p, elsewhere, unnamed := FromRuns(observe.Join(runs, []*observe.Set{static}), Options{}, true)
	if len(elsewhere) > 0 || len(unnamed) != 1 || unnamed[0].NR != 6000 {
		t.Errorf("elsewhere %v, unnamed %v", elsewhere, unnamed)
	}
	want := `# The system calls of a, b, bin.
# Recorded in 2 runs: another may make calls that are not listed.
# The recorder lost 2 calls.
# Open: dark.

version: 1
abis: [amd64]
default_action: errno(ENOSYS)
unknown_action: errno(ENOSYS)
syscalls:
- action: allow
  names:
  - mkdir # 1 of 2 runs, 3 times, each time denied by a filter
  - read # 1 of 2 runs, 4 times, first by /bin/a?b
  calls:
  - ioctl(cmd in {TCGETS, 0x12345}) # 1 of 2 runs, 2 times
  - socket(domain == AF_UNIX, type == SOCK_STREAM | SOCK_CLOEXEC, protocol == 0) # 2 of 2 runs, once
  - socket(domain == AF_INET, type == SOCK_DGRAM, protocol == 0x11) # 2 of 2 runs, 2 times
# Found by static analysis, used by no run.
- action: allow
  names:
  - kill # certain: main.f
`
	if got := string(p.Format()); got != want {
		t.Errorf("policy:\n%s\nwant:\n%s", got, want)
	}
	read, err := policy.Parse("p", p.Format())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := read.Resolve(policy.Options{}); err != nil {
		t.Fatal(err)
	}
}

// TestFromRunsOfSeveralABIs: what one ABI was seen to do, another one may not.
func TestFromRunsOfSeveralABIs(t *testing.T) {
	var tally observe.Tally
	tally.Add(abi.AMD64, lookup(t, abi.AMD64, "prctl"), [6]uint64{15}, 1)
	tally.Add(abi.I386, lookup(t, abi.I386, "prctl"), [6]uint64{38}, 1)
	tally.Add(abi.I386, lookup(t, abi.I386, "mkdir"), [6]uint64{}, 1)
	tally.Add(abi.AMD64, lookup(t, abi.AMD64, "getpid"), [6]uint64{}, 2)
	tally.Add(abi.I386, lookup(t, abi.I386, "getpid"), [6]uint64{}, 3)
	p, _, _ := FromRuns(observe.Join([]*observe.Run{{Source: "a", Calls: tally.Calls()}}, nil), Options{}, true)
	r, _, err := p.Resolve(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for call, want := range map[string]bool{
		"amd64:prctl(15)": true, "amd64:prctl(38)": false, "386:prctl(38)": true, "386:prctl(15)": false, "386:mkdir": true, "amd64:mkdir": false,
	} {
		c, err := policy.ParseCall(call, abi.AMD64)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Eval(c).Action == abi.Allow; got != want {
			t.Errorf("%s: allowed %v", call, got)
		}
	}
	for _, line := range []string{"abis: [amd64, 386]", "  - getpid # 5 times\n"} {
		if !strings.Contains(string(p.Format()), line) {
			t.Errorf("no %q in policy:\n%s", line, p.Format())
		}
	}
}

// TestEvidence: what a recording let go on has no action.
func TestEvidence(t *testing.T) {
	for want, seen := range map[string]Seen{
		"seen 3 times: /usr/bin/ls":       {Count: 3, Actions: []string{"allow"}, Programs: []string{"/usr/bin/ls"}},
		"seen once, errno: /usr/bin/ls":   {Count: 1, Actions: []string{"errno"}, Programs: []string{"/usr/bin/ls"}},
		"seen 2 times, allow, log: a?\"b": {Count: 2, Actions: []string{"allow", "log"}, Programs: []string{"a\n\"b"}},
	} {
		if got := seen.Evidence(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
