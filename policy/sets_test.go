package policy

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sysgate/sysgate/abi"
)

// The sets beside systemd's never change either.
func TestReleasedSets(t *testing.T) {
	released := fnv.New64a()
	for _, name := range append(SetNames(), PatternSetNames()...) {
		if strings.HasPrefix(name, "@systemd/") {
			continue
		}
		patterns, _ := SetPatterns(name)
		for _, p := range patterns {
			fmt.Fprintln(released, name, p)
		}
		if SetDescription(name) == "" {
			t.Errorf("%s has no description", name)
		}
	}
	if got, want := released.Sum64(), uint64(0x28247e95622a053c); got != want {
		t.Errorf("the sets of version 1 changed: their hash is %#x, not %#x", got, want)
	}
}

// Sets with conditions are read, mean something on every ABI and are written as
// their name.
func TestPatternSets(t *testing.T) {
	names := PatternSetNames()
	if len(names) < 10 {
		t.Fatalf("%v", names)
	}
	for _, name := range names {
		text := fmt.Sprintf("version: 1\ndefault_action: errno(EPERM)\nsyscalls:\n- action: allow\n  names: [read, %q]\n", name)
		p, err := Parse("p.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := string(p.Format()); got != text {
			t.Errorf("%s is written as\n%s", name, got)
		}
		for _, a := range []abi.ABI{abi.AMD64, abi.ARM64, abi.I386, abi.S390X} {
			r, warnings, err := p.Resolve(Options{Native: a})
			if err != nil {
				t.Errorf("%s on %s: %v", name, a, err)
				continue
			}
			if len(warnings) > 0 {
				t.Errorf("%s on %s: %v", name, a, warnings)
			}
			q, err := Parse("p.yaml", p.Format())
			if err != nil {
				t.Fatal(err)
			}
			again, _, err := q.Resolve(Options{Native: a})
			if diff := cmp.Diff(r, again); err != nil || diff != "" {
				t.Errorf("%s on %s: %v\n%s", name, a, err, diff)
			}
		}
		if _, ok := Set(name); ok {
			t.Errorf("%s is taken for a set of names", name)
		}
		if _, err := ParsePattern(name); err == nil || !strings.Contains(err.Error(), "has conditions") {
			t.Errorf("%s as a pattern: %v", name, err)
		}
	}
	if patterns, ok := SetPatterns("@systemd/swap"); !ok || len(patterns) != 2 || patterns[0].Name != "swapoff" {
		t.Errorf("%v", patterns)
	}
	if _, ok := SetPatterns("@nothing"); ok {
		t.Error("a set that there is not")
	}
}

// A set that lost a member is not written as the set.
func TestPartOfSet(t *testing.T) {
	p, err := Parse("p.yaml", []byte("version: 1\nabis: [amd64]\ndefault_action: errno\nsyscalls:\n- {action: allow, names: [\"@pledge/tty\"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	p.Rules[0].Calls = slices.DeleteFunc(p.Rules[0].Calls, func(c Pattern) bool { return c.Name == "exit" })
	if text := string(p.Format()); strings.Contains(text, "@pledge") || !strings.Contains(text, "ioctl(cmd in {TCGETS") {
		t.Error(text)
	}
}

// Each row is a promise and what becomes of calls.
func TestPledge(t *testing.T) {
	for _, tt := range []struct{ promise, want string }{
		{"stdio", "read() => allow\nfcntl(1, F_SETFD) => allow\nfcntl(1, F_SETLK) => errno(1)\nmmap(0, 0, PROT_EXEC) => errno(1)\nmmap(0, 0, PROT_READ|PROT_WRITE) => allow\nsendto(1, 0, 0, 0, 5) => errno(1)\nopenat() => errno(1)\nkill() => errno(1)\nclone(0x00f00) => errno(1)\nclone(0x3d0f00) => allow\nclone(0x3f0f00) => errno(1)\nprlimit64(0, 0, 1) => errno(1)\nioctl(0, FIONBIO) => allow"},
		{"rpath", "openat(0, 0, O_CLOEXEC) => allow\nopenat(0, 0, O_WRONLY) => errno(1)\nopenat(0, 0, O_CREAT) => errno(1)"},
		{"wpath", "open(0, O_RDWR) => allow\nopen(0, O_RDONLY) => errno(1)\nchmod(0, 0o644) => allow\nnr:90(0, 0x9ed) => errno(1)"},
		{"cpath", "open(0, O_CREAT, 0o600) => allow\nnr:2(0, 0x40, 0x800) => errno(1)"},
		{"inet", "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 6) => allow\nsocket(AF_INET, 3, 0) => errno(1)\nsocket(AF_UNIX, 1, 0) => errno(1)"},
		{"unix", "socket(AF_UNIX, 1, 0) => allow\nsocket(AF_INET, 1, 0) => errno(1)"},
	} {
		p, err := Parse("p.yaml", fmt.Appendf(nil, "version: 1\nabis: [amd64]\ndefault_action: errno\nsyscalls:\n- {action: allow, names: [%q]}\n", "@pledge/"+tt.promise))
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := p.Resolve(Options{})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(tt.want) {
			text, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
			c, err := ParseCall(text, abi.AMD64)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Eval(c).Action.String(); got != want {
				t.Errorf("%s: %s => %s, want %s", tt.promise, text, got, want)
			}
		}
	}
}
