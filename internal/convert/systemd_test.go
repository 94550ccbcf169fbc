package convert

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// holdsTo compares what a policy says of calls, "CALL => ACTION" a line.
func holdsTo(t *testing.T, p *policy.Policy, native abi.ABI, want string) {
	t.Helper()
	r := resolve(t, p, native)
	for line := range strings.Lines(strings.TrimSpace(want)) {
		text, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
		c, err := policy.ParseCall(text, native)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Eval(c).Action.String(); got != want {
			t.Errorf("%s => %s, want %s", text, got, want)
		}
	}
}

// holdsLosses compares losses with parts of their texts.
func holdsLosses(t *testing.T, got []Loss, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("losses %v, want %d", got, len(want))
		return
	}
	for i := range want {
		if !strings.Contains(got[i].String(), want[i]) {
			t.Errorf("loss %q, want %q", got[i], want[i])
		}
	}
}

// systemdUnits are what TestSystemd has systemd set up, without [Service].
// ProtectKernelLogs= and ProtectKernelTunables= mount what a container may not.
var systemdUnits = []string{
	"SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\nSystemCallErrorNumber=EPERM\nSystemCallArchitectures=native",
	"SystemCallFilter=pause read write socket connect semop\nSystemCallErrorNumber=EACCES",
	"SystemCallFilter=~@mount ptrace:EINVAL bpf:kill\nSystemCallErrorNumber=ENOTTY\nSystemCallFilter=umount2 no_such_call @nothing",
	"SystemCallFilter=~@clock\nSystemCallFilter=~@reboot:ENOSYS @clock:EBUSY\nSystemCallArchitectures=x86",
	"SystemCallFilter=@basic-io\nSystemCallFilter=~dup:EMFILE write:kill\nSystemCallFilter=~lseek\nSystemCallFilter=write:1\nSystemCallLog=read socket\nSystemCallErrorNumber=1",
	"SystemCallLog=~@basic-io pause\nSystemCallArchitectures=x32 x86-64",
	"SystemCallFilter=~read\nSystemCallFilter=\nSystemCallFilter=@io-event # x\nSystemCallErrorNumber=EPERM\nSystemCallErrorNumber=",
	"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\nRestrictAddressFamilies=~AF_INET\nSystemCallArchitectures=native",
	"RestrictAddressFamilies=~AF_PACKET AF_ALG\nRestrictAddressFamilies=AF_ALG\nRestrictRealtime=yes\nLockPersonality=1",
	"RestrictAddressFamilies=none\nRestrictNamespaces=yes\nRestrictSUIDSGID=on",
	"RestrictNamespaces=user mnt\nRestrictNamespaces=~mnt\nMemoryDenyWriteExecute=true\nRestrictSUIDSGID=yes\nSystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM",
	"RestrictNamespaces=~user\nProtectHostname=yes\nProtectClock=y\nProtectKernelModules=t\nPrivateDevices=yes\nSystemCallFilter=~socket \\\n  @clock\n# not this\n  bind",
	"SystemCallArchitectures=native\nMemoryDenyWriteExecute=yes\nPersonality=x86\nLockPersonality=yes\nSystemCallFilter=",
}

// Each row is a unit and what becomes of calls. TestSystemd compares more of them
// with systemd's own filters.
func TestSystemdMeaning(t *testing.T) {
	for _, tt := range []struct {
		name, unit string
		native     abi.ABI
		want       string
		losses     []string
	}{
		{name: "no directive about system calls", unit: "User=nobody", want: `
read() => allow
386:nr:3 => allow
arm64:nr:3 => allow`},
		{name: "slips of the keyboard", unit: "SystemCallFiltre=read\nUser=nobody\nrestrictrealtime=yes\nNoNewPrivileges", want: `
write() => allow`, losses: []string{
			"u.service:2:1: systemd ignores SystemCallFiltre=, which is no directive: did you mean SystemCallFilter=?",
			"u.service:4:1: systemd ignores restrictrealtime=, which is no directive: did you mean RestrictRealtime=?",
			`u.service:5:1: "NoNewPrivileges" is no assignment: systemd ignores it`,
		}},
		{name: "an allow-list kills by default and has @default", unit: "SystemCallFilter=read", want: `
read() => allow
futex() => allow
write() => kill_process
386:write() => kill_process
x32:write() => kill_process
nr:9999 => errno(38)
nr:0xffffffff => errno(38)
arm64:nr:3 => allow`},
		{name: "without the native ABI's others", unit: "SystemCallFilter=read\nSystemCallArchitectures=native\nSystemCallErrorNumber=13", want: `
read() => allow
write() => errno(13)
386:read() => kill_thread
x32:read() => kill_thread
nr:0x80000001 => kill_thread
nr:9999 => errno(38)`},
		{name: "a deny-list", unit: "SystemCallFilter=~@mount ptrace:EINVAL\nSystemCallFilter=chroot", want: `
mount() => kill_process
ptrace() => errno(22)
chroot() => allow
nr:9999 => allow`},
		{name: "the last line about a call counts", unit: "SystemCallFilter=@basic-io\nSystemCallFilter=~@basic-io\nSystemCallFilter=~read:EIO\nSystemCallFilter=write\nSystemCallErrorNumber=EPERM", want: `
read() => errno(5)
write() => allow
close() => errno(1)
execve() => allow`},
		{name: "an empty value starts anew", unit: "SystemCallFilter=~read\nSystemCallFilter=\nSystemCallFilter=read", want: `
read() => allow
write() => kill_process`},
		{
			name: "what systemd ignores", unit: "SystemCallFilter=reed @nothing read:EPERM\nSystemCallFilter=~write:EVIL\nRestrictNamespaces=user moon\nRestrictAddressFamilies=AF_MARS\nLockPersonality=maybe\nSystemCallArchitectures=vax", want: `
read() => kill_process`,
			losses: []string{"u.service:2:18: unknown system call reed", "unknown set @nothing", `"read:EPERM" allows`, `"write:EVIL" has no error`, "moon", "AF_MARS", "LockPersonality=maybe", "vax"},
		},
		{name: "logs", unit: "SystemCallLog=read write\nSystemCallFilter=~write\nSystemCallErrorNumber=EPERM", want: `
read() => log
write() => errno(1)
close() => allow`},
		{name: "address families, all bits of the word", unit: "RestrictAddressFamilies=AF_UNIX AF_INET", want: `
socket(AF_UNIX) => allow
socket(AF_INET6) => errno(97)
socket(0) => errno(97)
nr:41(0x100000001) => errno(97)
x32:socket(AF_INET6) => errno(97)
386:socket(AF_INET6) => allow`},
		{name: "no address families", unit: "RestrictAddressFamilies=none", want: "socket(AF_UNIX) => errno(97)"},
		{name: "namespaces", unit: "RestrictNamespaces=~user net\nRestrictNamespaces=net", want: `
clone(CLONE_NEWUSER) => errno(1)
clone(CLONE_NEWNET) => allow
clone(CLONE_NEWNET|CLONE_NEWUSER) => errno(1)
unshare(CLONE_NEWUSER) => errno(1)
setns(3, 0) => errno(1)
setns(3, CLONE_NEWUSER) => errno(1)
setns(3, CLONE_NEWNET) => allow
clone3() => errno(38)`},
		{name: "s390x: clone's arguments are swapped", native: abi.S390X, unit: "RestrictNamespaces=yes\nRestrictAddressFamilies=AF_UNIX", want: `
s390x:nr:120(0, 0x10000000) => errno(1)
s390x:nr:120(0x10000000, 0) => allow
s390x:setns() => errno(1)
s390x:socket(AF_INET) => allow`, losses: []string{"systemd filters the calls of s390 too"}},
		{name: "memory that is writable and executable", unit: "MemoryDenyWriteExecute=yes", want: `
mmap(0, 0, PROT_WRITE|PROT_EXEC) => errno(1)
mmap(0, 0, PROT_EXEC) => allow
mprotect(0, 0, PROT_EXEC) => errno(1)
shmat(0, 0, 0x8000) => errno(1)
386:mmap2(0, 0, PROT_WRITE|PROT_EXEC) => errno(1)
386:mmap(0) => errno(1)`, losses: []string{"u.service:2:24: MemoryDenyWriteExecute="}},
		{name: "DynamicUser implies RestrictSUIDSGID", unit: "DynamicUser=yes", want: `
chmod(0, 0o755) => allow
nr:90(0, 0x9ed) => errno(1)
nr:2(0, 0x40, 0x800) => errno(1)
nr:2(0, 0, 0x800) => allow
nr:437 => errno(38)
nr:452(0, 0, 0x400) => errno(1)`},
		{name: "realtime, personality, and the names of some directives", unit: "RestrictRealtime=yes\nLockPersonality=yes\nProtectHostname=yes\nProtectClock=yes\nProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectKernelTunables=yes\nPrivateDevices=yes", want: `
sched_setscheduler(0, 1) => errno(1)
sched_setscheduler(0, 3) => allow
sched_setscheduler(0, 6) => errno(1)
personality(0) => allow
personality(8) => errno(1)
sethostname() => errno(1)
clock_settime() => errno(1)
init_module() => errno(1)
syslog() => errno(1)
_sysctl() => errno(1)
iopl() => errno(1)
386:_sysctl() => errno(1)`},
		{name: "the newest filter's error counts, the strictest action first", unit: "RestrictAddressFamilies=AF_UNIX\nProtectHostname=yes\nSystemCallFilter=~socket:EACCES sethostname:kill", want: `
socket(AF_UNIX) => errno(13)
socket(AF_INET) => errno(13)
sethostname() => kill_process
setdomainname() => errno(1)`},
		{name: "sub-calls", unit: "SystemCallFilter=connect\nSystemCallArchitectures=x86\nSystemCallErrorNumber=EPERM", want: `
386:connect() => allow
386:socketcall(3) => errno(1)
386:bind() => errno(1)`},
		{name: "lines that go on", unit: "SystemCallFilter=~read \\\n# close\n  write \\\n ; dup\n  lseek", want: `
read() => kill_process
write() => kill_process
lseek() => kill_process
close() => allow
dup() => allow`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			native := tt.native
			if native == abi.None {
				native = abi.AMD64
			}
			p, losses, err := readSystemd("u.service", []byte("[Service]\n"+tt.unit+"\n"), Options{Native: native})
			if err != nil {
				t.Fatal(err)
			}
			holdsLosses(t, losses, tt.losses)
			holdsTo(t, p, native, tt.want)
		})
	}
}

// Each rule says which lines it comes from, and every ABI has units.
func TestSystemdReasons(t *testing.T) {
	unit := []byte("[Service]\nRestrictNamespaces=yes\nSystemCallFilter=~@mount\nSystemCallFilter=~@clock\nDynamicUser=yes\nMemoryDenyWriteExecute=yes\nRestrictAddressFamilies=AF_UNIX\nSystemCallErrorNumber=EIO\nSystemCallLog=read\n")
	for _, a := range abi.All() {
		p, _, err := readSystemd("u.service", unit, Options{Native: a})
		if err != nil {
			t.Fatal(err)
		}
		resolve(t, p, a)
		reasons := map[string]bool{}
		for _, r := range p.Rules {
			reasons[r.Reason] = true
		}
		for _, want := range []string{"SystemCallFilter=, u.service:3, 4", "RestrictNamespaces=, u.service:2", "DynamicUser=, u.service:5", "SystemCallLog=, u.service:9"} {
			if !reasons[want] {
				t.Errorf("%s: no rule says %q: %v", a, want, reasons)
			}
		}
		if e, err := Export(format(t, "systemd"), p, Options{Native: a}); err != nil || len(e.Named()) > 0 {
			t.Errorf("%s: %v, %+v\n%s", a, err, e.Named(), e.Data)
		}
	}
}

// Directives count only where systemd reads them.
func TestSystemdSections(t *testing.T) {
	p, losses, err := readSystemd("u.service", []byte("SystemCallFilter=read\n[Unit]\nSystemCallFilter=~write\n[Mount]\nSystemCallFilter=~dup\n[Service]\n# c\n;SystemCallFilter=~close"), Options{Native: abi.AMD64})
	if err != nil {
		t.Fatal(err)
	}
	holdsLosses(t, losses, []string{"u.service:1:1", "u.service:3:1"})
	holdsTo(t, p, abi.AMD64, "read() => allow\nwrite() => allow\nclose() => allow\ndup() => kill_process")
}

// What systemd itself reads and what it ignores, as "systemd-analyze verify" of 252 says.
func TestSystemdValues(t *testing.T) {
	for _, tt := range []struct{ line, call, want string }{
		{"SystemCallFilter=~read:010", "read()", "errno(8)"},
		{"SystemCallFilter=~read:0o10", "read()", "errno(8)"},
		{"SystemCallFilter=~read:0x5", "read()", "errno(5)"},
		{"SystemCallFilter=~read:+5", "read()", "errno(5)"},
		{"SystemCallFilter=~read:-0", "read()", "errno(0)"},
		{"SystemCallFilter=~read:eacces", "read()", "errno(13)"},
		{"SystemCallFilter=~read:08", "read()", "! has no error"},
		{"SystemCallFilter=~read:1_0", "read()", "! has no error"},
		{"SystemCallFilter=~read:4096", "read()", "! has no error"},
		{"SystemCallFilter=~read:KILL", "read()", "! has no error"},
		{"SystemCallFilter=~READ", "read()", "! unknown system call"},
		{"RestrictAddressFamilies=~af_unix", "socket(1)", "errno(97)"},
		{"RestrictAddressFamilies=~AF_UNSPEC", "socket(0)", "! unknown address family"},
		{"RestrictAddressFamilies=~PF_UNIX", "socket(1)", "! unknown address family"},
		{"LockPersonality=yes\nLockPersonality=", "personality(9)", "errno(1)"},
		{"LockPersonality=yes\nLockPersonality=f", "personality(9)", "allow"},
		{"LockPersonality=2", "personality(9)", "! no boolean"},
	} {
		text := "\ufeff[Service]\n" + tt.line + "\n"
		if !isSystemd("u", []byte(text)) {
			t.Errorf("%q is no unit", text)
		}
		p, losses, err := readSystemd("u.service", []byte(text), Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		want := tt.want
		if text, ignored := strings.CutPrefix(tt.want, "! "); ignored {
			want = "allow"
			if len(losses) != 1 || !strings.Contains(losses[0].Msg, text) {
				t.Errorf("%s: %v", tt.line, losses)
			}
		}
		holdsTo(t, p, abi.AMD64, tt.call+" => "+want)
	}
	_, _, err := readSystemd("u.service", []byte("[Service]\nSystemCallFilter=read\n [Service\n"), Options{Native: abi.AMD64})
	if err == nil || !strings.HasPrefix(err.Error(), "u.service:3:2: a section that does not end") {
		t.Error(err)
	}
}

func TestDetectSystemd(t *testing.T) {
	for text, want := range map[string]bool{
		"[Service]\nUser=x":      true,
		"# c\n\n; d\n [Unit] \n": true,
		"[x86_64]\nread 1":       false,
		"version: 1":             false,
		"":                       false,
		"[{\"code\": 6}]":        false,
	} {
		if got := isSystemd("x", []byte(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func FuzzSystemd(f *testing.F) {
	for _, unit := range []string{
		"SystemCallFilter=@system-service\nSystemCallFilter=~@privileged read:EPERM\nSystemCallErrorNumber=kill",
		"RestrictNamespaces=~user \\\n# c\nnet\nSystemCallLog=~read\nPersonality=x86",
		"RestrictAddressFamilies=~AF_UNIX\nLockPersonality=yes\nMemoryDenyWriteExecute=1\nRestrictSUIDSGID=1",
	} {
		f.Add("[Service]\n" + unit)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, _, err := readSystemd("u", []byte(text), Options{Native: abi.AMD64})
		if err != nil {
			return
		}
		if _, _, err := p.Resolve(policy.Options{Native: abi.AMD64}); err != nil {
			t.Fatalf("%v\n%s", err, p.Format())
		}
		if _, err := policy.Parse("p", p.Format()); err != nil {
			t.Fatalf("%v\n%s", err, p.Format())
		}
	})
}

// A unit that is read, written and read again means the same, for every call, but
// for what the comments say.
func TestSystemdRoundTrip(t *testing.T) {
	differ := map[string]string{
		// On 386 it is not enforced, and a list counts on every ABI.
		"RestrictAddressFamilies=none": "386:socketcall(1, 0), 386:socket(0, 0, 0)",
		// The writer does not change the personality that a service has.
		"Personality=x86": "amd64:personality(0)",
	}
	for _, unit := range systemdUnits {
		var want, got string
		for part, calls := range differ {
			if strings.Contains(unit, part) {
				want = calls
			}
		}
		p, _, err := readSystemd("u.service", []byte("[Service]\n"+unit), Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		e, err := Export(format(t, "systemd"), p, Options{Native: abi.AMD64})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range e.Different {
			if i > 0 {
				got += ", "
			}
			got += policy.FormatCall(r.Witness)
		}
		if got != want {
			t.Errorf("%s differ\n%s\nwritten:\n%s", got, unit, e.Data)
		}
	}
}

// Each row is a policy and the lines that it is written as, without those that say
// the architectures or start a list anew.
func TestWriteSystemd(t *testing.T) {
	for _, tt := range []struct {
		name, policy, want string
		differ             string // the calls with names of each region that differs
		looser             bool
	}{
		{"sets and what is left of them", `
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls: [{action: allow, names: ["@systemd/default", "@systemd/basic-io", "@systemd/signal", ptrace, getcwd]}, {action: errno(ENOSYS), names: [clone3]}]`, `
SystemCallFilter=@basic-io @signal getcwd ptrace
SystemCallFilter=~clone3:ENOSYS
SystemCallErrorNumber=EPERM`, "", false},
		{"a set without some", `
default_action: kill_process
unknown_action: errno(ENOSYS)
syscalls: [{action: errno(EIO), names: [dup3]}, {action: kill_process, names: [lseek, futex]}, {action: allow, names: ["@systemd/default", "@systemd/basic-io"]}]`, `
SystemCallFilter=@basic-io
SystemCallFilter=~futex lseek
SystemCallFilter=~dup3:EIO
SystemCallErrorNumber=kill`, "", false},
		{"a deny-list", `
default_action: allow
syscalls: [{action: errno(EPERM), names: ["@systemd/clock", "@systemd/mount", ptrace]}, {action: kill_process, names: [bpf]}]`, `
SystemCallFilter=~@clock @mount ptrace
SystemCallFilter=~bpf:kill
SystemCallErrorNumber=EPERM`, "", false},
		{"address families that are let through: stricter on stray bits", `
default_action: allow
syscalls: [{action: errno(EAFNOSUPPORT), calls: ["socket(domain not in {AF_UNIX, AF_INET})"]}]`, `
RestrictAddressFamilies=AF_UNIX AF_INET`, "socket", false},
		{"address families that are denied", `
default_action: allow
syscalls: [{action: errno(EAFNOSUPPORT), calls: ["socket(domain:64 in {AF_ALG, AF_PACKET})"]}]`, `
RestrictAddressFamilies=~AF_PACKET AF_ALG`, "", false},
		{"namespaces", `
default_action: allow
syscalls:
- {action: errno(EPERM), calls: ["clone(flags & (CLONE_NEWUSER|CLONE_NEWNET) != 0)", "unshare(flags & (CLONE_NEWUSER|CLONE_NEWNET) != 0)", "setns(arg1 & (CLONE_NEWUSER|CLONE_NEWNET) != 0)", "setns(arg1:64 == 0)"]}
- {action: errno(ENOSYS), names: [clone3]}`, `
RestrictNamespaces=cgroup ipc mnt pid uts time`, "", false},
		{"a personality", `
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls: [{action: allow, names: ["@systemd/default"]}, {action: allow, calls: ["personality(arg0:64 == 0)"]}]`, `
LockPersonality=yes
SystemCallFilter=personality
SystemCallErrorNumber=EPERM`, "", false},
		{"logs", `
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls: [{action: log, names: [read, getpid]}, {action: allow, names: ["@systemd/default"]}]`, `
SystemCallFilter=read
SystemCallErrorNumber=EPERM
SystemCallLog=getpid read`, "", false},
		{"conditions that no directive has: the call is denied", `
default_action: errno(EPERM)
unknown_action: errno(ENOSYS)
syscalls: [{action: allow, names: ["@systemd/default"]}, {action: allow, calls: ["ioctl(cmd == TCGETS)"]}]`, `
SystemCallFilter=@default
SystemCallErrorNumber=EPERM`, "ioctl", false},
		{"or let through, where most calls are, and reported as looser", `
default_action: allow
syscalls: [{action: errno(EPERM), calls: ["ioctl(cmd == TIOCSTI)"]}]`, ``, "ioctl", true},
		{"numbers that no call has are ENOSYS, which is not looser", `
default_action: kill_process
syscalls: [{action: allow, names: ["@systemd/default"]}]`, `
SystemCallFilter=@default
SystemCallFilter=~listns:kill rseq_slice_yield:kill
SystemCallErrorNumber=kill`, "", false},
		{"how the filter is installed", `
no_new_privs: true
default_action: allow
syscalls: [{action: errno(EPERM), names: [ptrace]}]`, `
SystemCallFilter=~ptrace
SystemCallErrorNumber=EPERM
NoNewPrivileges=yes`, "", false},
		{"a trap becomes stricter", `
default_action: allow
syscalls: [{action: trap, names: [read]}]`, `
SystemCallFilter=~read
SystemCallErrorNumber=kill`, "read", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := parse(t, "version: 1\nabis: [amd64]\nbad_arch_action: kill_thread\nx32_action: kill_thread\n"+tt.policy)
			e, err := Export(format(t, "systemd"), p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for line := range strings.Lines(string(e.Data)) {
				if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") || strings.HasPrefix(line, "SystemCallArchitectures=") || strings.HasSuffix(line, "=\n") {
					continue
				}
				got += line
			}
			if strings.TrimSpace(got) != strings.TrimSpace(tt.want) {
				t.Errorf("got\n%s", got)
			}
			differ := map[string]bool{}
			for _, r := range e.Named() {
				differ[r.Name] = true
			}
			if names := strings.Join(slices.Sorted(maps.Keys(differ)), " "); names != tt.differ || e.Looser() != tt.looser {
				t.Errorf("%q differ, looser %t; %+v", names, e.Looser(), e.Different)
			}
		})
	}
}
