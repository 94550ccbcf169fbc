package convert

import (
	"strings"
	"testing"

	"github.com/sysgate/sysgate/abi"
	"github.com/sysgate/sysgate/policy"
)

// someGroups are groups for tests that need no Firejail.
func someGroups(a abi.ABI, group string) ([]uint32, error) {
	names := map[string][]string{
		"@clock": {"settimeofday", "clock_settime"}, "@default": {"mount", "reboot"}, "@default-nodebuggers": {"mount", "reboot", "ptrace"},
		firejailSecondary: {"mount"},
	}[group]
	var all []uint32
	for _, name := range names {
		if nr, ok := a.Lookup(name); ok {
			all = append(all, nr)
		}
	}
	if all == nil {
		return nil, errNoFirejail
	}
	return all, nil
}

// Each row is a profile and what becomes of calls. TestFirejail compares more of
// them with Firejail's own filters.
func TestFirejailMeaning(t *testing.T) {
	for _, tt := range []struct {
		name, profile, want string
		losses              []string
	}{
		{name: "nothing about system calls", profile: "caps.drop all\nnet none\n", want: "read() => allow\n386:nr:3 => allow\nx32:nr:0x40000000 => allow"},
		{name: "the default list", profile: "seccomp", want: `
mount() => errno(1)
ptrace() => errno(1)
read() => allow
nr:9999 => allow
386:mount() => errno(1)
386:ptrace() => allow
x32:nr:0x40000000 => errno(1)
nr:0xffffffff => errno(1)
arm64:nr:3 => allow`},
		{name: "exceptions and errors beat the lists", profile: "allow-debuggers\nseccomp !mount,mkdir:ENOENT,@clock,dup:kill,dup", want: `
mount() => allow
mkdir() => errno(2)
settimeofday() => errno(1)
ptrace() => allow
dup() => kill_thread`},
		{name: "options, and the last list counts", profile: "--seccomp.drop=mkdir\n--seccomp.drop=rmdir\n--seccomp-error-action=EIO", want: "mkdir() => allow\nrmdir() => errno(5)\nmount() => allow"},
		{name: "keep", profile: "seccomp.keep read,!prctl,$600", want: `
read() => allow
nr:600 => allow
write() => errno(1)
execve() => allow
prctl() => errno(1)
386:nr:3 => allow`},
		{name: "one architecture alone", profile: "seccomp.block-secondary", want: `
386:nr:3 => errno(1)
x32:nr:0x40000000 => errno(1)
personality(0) => allow
personality(8) => errno(1)
mount() => errno(1)`},
		{name: "protocols, by the low half of the word", profile: "protocol unix,inet # x\nprotocol inet6", want: `
socket(AF_UNIX) => allow
socket(AF_INET6) => allow
socket(AF_NETLINK) => errno(95)
nr:41(0x100000001) => allow
386:socket(AF_NETLINK) => errno(95)
386:socketcall(1) => allow`},
		{name: "tabs, comments anywhere, errors in small letters", profile: "\tprotocol\tunix#inet\nseccomp.drop\t mkdir:eio,,rmdir:Enoent,#dup\nseccomp-error-action eacces\n", want: `
socket(AF_UNIX) => allow
socket(AF_INET) => errno(95)
mkdir() => errno(5)
rmdir() => errno(2)
dup() => allow`},
		{name: "namespaces and memory", profile: "restrict-namespaces user\nmemory-deny-write-execute", want: `
clone(CLONE_NEWUSER) => errno(1)
clone(CLONE_NEWNET) => allow
clone3() => errno(38)
setns(1, 0) => errno(1)
mprotect(0, 0, PROT_EXEC) => errno(1)
memfd_create() => errno(1)
386:mmap(0) => errno(1)`},
		{
			name: "what Firejail ignores", profile: "include x.inc\nignore protocol\nprotocol unix\n?HAS_X11: seccomp\nseccomp.drop reed,dup:log,$600", want: "socket(AF_INET) => allow\ndup() => allow",
			losses: []string{"p:1:1: the file x.inc", "p:4:1: ?HAS_X11:", "p:5:14: unknown system call reed", "p:5:19: dup:log", "p:5:27: $600"},
		},
		{name: "what its library denies", profile: "seccomp.drop execve,mkdir", want: "execve() => allow\nmkdir() => errno(1)", losses: []string{"execve is denied by a library"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, losses, err := firejailGroups(someGroups).read("p", []byte(tt.profile), Options{Native: abi.AMD64})
			if err != nil {
				t.Fatal(err)
			}
			holdsLosses(t, losses, tt.losses)
			holdsTo(t, p, abi.AMD64, tt.want)
		})
	}
}

func TestFirejailErrors(t *testing.T) {
	for _, tt := range []struct{ profile, want string }{
		{"secomp.drop ptrace", `p:1:1: Firejail has no command "secomp.drop"`},
		{"quiet\nprotocl unix", `p:2:1: Firejail has no command "protocl"`},
		{"seccomp.keep", "p:1:1: seccomp.keep: want a list of system calls"},
		{"seccomp @nothing", "p:1:9: groups are firejail's own"},
		{"seccomp.drop @clock:EIO", "p:1:14: a group takes no error"},
		{"seccomp.drop read:EVIL", `p:1:14: unknown error "EVIL"`},
		{"seccomp-error-action panic", `p:1:22: unknown action "panic"`},
		{"protocol unix,ipx", `p:1:15: unknown protocol "ipx"`},
		{"restrict-namespaces moon", `p:1:21: unknown kind of namespace "moon"`},
		{"protocol unix, inet", `p:1:15: " inet" is no part of a list: Firejail refuses it`},
		{"seccomp.drop mkdir ,rmdir", `p:1:14: "mkdir " is no part of a list`},
		{"seccomp.drop mkdir:KILL", `p:1:14: unknown error "KILL"`},
		{"\ufeffseccomp", "p:1:1: the file starts with a byte order mark"},
		{"seccomp.drop $x", `p:1:14: "$x" is no number`},
	} {
		_, _, err := firejailGroups(someGroups).read("p", []byte(tt.profile), Options{Native: abi.AMD64})
		if err == nil {
			t.Errorf("%s: no error", tt.profile)
			continue
		}
		if first, _, _ := strings.Cut(err.Error(), "\n"); !strings.HasPrefix(first, tt.want) {
			t.Errorf("got  %s\nwant %s", first, tt.want)
		}
	}
	if _, _, err := readFirejail("p", []byte("seccomp"), Options{Native: abi.ARM64}); err == nil {
		t.Error("read for arm64")
	}
}

func TestDetectFirejail(t *testing.T) {
	for text, want := range map[string]bool{
		"# c\ncaps.drop all\nseccomp\n":       true,
		"--seccomp.drop=mkdir\n":              true,
		"protocol unix,inet\nnoroot\n":        true,
		"seccomp:\n  default_action: allow\n": false,
		"read: 1\nseccomp: 1\n":               false,
		"caps.drop all\n":                     false,
		"":                                    false,
	} {
		if got := isFirejail("x", []byte(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

// Each row is a policy and the lines that it is written as.
func TestWriteFirejail(t *testing.T) {
	for _, tt := range []struct{ name, policy, want, differ string }{
		{
			"keep", "default_action: errno(EACCES)\nsyscalls: [{action: allow, names: [read, execve, prctl]}, {action: errno(EIO), names: [write]}]",
			"seccomp-error-action EACCES\nseccomp.keep !execveat,read,write:EIO\nseccomp.block-secondary\n", "",
		},
		{
			"drop", "default_action: allow\nbad_arch_action: allow\nx32_action: errno(EPERM)\nsyscalls: [{action: errno(EPERM), names: [mkdir, rmdir]}, {action: kill_thread, names: [dup]}]",
			"seccomp-error-action EPERM\nseccomp.drop dup:kill,mkdir,rmdir\n", "",
		},
		{
			"what Firejail needs", "default_action: kill_thread\nsyscalls: [{action: allow, names: [read]}]",
			"seccomp-error-action kill\nseccomp.keep !execveat,read\nseccomp.block-secondary\n", "execve prctl",
		},
		{
			"conditions", "default_action: errno(EPERM)\nsyscalls: [{action: allow, names: [execve, execveat, prctl]}, {action: allow, calls: [dup(3)]}]",
			"seccomp-error-action EPERM\nseccomp.keep execveat,execve,prctl\nseccomp.block-secondary\n", "dup",
		},
		{
			"two ABIs", "abis: [amd64, 386]\ndefault_action: allow\nbad_arch_action: allow\nx32_action: errno(EPERM)\nsyscalls: [{action: errno(EPERM), names: [mkdir], calls: ['386:rmdir']}, {action: kill_thread, calls: ['386:dup']}]",
			"seccomp-error-action EPERM\nseccomp.drop mkdir\nseccomp.32.drop dup:kill,mkdir,rmdir\n", "",
		},
		{
			"386 alone", "abis: [amd64, 386]\ndefault_action: allow\nbad_arch_action: allow\nx32_action: errno(EPERM)\nsyscalls: [{action: errno(EPERM), calls: ['386:rmdir']}]",
			"seccomp-error-action EPERM\nseccomp.drop !exit\nseccomp.32.drop rmdir\n", "",
		},
		{
			"nothing on 386", "abis: [amd64, 386]\ndefault_action: errno(EPERM)\nbad_arch_action: allow\nx32_action: errno(EPERM)\nsyscalls: [{action: allow, calls: ['amd64:read', 'amd64:execve', 'amd64:execveat', 'amd64:prctl']}]",
			"seccomp-error-action EPERM\nseccomp.keep read\nseccomp.block-secondary\n", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "version: 1\n" + tt.policy
			if !strings.HasPrefix(tt.policy, "abis") {
				text = "version: 1\nabis: [amd64]\n" + tt.policy
			}
			e, err := Export(format(t, "firejail"), parse(t, text), Options{})
			if err != nil && strings.Contains(err.Error(), errNoFirejail.Error()) {
				t.Skip("firejail is not installed")
			}
			if err != nil {
				t.Fatal(err)
			}
			if commentLine.ReplaceAllString(string(e.Data), "") != tt.want { // see TestWrittenOrigins
				t.Errorf("got\n%s", e.Data)
			}
			var names []string
			for _, r := range e.Named() {
				if r.Name != "personality" { // which block-secondary denies too
					names = append(names, r.Name)
				}
			}
			if got := strings.Join(names, " "); got != tt.differ {
				t.Errorf("%q differ", got)
			}
		})
	}
}

func FuzzFirejail(f *testing.F) {
	for _, text := range firejailSeeds {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, _, err := firejailGroups(someGroups).read("p", []byte(text), Options{Native: abi.AMD64})
		if err != nil {
			return
		}
		if _, _, err := p.Resolve(policy.Options{Native: abi.AMD64}); err != nil {
			t.Fatalf("%v\n%s", err, p.Format())
		}
	})
}

var firejailSeeds = []string{
	"seccomp mkdir,@clock,lchown:EIO,!chroot,write:kill,nosuch",
	"--seccomp.keep=pause,read,write:EIO,@clock,!settimeofday,$600\nseccomp.block-secondary",
	"protocol unix,inet\nrestrict-namespaces user\nmemory-deny-write-execute\nseccomp-error-action log",
}
