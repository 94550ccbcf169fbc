package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
)

// Each row resolves a policy and asks what happens to calls: "CALL => ACTION".
// The name says what it shows.
func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name, policy string
		options      Options
		want         string
	}{
		{name: "first rule that matches decides", policy: `
version: 1
default_action: kill_process
syscalls:
- {action: log, names: [read]}
- {action: allow, names: [read, write]}
`, want: `
read() => log
write() => allow
open() => kill_process`},
		{name: "documented form: bare errno is EPERM, trap and trace carry 0", policy: `
seccomp:
  default_action: allow
  syscalls:
  - {action: errno, names: [execve]}
  - {action: trap, names: [fork]}
  - {action: TRACE, names: [vfork]}
`, want: `
execve(1) => errno(1)
fork() => trap(0)
vfork() => trace(0)
read() => allow
nr:5000 => allow
386:nr:1 => kill_process
x32:nr:0x40000000 => errno(38)`},
		{name: "unknown_action: holes, newer numbers, -1", policy: `
version: 1
kernel: "5.0"
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls: []
`, want: `
read() => errno(1)
nr:400 => errno(38)
clone3() => errno(38)
nr:0xffffffff => errno(38)`},
		{name: "a rule decides numbers that the release does not know", policy: `
version: 1
kernel: "5.0"
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls: [{action: allow, names: [clone3]}]
`, want: `clone3() => allow`},
		{name: "without kernel, version 1 knows Linux 6.18", policy: `
version: 1
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls: []
`, want: `
mseal() => errno(1)
nr:471 => errno(38)`},
		{name: "bad_arch_action and x32_action", policy: `
version: 1
default_action: allow
bad_arch_action: trap(7)
x32_action: kill_thread
syscalls: []
`, want: `
386:nr:1 => trap(7)
arch:0x1234:nr:1 => trap(7)
x32:nr:0x40000001 => kill_thread
nr:0xffffffff => allow`},
		{name: "x32 alone: other numbers are another architecture", policy: `
version: 1
abis: [x32]
default_action: errno(EPERM)
syscalls: [{action: allow, names: [read, readv]}]
`, want: `
x32:read() => allow
x32:readv() => allow
x32:nr:0x40000013 => allow
amd64:read() => kill_process`},
		{name: "sets and several ABIs", policy: `
version: 1
abis: [amd64, 386]
default_action: errno(EPERM)
syscalls: [{action: allow, names: ["@systemd/basic-io"]}]
`, want: `
amd64:read() => allow
386:_llseek() => allow
386:open() => errno(1)`},
		{name: "the read mask hides bits that the kernel ignores, in an allowance and in a denial", policy: `
version: 1
default_action: allow
syscalls:
- action: errno(EPERM)
  calls: ["ioctl(cmd == TIOCSTI)"]
- action: log
  calls: ["socket(AF_UNIX)"]
`, want: `
ioctl(0, 0x5412) => errno(1)
ioctl(0, 0xdead00005412) => errno(1)
ioctl(0, 0x5413) => allow
socket(0x700000001) => log`},
		{name: ":64 asks for the whole word", policy: `
version: 1
default_action: allow
syscalls: [{action: errno(EPERM), calls: ["ioctl(cmd:64 == TIOCSTI)"]}]
`, want: `
ioctl(0, 0x5412) => errno(1)
ioctl(0, 0xdead00005412) => allow`},
		{name: ":64 on a 32-bit ABI is what that ABI has", policy: `
version: 1
abis: [386]
default_action: allow
syscalls: [{action: errno(EPERM), calls: ["ioctl(arg1:64 == 0x5412)"]}]
`, want: `386:ioctl(0, 0xdead00005412) => errno(1)`},
		{name: "order follows the argument's sign", policy: `
version: 1
default_action: allow
syscalls:
- {action: trap(1), calls: ["kill(pid < 0)"]}
- {action: trap(2), calls: ["kill(pid >= 3, sig > -2)"]}
- {action: trap(4), calls: ["lseek(offset <= -5)"]}
- {action: trap(3), calls: ["read(count > 10)"]}
`, want: `
kill(-1) => trap(1)
kill(0x80000000) => trap(1)
kill(0x7fffffff, 0) => trap(2)
kill(3, -1) => trap(2)
kill(3, -2) => allow
kill(2, 5) => allow
lseek(0, -5) => trap(4)
lseek(0, 0x8000000000000000) => trap(4)
lseek(0, -4) => allow
lseek(0, 0xfffffffb) => allow
read(0, 0, -1) => trap(3)
read(0, 0, 10) => allow`},
		{name: "in, not in, masks, any bit, no bit", policy: `
version: 1
default_action: allow
syscalls:
- {action: trap(1), calls: ["socket(domain in {AF_UNIX, AF_INET})"]}
- {action: trap(2), calls: ["socket(domain == AF_NETLINK, protocol not in {0, 1, 4})"]}
- {action: trap(3), calls: ["mmap(prot & (PROT_READ | PROT_WRITE) == PROT_WRITE)"]}
- {action: trap(4), calls: ["mmap(prot & PROT_EXEC != 0)"]}
- {action: trap(5), calls: ["mprotect(prot & 7 != 7)"]}
- {action: trap(6), calls: ["fcntl(cmd & ~0xf == 0x400)"]}
`, want: `
socket(1) => trap(1)
socket(2) => trap(1)
socket(3) => allow
socket(16, 0, 2) => trap(2)
socket(16, 0, 3) => trap(2)
socket(16, 0, 4) => allow
socket(16, 0, -1) => trap(2)
mmap(0, 0, 2) => trap(3)
mmap(0, 0, 6) => trap(3)
mmap(0, 0, 5) => trap(4)
mmap(0, 0, 3) => allow
mprotect(0, 0, 3) => trap(5)
mprotect(0, 0, 7) => allow
fcntl(0, 0x406) => trap(6)
fcntl(0, 0x411) => allow`},
		{name: "a negative constant is one, and ~ complements within the mask", policy: `
version: 1
default_action: allow
syscalls:
- {action: trap(1), calls: ["openat(dfd == AT_FDCWD)"]}
- {action: trap(2), calls: ["personality(~0)"]}
`, want: `
openat(-100) => trap(1)
openat(0xffffff9c) => trap(1)
personality(0xffffffff) => trap(2)`},
		{name: "a pointer against NULL", policy: `
version: 1
default_action: allow
syscalls: [{action: errno(EPERM), calls: ["sendto(addr != NULL)"]}]
`, want: `
sendto() => allow
sendto(0, 0, 0, 0, 0x100000000) => errno(1)`},
		{name: "numbers, ranges, pinned ABIs, ip", policy: `
version: 1
abis: [amd64, 386]
default_action: allow
syscalls:
- {action: trap(1), calls: ["amd64:nr:39"]}
- {action: trap(2), calls: ["nr:1000-1010(arg0 == 1)"]}
- {action: trap(3), calls: ["386:getpid"]}
- {action: trap(4), calls: ["write(ip >= 0x1000, ip < 0x2000)"]}
`, want: `
amd64:getpid() => trap(1)
386:nr:39 => allow
amd64:nr:1005(1) => trap(2)
386:nr:1010(0x500000001) => trap(2)
amd64:nr:1005(2) => allow
386:getpid() => trap(3)
write(ip == 0x1fff) => trap(4)
write(ip == 0x2000) => allow`},
		{name: "names_with_args: unsigned, OR of repeated names, masked equality, unmasked order", policy: `
default_action: allow
syscalls:
- action: errno
  names_with_args:
  - name: ioctl
    arguments: [{argument: 1, operation: equal, value: 0x100005412}]
  - {name: lseek, arguments: [{argument: 0, operation: GreaterThan, value: 10}]}
  - {name: lseek, arguments: [{argument: 2, operation: BitsSet, value: 6}, {position: 0, operation: LessOrEqual}]}
- action: trap
  names_with_args:
  - {name: dup, arguments: [{argument: 0, operation: LessThan, value: 0x100000000}]}
  - {name: prctl, arguments: [{operation: BitsNotSet, value: 3}]}
  - {name: kill, arguments: [{operation: GreaterThan, value: 10}]}
  - {name: getppid, arguments: [{argument: 2, operation: Equal, value: 5}]}
`, want: `
ioctl(0, 0x5412) => errno(1)
lseek(-1) => errno(1)
lseek(0, 0, 4) => errno(1)
lseek(1, 0, 4) => allow
dup(-1) => trap(0)
prctl(4) => trap(0)
prctl(5) => allow
kill(-1) => trap(0)
kill(10) => allow
getppid() => trap(0)`},
		{name: "an unconditional rule covers the multiplexed sub-call", policy: `
version: 1
abis: [386]
default_action: allow
syscalls: [{action: errno(EPERM), names: [bind, send]}]
`, want: `
386:bind() => errno(1)
386:socketcall(2) => errno(1)
386:socketcall(0x700000002) => errno(1)
386:socketcall(9) => errno(1)
386:socketcall(3) => allow`},
		{name: "when: capabilities and kernel", policy: `
version: 1
default_action: errno(EPERM)
syscalls:
- {action: allow, names: [mount], when: {caps: [sys_admin]}}
- {action: allow, names: [ptrace], when: {kernel: "4.8"}}
- {action: trap, names: [bpf], when: {not_caps: [CAP_BPF]}}
`, options: Options{Caps: []string{"CAP_SYS_ADMIN"}, Kernel: abi.Kernel{Major: 4, Minor: 7}}, want: `
mount() => allow
ptrace() => errno(1)
bpf() => trap(0)`},
		{name: "fake_success and errno by number", policy: `
version: 1
default_action: fake_success
syscalls: [{action: errno(4095), names: [read]}]
`, want: `
write() => errno(0)
read() => errno(4095)`},
		{name: "errno names are each ABI's", policy: `
version: 1
abis: [mips]
default_action: errno(ENOSYS)
syscalls: []
`, want: `mips:read() => errno(89)`},
		{name: "constants are each ABI's", policy: `
version: 1
abis: [amd64, arm64]
default_action: allow
syscalls: [{action: errno(EPERM), calls: ["openat(flags & O_DIRECTORY != 0)"]}]
`, want: `
amd64:openat(0, 0, 0x10000) => errno(1)
arm64:openat(0, 0, 0x4000) => errno(1)
arm64:openat(0, 0, 0x10000) => allow`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse("p.yaml", []byte(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			tt.options.Native = abi.AMD64
			r, _, err := p.Resolve(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			checkResolved(t, r)
			for line := range strings.Lines(strings.TrimSpace(tt.want)) {
				text, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
				c, err := ParseCall(text, abi.AMD64)
				if err != nil {
					t.Fatal(err)
				}
				if got := r.Eval(c).Action.String(); got != want {
					t.Errorf("%s => %s, want %s", FormatCall(c), got, want)
				}
			}
		})
	}
}

// checkResolved holds r to what Resolved says of its fields.
func checkResolved(t interface {
	Helper()
	Errorf(string, ...any)
}, r *Resolved,
) {
	t.Helper()
	ranges := func(all []NumberRange) bool {
		for i, n := range all {
			if n.Lo > n.Hi || i > 0 && uint64(all[i-1].Hi)+1 >= uint64(n.Lo) {
				return false
			}
		}
		return true
	}
	for _, s := range r.ABIs {
		if !ranges(s.Known) {
			t.Errorf("%s: known numbers are not normal: %v", s.ABI, s.Known)
		}
		for _, rule := range s.Rules {
			if len(rule.Numbers) == 0 || !ranges(rule.Numbers) {
				t.Errorf("%s: numbers are not normal: %v", s.ABI, rule.Numbers)
			}
			for _, all := range rule.Any {
				if len(all) == 0 {
					t.Errorf("%s: an alternative without tests", s.ABI)
				}
				for _, test := range all {
					for i, in := range test.In {
						if in.Lo > in.Hi || in.Hi > test.Mask || i > 0 && test.In[i-1].Hi+1 >= in.Lo {
							t.Errorf("%s: intervals are not normal: %v under %#x", s.ABI, test.In, test.Mask)
						}
					}
				}
			}
		}
	}
}

// Each row is a policy that cannot be resolved as it stands, and what is said.
func TestResolveFindings(t *testing.T) {
	const head = "version: 1\ndefault_action: allow\nsyscalls:\n"
	for _, tt := range []struct {
		name, policy string
		errs         []string // parts of messages
		warnings     []string // code: part of message
	}{
		{"a name of other ABIs is a warning", head + `- {action: trap, names: [read, setuid32]}`, nil, []string{"other-abi: amd64 has no call setuid32"}},
		{"unless the rule is optional", head + `- {action: trap, names: [setuid32], optional: true}`, nil, nil},
		{"in the documented form it is an error", "default_action: allow\nsyscalls: [{action: errno, names: [setuid32]}]", []string{"amd64 has no call setuid32"}, nil},
		{"members of a set are dropped in silence", head + `- {action: log, names: ["@systemd/setuid"]}`, nil, nil},
		{"a pattern of an ABI that is not listed", head + `- {action: trap, calls: ["arm64:read"]}`, nil, []string{"other-abi: the policy does not list arm64"}},
		{"byte orders do not mix", "version: 1\nabis: [amd64, s390x]\ndefault_action: allow\nsyscalls: []", []string{"byte orders differ"}, nil},
		{"a release that the tables do not know", "version: 1\nkernel: \"99.1\"\ndefault_action: allow\nsyscalls: []", []string{"newer than the tables"}, nil},
		{"an argument's name, with a suggestion", head + `- {action: trap, calls: ["socket(domian == 1)"]}`, []string{`no argument "domian"`}, nil},
		{"an argument that the call does not have", head + `- {action: trap, calls: ["getpid(arg0 == 1)"]}`, []string{"has 0 arguments"}, nil},
		{"a value outside the read mask", head + `- {action: trap, calls: ["socket(domain == 0x100000001)"]}`, []string{"outside the 32 bits"}, nil},
		{"a mask outside the read mask", head + `- {action: trap, calls: ["fchmod(mode & 0x10000 == 0)"]}`, []string{"outside the 16 bits"}, nil},
		{"a value outside its mask", head + `- {action: trap, calls: ["socket(type & 0xf == 0x10)"]}`, []string{"bits outside the mask"}, nil},
		{"a mask of nothing", head + `- {action: trap, calls: ["socket(type & 0 == 0)"]}`, []string{"nothing is compared"}, nil},
		{"a pointer's address", head + `- {action: trap, calls: ["openat(filename == 0x1234)"]}`, []string{"is a pointer"}, nil},
		{"order on a pointer", head + `- {action: trap, calls: ["openat(filename > NULL)"]}`, []string{"is a pointer"}, nil},
		{"names_with_args takes pointers, with a warning", "default_action: allow\nsyscalls: [{action: errno, names_with_args: [{name: openat, arguments: [{argument: 1, operation: Equal, value: 5}]}]}]", nil, []string{"pointer: "}},
		{"a negative value of an unsigned argument", head + `- {action: trap, calls: ["read(count == -1)"]}`, []string{"negative number for an unsigned argument"}, nil},
		{"a large number where the order is signed", head + `- {action: trap, calls: ["kill(pid > 0xfffffff0)"]}`, []string{"is a negative number"}, nil},
		{"half of a group", "version: 1\nabis: [386]\ndefault_action: allow\nsyscalls: [{action: errno(EPERM), names: [setuid]}]", nil, []string{"group: setuid on 386 is restricted, but setuid32"}},
		{"half of a group, meant", "version: 1\nabis: [386]\ndefault_action: allow\nsyscalls: [{action: errno(EPERM), names: [setuid], only: true}]", nil, nil},
		{"a whole group", "version: 1\nabis: [386]\ndefault_action: allow\nsyscalls: [{action: errno(EPERM), names: [setuid, setuid32]}]", nil, nil},
		{"half of a group where the default denies the rest", "version: 1\nabis: [386]\ndefault_action: errno\nsyscalls: [{action: trap, names: [setuid]}]", nil, nil},
		{"a condition leaves the multiplexer open", "version: 1\nabis: [386]\ndefault_action: allow\nsyscalls: [{action: errno(EPERM), calls: [\"socket(AF_ALG)\"]}]", nil, []string{"group: socket on 386 is restricted, but socketcall(1)"}},
		{"unless it is stated", "version: 1\nabis: [386]\ndefault_action: allow\nsyscalls: [{action: errno(EPERM), calls: [\"socket(AF_ALG)\", \"socketcall(call == 1)\"]}]", nil, nil},
		{"a conditional allowance beside an open multiplexer", "version: 1\nabis: [386]\ndefault_action: errno\nsyscalls: [{action: allow, calls: [\"socket(AF_UNIX)\", socketcall]}]", nil, []string{"group: socket on 386 is restricted"}},
		{"a condition on a call that is only multiplexed", "version: 1\nabis: [386]\ndefault_action: allow\nsyscalls: [{action: trap, calls: [\"send(arg0 == 1)\"]}]", nil, []string{"group: 386 has send only as socketcall(9)"}},
		{"a call of another shape on one ABI", "version: 1\nabis: [amd64, 386]\ndefault_action: errno\nsyscalls: [{action: allow, calls: [\"mmap(prot & PROT_EXEC == 0)\"]}]", nil, []string{`other-abi: mmap on 386 has no argument "prot"`}},
		{"all problems at once", head + `- {action: trap, calls: ["socket(domian == 1)", "getpid(arg0 == 1)"]}`, []string{"domian", "has 0 arguments"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse("p.yaml", []byte(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			_, warnings, err := p.Resolve(Options{Native: abi.AMD64})
			var list Errors
			var one *Error
			if !errors.As(err, &list) && errors.As(err, &one) {
				list = Errors{one}
			}
			if len(list) != len(tt.errs) {
				t.Fatalf("error: %v, want %d", err, len(tt.errs))
			}
			for i, want := range tt.errs {
				if !strings.Contains(list[i].Msg, want) {
					t.Errorf("error %q, want %q", list[i].Msg, want)
				}
			}
			if len(warnings) != len(tt.warnings) {
				t.Fatalf("warnings: %v, want %d", warnings, len(tt.warnings))
			}
			for i, want := range tt.warnings {
				if got := warnings[i].Code + ": " + warnings[i].Msg; !strings.HasPrefix(got, want) {
					t.Errorf("warning %q, want %q", got, want)
				}
			}
		})
	}
}
