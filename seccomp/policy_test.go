package seccomp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	cbpf "github.com/sysgate/sysgate/bpf"
	"github.com/sysgate/sysgate/policy"
)

func TestPolicyErrors(t *testing.T) {
	group := func(g SyscallGroup) Policy {
		return Policy{DefaultAction: ActionAllow, Syscalls: []SyscallGroup{g}}
	}
	conditional := func(name string, conditions ...Condition) SyscallGroup {
		return SyscallGroup{Action: ActionErrno, NamesWithCondtions: []NameWithConditions{{Name: name, Conditions: conditions}}}
	}
	missing := missingAction
	for _, test := range []struct {
		name   string
		policy Policy
		want   string
		early  bool // Validate finds it
	}{
		{"no default action", Policy{DefaultAction: missingAction}, "missing default_action", true},
		{"unknown default action", Policy{DefaultAction: 1}, "invalid default_action value 1", true},
		{"data where none is taken", Policy{DefaultAction: ActionAllow | 1}, "invalid default_action value 2147418113", true},
		{"no groups", Policy{DefaultAction: ActionAllow}, "syscalls must not be empty", true},
		{"unknown bad_arch_action", Policy{DefaultAction: ActionAllow, BadArchAction: &missing, Syscalls: []SyscallGroup{{}}}, "invalid bad_arch_action value 4294967295", true},
		{"unknown action", group(SyscallGroup{Action: 0x60000, Names: []string{"read"}}), "invalid action value 393216", true},
		{"unknown action of nothing", group(SyscallGroup{Action: 0x60000}), "invalid action value 393216", true},
		{"errno out of range", group(SyscallGroup{Action: ActionErrno | 4096, Names: []string{"read"}}), "invalid action value 331776", true},
		{"unknown name", group(SyscallGroup{Action: ActionErrno, Names: []string{"reed"}}), "found unknown syscalls for arch x86_64: reed", false},
		{"set", group(SyscallGroup{Action: ActionErrno, Names: []string{"@systemd/io-event"}}), "found unknown syscalls for arch x86_64: @systemd/io-event", false},
		{"another ABI's name", group(SyscallGroup{Action: ActionErrno, Names: []string{"socketcall"}}), "found unknown syscalls for arch x86_64: socketcall", false},
		{"twice", group(SyscallGroup{Action: ActionErrno, Names: []string{"read", "read"}}), "found duplicate syscall read", false},
		{"twice by an alias", group(SyscallGroup{Action: ActionErrno, Names: []string{"stat", "newstat"}}), "found duplicate syscall newstat", false},
		{
			"with and without conditions",
			group(SyscallGroup{Action: ActionErrno, Names: []string{"read"}, NamesWithCondtions: conditional("read", Condition{0, Equal, 1}).NamesWithCondtions}),
			"found conditional and unconditional check: read", false,
		},
		{"unknown name with conditions", group(conditional("reed", Condition{0, Equal, 1})), "found unknown syscalls for arch x86_64: reed", false},
		{"argument", group(conditional("read", Condition{6, Equal, 1})), "read: argument must be between 0 and 5 (inclusive), but is 6", true},
		{"no operation", group(conditional("read", Condition{0, "", 1})), "read: missing operation", true},
		{"operation", group(conditional("read", Condition{0, "equal", 1})), "read: invalid operation: equal", true},
		{"no arguments", group(conditional("read")), "read: missing arguments", true},
		{
			"all of them",
			Policy{DefaultAction: ActionAllow, Syscalls: []SyscallGroup{
				{Action: ActionErrno, Names: []string{"reed", "write", "write"}},
				conditional("read", Condition{7, "", 1}),
			}},
			"found unknown syscalls for arch x86_64: reed\nfound duplicate syscall write\n" +
				"read: argument must be between 0 and 5 (inclusive), but is 7\nread: missing operation", true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := test.policy
			p.abi = abi.AMD64
			if err := p.Validate(); (err != nil) != test.early || test.early && !strings.HasSuffix(test.want, err.Error()) {
				t.Errorf("Validate: %v", err)
			}
			if _, err := p.Assemble(); err == nil || err.Error() != test.want {
				t.Errorf("Assemble: %v, want %q", err, test.want)
			}
			if err := p.Dump(&bytes.Buffer{}); err == nil || err.Error() != test.want {
				t.Errorf("Dump: %v, want %q", err, test.want)
			}
			if _, err := p.Lower(); err == nil || err.Error() != test.want {
				t.Errorf("Lower: %v, want %q", err, test.want)
			}
			if err := LoadFilter(Filter{Policy: p}); err == nil || err.Error() != "failed to assemble policy: "+test.want {
				t.Errorf("LoadFilter: %v", err)
			}
		})
	}
}

func TestArchNames(t *testing.T) {
	for a, want := range map[abi.ABI]string{abi.AMD64: "x86_64", abi.I386: "i386", abi.ARM: "arm", abi.ARM64: "aarch64", abi.LOONG64: "loongarch64", abi.MIPSLE: "mipsel", abi.MIPS64LE: "mipsel64", abi.S390X: "s390x"} {
		p := Policy{abi: a, DefaultAction: ActionAllow, Syscalls: []SyscallGroup{{Action: ActionErrno, Names: []string{"nonesuch"}}}}
		if _, err := p.Assemble(); err == nil || err.Error() != "found unknown syscalls for arch "+want+": nonesuch" {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestInitDefaults(t *testing.T) {
	var p Policy
	p.InitDefaults()
	if err := p.Validate(); err == nil || err.Error() != "missing default_action" {
		t.Errorf("a policy without anything: %v", err)
	}
	for _, p := range []Policy{
		{DefaultAction: ActionErrno},
		{Syscalls: []SyscallGroup{{Action: ActionAllow, Names: []string{"read"}}}},
	} {
		before := p.DefaultAction
		if p.InitDefaults(); p.DefaultAction != before {
			t.Errorf("default action %v became %v", before, p.DefaultAction)
		}
	}
}

// A group without names does nothing.
func TestEmptyGroup(t *testing.T) {
	p := Policy{abi: abi.AMD64, DefaultAction: ActionAllow, Syscalls: []SyscallGroup{{Action: ActionKillProcess}, {Action: ActionErrno, Names: []string{"read"}}}}
	f, err := p.compile()
	if err != nil {
		t.Fatal(err)
	}
	for nr, want := range map[uint32]abi.Action{0: abi.Errno.WithData(1), 1: abi.Allow} {
		if got := f.Program.Run(abi.Call{NR: nr, Arch: abi.AMD64.AuditArch()}, false).Return; got != want {
			t.Errorf("call %d: %v, want %v", nr, got, want)
		}
	}
	if all, err := (&SyscallGroup{Action: ActionErrno}).Assemble(ActionAllow); all != nil || err != nil {
		t.Errorf("an empty group alone: %v, %v", all, err)
	}
}

func TestDump(t *testing.T) {
	p := Policy{abi: abi.ARM64, DefaultAction: ActionAllow, Syscalls: []SyscallGroup{{Action: ActionErrno, Names: []string{"execve"}}}}
	var out bytes.Buffer
	if err := p.Dump(&out); err != nil {
		t.Fatal(err)
	}
	all, err := p.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != len(all)+1 || lines[0] != "0: ld [4]" || lines[len(all)] != "" {
		t.Fatalf("dump\n%s", &out)
	}
	for n, i := range all {
		if want := fmt.Sprintf("%d: %v", n, i); lines[n] != want {
			t.Errorf("line %q, want %q", lines[n], want)
		}
	}
	full := errors.New("full")
	if err := p.Dump(failing{full}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// What Assemble returns is the program that was proved, and the documented
// package makes the same bytes of it.
func TestInstructions(t *testing.T) {
	for _, a := range abi.All() {
		var names []string
		for _, name := range a.Syscalls() {
			names = append(names, name)
		}
		p := Policy{abi: a, DefaultAction: ActionKillProcess, Syscalls: []SyscallGroup{
			{Action: ActionErrno | 38, NamesWithCondtions: []NameWithConditions{
				{"openat", ArgumentConditions{{2, BitsSet, 0x241}, {3, NotEqual, 0o777}}},
				{"openat", ArgumentConditions{{0, GreaterOrEqual, 1 << 33}}},
				{"fcntl", ArgumentConditions{{1, LessThan, 5}, {2, BitsNotSet, 1 << 40}}},
			}},
			{Action: ActionAllow, Names: compactNames(names)[:200]},
		}}
		f, err := p.compile()
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		assembled, err := p.Assemble()
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		if got := RawProgram(t, assembled); !equalPrograms(got, f.Program) {
			t.Errorf("%s: the documented types change the program", a)
		}
	}
}

func compactNames(all []string) []string {
	seen := make(map[string]bool)
	var once []string
	for _, name := range all {
		if !seen[name] {
			once = append(once, name)
		}
		seen[name] = true
	}
	return once
}

func equalPrograms(a, b cbpf.Program) bool { return bytes.Equal(a.Bytes(false), b.Bytes(false)) }

// A lowered policy is a file that reads back, and means the same.
func TestLower(t *testing.T) {
	badArch := ActionErrno | 13
	p := Policy{abi: abi.AMD64, DefaultAction: ActionErrno | 4000, BadArchAction: &badArch, Syscalls: []SyscallGroup{
		{Action: ActionAllow, Names: []string{"read", "newstat"}, NamesWithCondtions: []NameWithConditions{
			{"clone", ArgumentConditions{{0, BitsNotSet, 0x10000000}, {1, Equal, 0}}},
		}},
		{Action: ActionTrace | 9, Names: []string{"ptrace"}},
	}}
	lowered, err := p.Lower()
	if err != nil {
		t.Fatal(err)
	}
	want := `version: 1
abis: [amd64]
default_action: errno(4000)
bad_arch_action: errno(EACCES)
syscalls:
- action: errno(ENOSYS)
  calls:
  - nr:0x40000000-0xffffffff
  reason: x32 calls, which could pass a denial
- action: allow
  names: [read, newstat]
  names_with_args:
  - name: clone
    arguments:
    - {argument: 0, operation: BitsNotSet, value: 0x10000000}
    - {argument: 1, operation: Equal, value: 0x0}
- action: trace(9)
  names: [ptrace]
`
	text := lowered.Format()
	if string(text) != want {
		t.Errorf("lowered\n%s\nwant\n%s", text, want)
	}
	if _, err := policy.Parse("lowered.yaml", text); err != nil {
		t.Error(err)
	}
}
