package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// call builds a call of an ABI.
func call(t *testing.T, a abi.ABI, name string, args ...uint64) abi.Call {
	t.Helper()
	nr, ok := a.Lookup(name)
	if !ok {
		t.Fatalf("%s has no %s", a, name)
	}
	c := abi.Call{NR: nr, Arch: a.AuditArch()}
	copy(c.Args[:], args)
	return c
}

func resolve(t *testing.T, text string, o Options) (*Resolved, []Warning) {
	t.Helper()
	p, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, warnings, err := p.Resolve(o)
	if err != nil {
		t.Fatal(err)
	}
	return r, warnings
}

const allow = "version: 1\ndefault_action: errno(EACCES)\nsyscalls:\n- action: allow\n  calls:\n  - "

// TestConditions: what each kind of condition compares, on the bits that the
// kernel reads.
func TestConditions(t *testing.T) {
	const high = 0xdead_0000_0000_0000
	tests := []struct {
		name    string
		pattern string
		a       abi.ABI
		call    string
		args    []uint64
		want    bool
	}{
		{"equal", "socket(domain == AF_UNIX)", abi.AMD64, "socket", []uint64{1}, true},
		{"equal, other", "socket(domain == AF_UNIX)", abi.AMD64, "socket", []uint64{2}, false},
		{"an int's high word does not count", "socket(domain == AF_UNIX)", abi.AMD64, "socket", []uint64{high | 1}, true},
		{"unless the whole word is asked for", "socket(domain:64 == AF_UNIX)", abi.AMD64, "socket", []uint64{high | 1}, false},
		{"not equal ignores the high word", "socket(domain != AF_ALG)", abi.AMD64, "socket", []uint64{high | 38}, false},
		{"positional", "socket(AF_ALG, _, 0)", abi.AMD64, "socket", []uint64{38, 99, 0}, true},
		{"positional, last differs", "socket(AF_ALG, _, 0)", abi.AMD64, "socket", []uint64{38, 99, 1}, false},
		{"in", "socket(domain in {AF_UNIX, AF_INET})", abi.AMD64, "socket", []uint64{2}, true},
		{"not in", "socket(domain not in {AF_UNIX, AF_INET})", abi.AMD64, "socket", []uint64{2}, false},
		{"masked", "socket(type & 0xf == SOCK_STREAM)", abi.AMD64, "socket", []uint64{0, 0x80001}, true},
		{"masked, other", "socket(type & 0xf == SOCK_STREAM)", abi.AMD64, "socket", []uint64{0, 0x80002}, false},
		{"masked, not equal", "socket(type & 0xf != SOCK_STREAM)", abi.AMD64, "socket", []uint64{0, 0x80002}, true},
		{"any bit", "mmap(prot & PROT_EXEC != 0)", abi.AMD64, "mmap", []uint64{0, 0, 5}, true},
		{"no bit", "mmap(prot & (PROT_EXEC | PROT_WRITE) == 0)", abi.AMD64, "mmap", []uint64{0, 0, 1}, true},
		{"no bit, one set", "mmap(prot & (PROT_EXEC | PROT_WRITE) == 0)", abi.AMD64, "mmap", []uint64{0, 0, 2}, false},
		{"complement", "mmap(prot & ~PROT_READ == 0)", abi.AMD64, "mmap", []uint64{0, 0, 1}, true},
		{"signed order: -1 is below 0", "kill(pid < 0)", abi.AMD64, "kill", []uint64{0xffffffff}, true},
		{"signed order: 0 is not", "kill(pid < 0)", abi.AMD64, "kill", []uint64{0}, false},
		{"signed order: from -5", "kill(pid >= -5)", abi.AMD64, "kill", []uint64{0xfffffffb}, true},
		{"signed order: below -5", "kill(pid >= -5)", abi.AMD64, "kill", []uint64{0xfffffffa}, false},
		{"unsigned order", "write(count > 4096)", abi.AMD64, "write", []uint64{0, 0, 4097}, true},
		{"unsigned order, 64 bits", "write(count > 4096)", abi.AMD64, "write", []uint64{0, 0, 1 << 40}, true},
		{"unsigned order, equal", "write(count > 4096)", abi.AMD64, "write", []uint64{0, 0, 4096}, false},
		{"at most", "write(count <= 4096)", abi.AMD64, "write", []uint64{0, 0, 4096}, true},
		{"a 16-bit mode", "fchmod(mode == 0o600)", abi.AMD64, "fchmod", []uint64{3, 0xffff0180}, true},
		{"a negative constant", "openat(AT_FDCWD)", abi.AMD64, "openat", []uint64{0xffffff9c}, true},
		{"a pointer is null", "prlimit64(new_rlim == NULL)", abi.AMD64, "prlimit64", []uint64{0, 0, 0}, true},
		{"two conditions", "prctl(option == PR_SET_NAME, arg1 != 0)", abi.AMD64, "prctl", []uint64{15, 0}, false},
		{"a number", "nr:41(1)", abi.AMD64, "socket", []uint64{1}, true},
		{"a range of numbers, each with its own masks", "nr:40-45(arg0 == 1)", abi.AMD64, "socket", []uint64{high | 1}, true},
		{"pinned to this ABI", "amd64:socket(1)", abi.AMD64, "socket", []uint64{1}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, _ := resolve(t, allow+test.pattern+"\n", Options{Native: test.a})
			got := r.Eval(call(t, test.a, test.call, test.args...)).Action == abi.Allow
			if got != test.want {
				t.Errorf("%s on %s%#x: allowed %v, want %v\n%+v", test.pattern, test.call, test.args, got, test.want, r.ABIs[0].Rules)
			}
		})
	}
}

// TestResolveErrors: what has no meaning, with position and hint.
func TestResolveErrors(t *testing.T) {
	tests := []struct{ name, pattern, want, hint string }{
		{"a constant outside the read mask", "socket(domain == 0x100000001)", "outside the 32 bits", ""},
		{"a value outside its mask", "socket(type & 0xf == 0x11)", "can never be equal", ""},
		{"a pointer", "openat(filename == 5)", "is a pointer", "NULL"},
		{"no such argument", "socket(family2 == 1)", "no argument", "domain"},
		{"an argument that is not read", "socket(arg5 == 1)", "has 3 arguments", ""},
		{"a negative number for an unsigned argument", "write(count == -1)", "unsigned", "write"},
		{"a mask of 0", "socket(type & 0 == 0)", "nothing is compared", ""},
		{"a negative number in disguise", "kill(pid > 0xffffffff)", "for a signed argument", "write -1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := Parse("test.yaml", []byte(allow+test.pattern+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = p.Resolve(Options{Native: abi.AMD64})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want an *Error", err)
			}
			if !strings.Contains(e.Msg, test.want) || !strings.Contains(e.Hint, test.hint) || e.Pos.Line != 6 || e.Pos.Col < 5 {
				t.Errorf("%v\nhint %q\nwant message %q and hint %q on line 6", e, e.Hint, test.want, test.hint)
			}
		})
	}
}

// TestVerdictOrder: the sections of design, from the architecture to unknown
// numbers.
func TestVerdictOrder(t *testing.T) {
	text := `version: 1
abis: [ABIS]
kernel: "5.10"
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
bad_arch_action: trap(7)
x32_action: errno(1000)
syscalls:
- action: allow
  names: [read, openat2, landlock_restrict_self]
- action: kill_process
  names: [read]
`
	amd64 := abi.AMD64.AuditArch()
	tests := []struct {
		name, abis string
		call       abi.Call
		want       abi.Action
		rule       int
	}{
		{"the first rule that matches", "amd64", abi.Call{Arch: amd64}, abi.Allow, 0},
		{"a known number", "amd64", abi.Call{NR: 1, Arch: amd64}, abi.Errno.WithData(1), RuleDefault},
		{"a newer call, named", "amd64", abi.Call{NR: 446, Arch: amd64}, abi.Allow, 0},
		{"a newer call", "amd64", abi.Call{NR: 448, Arch: amd64}, abi.Errno.WithData(38), RuleUnknown},
		{"a hole", "amd64", abi.Call{NR: 400, Arch: amd64}, abi.Errno.WithData(38), RuleUnknown},
		{"-1", "amd64", abi.Call{NR: 0xffffffff, Arch: amd64}, abi.Errno.WithData(38), RuleUnknown},
		{"x32", "amd64", abi.Call{NR: abi.X32Bit, Arch: amd64}, abi.Errno.WithData(1000), RuleX32},
		{"x32, listed", "amd64, x32", abi.Call{NR: abi.X32Bit, Arch: amd64}, abi.Allow, 0},
		{"x32 alone, another number", "x32", abi.Call{NR: 0, Arch: amd64}, abi.Trap.WithData(7), RuleBadArch},
		{"another architecture", "amd64", abi.Call{Arch: abi.I386.AuditArch()}, abi.Trap.WithData(7), RuleBadArch},
		{"another architecture, listed", "amd64, 386", abi.Call{NR: 3, Arch: abi.I386.AuditArch()}, abi.Allow, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, _ := resolve(t, strings.Replace(text, "ABIS", test.abis, 1), Options{})
			if got := r.Eval(test.call); got != (Verdict{test.want, test.rule}) {
				t.Errorf("got %v by %d, want %v by %d", got.Action, got.Rule, test.want, test.rule)
			}
		})
	}
}

// TestMultiplexers: an unconditional rule covers the sub-call, one with
// conditions does not and says so.
func TestMultiplexers(t *testing.T) {
	deny := func(calls string) string {
		return "version: 1\nabis: [amd64, 386]\ndefault_action: allow\nsyscalls:\n- action: errno(EPERM)\n  calls: [" + calls + "]\n"
	}
	r, warnings := resolve(t, deny("bind"), Options{})
	bind := call(t, abi.I386, "socketcall", 0xffff_ffff_0000_0002) // dirty high word
	if got := r.Eval(bind).Action; got != abi.Errno.WithData(1) {
		t.Errorf("socketcall(SYS_BIND): %v", got)
	}
	if got := r.Eval(call(t, abi.I386, "socketcall", 3)).Action; got != abi.Allow {
		t.Errorf("socketcall(SYS_CONNECT): %v", got)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings %v", warnings)
	}
	_, warnings = resolve(t, deny(`"socket(domain == AF_ALG)"`), Options{})
	if len(warnings) != 1 || warnings[0].Code != CodeGroup {
		t.Errorf("warnings %v, want one of code CodeGroup", warnings)
	}
	_, warnings = resolve(t, deny(`"socket(domain == AF_ALG)", socketcall`), Options{})
	if len(warnings) != 0 {
		t.Errorf("a rule decides socketcall: warnings %v", warnings)
	}
}

// TestGroups: a denial of one of several calls that do the same.
func TestGroups(t *testing.T) {
	deny := func(names, more string) string {
		return "version: 1\nabis: [386]\ndefault_action: allow\nsyscalls:\n- action: errno(EPERM)\n  names: [" + names + "]\n" + more
	}
	for _, test := range []struct {
		name, text string
		want       int
	}{
		{"part", deny("setuid", ""), 1},
		{"part, on purpose", deny("setuid", "  only: true\n"), 0},
		{"all", deny("setuid, setuid32", ""), 0},
		{"all, in two rules", deny("setuid", "- action: kill_process\n  names: [setuid32]\n"), 0},
	} {
		if _, warnings := resolve(t, test.text, Options{}); len(warnings) != test.want {
			t.Errorf("%s: warnings %v, want %d", test.name, warnings, test.want)
		}
	}
}

// TestNames: where names are missing, and sets.
func TestNames(t *testing.T) {
	_, warnings := resolve(t, "version: 1\nabis: [arm64]\ndefault_action: errno\nsyscalls:\n- action: allow\n  names: [open, openat, \"@systemd/basic-io\"]\n", Options{})
	if len(warnings) != 1 || warnings[0].Code != CodeOtherABI || !strings.Contains(warnings[0].Msg, "open") {
		t.Errorf("warnings %v, want one about open", warnings)
	}
	_, warnings = resolve(t, "version: 1\nabis: [arm64]\ndefault_action: errno\nsyscalls:\n- action: allow\n  optional: true\n  names: [open]\n", Options{})
	if len(warnings) != 0 {
		t.Errorf("optional: warnings %v", warnings)
	}
	p, err := Parse("beat.yml", []byte("seccomp:\n  default_action: allow\n  syscalls:\n  - action: errno\n    names: [execve, fork]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Resolve(Options{Native: abi.ARM64}); err == nil || !strings.Contains(err.Error(), "has no call fork") {
		t.Errorf("the documented form with a name that the ABI lacks: error %v", err)
	}
}

// TestDocumented: go-seccomp-bpf's conditions are unsigned, take pointers, and
// never see bits that the kernel ignores.
func TestDocumented(t *testing.T) {
	for _, test := range []struct {
		name, op, value string
		argument        int
		call            string
		args            []uint64
		want            bool
	}{
		{"unsigned", "GreaterThan", "5", 0, "fcntl", []uint64{0xffffffff}, true},
		{"an ignored high word", "Equal", "5", 0, "fcntl", []uint64{1<<40 | 5}, true},
		{"a sign-extended value", "Equal", "0xffffffffffffff9c", 0, "openat", []uint64{0xffffff9c}, true},
		{"an order beyond every value", "GreaterThan", "0x100000000", 0, "fcntl", []uint64{0xffffffff}, false},
		{"an order below every value", "LessThan", "0x100000000", 0, "fcntl", []uint64{0xffffffff}, true},
		{"any bit", "BitsSet", "0x10000000", 0, "clone", []uint64{0x10000011}, true},
		{"no bit", "BitsNotSet", "0x10000000", 0, "clone", []uint64{0x11}, true},
		{"a pointer", "Equal", "0x1000", 1, "openat", []uint64{0, 0x1000}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := "seccomp:\n  default_action: errno\n  syscalls:\n  - action: allow\n    names_with_args:\n    - name: " + test.call +
				"\n      arguments:\n      - {argument: " + string(rune('0'+test.argument)) + ", operation: " + test.op + ", value: " + test.value + "}\n"
			r, _ := resolve(t, text, Options{Native: abi.AMD64})
			if got := r.Eval(call(t, abi.AMD64, test.call, test.args...)).Action == abi.Allow; got != test.want {
				t.Errorf("allowed %v, want %v: %+v", got, test.want, r.ABIs[0].Rules)
			}
		})
	}
}

// TestWhen: rules that depend on capabilities and on the kernel.
func TestWhen(t *testing.T) {
	const text = `version: 1
default_action: errno
syscalls:
- action: allow
  names: [mount]
  when: {caps: [CAP_SYS_ADMIN]}
- action: allow
  names: [ptrace]
  when: {kernel: "4.8"}
`
	for _, test := range []struct {
		o      Options
		mount  bool
		ptrace bool
	}{
		{Options{Native: abi.AMD64}, false, true},
		{Options{Native: abi.AMD64, Caps: []string{"sys_admin"}, Kernel: abi.Kernel{Major: 4, Minor: 7}}, true, false},
	} {
		r, _ := resolve(t, text, test.o)
		for name, want := range map[string]bool{"mount": test.mount, "ptrace": test.ptrace} {
			if got := r.Eval(call(t, abi.AMD64, name)).Action == abi.Allow; got != want {
				t.Errorf("%+v: %s allowed %v, want %v", test.o, name, got, want)
			}
		}
	}
}
