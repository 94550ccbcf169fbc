package policytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
	"github.com/sysgate/sysgate/policytest"
)

const server = `version: 1
abis: [amd64]
default_action: errno(EPERM)
syscalls:
- action: allow
  names: [read, write]
- action: allow
  calls:
  - openat(flags & O_ACCMODE == O_RDONLY)
  - socket(domain in {AF_UNIX, AF_INET})
- action: log
  names: [getpid]
- action: trace(1)
  names: [ptrace]
`

// open allows all but a few calls, on the native ABI and the others.
const open = `version: 1
abis: [amd64, 386, x32]
default_action: allow
syscalls:
- action: errno(EPERM)
  names: [bind, setuid, setuid32]
- action: errno(EACCES)
  only: true
  names: [setgid]
  calls:
  - socket(AF_ALG)
  - mmap(prot & PROT_EXEC != 0)
  - 386:mmap2(prot & PROT_EXEC != 0)
  - fcntl(cmd == F_SETLEASE)
  - fcntl64(cmd == F_SETLEASE)
`

func parse(t *testing.T, source string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("p.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAssertions(t *testing.T) {
	type assertion = func(policytest.Target, testing.TB, *policy.Policy, ...string)
	allow, deny := assertion(policytest.Target.Allow), assertion(policytest.Target.Deny)
	for name, c := range map[string]struct {
		policy string
		assert assertion
		calls  string // separated by semicolons
		errors string
		fatal  string
	}{
		"allowed":                  {policy: server, assert: allow, calls: "read;write;getpid;socket(AF_UNIX)"},
		"allowed within a mask":    {policy: server, assert: allow, calls: "openat(flags in {O_RDONLY, O_CLOEXEC})"},
		"denied":                   {policy: server, assert: deny, calls: "execve;socket(AF_ALG);openat(flags & O_ACCMODE == O_RDWR);nr:600"},
		"denied on foreign ABIs":   {policy: server, assert: deny, calls: "@systemd/mount;386:read;x32:read"},
		"allowed, with exceptions": {policy: server, assert: allow, calls: "openat", errors: "openat is not always let through:\n\tamd64:openat(0, 0, 1, 0) → errno(EPERM) by default_action"},
		"denied, with exceptions":  {policy: server, assert: deny, calls: "openat(flags & O_CREAT != 0)", errors: "openat(flags & O_CREAT != 0) is not always denied:\n\tamd64:openat(0, 0, 64, 0) → allow by p.yaml:7:3"},
		"logged is not denied":     {policy: server, assert: deny, calls: "getpid", errors: "getpid is not always denied:\n\tamd64:getpid() → log by p.yaml:11:3"},
		"traced is neither":        {policy: server, assert: deny, calls: "ptrace", errors: "ptrace is not always denied:\n\tamd64:ptrace(0, 0, 0, 0) → trace(1) by p.yaml:13:3"},
		"traced is no allowance":   {policy: server, assert: allow, calls: "ptrace", errors: "ptrace is not always let through:\n\tamd64:ptrace(0, 0, 0, 0) → trace(1) by p.yaml:13:3"},

		"denied on all ABIs":     {policy: open, assert: deny, calls: "bind;setuid;socketcall(call == 2)"},
		"same service, same way": {policy: open, assert: deny, calls: "fcntl(cmd == F_SETLEASE)"},
		"same service, open": {
			policy: open, assert: deny, calls: "setgid",
			errors: "setgid is not always denied:\n\t386:setgid32(0) → allow by default_action",
		},
		"carried behind a pointer": {
			policy: open, assert: deny, calls: "socket(AF_ALG)",
			errors: "socket(AF_ALG) is not always denied:\n\t386:socketcall(1, 0) → allow by default_action",
		},
		"arguments that another ABI hides": {
			policy: open, assert: deny, calls: "mmap(prot & PROT_EXEC != 0)",
			errors: "mmap(prot & PROT_EXEC != 0) is not always denied:\n\t386:mmap(0) → allow by default_action",
		},
		"one ABI": {policy: open, assert: deny, calls: "amd64:mmap(prot & PROT_EXEC != 0);x32:socket(AF_ALG)"},

		"no such call":      {policy: server, assert: allow, calls: "opennat", fatal: "policytest: 1:1: unknown system call \"opennat\"\n    1 | opennat\n      | ^^^^^^^\ndid you mean \"openat\"?"},
		"no such argument":  {policy: server, assert: deny, calls: "openat(flag == 1)", fatal: "argument"},
		"call of other ABI": {policy: server, assert: allow, calls: "waitpid", fatal: "policytest: no such call: waitpid"},
		"contradiction":     {policy: server, assert: allow, calls: "socket(domain == 1, domain == 2)", fatal: "policytest: no such call: socket(domain == 1, domain == 2)"},
		"pinned elsewhere":  {policy: server, assert: allow, calls: "arm64:read", errors: "arm64:read is not always let through:\n\tarm64:read(0, 0, 0) → kill_process by bad_arch_action"},
	} {
		t.Run(name, func(t *testing.T) {
			p := parse(t, c.policy)
			r := record(t, func(tb testing.TB) { c.assert(policytest.Target{}, tb, p, strings.Split(c.calls, ";")...) })
			is(t, "errors", r.errors, c.errors)
			if fatal := strings.Join(r.fatal, "\n"); c.fatal == "argument" {
				if !strings.Contains(fatal, `no argument "flag"`) {
					t.Errorf("fatal: %s", fatal)
				}
			} else if fatal != c.fatal {
				t.Errorf("fatal:\n%s\nwant:\n%s", fatal, c.fatal)
			}
		})
	}
}

// A target says what the policy leaves open.
func TestTarget(t *testing.T) {
	p := parse(t, `version: 1
default_action: errno(EPERM)
syscalls:
- action: allow
  names: [chroot]
  when: {caps: [CAP_SYS_CHROOT]}
`)
	arm := policytest.Target{Native: abi.ARM64}
	arm.Deny(t, p, "chroot")
	arm.Caps = []string{"CAP_SYS_CHROOT"}
	arm.Allow(t, p, "chroot", "arm64:chroot")
	r := record(t, func(tb testing.TB) { arm.Deny(tb, p, "chroot") })
	is(t, "errors", r.errors, "chroot is not always denied:\n\tarm64:chroot(0) → allow by p.yaml:4:3")

	r = record(t, func(tb testing.TB) { policytest.Target{Caps: []string{"CAP_NONE"}}.Allow(tb, p, "chroot") })
	if len(r.fatal) != 1 || !strings.Contains(r.fatal[0], "CAP_NONE") {
		t.Errorf("fatal: %q", r.fatal)
	}
}

func TestLoad(t *testing.T) {
	good, bad := filepath.Join(t.TempDir(), "good.yaml"), filepath.Join(t.TempDir(), "bad.yaml")
	for file, text := range map[string]string{good: server, bad: strings.Replace(server, "syscalls", "syscals", 1)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	policytest.Allow(t, policytest.Load(t, good), "read")
	r := record(t, func(tb testing.TB) { policytest.Load(tb, bad) })
	if len(r.fatal) != 1 || !strings.Contains(r.fatal[0], bad+":4:1: unknown field") {
		t.Errorf("fatal: %q", r.fatal)
	}
	r = record(t, func(tb testing.TB) { policytest.Load(tb, good+".gone") })
	if len(r.fatal) != 1 || !strings.Contains(r.fatal[0], "no such file") {
		t.Errorf("fatal: %q", r.fatal)
	}
	if r = record(t, func(tb testing.TB) { policytest.Allow(tb, nil, "read") }); len(r.fatal) != 1 {
		t.Errorf("fatal: %q", r.fatal)
	}
}
